//! Ollama's embeddings.
//!
//! Reference: <https://docs.ollama.com/api/embed>.

use std::borrow::Cow;

use lorekeep_types::EmbedKind;
use serde::Deserialize;
use serde_json::{Value, json};

use super::values::{Values, plain};
use super::{EmbedAnswer, EmbedWire};
use crate::provider::wire::{RawUsage, WireFault, WireRequest};

/// The wire.
#[derive(Clone, Debug)]
pub struct OllamaEmbed {
    /// Asks for vectors of this length, which only some models can give.
    pub dimensions: Option<usize>,
    /// Most texts of one request.
    pub batch: usize,
}

impl Default for OllamaEmbed {
    fn default() -> Self {
        Self { dimensions: None, batch: 32 }
    }
}

#[derive(Deserialize)]
struct Answer {
    model: Option<String>,
    #[serde(default)]
    embeddings: Vec<Values>,
    #[serde(default)]
    prompt_eval_count: Value,
}

impl EmbedWire for OllamaEmbed {
    fn request(&self, model: &str, texts: &[Cow<'_, str>], _kind: EmbedKind) -> Result<WireRequest, WireFault> {
        let mut body = json!({ "model": model, "input": texts });
        if let (Some(dimensions), Some(body)) = (self.dimensions, body.as_object_mut()) {
            body.insert("dimensions".to_owned(), json!(dimensions));
        }
        Ok(WireRequest::new("/api/embed", body))
    }

    fn answer(&self, body: &[u8]) -> Result<EmbedAnswer, WireFault> {
        let answer: Answer = super::read(body)?;
        let usage = RawUsage { prompt: answer.prompt_eval_count.as_f64(), ..RawUsage::default() };
        Ok(EmbedAnswer { vectors: plain(answer.embeddings), usage, model: answer.model })
    }

    fn batch(&self) -> usize {
        self.batch
    }
}
