//! Taking documents in: one worker per workspace with work, started when there is some.
//!
//! `lane` is what a workspace's worker shares with the façade, `worker` claims, orders and commits documents,
//! `prepare` turns one original into a write, `publish` makes the views follow and fills in vectors of entities
//! and relations, `progress` tells followers. What is durable, and what `ready` means, is the store's.

mod unpublished;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lorekeep_types::{JobEvent, JobId, Result, Workspace, WorkspaceName};
use tokio::sync::broadcast;

use crate::engine::EngineParts;
pub(crate) use unpublished::Unpublished;

/// All lanes of work of one engine.
pub(crate) struct Ingest {
    parts: Arc<EngineParts>,
    lanes: Mutex<HashMap<WorkspaceName, (Arc<Unpublished>, broadcast::Sender<JobEvent>)>>,
}

impl Ingest {
    pub(crate) fn new(parts: Arc<EngineParts>) -> Result<Self> {
        Ok(Self { parts, lanes: Mutex::default() })
    }
    pub(crate) fn wake(&self, _workspace: &Arc<dyn Workspace>) -> Result<()> {
        let _ = &self.parts;
        Ok(())
    }
    pub(crate) fn stop(&self) {}
    pub(crate) fn forget(&self, _name: &WorkspaceName) {}
    pub(crate) fn publish(&self, workspace: &Arc<dyn Workspace>) -> Result<()> {
        workspace.refresh().map(drop)
    }
    pub(crate) fn cancel(&self, _workspace: &Arc<dyn Workspace>, _job: &JobId) -> Result<()> {
        Ok(())
    }
    fn lane(&self, name: &WorkspaceName) -> (Arc<Unpublished>, broadcast::Sender<JobEvent>) {
        lock(&self.lanes).entry(name.clone()).or_insert_with(|| (Arc::default(), broadcast::channel(1_024).0)).clone()
    }
    pub(crate) fn watch(&self, name: &WorkspaceName) -> broadcast::Receiver<JobEvent> {
        self.lane(name).1.subscribe()
    }
    pub(crate) fn unpublished(&self, name: &WorkspaceName) -> Arc<Unpublished> {
        self.lane(name).0
    }
}

/// Locks; what a panicking thread left is still whole, for every guarded value here changes in one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
