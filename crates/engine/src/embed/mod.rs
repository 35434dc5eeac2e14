//! Which model makes the vectors of a workspace, and with which one its questions are embedded: that of the role
//! `embed`, or the built-in one where none is configured.
//!
//! Vectors of different models cannot be compared, so a workspace holds those of one model, whose name and number of
//! dimensions stand with them. Where another one is configured, adding and asking are refused until the vectors are made
//! anew; while that is done, the old ones serve. Making them anew is `ingest::anew`'s.

pub(crate) mod calling;
#[cfg(test)]
mod calling_tests;

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use lorekeep_types::{
    CacheKind, Call, Cancel, EmbeddingModel, EmbeddingModelId, EmbeddingProvider, Error, ErrorCode, ModelError,
    ModelFault, ModelId, Priority, RequestContext, Result, Snapshot, Workspace,
};
use tokio::runtime::Handle;

use crate::engine::EngineParts;
use calling::{CalledEmbedder, probe, wanted};

/// What every call is made for, as the ledger shows it.
const OPERATION: &str = "embed";

/// Raised when what is kept of an embedded text changes its meaning.
const FORM: &str = "embed 1";

/// Texts that the built-in model is given at once.
const BUILT_IN_BATCH: usize = 64;

/// Calls of a model that are under way at once for one piece of work.
const AT_ONCE: usize = 4;

/// A model that has not embedded a question by then is not waited for: words alone are compared.
const PATIENCE: Duration = Duration::from_secs(10);

/// On whose behalf a model is called, and until when.
pub(crate) struct Errand {
    runtime: Handle,
    call: Call,
    cancel: Cancel,
}

impl Errand {
    /// Work in the background on a workspace, on nobody's behalf. To be called where a runtime is entered.
    pub(crate) fn in_background(workspace: &dyn Workspace, runtime: &Handle, cancel: &Cancel) -> Self {
        let call = Call { priority: Priority::Batch, ..Call::new(OPERATION, workspace.name().clone(), OPERATION) };
        Self { runtime: runtime.clone(), call: call.kept(CacheKind::Embedding, FORM), cancel: cancel.clone() }
    }

    /// The same work for `principal`, as a part of what `request_id` names.
    pub(crate) fn on_behalf_of(mut self, principal: Option<&str>, request_id: &str) -> Self {
        self.call.principal = principal.map(str::to_owned);
        request_id.clone_into(&mut self.call.request_id);
        self
    }

    /// A question. To be called where a runtime is entered.
    fn of_question(ctx: &RequestContext) -> Self {
        let patience = Instant::now() + PATIENCE;
        let deadline = Some(ctx.deadline.map_or(patience, |deadline| deadline.min(patience)));
        let call = Call { deadline, ..Call::of(ctx, OPERATION) };
        let call = call.kept(CacheKind::Embedding, FORM);
        Self { runtime: Handle::current(), call, cancel: ctx.cancel.clone() }
    }
}

/// A model that makes vectors, and how many texts it is best given at once.
pub(crate) struct Maker {
    pub(crate) model: Arc<dyn EmbeddingModel>,
    pub(crate) batch: usize,
    /// Whether it is asked over a network, or runs beside this work: whoever waits for it needs no core.
    pub(crate) is_elsewhere: bool,
}

/// The model that is configured.
enum Chosen {
    BuiltIn(Arc<dyn EmbeddingModel>),
    Called(Arc<dyn EmbeddingProvider>),
}

impl Chosen {
    fn name(&self) -> String {
        match self {
            Self::BuiltIn(model) => model.id().name,
            Self::Called(provider) => provider.id().to_string(),
        }
    }

    /// The model as one of so many dimensions.
    fn with(self, dimensions: usize, errand: Errand) -> Maker {
        match self {
            Self::BuiltIn(model) => Maker { model, batch: BUILT_IN_BATCH, is_elsewhere: false },
            Self::Called(provider) => {
                let batch = provider.batch().max(1).saturating_mul(AT_ONCE);
                let called = CalledEmbedder::new(provider, dimensions, errand.runtime, errand.call);
                Maker { model: Arc::new(called.until(&errand.cancel)), batch, is_elsewhere: true }
            }
        }
    }

    /// The number of dimensions; a model that is called is asked for a vector.
    fn dimensions(&self, errand: &Errand) -> Result<usize> {
        match self {
            Self::BuiltIn(model) => Ok(model.id().dimensions),
            Self::Called(provider) => {
                errand.runtime.block_on(wanted(&errand.cancel, probe(provider.as_ref(), &errand.call)))
            }
        }
    }

