//! Ports of models that are called: chat, embedding, reranking, and how their calls fail.
//!
//! Dropping a future or a stream of a port ends the call and closes its connection.

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_core::Stream;
use futures_core::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::cache::CacheKind;
use crate::chat::{Capabilities, ChatEvent, ChatRequest, Completion, TokenUsage};
use crate::context::RequestContext;
use crate::error::{Error, ErrorCode};
use crate::id::WorkspaceName;
use crate::ledger::budget::Refusal;

/// A model at a provider, written `provider/model`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ModelId {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The model's name at the provider; may itself hold slashes.
    pub model: String,
}

impl ModelId {
    /// A model at a provider.
    #[must_use]
    pub fn new(provider: impl Into<String>, model: impl Into<String>) -> Self {
        Self { provider: provider.into(), model: model.into() }
    }

    /// Reads `provider/model`; `None` when a half is missing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (provider, model) = text.trim().split_once('/')?;
        (!provider.is_empty() && !model.is_empty()).then(|| Self::new(provider, model))
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

/// Whether somebody waits for the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// A person waits.
    #[default]
    Interactive,
    /// A job in the background.
    Batch,
}

/// What an answer is kept as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Keep {
    /// What it is.
    pub kind: CacheKind,
    /// The version of the prompt and of whatever reads the answer; another version asks again.
    pub version: &'static str,
}

/// On whose behalf, and for what, a model is called.
#[derive(Clone, Debug)]
pub struct Call {
    /// What for, e.g. `answer`, `embed`, `entity_extraction`: set by the caller, kept in the ledger.
    pub operation: String,
    /// The workspace.
    pub workspace: WorkspaceName,
    /// Who asks, if known.
    pub principal: Option<String>,
    /// The request that this is a part of.
    pub request_id: String,
    /// The call is abandoned at this moment.
    pub deadline: Option<Instant>,
    /// Whether somebody waits.
    pub priority: Priority,
    /// Keeps the answer, and takes it from the cache where the same was asked before; `None` always calls the model.
    pub keep: Option<Keep>,
}

impl Call {
    /// An interactive call without principal or deadline.
    #[must_use]
    pub fn new(operation: impl Into<String>, workspace: WorkspaceName, request_id: impl Into<String>) -> Self {
        Self {
            operation: operation.into(),
            workspace,
            principal: None,
            request_id: request_id.into(),
            deadline: None,
            priority: Priority::Interactive,
            keep: None,
        }
    }

    /// An interactive call on behalf of a request.
    #[must_use]
    pub fn of(ctx: &RequestContext, operation: impl Into<String>) -> Self {
        Self {
            principal: ctx.principal.clone(),
            deadline: ctx.deadline,
            ..Self::new(operation, ctx.workspace.clone(), ctx.request_id.clone())
        }
    }

    /// The same call, whose answer is kept: what the same model was asked before in this workspace, with the same
    /// request and the same version of the prompt, is not asked again. Equal calls under way are made once.
    ///
    /// A model's chance does not show then: whoever wants another answer to the same request does not keep it. Cut,
    /// filtered and empty answers are never kept.
    #[must_use]
    pub fn kept(self, kind: CacheKind, version: &'static str) -> Self {
        Self { keep: Some(Keep { kind, version }), ..self }
    }

    /// What is left until the deadline; `None` without one.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}

/// Which time limit passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Making the connection.
    Connect,
    /// Waiting for the first byte.
    FirstByte,
    /// Between two pieces.
    Idle,
    /// The whole call.
    Total,
}

impl Phase {
    /// As messages write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::FirstByte => "first byte",
            Self::Idle => "idle",
            Self::Total => "total",
        }
    }
}

/// How long a full queue is given to move.
const QUEUE_MOVES: Duration = Duration::from_secs(1);

/// How a call failed, as a closed list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelFault {
    /// No connection could be made.
    Connect,
    /// A time limit passed.
    Timeout(Phase),
    /// 429; `after` is what the provider asks to wait.
    RateLimited {
        /// `Retry-After`.
        after: Option<Duration>,
    },
    /// 503 or 529; `after` is what the provider asks to wait.
    Overloaded {
        /// `Retry-After`.
        after: Option<Duration>,
    },
    /// Another 5xx, or 408, 425: the provider's fault.
    Server,
    /// 401 or 403: the credential is refused.
    Credential,
    /// Another 4xx: the request is wrong, and would be wrong again.
    Request,
    /// The provider refused to answer this content.
    ContentFilter,
    /// The answer holds no text; with the provider's reason for stopping.
    Empty {
        /// E.g. `length`.
        finish: String,
    },
    /// The answer cannot be read.
    Malformed,
    /// The connection ended before the answer did. `began` says whether any of it had come.
    Cut {
        /// Whether any text of the answer had arrived.
        began: bool,
    },
    /// The circuit of this model is open; it was not called.
    CircuitOpen {
        /// When it will be tried again.
        after: Duration,
    },
    /// Too many calls wait for this model; it was not called.
    QueueFull,
    /// A budget does not allow the call; it was not made.
    OverBudget(Box<Refusal>),
    /// The call could not be entered into the ledger; it was not made.
    Ledger,
    /// The model lacks the capability; it was not called.
    Capability,
    /// The caller went away.
    Cancelled,
}

