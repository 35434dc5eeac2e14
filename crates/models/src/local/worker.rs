//! A thread per model: it loads the model, then works on one call after the other. Callers wait in a bounded queue.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::fault::LocalError;

/// What is done with the model, or with the reason why there is none.
type Work<T> = Box<dyn FnOnce(Result<&mut T, &LocalError>) + Send>;

struct Job<T> {
    work: Work<T>,
    /// Whether its caller went away.
    gone: Box<dyn Fn() -> bool + Send>,
}

/// The queue is full of callers who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Counts since the model was loaded.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) running: AtomicUsize,
    pub(super) calls: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) prompt_tokens: AtomicU64,
    pub(super) completion_tokens: AtomicU64,
    pub(super) cache_bytes: AtomicU64,
}

struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    places: usize,
}

struct State<T> {
    jobs: VecDeque<Job<T>>,
    closed: bool,
}

/// A model's thread. It ends, and frees the model, when the last owner drops this.
pub(super) struct Worker<T> {
    queue: Arc<Queue<T>>,
    counts: Arc<Counts>,
    /// What came of loading; `None` until it is done.
    loaded: watch::Receiver<Option<Result<(), LocalError>>>,
}

impl<T: 'static> Worker<T> {
    /// Starts the thread, which begins with `load`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        name: &str,
        places: usize,
        load: impl FnOnce() -> Result<T, LocalError> + Send + 'static,
    ) -> Result<Self, LocalError> {
        let state = State { jobs: VecDeque::new(), closed: false };
        let queue = Arc::new(Queue { state: Mutex::new(state), changed: Condvar::new(), places: places.max(1) });
        let counts = Arc::new(Counts::default());
        let (at_work, counting) = (Arc::clone(&queue), Arc::clone(&counts));
        let (tell, loaded) = watch::channel(None);
        let run = move || {
            let fault = |_| Err(LocalError::Compute("loading it met a fault of this program".to_owned()));
            let mut model = catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(fault);
            tell.send_replace(Some(model.as_ref().map(|_| ()).map_err(Clone::clone)));
            if let Err(error) = &model {
                tracing::error!(%error, "a local model could not be loaded");
            }
            while let Some(job) = at_work.next() {
                if (job.gone)() {
                    continue;
                }
                counting.running.store(1, Ordering::Relaxed);
                // A fault in one call ends that call: the model starts each one afresh.
                let worked = catch_unwind(AssertUnwindSafe(|| (job.work)(model.as_mut().map_err(|error| &*error))));
                if worked.is_err() {
                    tracing::error!("a call of a local model met a fault of this program");
                }
                counting.running.store(0, Ordering::Relaxed);
                counting.calls.fetch_add(1, Ordering::Relaxed);
            }
        };
        let builder = std::thread::Builder::new().name(format!("model {name}"));
        builder.spawn(run).map_err(|error| LocalError::Compute(format!("no thread could be started: {error}")))?;
        Ok(Self { queue, counts, loaded })
    }

    /// Waits until the model is loaded.
    ///
    /// # Errors
    /// Why it cannot be.
    pub(super) async fn ready(&self) -> Result<(), LocalError> {
        let mut loaded = self.loaded.clone();
        let outcome = loaded.wait_for(Option::is_some).await;
        let outcome = outcome.map_err(|_| LocalError::Compute("the model's thread ended".to_owned()))?;
        outcome.clone().unwrap_or(Ok(()))
    }

    /// Whether loading was tried and failed.
    pub(super) fn failed(&self) -> bool {
        matches!(*self.loaded.borrow(), Some(Err(_)))
    }

    /// Puts a call into the queue; those whose callers went away make room first.
    ///
    /// # Errors
    /// [`Full`] when all places are taken.
    pub(super) fn submit(
        &self,
        gone: impl Fn() -> bool + Send + 'static,
        work: impl FnOnce(Result<&mut T, &LocalError>) + Send + 'static,
    ) -> Result<(), Full> {
        let mut state = self.queue.state();
        if state.jobs.len() >= self.queue.places {
            state.jobs.retain(|job| !(job.gone)());
        }
        if state.jobs.len() >= self.queue.places {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Full);
        }
        state.jobs.push_back(Job { work: Box::new(work), gone: Box::new(gone) });
        drop(state);
        self.queue.changed.notify_one();
        Ok(())
    }

    /// Calls that wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.state().jobs.iter().filter(|job| !(job.gone)()).count()
    }

    /// Most calls that may wait.
    pub(super) fn places(&self) -> usize {
        self.queue.places
    }

    /// The counts.
    pub(super) fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }
}

impl<T> Queue<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next job; `None` once nobody can submit one any more.
    fn next(&self) -> Option<Job<T>> {
        let mut state = self.state();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        self.queue.state().closed = true;
        self.queue.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_queue_is_bounded_and_those_who_left_make_room() {
        let worker = Worker::start("test", 2, || Ok(1)).unwrap();
        let (started, on_start) = mpsc::channel();
        let (release, gate) = mpsc::channel::<()>();
        worker
            .submit(
                || false,
                move |_| {
                    started.send(()).unwrap();
                    gate.recv().unwrap();
                },
            )
            .unwrap();
        on_start.recv().unwrap();
        let left = Arc::new(AtomicBool::new(false));
        let (gone, (done, on_done)) = (Arc::clone(&left), mpsc::channel());
        worker.submit(move || gone.load(Ordering::Relaxed), |_| panic!("nobody waits for this")).unwrap();
        let tell = done.clone();
        worker.submit(|| false, move |model| tell.send(*model.unwrap()).unwrap()).unwrap();
        assert_eq!((worker.waiting(), worker.submit(|| false, |_| {})), (2, Err(Full)));
        left.store(true, Ordering::Relaxed);
        assert_eq!(worker.waiting(), 1);
        worker.submit(|| false, move |model| done.send(*model.unwrap() + 1).unwrap()).unwrap();
        release.send(()).unwrap();
        assert_eq!((on_done.recv().unwrap(), on_done.recv().unwrap()), (1, 2));
        assert_eq!(worker.counts().refused.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_model_that_cannot_be_loaded_says_why_each_time() {
        let worker = Worker::<()>::start("test", 2, || Err(LocalError::Missing { path: "/none".into() })).unwrap();
        let (tell, told) = mpsc::channel();
        worker.submit(|| false, move |model| tell.send(model.unwrap_err().to_string()).unwrap()).unwrap();
        assert_eq!(told.recv().unwrap(), "/none is missing");
    }
}
