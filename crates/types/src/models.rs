//! Which models fill which roles, and the port through which that is asked and changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::audio::{SpeechModel, TranscriptionModel};
use crate::chat::{Capabilities, TokenUsage};
use crate::error::{Error, Result};
use crate::model_port::{ChatModel, EmbeddingProvider, ModelId, RerankModel};
use crate::usage::Usage;

/// What models are used for. Each role has its own chain of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Finds entities and relations.
    Extract,
    /// Finds the keywords of a question.
    Keywords,
    /// Shortens descriptions and conversations.
    Summarize,
    /// Writes answers.
    Answer,
    /// Judges answers.
    Judge,
    /// Translates questions and answers.
    Translate,
    /// Makes vectors.
    Embed,
    /// Orders passages.
    Rerank,
    /// Reads pictures.
    Vision,
    /// Writes down speech.
    Transcribe,
    /// Speaks text.
    Speak,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 11] = [
        Self::Extract,
        Self::Keywords,
        Self::Summarize,
        Self::Answer,
        Self::Judge,
        Self::Translate,
        Self::Embed,
        Self::Rerank,
        Self::Vision,
        Self::Transcribe,
        Self::Speak,
    ];

    /// Roles of a model that writes: those that one chat model can fill.
    pub const CHAT: [Self; 6] =
        [Self::Extract, Self::Keywords, Self::Summarize, Self::Answer, Self::Judge, Self::Translate];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Extract => "extract",
            Self::Keywords => "keywords",
            Self::Summarize => "summarize",
            Self::Answer => "answer",
            Self::Judge => "judge",
            Self::Translate => "translate",
            Self::Embed => "embed",
            Self::Rerank => "rerank",
            Self::Vision => "vision",
            Self::Transcribe => "transcribe",
            Self::Speak => "speak",
        }
    }

    /// Parses a name.
    ///
    /// # Errors
    /// `InvalidRequest` that lists the roles.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|role| role.name()).collect();
            Error::invalid(format!("`{name}` is not a role of a model"))
                .hint(format!("use one of {}", names.join(", ")))
        })
    }
}

/// The models that fill the roles at this moment; may change at any time.
pub trait Models: Send + Sync {
    /// The chat model of a role; `None` when none is configured, which is no error. Calls that are made through it are
    /// retried, limited, recorded, and fall back along the role's chain.
    fn chat(&self, role: Role) -> Option<Arc<dyn ChatModel>>;

    /// One certain model that a request names, whatever roles it fills.
    ///
    /// # Errors
    /// `Forbidden` when requests may not name it; `NotFound` for an unknown provider; `CapabilityMissing` when it has no
    /// chat.
    fn chat_by_id(&self, id: &ModelId) -> Result<Arc<dyn ChatModel>>;

    /// The model that orders passages; `None` when none is configured, which is no error. As for [`Models::chat`].
    fn rerank(&self) -> Option<Arc<dyn RerankModel>>;

    /// The model that makes vectors; `None` when none is configured, which is no error. It has no fallback: vectors of
    /// different models cannot be compared.
    ///
    /// # Errors
    /// When the one that is configured cannot be used, e.g. for want of a key.
    fn embed(&self) -> Result<Option<Arc<dyn EmbeddingProvider>>> {
        Ok(None)
    }

    /// One certain model that makes vectors, such as the one whose vectors a workspace holds.
    ///
    /// # Errors
    /// `NotFound` for an unknown provider; `CapabilityMissing` when it has no embeddings.
    fn embed_by_id(&self, id: &ModelId) -> Result<Arc<dyn EmbeddingProvider>> {
        Err(Error::not_found("provider", &id.provider))
    }

    /// The model that writes down speech; `None` when none is configured. As for [`Models::chat`].
    fn transcribe(&self) -> Option<Arc<dyn TranscriptionModel>> {
        None
    }

    /// The model that speaks text; `None` when none is configured. As for [`Models::chat`].
    fn speak(&self) -> Option<Arc<dyn SpeechModel>> {
        None
    }

    /// Nano-USD that a call of this model can cost which reads and writes so many tokens at most, by the prices of the
    /// day; `None` when its price is not known.
    fn price(&self, model: &ModelId, prompt_tokens: u64, completion_tokens: u64) -> Option<i64> {
        let _ = (model, prompt_tokens, completion_tokens);
        None
    }
}

/// A provider as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderInfo {
    /// Its name.
    pub name: String,
    /// What it speaks, e.g. `openai`.
    pub kind: String,
    /// Its address.
    pub base_url: String,
    /// The end of its API key, masked; `None` without one.
    pub key: Option<String>,
    /// What its models can do, as far as the kind tells.
    pub capabilities: Capabilities,
    /// Why it cannot be used, if its settings are incomplete.
    pub fault: Option<String>,
}

/// A model that was called or fills a role, at this moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelState {
    /// The model.
    pub model: ModelId,
    /// `closed`, `open` or `half-open`.
    pub circuit: String,
    /// Calls that wait for a place.
    pub waiting: usize,
    /// The provider's words when it refused the API key, because of which the model is not called for now.
    pub refused: Option<String>,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelsOverview {
    /// Providers, by name.
    pub providers: Vec<ProviderInfo>,
    /// Models of each role that has any, in order of preference.
    pub roles: BTreeMap<Role, Vec<ModelId>>,
    /// Roles whose models were set at run time rather than configured.
    pub set: Vec<Role>,
    /// Models in use.
    pub models: Vec<ModelState>,
}

/// What a trial of a model showed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelTest {
    /// The model.
    pub model: ModelId,
    /// What it was tried for.
    pub role: Role,
    /// Whether it did it.
    pub ok: bool,
    /// How it failed.
    pub error: Option<String>,
    /// Milliseconds until the first piece of the answer.
    pub first_token_ms: Option<f64>,
    /// Milliseconds until the end.
    pub total_ms: f64,
    /// Whether the answer came in more than one piece.
    pub streams: bool,
    /// Whether the provider reported tokens.
    pub reports_usage: bool,
    /// Tokens and cost of the trial.
    pub usage: Usage,
    /// Whether it called the tool that it was offered, for one whose provider's kind has tools.
    pub tools: Option<bool>,
    /// The length of its vectors, for one that embeds.
    pub dimensions: Option<usize>,
    /// What it answered, shortened; for one that reranks, whether it put the right text first; for
    /// one that speaks, how much sound came.
    pub answer: String,
    /// Models that the provider lists; empty when it lists none.
    pub listed: Vec<String>,
}

impl ModelTest {
    /// Enters what the trial took.
    pub fn took(&mut self, usage: &TokenUsage, cost: Option<i64>) {
        self.reports_usage = !usage.estimated;
        self.usage = Usage {
            prompt_tokens: usage.prompt,
            completion_tokens: usage.completion,
            total_tokens: usage.total(),
            cost_nano_usd: cost.map(i64::unsigned_abs),
            estimated: usage.estimated,
        };
    }
}

/// The port of those who look after models: the server and the command line.
pub trait ModelDesk: Models {
    /// Providers, roles and the state of models.
    fn overview(&self) -> ModelsOverview;

    /// Gives a role other models from now on; an empty list takes the role's setting back to the configuration.
    ///
    /// # Errors
    /// `NotFound` for an unknown provider, `CapabilityMissing` when one cannot fill the role; nothing changes then.
    fn set_role(&self, role: Role, models: Vec<ModelId>) -> Result<()>;

    /// Asks a model for a little of what a role needs and tells how it went. Costs what such a call costs.
    fn test<'a>(&'a self, model: &'a ModelId, role: Role) -> BoxFuture<'a, ModelTest>;
}
