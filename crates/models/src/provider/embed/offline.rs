//! A small embedding service next to the server: texts in, vectors out, no key.

use std::borrow::Cow;

use lorekeep_types::EmbedKind;
use serde::Deserialize;
use serde_json::json;

use super::values::{Values, plain};
use super::{EmbedAnswer, EmbedWire};
use crate::provider::wire::{RawUsage, WireFault, WireRequest};

/// The wire. The service runs one model, whatever is asked for.
#[derive(Clone, Debug)]
pub struct OfflineEmbed {
    /// Most texts of one request, and of one step of the service.
    pub batch: usize,
}

impl Default for OfflineEmbed {
    fn default() -> Self {
        Self { batch: 32 }
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    embeddings: Vec<Values>,
    model_name: Option<String>,
}

impl EmbedWire for OfflineEmbed {
    fn request(&self, _model: &str, texts: &[Cow<'_, str>], _kind: EmbedKind) -> Result<WireRequest, WireFault> {
        Ok(WireRequest::new("/embeddings", json!({ "texts": texts, "batch_size": self.batch })))
    }

    fn answer(&self, body: &[u8]) -> Result<EmbedAnswer, WireFault> {
        let answer: Answer = super::read(body)?;
        Ok(EmbedAnswer { vectors: plain(answer.embeddings), usage: RawUsage::default(), model: answer.model_name })
    }

    fn batch(&self) -> usize {
        self.batch
    }
}