    fn sized(self, errand: Errand) -> Result<Maker> {
        let dimensions = self.dimensions(&errand)?;
        Ok(self.with(dimensions, errand))
    }
}

impl EngineParts {
    /// The model that is configured; `None`: vectors are off.
    fn chosen(&self) -> Result<Option<Chosen>> {
        if let Some(models) = &self.models
            && let Some(provider) = models.embed()?
        {
            return Ok(Some(Chosen::Called(provider)));
        }
        Ok(self.embedder.clone().map(Chosen::BuiltIn))
    }

    /// The model of vectors that are there, though another one is configured.
    fn former(&self, stored: &EmbeddingModelId) -> Result<Chosen> {
        if let Some(model) = self.embedder.as_ref().filter(|model| model.id() == *stored) {
            return Ok(Chosen::BuiltIn(Arc::clone(model)));
        }
        let unknown = || Error::not_found("model", &stored.name);
        let (id, models) = ModelId::parse(&stored.name).zip(self.models.as_ref()).ok_or_else(unknown)?;
        Ok(Chosen::Called(models.embed_by_id(&id)?))
    }

    /// The model that new vectors of a workspace are made with, which is recorded as theirs; `None`: there are none.
    ///
    /// # Errors
    /// `Conflict` when vectors of another model are there; what the model says.
    pub(crate) fn writing_embedder(&self, workspace: &dyn Workspace, errand: Errand) -> Result<Option<Maker>> {
        let Some(chosen) = self.chosen()? else { return Ok(None) };
        let stored = workspace.embedding_model()?.filter(|stored| stored.name == chosen.name());
        if let Some(stored) = stored {
            return Ok(Some(chosen.with(stored.dimensions, errand)));
        }
        let maker = chosen.sized(errand)?;
        workspace.set_embedding_model(&maker.model.id())?;
        Ok(Some(maker))
    }

    /// The model that all vectors of a workspace are to be of; `None`: there are none.
    ///
    /// # Errors
    /// When it cannot be asked for the number of its dimensions.
    pub(crate) fn replacing_embedder(&self, errand: Errand) -> Result<Option<Maker>> {
        self.chosen()?.map(|chosen| chosen.sized(errand)).transpose()
    }

    /// Whether any model makes vectors.
    ///
    /// # Errors
    /// When the one that is configured cannot be used.
    pub(crate) fn has_embedder(&self) -> Result<bool> {
        Ok(self.chosen()?.is_some())
    }

    /// Refuses documents whose vectors could not stand beside the present ones. While all vectors are made anew,
    /// documents wait and are taken. A model that cannot be asked refuses nothing here: the documents are safe first.
    ///
    /// # Errors
    /// `Conflict` that names both models and the remedy.
    pub(crate) fn admit_documents(&self, workspace: &dyn Workspace, ctx: &RequestContext) -> Result<()> {
        let Some(chosen) = self.chosen()? else { return Ok(()) };
        let fits = match workspace.embedding_model()? {
            Some(stored) => stored.name == chosen.name(),
            // How many dimensions it has is learned with the first document.
            None => matches!(chosen, Chosen::Called(_)),
        };
        if fits || workspace.vectors_job()?.is_some() {
            return Ok(());
        }
        let errand = Errand::of_question(ctx);
        match chosen.dimensions(&errand) {
            Ok(dimensions) => workspace.set_embedding_model(&chosen.with(dimensions, errand).model.id()),
            Err(_) => Ok(()),
        }
    }

    /// How the questions of a request are embedded: as the vectors of the snapshot were.
    ///
    /// # Errors
    /// `Conflict` that names both models and the remedy, when another one is configured and the vectors are not being
    /// made anew.
    pub(crate) fn reading_embedder(
        &self,
        workspace: &dyn Workspace,
        snapshot: &dyn Snapshot,
        ctx: &RequestContext,
    ) -> Result<Asking> {
        let stats = snapshot.stats();
        let Some(stored) = snapshot.embedding_model().filter(|_| stats.chunks > 0 || stats.entities > 0) else {
            return Ok(Asking::default());
        };
        let errand = Errand::of_question(ctx);
        let chosen = match self.chosen() {
            Ok(Some(chosen)) => chosen,
            Ok(None) => return Ok(Asking::default()),
            Err(error) => return Ok(Asking::without(&error)),
        };
        if chosen.name() == stored.name {
            return Ok(Asking::with(chosen.with(stored.dimensions, errand).model));
        }
        if workspace.vectors_job()?.is_none() {
            return Err(other_model(stored, &chosen, &errand));
        }
        match self.former(stored) {
            Ok(former) => Ok(Asking::with(former.with(stored.dimensions, errand).model)),
            Err(error) => Ok(Asking::without(&error)),
        }
    }
}

