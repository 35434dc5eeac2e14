//! The life of a worker: started when there is work, ended when there is none or when all work stops.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use lorekeep_types::Cancel;

use super::lock;

/// See the module's text.
#[derive(Default)]
pub(super) struct Life {
    state: Mutex<State>,
    changed: Condvar,
    stopping: Cancel,
}

#[derive(Default)]
struct State {
    /// There may be work that the worker has not seen.
    wanted: bool,
    worker: Option<JoinHandle<()>>,
    running: bool,
}

impl Life {
    /// Says that there is work; `start` makes the worker when none runs.
    pub(super) fn wake(&self, start: impl FnOnce() -> std::io::Result<JoinHandle<()>>) -> std::io::Result<()> {
        let mut state = lock(&self.state);
        state.wanted = true;
        if !state.running && !self.is_stopping() {
            state.worker = Some(start()?);
            state.running = true;
        }
        self.changed.notify_all();
        Ok(())
    }

    /// Takes note that work was announced; whether some was.
    pub(super) fn take_wanted(&self) -> bool {
        std::mem::take(&mut lock(&self.state).wanted)
    }

    /// Whether work was announced that nobody has taken note of.
    pub(super) fn is_wanted(&self) -> bool {
        lock(&self.state).wanted
    }

    /// Ends the worker's life unless there is new work; whether it has ended.
    pub(super) fn rest(&self) -> bool {
        let mut state = lock(&self.state);
        state.running = state.wanted && !self.is_stopping();
        self.changed.notify_all();
        !state.running
    }

    /// Waits at most `limit` until no worker runs; whether that came true.
    pub(super) fn settle(&self, limit: Duration) -> bool {
        let working = |state: &mut State| state.running;
        let waited = self.changed.wait_timeout_while(lock(&self.state), limit, working);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Waits at most `limit`, less when work is announced or all work stops.
    pub(super) fn pause(&self, limit: Duration) {
        let waiting = |state: &mut State| !state.wanted && !self.is_stopping();
        drop(self.changed.wait_timeout_while(lock(&self.state), limit, waiting));
    }

    /// Whether all work is to stop.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// Set for good once all work is to stop.
    pub(super) fn stopping(&self) -> &Cancel {
        &self.stopping
    }

    /// Asks the worker to stop; `interrupt` hurries it. Waits until it has ended.
    pub(super) fn stop(&self, interrupt: impl FnOnce()) {
        self.stopping.cancel();
        interrupt();
        let worker = lock(&self.state).worker.take();
        self.changed.notify_all();
        // A worker that panicked has ended as well; its claimed items are queued again at the next start.
        let _ = worker.map(JoinHandle::join);
    }
}
