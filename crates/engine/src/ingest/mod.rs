//! Taking documents in: one worker per workspace with work, started when there is some.
//!
//! `lane` is what a workspace's worker shares with the façade, `worker` claims, orders and commits documents,
//! `prepare` turns one original into a write, `anew` makes all vectors anew, `publish` makes the views follow and fills in
//! vectors of entities and relations, `progress` tells followers, `graph` has models make graphs of what is taken in. What is
//! durable, and what `ready` means, is the store's.

mod anew;
mod archive;
pub(crate) mod graph;
mod lane;
mod life;
mod prepare;
mod progress;
mod publish;
mod turns;
mod unpublished;
mod worker;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lorekeep_types::{DocumentState, Error, ErrorCode, JobEvent, JobId, Result, Workspace, WorkspaceName};
use tokio::runtime::Handle;
use tokio::sync::broadcast;

use crate::engine::EngineParts;
use graph::Graphs;
use lane::Lane;
use turns::Turns;
use unpublished::Unpublished;
use worker::Bench;

/// All lanes of work of one engine and the threads that read documents.
pub(crate) struct Ingest {
    parts: Arc<EngineParts>,
    readers: Arc<rayon::ThreadPool>,
    turns: Arc<Turns>,
    lanes: Mutex<HashMap<WorkspaceName, Arc<Lane>>>,
    graphs: Arc<Graphs>,
}

impl Ingest {
    pub(crate) fn new(parts: Arc<EngineParts>) -> Result<Self> {
        let turns = parts.settings.ingest.threads();
        let readers = rayon::ThreadPoolBuilder::new()
            .num_threads(turns + turns::WAITING)
            .thread_name(|number| format!("read-{number}"))
            .build()
            .map_err(|error| no_threads().caused_by(error))?;
        let turns = Arc::new(Turns::new(turns));
        let graphs = Arc::new(Graphs::new(parts.settings.graph.parallel));
        Ok(Self { parts, readers: Arc::new(readers), turns, lanes: Mutex::default(), graphs })
    }

    fn lane(&self, name: &WorkspaceName) -> Arc<Lane> {
        Arc::clone(lock(&self.lanes).entry(name.clone()).or_default())
    }

    fn bench(&self, workspace: &Arc<dyn Workspace>) -> Bench {
        Bench {
            parts: Arc::clone(&self.parts),
            lane: self.lane(workspace.name()),
            workspace: Arc::clone(workspace),
            readers: Arc::clone(&self.readers),
            turns: Arc::clone(&self.turns),
            graphs: Arc::clone(&self.graphs),
            runtime: Handle::current(),
        }
    }

    /// Says that there may be work in a workspace.
    pub(crate) fn wake(&self, workspace: &Arc<dyn Workspace>) -> Result<()> {
        wake(&self.bench(workspace))
    }

    /// Says that there may be graphs to make in a workspace. Must be called within a tokio runtime.
    pub(crate) fn wake_graphs(&self, workspace: &Arc<dyn Workspace>) -> Result<()> {
        self.graphs.wake(self.bench(workspace))
    }

    /// Ends the work on a cancelled job's documents.
    pub(crate) fn cancel(&self, workspace: &Arc<dyn Workspace>, job: &JobId) -> Result<()> {
        let bench = self.bench(workspace);
        for (item, held) in bench.lane.release_job(job) {
            worker::fail(&bench, item, &held, (DocumentState::Cancelled, &worker::cancelled()))?;
        }
        self.graphs.cancel(&bench, job)?;
        bench.lane.tell_progress(workspace.as_ref(), job);
        // A worker that waits to make vectors anew need not wait any longer.
        self.wake(workspace)
    }

    /// Brings the views up to the truth before it returns.
    pub(crate) fn publish(&self, workspace: &Arc<dyn Workspace>) -> Result<()> {
        self.lane(workspace.name()).publish(workspace.as_ref())
    }

    /// What happens to the workspace's jobs from now on.
    pub(crate) fn watch(&self, name: &WorkspaceName) -> broadcast::Receiver<JobEvent> {
        self.lane(name).events.subscribe()
    }

    /// Hides from jobs and documents what queries do not see yet.
    pub(crate) fn masked<T>(&self, name: &WorkspaceName, mask: impl FnOnce(&Unpublished) -> T) -> T {
        mask(&self.lane(name).unpublished)
    }

    /// Ends the work on a workspace that is about to be removed.
    pub(crate) fn forget(&self, name: &WorkspaceName) {
        self.graphs.forget(name);
        let lane = lock(&self.lanes).remove(name);
        if let Some(lane) = lane {
            lane.stop();
        }
    }

    /// Waits until no worker runs; whether that came true in time.
    pub(crate) fn settle(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let left = || deadline.saturating_duration_since(Instant::now());
        let lanes: Vec<_> = lock(&self.lanes).values().cloned().collect();
        let ingest = || lanes.iter().all(|lane| lane.life.settle(left()));
        // New documents may have a model make their graphs, and new graphs leave entities to embed.
        ingest() && self.graphs.settle(left) && ingest()
    }

    /// Ends all work; see [`crate::Engine::shutdown`].
    pub(crate) fn stop(&self) {
        self.graphs.stop();
        let lanes: Vec<_> = lock(&self.lanes).values().cloned().collect();
        lanes.iter().for_each(|lane| lane.stop());
    }
}

/// Says that there may be work in a workspace.
fn wake(bench: &Bench) -> Result<()> {
    let worker = bench.clone();
    let start = || std::thread::Builder::new().name("ingest".to_owned()).spawn(move || worker::run(&worker));
    bench.lane.life.wake(start).map_err(|error| no_threads().caused_by(error))
}

fn no_threads() -> Error {
    Error::new(ErrorCode::Internal, "the system gives no thread to read documents with")
}

/// Locks; what a panicking thread left is still whole, for every guarded value here changes in one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
