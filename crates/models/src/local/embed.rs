//! A BERT-family model behind the ports of models that embed.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use futures::FutureExt as _;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use lorekeep_types::{
    Call, EmbedKind, Embedded, EmbeddingProvider, ModelError, ModelFault, ModelId, ResidentFigures, ResidentModel,
    TokenUsage,
};

use super::LocalSettings;
use super::bert::{Bert, Vectors};
use super::fault::LocalError;
use super::folder::{self, Found};
use super::shared::Shared;
use super::worker::Worker;

/// Most texts of one call.
const BATCH: usize = 128;

static MODELS: Shared<Resident> = Shared::new();

struct Resident {
    name: String,
    worker: Worker<Bert>,
    facts: Arc<OnceLock<Facts>>,
}

/// Known once the model is loaded.
#[derive(Clone, Copy)]
struct Facts {
    weight_bytes: u64,
    longest: usize,
}

/// A model that embeds in this process. Cheap to clone.
#[derive(Clone)]
pub struct LocalEmbed {
    id: ModelId,
    resident: Arc<Resident>,
}

impl LocalEmbed {
    /// The model at `path`, which begins to be loaded in its own thread; calls wait for that. The same path and
    /// settings share one model in memory.
    ///
    /// # Errors
    /// When there is no model that embeds.
    pub fn open(id: ModelId, path: &Path, settings: LocalSettings) -> Result<Self, LocalError> {
        let Found::Bert(folder) = folder::find(path)? else {
            return Err(folder::other_kind(path, "llama", "it writes and does not embed"));
        };
        let resident = MODELS.get(path, settings, || Resident::start(&folder, settings))?;
        Ok(Self { id, resident })
    }

    /// Waits until the model is loaded.
    ///
    /// # Errors
    /// Why it cannot be.
    pub async fn ready(&self) -> Result<(), LocalError> {
        self.resident.worker.ready().await
    }

    /// Whether loading was tried and failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.resident.worker.failed()
    }

    async fn ask(&self, texts: Vec<String>) -> Result<Vectors, LocalError> {
        let (tell, told) = oneshot::channel();
        let tell = Arc::new(std::sync::Mutex::new(Some(tell)));
        let waits = Arc::clone(&tell);
        let gone = move || {
            let sender = waits.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            sender.as_ref().is_some_and(oneshot::Sender::is_canceled)
        };
        let counts = Arc::clone(self.resident.worker.counts());
        let work = move |model: Result<&mut Bert, &LocalError>| {
            let outcome = model.map_err(Clone::clone).and_then(|model| model.embed(&texts));
            if let Ok(vectors) = &outcome {
                counts.prompt_tokens.fetch_add(vectors.tokens, Ordering::Relaxed);
            }
            let sender = tell.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            // That nobody waits any more is no failure.
            let _ = sender.map(|sender| sender.send(outcome));
        };
        self.resident.worker.submit(gone, work).map_err(|_| LocalError::Busy(self.resident.worker.places()))?;
        told.await.map_err(|_| LocalError::Compute("it met a fault of this program".to_owned()))?
    }
}

impl Resident {
    fn start(folder: &Path, settings: LocalSettings) -> Result<Self, LocalError> {
        let facts = Arc::new(OnceLock::new());
        let (name, known, folder) = (folder::name_of(folder), Arc::clone(&facts), folder.to_owned());
        let load = move || {
            let model = Bert::load(&folder)?;
            let _ = known.set(Facts { weight_bytes: model.weight_bytes(), longest: model.longest() });
            Ok(model)
        };
        let worker = Worker::start(&name, settings.places, load)?;
        Ok(Self { name, worker, facts })
    }
}

impl EmbeddingProvider for LocalEmbed {
    fn id(&self) -> &ModelId {
        &self.id
    }

    fn embed<'a>(
        &'a self,
        call: &'a Call,
        texts: &'a [&'a str],
        _kind: EmbedKind,
    ) -> BoxFuture<'a, Result<Embedded, ModelError>> {
        async move {
            if texts.len() > BATCH {
                let message = format!("{} texts in one call; at most {BATCH} are taken", texts.len());
                return Err(ModelError::new(ModelFault::Request, &self.id, message));
            }
            let asked = self.ask(texts.iter().map(|text| (*text).to_owned()).collect());
            let outcome = match call.remaining() {
                Some(remaining) => tokio::time::timeout(remaining, asked).await.unwrap_or(Err(LocalError::Deadline)),
                None => asked.await,
            };
            let made = outcome.map_err(|error| error.of(&self.id))?;
            if made.cut > 0 {
                let longest = self.resident.facts.get().map_or(0, |facts| facts.longest);
                tracing::warn!(model = %self.id, texts = made.cut, longest, "only the beginning of texts was embedded");
            }
            let usage = TokenUsage { prompt: made.tokens, ..TokenUsage::default() };
            Ok(Embedded { vectors: made.vectors, usage, model: self.resident.name.clone() })
        }
        .boxed()
    }

    fn batch(&self) -> usize {
        BATCH
    }
}

impl ResidentModel for LocalEmbed {
    fn figures(&self) -> ResidentFigures {
        let (worker, facts) = (&self.resident.worker, self.resident.facts.get());
        let counts = worker.counts();
        ResidentFigures {
            name: self.resident.name.clone(),
            device: facts.map_or("none", |_| "cpu").to_owned(),
            weight_bytes: facts.map_or(0, |facts| facts.weight_bytes),
            cache_bytes: 0,
            context: facts.map_or(0, |facts| facts.longest),
            running: counts.running.load(Ordering::Relaxed),
            waiting: worker.waiting(),
            places: worker.places(),
            calls: counts.calls.load(Ordering::Relaxed),
            refused: counts.refused.load(Ordering::Relaxed),
            prompt_tokens: counts.prompt_tokens.load(Ordering::Relaxed),
            completion_tokens: 0,
        }
    }
}
