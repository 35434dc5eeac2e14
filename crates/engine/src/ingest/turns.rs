//! How many documents are worked on at once: as many as may use a core, and beside them those that wait for a model
//! somewhere else. There are more reading threads than turns, so that waiting costs no core its work.

use std::sync::{Condvar, Mutex, PoisonError};

use super::lock;

/// Documents that may wait for a model at once, beside those that are worked on.
pub(super) const WAITING: usize = 16;

/// The turns of one engine.
pub(crate) struct Turns {
    free: Mutex<usize>,
    freed: Condvar,
}

/// A turn; dropped, it is the next one's.
pub(super) struct Turn<'a>(&'a Turns);

impl Turns {
    /// So many turns.
    pub(super) fn new(count: usize) -> Self {
        Self { free: Mutex::new(count), freed: Condvar::new() }
    }

    /// Waits for a turn.
    pub(super) fn take(&self) -> Turn<'_> {
        self.acquire();
        Turn(self)
    }

    /// Lets others have the turn that the caller holds while `wait` waits, and takes one again before it returns.
    pub(super) fn aside<T>(&self, wait: impl FnOnce() -> T) -> T {
        /// Takes the turn again also when the waiting ends in a panic.
        struct Again<'a>(&'a Turns);
        impl Drop for Again<'_> {
            fn drop(&mut self) {
                self.0.acquire();
            }
        }
        self.release();
        let _again = Again(self);
        wait()
    }

    fn acquire(&self) {
        let waited = self.freed.wait_while(lock(&self.free), |free| *free == 0);
        *waited.unwrap_or_else(PoisonError::into_inner) -= 1;
    }

    fn release(&self) {
        *lock(&self.free) += 1;
        self.freed.notify_one();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn no_more_work_at_once_than_there_are_turns() {
        let (turns, working, most) = (Turns::new(2), AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || {
            most.fetch_max(working.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::yield_now();
            working.fetch_sub(1, Ordering::SeqCst);
        };
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let _turn = turns.take();
                        work();
                        turns.aside(std::thread::yield_now);
                        work();
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 2);
        assert_eq!(*lock(&turns.free), 2);
    }
}
