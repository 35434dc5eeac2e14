//! Cohere's reranking, and the servers that speak it: Jina, vLLM, Infinity, LiteLLM.
//!
//! Reference: <https://docs.cohere.com/reference/rerank>, <https://api.jina.ai/redoc>,
//! <https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html>.

use serde_json::json;

use super::{RerankAnswer, RerankWire, ranking};
use crate::provider::openai::{in_band_error, number, parse, string};
use crate::provider::wire::{RawUsage, WireFault, WireRequest};

/// The wire. The base address ends with the version, e.g. `https://api.cohere.com/v2`, `https://api.jina.ai/v1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CohereRerank {
    /// Whether the server has to be told not to send the texts back. Cohere's second version never does, and refuses
    /// the field.
    pub sends_documents: bool,
}

impl CohereRerank {
    /// Cohere's second version.
    pub const V2: Self = Self { sends_documents: false };
    /// Cohere's first version, Jina, vLLM and others.
    pub const V1: Self = Self { sends_documents: true };
}

impl RerankWire for CohereRerank {
    fn request(&self, model: &str, query: &str, texts: &[&str], top_n: usize) -> Result<WireRequest, WireFault> {
        let mut body = json!({ "model": model, "query": query, "documents": texts, "top_n": top_n });
        if let (true, Some(body)) = (self.sends_documents, body.as_object_mut()) {
            body.insert("return_documents".to_owned(), json!(false));
        }
        Ok(WireRequest::new("/rerank", body))
    }

    fn answer(&self, body: &[u8]) -> Result<RerankAnswer, WireFault> {
        let body = parse(body)?;
        in_band_error(&body)?;
        let tokens = [
            "/usage/prompt_tokens",
            "/usage/total_tokens",
            "/meta/tokens/input_tokens",
            "/meta/billed_units/input_tokens",
        ];
        let usage = RawUsage {
            prompt: tokens.iter().find_map(|pointer| number(&body, pointer)),
            cost_usd: number(&body, "/usage/cost"),
            ..RawUsage::default()
        };
        let ranking = ranking(body.get("results"), "relevance_score")?;
        Ok(RerankAnswer { ranking, usage, model: string(&body, "/model") })
    }
}
