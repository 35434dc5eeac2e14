//! Reranking by Hugging Face's Text Embeddings Inference.
//!
//! Reference: <https://huggingface.github.io/text-embeddings-inference/>.

use serde_json::json;

use super::{RerankAnswer, RerankWire, ranking};
use crate::provider::openai::{in_band_error, parse};
use crate::provider::wire::{RawUsage, WireFault, WireRequest};

/// The wire. The server runs one model, whatever is asked for, and reports no tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TeiRerank {
    /// Most texts of one request: the server's `--max-client-batch-size`.
    pub batch: usize,
    /// Cuts longer texts to what the model reads instead of refusing them.
    pub truncate: bool,
}

impl Default for TeiRerank {
    fn default() -> Self {
        Self { batch: 32, truncate: false }
    }
}

impl RerankWire for TeiRerank {
    fn request(&self, _model: &str, query: &str, texts: &[&str], _top_n: usize) -> Result<WireRequest, WireFault> {
        let mut body = json!({ "query": query, "texts": texts, "raw_scores": false });
        if let (true, Some(body)) = (self.truncate, body.as_object_mut()) {
            body.insert("truncate".to_owned(), json!(true));
        }
        Ok(WireRequest::new("/rerank", body))
    }

    fn answer(&self, body: &[u8]) -> Result<RerankAnswer, WireFault> {
        let body = parse(body)?;
        in_band_error(&body)?;
        Ok(RerankAnswer { ranking: ranking(Some(&body), "score")?, usage: RawUsage::default(), model: None })
    }

    fn batch(&self) -> usize {
        self.batch
    }
}
