//! OpenAI's embeddings, and the many servers that speak them: vLLM, llama.cpp, LM Studio, TEI, OpenRouter, Azure.
//!
//! Reference: <https://platform.openai.com/docs/api-reference/embeddings>.

use std::borrow::Cow;

use lorekeep_types::EmbedKind;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::values::{Values, plain};
use super::{EmbedAnswer, EmbedWire};
use crate::provider::openai::{Dialect, in_band_error, number};
use crate::provider::wire::{RawUsage, WireFault, WireRequest};

/// The wire.
#[derive(Clone, Debug)]
pub struct OpenAiEmbed {
    /// Which of the family.
    pub dialect: Dialect,
    /// Asks for vectors of this length, which only some models can give.
    pub dimensions: Option<usize>,
    /// Most texts of one request.
    pub batch: usize,
}

impl OpenAiEmbed {
    /// Vectors of the model's own length, 128 texts at once: OpenAI takes 300 000 tokens in one request.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, dimensions: None, batch: 128 }
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    data: Vec<Item>,
    model: Option<String>,
    #[serde(default)]
    usage: Value,
    #[serde(default)]
    error: Value,
}

#[derive(Deserialize)]
struct Item {
    index: Option<usize>,
    embedding: Values,
}

impl EmbedWire for OpenAiEmbed {
    fn request(&self, model: &str, texts: &[Cow<'_, str>], _kind: EmbedKind) -> Result<WireRequest, WireFault> {
        let mut body = Map::new();
        body.insert("model".to_owned(), json!(model));
        body.insert("input".to_owned(), json!(texts));
        body.insert("encoding_format".to_owned(), json!("float"));
        if let Some(dimensions) = self.dimensions {
            body.insert("dimensions".to_owned(), json!(dimensions));
        }
        let path = match &self.dialect {
            Dialect::Azure { api_version } => {
                body.remove("model");
                format!("/openai/deployments/{model}/embeddings?api-version={api_version}")
            }
            _ => "/embeddings".to_owned(),
        };
        Ok(WireRequest::new(path, Value::Object(body)))
    }

    fn answer(&self, body: &[u8]) -> Result<EmbedAnswer, WireFault> {
        let answer: Answer = super::read(body)?;
        in_band_error(&json!({ "error": answer.error }))?;
        let usage = RawUsage {
            prompt: number(&answer.usage, "/prompt_tokens").or_else(|| number(&answer.usage, "/total_tokens")),
            cost_usd: number(&answer.usage, "/cost"),
            ..RawUsage::default()
        };
        Ok(EmbedAnswer { vectors: in_order(answer.data)?, usage, model: answer.model })
    }

    fn batch(&self) -> usize {
        self.batch
    }
}

/// Vectors by their indices; as they come when none has one.
fn in_order(mut items: Vec<Item>) -> Result<Vec<Vec<f32>>, WireFault> {
    if items.iter().any(|item| item.index.is_some()) {
        items.sort_by_key(|item| item.index);
        if let Some(at) = items.iter().enumerate().position(|(at, item)| item.index != Some(at)) {
            let count = items.len();
            return Err(WireFault::malformed(format!("index {at} is missing among the {count} vectors of the answer")));
        }
    }
    Ok(plain(items.into_iter().map(|item| item.embedding).collect()))
}