impl ModelFault {
    /// As ledgers, metrics and logs name it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout(_) => "timeout",
            Self::RateLimited { .. } => "rate_limited",
            Self::Overloaded { .. } => "overloaded",
            Self::Server => "server",
            Self::Credential => "credential",
            Self::Request => "request",
            Self::ContentFilter => "content_filter",
            Self::Empty { .. } => "empty",
            Self::Malformed => "malformed",
            Self::Cut { .. } => "cut",
            Self::CircuitOpen { .. } => "circuit_open",
            Self::QueueFull => "queue_full",
            Self::OverBudget(_) => "over_budget",
            Self::Ledger => "ledger",
            Self::Capability => "capability",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the same call may succeed when made again. Never after a piece of the answer was shown.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Connect
                | Self::Timeout(Phase::Connect | Phase::FirstByte)
                | Self::RateLimited { .. }
                | Self::Overloaded { .. }
                | Self::Server
                | Self::Cut { began: false }
        )
    }

    /// Whether another model may succeed where this one failed.
    #[must_use]
    pub fn may_fall_back(&self) -> bool {
        match self {
            Self::OverBudget(refusal) => refusal.is_of_model(),
            Self::Cancelled | Self::Ledger | Self::Cut { began: true } | Self::Timeout(Phase::Total) => false,
            _ => true,
        }
    }

    /// How long the provider, the circuit or a budget asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { after } | Self::Overloaded { after } => *after,
            Self::CircuitOpen { after } => Some(*after),
            Self::OverBudget(refusal) => refusal.retry_after(),
            _ => None,
        }
    }

    fn remedy(&self) -> Option<Cow<'static, str>> {
        let remedy = match self {
            Self::Credential => "check the provider's API key: `lorekeep model test`",
            Self::Connect => "check the provider's address: `lorekeep model test`",
            Self::Empty { .. } => "raise the limit of tokens, or check the prompt and the model",
            Self::OverBudget(refusal) => return Some(refusal.remedy().into()),
            Self::RateLimited { .. } | Self::Overloaded { .. } | Self::CircuitOpen { .. } | Self::QueueFull => {
                "ask again later, or configure another model to fall back to"
            }
            _ => return None,
        };
        Some(remedy.into())
    }

    fn code(&self) -> ErrorCode {
        match self {
            Self::Timeout(_) => ErrorCode::Timeout,
            Self::Connect
            | Self::RateLimited { .. }
            | Self::Overloaded { .. }
            | Self::CircuitOpen { .. }
            | Self::QueueFull => ErrorCode::UpstreamUnavailable,
            Self::OverBudget(refusal) => refusal.code(),
            Self::Ledger => ErrorCode::Storage,
            Self::Capability => ErrorCode::CapabilityMissing,
            Self::Cancelled => ErrorCode::Cancelled,
            _ => ErrorCode::Upstream,
        }
    }
}

/// A failed call.
#[derive(Clone, Debug)]
pub struct ModelError {
    /// How it failed.
    pub fault: ModelFault,
    /// The model that was called.
    pub model: ModelId,
    /// What happened, with the provider's own words where it gave any; never a credential, never a prompt.
    pub message: String,
    /// The HTTP status, if one came.
    pub status: Option<u16>,
    /// What was consumed before it failed, if the provider said so or text had arrived.
    pub usage: Option<TokenUsage>,
}

impl ModelError {
    /// A failure without status or usage.
    #[must_use]
    pub fn new(fault: ModelFault, model: &ModelId, message: impl Into<String>) -> Self {
        Self { fault, model: model.clone(), message: message.into(), status: None, usage: None }
    }

    /// Adds the HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Adds what was consumed.
    #[must_use]
    pub fn with_usage(mut self, usage: TokenUsage) -> Self {
        self.usage = Some(usage);
        self
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.model, self.message)
    }
}

impl std::error::Error for ModelError {}

