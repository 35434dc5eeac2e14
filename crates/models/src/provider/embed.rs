//! Embedding over HTTP for any wire: sends texts, and checks that what comes back are vectors of them.

pub mod gemini;
pub mod offline;
pub mod ollama;
pub mod openai;
pub mod values;
pub mod watsonx;

use std::borrow::Cow;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lorekeep_types::{Call, EmbedKind, Embedded, EmbeddingProvider, ModelError, ModelFault, ModelId, TokenUsage};
use serde::de::DeserializeOwned;

use super::auth::Authorize;
use super::caller::{Caller, Refusal};
use super::http::Http;
use super::usage;
use super::wire::{RawUsage, WireFault, WireRequest};

/// What a whole answer holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EmbedAnswer {
    /// Vectors in the order of the texts, as many and as long as the provider gave.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens.
    pub usage: RawUsage,
    /// The model as the provider names it.
    pub model: Option<String>,
}

/// A provider's dialect of embedding. Pure; no clock, no network.
pub trait EmbedWire: Send + Sync {
    /// The request for the vectors of `texts` by `model`.
    ///
    /// # Errors
    /// `Capability` when the request asks for what the wire cannot say.
    fn request(&self, model: &str, texts: &[Cow<'_, str>], kind: EmbedKind) -> Result<WireRequest, WireFault>;

    /// The vectors of a whole answer.
    ///
    /// # Errors
    /// When the body tells of a fault or cannot be read.
    fn answer(&self, body: &[u8]) -> Result<EmbedAnswer, WireFault>;

    /// Most texts of one request.
    fn batch(&self) -> usize;

    /// The provider's own words in the body of an error status; `None` when it has none.
    fn error_message(&self, body: &[u8]) -> Option<String> {
        super::openai::error_message(body)
    }

    /// A more precise fault than the status tells, where the body of an error gives one.
    fn error_fault(&self, _status: u16, _body: &[u8]) -> Option<ModelFault> {
        None
    }
}

impl Refusal for dyn EmbedWire {
    fn words(&self, body: &[u8]) -> Option<String> {
        self.error_message(body)
    }

    fn precise(&self, status: u16, body: &[u8]) -> Option<ModelFault> {
        self.error_fault(status, body)
    }
}

/// What is written before each text, for models that were trained so: `query: ` and `passage: ` (E5),
/// `search_query: ` and `search_document: ` (Nomic), `Instruct: …\nQuery:` and nothing (Qwen3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    /// Before what is searched with.
    pub query: String,
    /// Before what is searched for.
    pub passage: String,
}

impl Prefixes {
    fn apply<'a>(&self, text: &'a str, kind: EmbedKind) -> Cow<'a, str> {
        let prefix = match kind {
            EmbedKind::Query => &self.query,
            EmbedKind::Passage => &self.passage,
        };
        if prefix.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(format!("{prefix}{text}")) }
    }
}

/// An embedding model at a provider. Cheap to clone.
#[derive(Clone)]
pub struct HttpEmbed {
    caller: Caller,
    wire: Arc<dyn EmbedWire>,
    prefixes: Prefixes,
}

impl HttpEmbed {
    /// The model `id` spoken to in `wire`.
    #[must_use]
    pub fn new(id: ModelId, wire: Arc<dyn EmbedWire>, http: Http, auth: Arc<dyn Authorize>) -> Self {
        Self { caller: Caller::new(id, http, auth), wire, prefixes: Prefixes::default() }
    }

    /// The same, with a text before each text.
    #[must_use]
    pub fn prefixed(self, prefixes: Prefixes) -> Self {
        Self { prefixes, ..self }
    }

    async fn whole(&self, call: &Call, texts: &[&str], kind: EmbedKind) -> Result<Embedded, ModelError> {
        let model = &self.caller.id().model;
        let most = self.wire.batch();
        if texts.len() > most {
            let message = format!("{} texts in one call; at most {most} are taken", texts.len());
            return Err(ModelError::new(ModelFault::Request, self.caller.id(), message));
        }
        if texts.is_empty() {
            return Ok(Embedded { vectors: Vec::new(), usage: TokenUsage::default(), model: model.clone() });
        }
        let texts: Vec<Cow<'_, str>> = texts.iter().map(|text| self.sent(text, kind)).collect();
        let request = self.wire.request(model, &texts, kind).map_err(|fault| self.caller.error(fault))?;
        let body = self.caller.ask(call, &request, self.wire.as_ref()).await?;
        let answer = self.wire.answer(&body).map_err(|fault| self.caller.error(fault))?;
        let usage = settled(answer.usage, &texts);
        check(&answer.vectors, texts.len()).map_err(|message| self.caller.malformed(message).with_usage(usage))?;
        let name = answer.model.filter(|name| !name.is_empty());
        Ok(Embedded { vectors: answer.vectors, usage, model: name.unwrap_or_else(|| model.clone()) })
    }
}

impl EmbeddingProvider for HttpEmbed {
    fn id(&self) -> &ModelId {
        self.caller.id()
    }

    fn embed<'a>(
        &'a self,
        call: &'a Call,
        texts: &'a [&'a str],
        kind: EmbedKind,
    ) -> BoxFuture<'a, Result<Embedded, ModelError>> {
        self.whole(call, texts, kind).boxed()
    }

    fn batch(&self) -> usize {
        self.wire.batch()
    }

    fn sent<'t>(&self, text: &'t str, kind: EmbedKind) -> Cow<'t, str> {
        self.prefixes.apply(text, kind)
    }
}

/// An answer of the shape `T`. All of it has to be text: the parser does not look into what `T` leaves out.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, WireFault> {
    let text = std::str::from_utf8(body).map_err(|_| WireFault::malformed("the answer is not UTF-8"))?;
    serde_json::from_str(text).map_err(|error| WireFault::malformed(format!("the answer cannot be read: {error}")))
}

/// Nothing is written, so that only what was read can be missing.
fn settled(raw: RawUsage, texts: &[Cow<'_, str>]) -> TokenUsage {
    let raw = RawUsage { completion: Some(0.0), ..raw };
    usage::settle(raw, || texts.iter().map(|text| usage::count(text)).sum(), || 0)
}

/// One vector per text, all of one length, all of finite numbers.
fn check(vectors: &[Vec<f32>], texts: usize) -> Result<(), String> {
    if vectors.len() != texts {
        return Err(format!("the answer has {} vectors for {texts} texts", vectors.len()));
    }
    let length = vectors.first().map_or(0, Vec::len);
    if length == 0 {
        return Err("the answer has vectors without numbers".to_owned());
    }
    for (at, vector) in vectors.iter().enumerate() {
        if vector.len() != length {
            return Err(format!("vector {at} of the answer has {} numbers, vector 0 has {length}", vector.len()));
        }
        if let Some(number) = vector.iter().position(|value| !value.is_finite()) {
            return Err(format!("number {number} of vector {at} of the answer is not finite"));
        }
    }
    Ok(())
}
