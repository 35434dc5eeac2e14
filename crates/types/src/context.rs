//! What accompanies every request, and the ports for time and ids.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::error::{Error, ErrorCode, Result};
use crate::id::WorkspaceName;

/// A flag that asks running work to stop. Cheap to clone; cancelling is permanent.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks every holder to stop at its next check.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether stopping was asked for.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Who asks, for which workspace, until when. The first argument of every engine call.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// The workspace, already known to be well formed (not known to exist).
    pub workspace: WorkspaceName,
    /// Who asks, by the name that books and budgets know; `None` for whoever does not say.
    pub principal: Option<String>,
    /// Echoed in logs and error bodies.
    pub request_id: String,
    /// Work past this moment is abandoned with [`ErrorCode::Timeout`].
    pub deadline: Option<Instant>,
    /// Cancellation.
    pub cancel: Cancel,
}

impl RequestContext {
    /// A context without principal or deadline.
    #[must_use]
    pub fn new(workspace: WorkspaceName, request_id: impl Into<String>) -> Self {
        Self { workspace, principal: None, request_id: request_id.into(), deadline: None, cancel: Cancel::default() }
    }

    /// Called at every step of long work.
    ///
    /// # Errors
    /// [`ErrorCode::Cancelled`] or [`ErrorCode::Timeout`].
    pub fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Error::new(ErrorCode::Cancelled, "the request was cancelled"));
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Error::new(ErrorCode::Timeout, "the request took longer than its time limit")
                .hint("narrow the question or raise `server.request_timeout_s`"));
        }
        Ok(())
    }
}

/// The wall clock.
pub trait Clock: Send + Sync {
    /// Unix time in milliseconds.
    fn now_ms(&self) -> i64;
}

/// The source of fresh ids.
pub trait Ids: Send + Sync {
    /// A time-ordered, unique suffix of lower-case letters, digits and `-`.
    fn next(&self) -> String;
}
