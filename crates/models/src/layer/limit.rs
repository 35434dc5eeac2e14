//! How many calls run at once. Those that wait are served interactive first, then in order of arrival.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::channel::oneshot;
use lorekeep_types::Priority;

/// More calls than this do not wait for one model.
pub const LONGEST_QUEUE: usize = 1_000;

/// A number of places. Cheap to clone; clones are one limit.
#[derive(Clone, Debug)]
pub struct Limit(Arc<Mutex<Places>>);

#[derive(Debug)]
struct Places {
    free: usize,
    interactive: VecDeque<oneshot::Sender<Permit>>,
    batch: VecDeque<oneshot::Sender<Permit>>,
}

/// A place; free again when dropped.
#[derive(Debug)]
pub struct Permit {
    limit: Option<Limit>,
}

/// Too many wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

impl Limit {
    /// `places` calls at once, at least one.
    #[must_use]
    pub fn new(places: usize) -> Self {
        let places = Places { free: places.max(1), interactive: VecDeque::new(), batch: VecDeque::new() };
        Self(Arc::new(Mutex::new(places)))
    }

    /// Takes a place, waiting for one if need be. Dropping the future gives up the wait.
    ///
    /// # Errors
    /// When [`LONGEST_QUEUE`] calls of this priority wait.
    pub async fn acquire(&self, priority: Priority) -> Result<Permit, QueueFull> {
        let waiting = {
            let mut places = self.places();
            if places.free > 0 {
                places.free -= 1;
                return Ok(self.permit());
            }
            let queue = match priority {
                Priority::Interactive => &mut places.interactive,
                Priority::Batch => &mut places.batch,
            };
            // Those that gave up leave their entry behind.
            queue.retain(|sender| !sender.is_canceled());
            if queue.len() >= LONGEST_QUEUE {
                return Err(QueueFull);
            }
            let (sender, receiver) = oneshot::channel();
            queue.push_back(sender);
            receiver
        };
        waiting.await.map_err(|_| QueueFull)
    }

    /// Calls that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let places = self.places();
        places.interactive.iter().chain(&places.batch).filter(|sender| !sender.is_canceled()).count()
    }

    fn release(&self) {
        loop {
            let next = {
                let mut places = self.places();
                let next = places.interactive.pop_front();
                let next = next.or_else(|| places.batch.pop_front());
                if next.is_none() {
                    places.free += 1;
                }
                next
            };
            // Sent without the lock: a receiver that is gone gives the permit back, which must not release again.
            match next.map(|sender| sender.send(self.permit())) {
                Some(Err(mut refused)) => refused.limit = None,
                Some(Ok(())) | None => return,
            }
        }
    }

    fn permit(&self) -> Permit {
        Permit { limit: Some(self.clone()) }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(limit) = self.limit.take() {
            limit.release();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn interactive_calls_overtake_batch_calls() {
        let limit = Limit::new(1);
        let held = limit.acquire(Priority::Batch).now_or_never().unwrap().unwrap();
        let mut batch = Box::pin(limit.acquire(Priority::Batch));
        let mut interactive = Box::pin(limit.acquire(Priority::Interactive));
        assert!(batch.as_mut().now_or_never().is_none() && interactive.as_mut().now_or_never().is_none());
        assert_eq!(limit.waiting(), 2);
        drop(held);
        let first = interactive.as_mut().now_or_never().unwrap().unwrap();
        assert!(batch.as_mut().now_or_never().is_none());
        drop(first);
        assert!(batch.as_mut().now_or_never().is_some());
    }

    #[test]
    fn a_wait_that_was_given_up_loses_no_place() {
        let limit = Limit::new(1);
        let held = limit.acquire(Priority::Interactive).now_or_never().unwrap().unwrap();
        let mut given_up = Box::pin(limit.acquire(Priority::Interactive));
        assert!(given_up.as_mut().now_or_never().is_none());
        let mut waits = Box::pin(limit.acquire(Priority::Interactive));
        assert!(waits.as_mut().now_or_never().is_none());
        drop(given_up);
        drop(held);
        let second = waits.as_mut().now_or_never().unwrap().unwrap();
        // Given up after the place was handed over, but before it was taken.
        let mut late = Box::pin(limit.acquire(Priority::Interactive));
        assert!(late.as_mut().now_or_never().is_none());
        drop(second);
        drop(late);
        assert!(limit.acquire(Priority::Batch).now_or_never().is_some());
    }

    #[test]
    fn the_queue_is_bounded() {
        let limit = Limit::new(1);
        let _held = limit.acquire(Priority::Batch).now_or_never().unwrap().unwrap();
        let mut waits: Vec<_> = (0..LONGEST_QUEUE).map(|_| Box::pin(limit.acquire(Priority::Batch))).collect();
        assert!(waits.iter_mut().all(|wait| wait.as_mut().now_or_never().is_none()));
        assert_eq!(limit.acquire(Priority::Batch).now_or_never().unwrap().unwrap_err(), QueueFull);
        assert!(limit.acquire(Priority::Interactive).now_or_never().is_none());
    }
}
