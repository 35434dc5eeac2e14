//! Reranking of IBM watsonx.ai.
//!
//! Reference: <https://cloud.ibm.com/apidocs/watsonx-ai#text-rerank>.

use serde_json::{Value, json};

use super::{RerankAnswer, RerankWire, ranking};
use crate::provider::openai::{number, parse, string};
use crate::provider::watsonx::Scope;
use crate::provider::wire::{RawUsage, WireFault, WireRequest};

/// The wire.
#[derive(Clone, Debug)]
pub struct WatsonxRerank {
    /// The version of the interface, a date such as `2025-02-11`.
    pub version: String,
    /// Where the use is booked.
    pub scope: Scope,
    /// Cuts longer texts to this many tokens instead of refusing them.
    pub truncate: Option<u32>,
}

impl WatsonxRerank {
    /// Nothing is cut.
    #[must_use]
    pub fn new(version: impl Into<String>, scope: Scope) -> Self {
        Self { version: version.into(), scope, truncate: None }
    }
}

impl RerankWire for WatsonxRerank {
    fn request(&self, model: &str, query: &str, texts: &[&str], top_n: usize) -> Result<WireRequest, WireFault> {
        let inputs: Vec<Value> = texts.iter().map(|text| json!({ "text": text })).collect();
        let mut parameters = json!({ "return_options": { "top_n": top_n, "inputs": false, "query": false } });
        if let (Some(tokens), Some(parameters)) = (self.truncate, parameters.as_object_mut()) {
            parameters.insert("truncate_input_tokens".to_owned(), json!(tokens));
        }
        let mut body = json!({ "model_id": model, "query": query, "inputs": inputs, "parameters": parameters });
        self.scope.write(&mut body);
        Ok(WireRequest::new(format!("/ml/v1/text/rerank?version={}", self.version), body))
    }

    fn answer(&self, body: &[u8]) -> Result<RerankAnswer, WireFault> {
        let body = parse(body)?;
        let usage = RawUsage { prompt: number(&body, "/input_token_count"), ..RawUsage::default() };
        let ranking = ranking(body.get("results"), "score")?;
        Ok(RerankAnswer { ranking, usage, model: string(&body, "/model_id") })
    }
}
