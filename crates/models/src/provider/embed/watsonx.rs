//! Embeddings of IBM watsonx.ai.
//!
//! Reference: <https://cloud.ibm.com/apidocs/watsonx-ai#text-embeddings>.

use std::borrow::Cow;

use lorekeep_types::EmbedKind;
use serde::Deserialize;
use serde_json::{Value, json};

use super::values::{Values, plain};
use super::{EmbedAnswer, EmbedWire};
use crate::provider::watsonx::Scope;
use crate::provider::wire::{RawUsage, WireFault, WireRequest};

/// The wire.
#[derive(Clone, Debug)]
pub struct WatsonxEmbed {
    /// The version of the interface, a date such as `2025-02-11`.
    pub version: String,
    /// Where the use is booked.
    pub scope: Scope,
    /// Cuts longer texts to this many tokens instead of refusing them.
    pub truncate: Option<u32>,
    /// Most texts of one request; watsonx.ai takes 1000.
    pub batch: usize,
}

impl WatsonxEmbed {
    /// Nothing is cut, 128 texts at once.
    #[must_use]
    pub fn new(version: impl Into<String>, scope: Scope) -> Self {
        Self { version: version.into(), scope, truncate: None, batch: 128 }
    }
}

#[derive(Deserialize)]
struct Answer {
    model_id: Option<String>,
    #[serde(default)]
    results: Vec<Item>,
    #[serde(default)]
    input_token_count: Value,
}

#[derive(Deserialize)]
struct Item {
    embedding: Values,
}

impl EmbedWire for WatsonxEmbed {
    fn request(&self, model: &str, texts: &[Cow<'_, str>], _kind: EmbedKind) -> Result<WireRequest, WireFault> {
        let mut body = json!({ "model_id": model, "inputs": texts });
        self.scope.write(&mut body);
        if let (Some(tokens), Some(body)) = (self.truncate, body.as_object_mut()) {
            body.insert("parameters".to_owned(), json!({ "truncate_input_tokens": tokens }));
        }
        Ok(WireRequest::new(format!("/ml/v1/text/embeddings?version={}", self.version), body))
    }

    fn answer(&self, body: &[u8]) -> Result<EmbedAnswer, WireFault> {
        let answer: Answer = super::read(body)?;
        let usage = RawUsage { prompt: answer.input_token_count.as_f64(), ..RawUsage::default() };
        let vectors = plain(answer.results.into_iter().map(|item| item.embedding).collect());
        Ok(EmbedAnswer { vectors, usage, model: answer.model_id })
    }

    fn batch(&self) -> usize {
        self.batch
    }
}
