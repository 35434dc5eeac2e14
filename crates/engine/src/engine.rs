//! The façade that server, command line and tests share, and the one place where async callers cross over to
//! synchronous work. The methods themselves live beside their topic: documents, jobs, graph, workspaces.

use std::sync::Arc;
use std::time::Duration;

use lorekeep_types::{
    Clock, DocumentParser, EmbeddingModel, Error, ErrorCode, Format, Ids, ModelCache, Models, RequestContext, Result,
    Role, Snapshot, Store, TokenCounter, Workspace,
};

use crate::answer::sentences::ReadPassages;
use crate::communities::CommunityViews;
use crate::ingest::Ingest;
use crate::settings::EngineSettings;

/// What an engine is made of.
#[derive(Clone)]
pub struct EngineParts {
    /// The truth and its views.
    pub store: Arc<dyn Store>,
    /// The built-in embedding model. It judges sentences of answers, and makes the vectors where no model of the role
    /// `embed` is configured; without either there are no vectors and dense retrieval is off.
    pub embedder: Option<Arc<dyn EmbeddingModel>>,
    /// The models that write; without any, answers are quoted.
    pub models: Option<Arc<dyn Models>>,
    /// Keeps results of model calls; without one each is paid for again.
    pub cache: Option<Arc<dyn ModelCache>>,
    /// Counts tokens of chunks and descriptions.
    pub tokens: Arc<dyn TokenCounter>,
    /// Counts tokens of prompts, as the models that answer count them.
    pub prompt_tokens: Arc<dyn TokenCounter>,
    /// Reads documents.
    pub parser: Arc<dyn DocumentParser>,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// The source of job ids.
    pub ids: Arc<dyn Ids>,
    /// Settings.
    pub settings: EngineSettings,
}

/// The data plane. Cheap to clone; all clones are one engine.
///
/// Every method takes a [`RequestContext`] first: an unknown workspace is `NotFound`, a passed deadline is
/// `Timeout`, a cancelled request is `Cancelled`. Must be used within a tokio runtime.
#[derive(Clone)]
pub struct Engine {
    pub(crate) parts: Arc<EngineParts>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) communities: Arc<CommunityViews>,
    pub(crate) read_passages: ReadPassages,
}

impl Engine {
    /// An engine over its ports. Nothing runs until documents are added or [`Engine::start`] is called.
    ///
    /// # Errors
    /// `Internal` when the reading threads cannot be started; `Configuration` for a token budget that does not add up.
    pub fn new(parts: EngineParts) -> Result<Self> {
        parts.settings.answer.tokens.validate()?;
        let parts = Arc::new(parts);
        let ingest = Arc::new(Ingest::new(Arc::clone(&parts))?);
        Ok(Self { parts, ingest, communities: Arc::default(), read_passages: ReadPassages::default() })
    }

    /// Takes up the work that earlier runs left in every workspace.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn start(&self) -> Result<()> {
        let engine = self.clone();
        self.warm();
        join(tokio::task::spawn_blocking(move || {
            for workspace in engine.parts.store.workspaces()? {
                let workspace = engine.parts.store.workspace(&workspace.name)?;
                if has_open_jobs(workspace.as_ref())? || !workspace.embed_tasks(1)?.is_empty() {
                    engine.ingest.wake(&workspace)?;
                    engine.ingest.wake_graphs(&workspace)?;
                }
            }
            Ok(())
        }))
        .await
    }

    /// Has a third of a second's work done that the first written answer would wait for: the counter of prompts reads its
    /// vocabulary. Nobody waits for this.
    fn warm(&self) {
        if self.parts.models.as_ref().is_some_and(|models| models.chat(Role::Answer).is_some()) {
            let counter = Arc::clone(&self.parts.prompt_tokens);
            tokio::task::spawn_blocking(move || counter.count("a first word"));
        }
    }

    /// Waits until nothing is left to do in any workspace, the vectors of entities and relations included, at most
    /// `limit`; whether that is so. For one-shot use, where nobody would finish the work after
    /// [`Engine::shutdown`] before the next start.
    pub async fn settle(&self, limit: Duration) -> bool {
        let ingest = Arc::clone(&self.ingest);
        tokio::task::spawn_blocking(move || ingest.settle(limit)).await.unwrap_or(false)
    }

    /// Stops taking up documents, lets those being written finish, puts the others back, and waits for the
    /// workers at most `limit`. Returns whether all of them ended in time. Nothing is lost either way.
    pub async fn shutdown(&self, limit: Duration) -> bool {
        let ingest = Arc::clone(&self.ingest);
        let joined = tokio::task::spawn_blocking(move || ingest.stop());
        tokio::time::timeout(limit, joined).await.is_ok()
    }

    /// The formats that can be read.
    #[must_use]
    pub fn formats(&self) -> &'static [Format] {
        self.parts.parser.formats()
    }

    /// Runs synchronous work on the request's workspace away from the async runtime.
    pub(crate) async fn blocking<T, F>(&self, ctx: &RequestContext, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Self, &Arc<dyn Workspace>, &RequestContext) -> Result<T> + Send + 'static,
    {
        ctx.check()?;
        let (engine, ctx) = (self.clone(), ctx.clone());
        let deadline = ctx.deadline;
        let task = tokio::task::spawn_blocking(move || {
            let workspace = engine.parts.store.workspace(&ctx.workspace)?;
            work(&engine, &workspace, &ctx)
        });
        match deadline {
            None => join(task).await,
            Some(deadline) => tokio::time::timeout_at(deadline.into(), join(task))
                .await
                .unwrap_or_else(|_| Err(Error::new(ErrorCode::Timeout, "the request took longer than its time limit"))),
        }
    }

    /// Runs synchronous work on the latest snapshot of the request's workspace.
    pub(crate) async fn reading<T, F>(&self, ctx: &RequestContext, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&dyn Snapshot) -> Result<T> + Send + 'static,
    {
        self.blocking(ctx, move |_, workspace, _| work(workspace.snapshot().as_ref())).await
    }
}

/// Awaits blocking work; a panic inside it is this program's fault and is reported as such.
pub(crate) async fn join<T>(task: tokio::task::JoinHandle<Result<T>>) -> Result<T> {
    task.await.unwrap_or_else(|fault| {
        Err(Error::new(ErrorCode::Internal, "the work on this request ended unexpectedly").caused_by(fault))
    })
}

fn has_open_jobs(workspace: &dyn Workspace) -> Result<bool> {
    use lorekeep_types::{JobState, PageRequest};
    let first = PageRequest { offset: 0, limit: 1 };
    Ok(!workspace.jobs(Some(JobState::Queued), first)?.is_empty()
        || !workspace.jobs(Some(JobState::Running), first)?.is_empty())
}