fn other_model(stored: &EmbeddingModelId, chosen: &Chosen, errand: &Errand) -> Error {
    let size = chosen.dimensions(errand).map_or_else(|_| String::new(), |number| format!(" ({number})"));
    let (name, dimensions) = (&stored.name, stored.dimensions);
    Error::new(
        ErrorCode::Conflict,
        format!("the workspace holds vectors of `{name}` ({dimensions} dimensions), not of `{}`{size}", chosen.name()),
    )
    .hint("make all vectors anew with `lorekeep reindex --vectors`, or configure the model that they are of")
}

/// The embedder of one request's questions. A model that fails is asked once: words alone are compared then, and
/// [`Asking::notice`] says so.
#[derive(Default)]
pub(crate) struct Asking {
    model: Option<Arc<dyn EmbeddingModel>>,
    failed: OnceLock<String>,
    /// Vectors of what was asked already.
    known: Mutex<HashMap<String, Vec<f32>>>,
}

impl Asking {
    fn with(model: Arc<dyn EmbeddingModel>) -> Self {
        Self { model: Some(model), ..Self::default() }
    }

    fn without(error: &Error) -> Self {
        let asking = Self::default();
        asking.fail(error);
        asking
    }

    /// Itself, if there is a model.
    pub(crate) fn embedder(&self) -> Option<&dyn EmbeddingModel> {
        self.model.as_ref().map(|_| self as &dyn EmbeddingModel)
    }

    /// What the user is told of a failure.
    pub(crate) fn notice(&self) -> Option<String> {
        let reason = self.failed.get()?;
        Some(format!("only words were compared, because the model that makes vectors failed: {reason}"))
    }

    fn fail(&self, error: &Error) {
        tracing::warn!(%error, "a question was not embedded");
        // A second failure of the same request says nothing new.
        let _ = self.failed.set(error.message().to_owned());
    }
}

impl EmbeddingModel for Asking {
    fn id(&self) -> EmbeddingModelId {
        let none = || EmbeddingModelId { name: String::new(), dimensions: 0 };
        self.model.as_ref().map_or_else(none, |model| model.id())
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        self.model.as_ref().map_or_else(|| Ok(vec![Vec::new(); texts.len()]), |model| model.embed(texts))
    }

    /// Empty when the model failed.
    fn embed_query(&self, text: &str) -> Result<Vec<f32>> {
        let Some(model) = self.model.as_ref().filter(|_| self.failed.get().is_none()) else { return Ok(Vec::new()) };
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(vector) = known().get(text) {
            return Ok(vector.clone());
        }
        match model.embed_query(text) {
            Ok(vector) => {
                known().insert(text.to_owned(), vector.clone());
                Ok(vector)
            }
            // These are no weakness of a provider: the request is over, or something has to be put right.
            Err(error)
                if matches!(error.code(), ErrorCode::Cancelled | ErrorCode::Configuration | ErrorCode::Internal) =>
            {
                Err(error)
            }
            Err(error) => {
                self.fail(&error);
                Ok(Vec::new())
            }
        }
    }

    fn covers(&self, language: &str) -> bool {
        self.model.as_ref().is_some_and(|model| model.covers(language))
    }
}

/// Whether what failed may succeed later without anybody changing the texts or the model: a provider that is out of
/// reach, a key that is refused, a budget that is used up, a full disk.
pub(crate) fn may_pass(error: &Error) -> bool {
    let fault = error.source().and_then(|source| source.downcast_ref::<ModelError>()).map(|error| &error.fault);
    match fault {
        Some(fault) => !matches!(
            fault,
            ModelFault::Request | ModelFault::Malformed | ModelFault::ContentFilter | ModelFault::Capability
        ),
        None => matches!(
            error.code(),
            ErrorCode::UpstreamUnavailable
                | ErrorCode::Timeout
                | ErrorCode::Busy
                | ErrorCode::Storage
                | ErrorCode::StorageFull
        ),
    }
}
