//! Having a model make the graph of documents that are there already: one worker per workspace with such jobs. Questions
//! are answered meanwhile from the graph that the built-in rules made.
//!
//! `worker` claims documents, publishes and ends them, `document` reads one of them, `run` is what the documents of one
//! job share: what may be spent, and whether there is a reason to stop; when all is read, `resolve` joins
//! entities that mean one thing, and `summaries` shortens what became too long.

pub(crate) mod document;
mod resolve;
pub(crate) mod run;
mod summaries;
mod worker;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lorekeep_types::{
    CacheKind, Call, ChatModel, DocumentState, Error, ErrorCode, GraphEnd, GraphItem, JobId, ModelId, Models, Priority,
    Result, Role, WorkspaceName,
};
use tokio::sync::Semaphore;

use super::lane::Held;
use super::life::Life;
use super::{lock, worker as worker_of_ingest};
use crate::engine::EngineParts;
use crate::extract::model::{Asking, FORM};
use run::Run;

/// As the ledger names the calls.
const OPERATION: &str = "entity_extraction";

/// All graph jobs of one engine.
pub(crate) struct Graphs {
    /// Places for passages that are read at once.
    places: Arc<Semaphore>,
    lanes: Mutex<HashMap<WorkspaceName, Arc<GraphLane>>>,
}

/// What a workspace's worker shares with the façade.
#[derive(Default)]
struct GraphLane {
    life: Life,
    held: Mutex<HashMap<i64, Held>>,
    runs: Mutex<HashMap<JobId, Arc<Run>>>,
}

/// What a worker works with.
#[derive(Clone)]
struct Bench {
    /// Where followers listen, what brings the views up to date, and what embeds new entities.
    ingest: worker_of_ingest::Bench,
    places: Arc<Semaphore>,
    graphs: Arc<GraphLane>,
}

impl Graphs {
    /// At most `parallel` passages are read at once.
    pub(super) fn new(parallel: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(parallel.max(1))), lanes: Mutex::default() }
    }

    fn lane(&self, name: &WorkspaceName) -> Arc<GraphLane> {
        Arc::clone(lock(&self.lanes).entry(name.clone()).or_default())
    }

    /// Says that there may be work in the workspace of an ingest.
    pub(super) fn wake(&self, ingest: worker_of_ingest::Bench) -> Result<()> {
        let runtime = ingest.runtime.clone();
        let graphs = self.lane(ingest.workspace.name());
        let bench = Bench { ingest, places: Arc::clone(&self.places), graphs: Arc::clone(&graphs) };
        let work = move || runtime.block_on(worker::run(&bench));
        let start = || std::thread::Builder::new().name("graph".to_owned()).spawn(work);
        graphs.life.wake(start).map_err(|error| no_thread().caused_by(error))
    }

    /// Ends the work on a cancelled job's documents.
    pub(super) fn cancel(&self, ingest: &worker_of_ingest::Bench, job: &JobId) -> Result<()> {
        let lane = self.lane(ingest.workspace.name());
        let released: Vec<(i64, Held)> =
            lock(&lane.held).extract_if(|_, held| held.job == *job).inspect(|(_, held)| held.cancel.cancel()).collect();
        let problem = worker_of_ingest::cancelled();
        let end = |item: i64| GraphEnd { item, state: DocumentState::Cancelled, problem: Some(problem.clone()) };
        let ends: Vec<GraphEnd> = released.iter().map(|(item, _)| end(*item)).collect();
        ingest.workspace.end_graph(&ends, ingest.parts.clock.now_ms())?;
        for (_, held) in released {
            ingest.lane.tell_end(&held, DocumentState::Cancelled.name(), Some(&problem));
        }
        Ok(())
    }

    pub(super) fn forget(&self, name: &WorkspaceName) {
        let lane = lock(&self.lanes).remove(name);
        if let Some(lane) = lane {
            lane.stop();
        }
    }

    /// Waits until no worker runs, at most `left`; whether that came true.
    pub(super) fn settle(&self, left: impl Fn() -> Duration) -> bool {
        let lanes: Vec<_> = lock(&self.lanes).values().cloned().collect();
        lanes.iter().all(|lane| lane.life.settle(left()))
    }

    pub(super) fn stop(&self) {
        let lanes: Vec<_> = lock(&self.lanes).values().cloned().collect();
        lanes.iter().for_each(|lane| lane.stop());
    }
}

impl GraphLane {
    fn stop(&self) {
        self.life.stop(|| lock(&self.held).values().for_each(|held| held.cancel.cancel()));
    }

    fn hold(&self, item: &GraphItem) -> Held {
        let held = Held {
            job: item.job.clone(),
            document: item.document.clone(),
            name: item.name.clone(),
            cancel: lorekeep_types::Cancel::default(),
        };
        if self.life.is_stopping() {
            held.cancel.cancel();
        }
        lock(&self.held).insert(item.item, held.clone());
        held
    }

    /// What the documents of a job share.
    fn run(&self, item: &GraphItem) -> Arc<Run> {
        let mut runs = lock(&self.runs);
        Arc::clone(
            runs.entry(item.job.clone()).or_insert_with(|| Arc::new(Run::new(item.spending, item.principal.clone()))),
        )
    }
}

fn no_thread() -> Error {
    Error::new(ErrorCode::Internal, "the system gives no thread to make graphs with")
}

/// The model that finds entities and relations, and how it is asked.
pub(crate) struct Extractor {
    pub(crate) model: Arc<dyn ChatModel>,
    models: Arc<dyn Models>,
    parts: Arc<EngineParts>,
}

impl Extractor {
    /// The model of the role `extract`.
    ///
    /// # Errors
    /// `CapabilityMissing` when there is none.
    pub(crate) fn of(parts: &Arc<EngineParts>) -> Result<Self> {
        let models = parts.models.as_ref().filter(|models| models.chat(Role::Extract).is_some());
        let models = models.ok_or_else(|| {
            Error::new(ErrorCode::CapabilityMissing, "no model is configured that finds entities and relations")
                .hint("name one: `lorekeep model set PROVIDER/MODEL --role extract`")
        })?;
        let model = models.chat(Role::Extract).ok_or_else(|| Error::not_found("model of the role", "extract"))?;
        Ok(Self { model, models: Arc::clone(models), parts: Arc::clone(parts) })
    }

    /// How passages are asked about.
    pub(crate) fn asking(&self) -> Asking<'_> {
        let settings = &self.parts.settings;
        Asking {
            prompts: &settings.prompts,
            types: &settings.graph.entity_types,
            gleanings: settings.graph.gleanings,
            schema: self.model.capabilities().json_schema,
        }
    }

    /// Words that change when the graph of a document would come out differently.
    pub(crate) fn maker(&self) -> String {
        let combine = self.parts.settings.graph.combine;
        format!("{} {} {combine:?}", self.model.id(), self.asking().fingerprint())
    }

    /// A call on behalf of a job or a request.
    pub(crate) fn call(&self, workspace: &WorkspaceName, on_behalf: &str) -> Call {
        let call = Call::new(OPERATION, workspace.clone(), on_behalf);
        Call { priority: Priority::Batch, ..call.kept(CacheKind::Extraction, FORM) }
    }

    /// Nano-USD that a call costs at most, if its price is known.
    pub(crate) fn price(&self, prompt_tokens: u64, completion_tokens: u64) -> Option<i64> {
        self.models.price(self.id(), prompt_tokens, completion_tokens)
    }

    pub(crate) fn id(&self) -> &ModelId {
        self.model.id()
    }
}
