//! Embeddings of Google's Gemini API.
//!
//! Reference: <https://ai.google.dev/api/embeddings>.

use std::borrow::Cow;

use lorekeep_types::{EmbedKind, ModelFault};
use serde::Deserialize;
use serde_json::{Value, json};

use super::values::{Values, plain};
use super::{EmbedAnswer, EmbedWire};
use crate::provider::openai::number;
use crate::provider::wire::{RawUsage, WireFault, WireRequest};

/// Most texts of one request, by the provider's rule.
const MOST: usize = 100;

/// The wire. The base address ends before `/v1beta`; the key goes into the header `x-goog-api-key`.
#[derive(Clone, Debug, Default)]
pub struct GeminiEmbed {
    /// Asks for vectors of this length.
    pub dimensions: Option<usize>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    embeddings: Vec<Item>,
    #[serde(default, rename = "usageMetadata")]
    usage: Value,
}

#[derive(Deserialize)]
struct Item {
    values: Values,
}

impl EmbedWire for GeminiEmbed {
    fn request(&self, model: &str, texts: &[Cow<'_, str>], kind: EmbedKind) -> Result<WireRequest, WireFault> {
        let model = model.strip_prefix("models/").unwrap_or(model);
        let task = match kind {
            EmbedKind::Query => "RETRIEVAL_QUERY",
            EmbedKind::Passage => "RETRIEVAL_DOCUMENT",
        };
        let one = |text: &Cow<'_, str>| {
            let content = json!({ "parts": [{ "text": text }] });
            let mut one = json!({ "model": format!("models/{model}"), "content": content, "taskType": task });
            if let (Some(dimensions), Some(one)) = (self.dimensions, one.as_object_mut()) {
                one.insert("outputDimensionality".to_owned(), json!(dimensions));
            }
            one
        };
        let requests: Vec<Value> = texts.iter().map(one).collect();
        Ok(WireRequest::new(format!("/v1beta/models/{model}:batchEmbedContents"), json!({ "requests": requests })))
    }

    fn answer(&self, body: &[u8]) -> Result<EmbedAnswer, WireFault> {
        let answer: Answer = super::read(body)?;
        let usage = RawUsage { prompt: number(&answer.usage, "/promptTokenCount"), ..RawUsage::default() };
        let vectors = plain(answer.embeddings.into_iter().map(|item| item.values).collect());
        Ok(EmbedAnswer { vectors, usage, model: None })
    }

    fn batch(&self) -> usize {
        MOST
    }

    /// A wrong key is answered with 400.
    fn error_fault(&self, _status: u16, body: &[u8]) -> Option<ModelFault> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let details = body.pointer("/error/details").and_then(Value::as_array)?;
        let invalid = |detail: &Value| detail.get("reason").is_some_and(|reason| reason == "API_KEY_INVALID");
        details.iter().any(invalid).then_some(ModelFault::Credential)
    }
}