impl From<ModelError> for Error {
    fn from(error: ModelError) -> Self {
        let converted = Self::new(error.fault.code(), error.to_string());
        let converted = error.fault.remedy().into_iter().fold(converted, Self::hint);
        let queued = (error.fault == ModelFault::QueueFull).then_some(QUEUE_MOVES);
        let wait = error.fault.retry_after().or(queued);
        let converted = wait.into_iter().fold(converted, Self::again_after);
        converted.caused_by(error)
    }
}

/// An answer on its way.
pub type ChatStream = Pin<Box<dyn Stream<Item = Result<ChatEvent, ModelError>> + Send>>;

/// A model that answers conversations.
pub trait ChatModel: Send + Sync {
    /// Which model.
    fn id(&self) -> &ModelId;

    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// The whole answer at once.
    ///
    /// # Errors
    /// [`ModelFault::Empty`] rather than an empty answer; see [`ModelFault`] for the rest.
    fn chat<'a>(&'a self, call: &'a Call, request: &'a ChatRequest) -> BoxFuture<'a, Result<Completion, ModelError>>;

    /// The answer to an equal request, if one is kept: looked up without a call and without an entry in the ledger.
    fn kept<'a>(&'a self, call: &'a Call, request: &'a ChatRequest) -> BoxFuture<'a, Option<Completion>> {
        let _ = (call, request);
        Box::pin(std::future::ready(None))
    }

    /// The answer piece by piece. The stream ends after [`ChatEvent::Done`] or the first error.
    ///
    /// # Errors
    /// What is known before the first piece; later failures come through the stream.
    fn stream<'a>(&'a self, call: &'a Call, request: &'a ChatRequest) -> BoxFuture<'a, Result<ChatStream, ModelError>>;
}

/// What texts are embedded for; some models treat the two differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmbedKind {
    /// To be found.
    Passage,
    /// To find with.
    Query,
}

/// Vectors and what they took.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// One vector per text, in order, as the provider gives them (not normalised).
    pub vectors: Vec<Vec<f32>>,
    /// Tokens; `completion` is 0.
    pub usage: TokenUsage,
    /// The model as the provider names it.
    pub model: String,
}

/// A model that makes vectors and has to be called for it.
pub trait EmbeddingProvider: Send + Sync {
    /// Which model.
    fn id(&self) -> &ModelId;

    /// Vectors of at most [`EmbeddingProvider::batch`] texts.
    ///
    /// # Errors
    /// [`ModelFault::Malformed`] when number or lengths of the vectors do not fit the request.
    fn embed<'a>(
        &'a self,
        call: &'a Call,
        texts: &'a [&'a str],
        kind: EmbedKind,
    ) -> BoxFuture<'a, Result<Embedded, ModelError>>;

    /// Most texts of one call.
    fn batch(&self) -> usize;

    /// A text as the model reads it: with whatever is written before it.
    fn sent<'t>(&self, text: &'t str, kind: EmbedKind) -> Cow<'t, str> {
        let _ = kind;
        Cow::Borrowed(text)
    }
}

/// A text's place in the request and how well it fits the question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankedText {
    /// Index into the request's texts.
    pub index: usize,
    /// The provider's score; higher is better.
    pub score: f32,
}

/// An order of texts and what it took.
#[derive(Clone, Debug, PartialEq)]
pub struct Reranked {
    /// Best first, each text at most once.
    pub ranking: Vec<RankedText>,
    /// Tokens; `completion` is 0.
    pub usage: TokenUsage,
    /// The model as the provider names it.
    pub model: String,
}

/// A model that orders texts by a question.
pub trait RerankModel: Send + Sync {
    /// Which model.
    fn id(&self) -> &ModelId;

    /// The best `top_n` of `texts`.
    ///
    /// # Errors
    /// [`ModelFault::Malformed`] when an index lies outside the request.
    fn rerank<'a>(
        &'a self,
        call: &'a Call,
        query: &'a str,
        texts: &'a [&'a str],
        top_n: usize,
    ) -> BoxFuture<'a, Result<Reranked, ModelError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_cannot_be_served_now_is_told_when_to_come_back() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (fault, wait) in [
            (ModelFault::QueueFull, seconds(1)),
            (ModelFault::RateLimited { after: seconds(47) }, seconds(47)),
            (ModelFault::CircuitOpen { after: Duration::from_secs(30) }, seconds(30)),
            (ModelFault::Overloaded { after: None }, None),
        ] {
            let error = Error::from(ModelError::new(fault, &ModelId::new("p", "m"), "not called"));
            assert_eq!((error.code(), error.retry_after()), (ErrorCode::UpstreamUnavailable, wait));
            assert_eq!(error.code().http_status(), 503);
            assert!(error.remedy().is_some_and(|hint| hint.contains("ask again later")), "{error}");
        }
    }
}
