//! `POST /v1/embeddings` in OpenAI's shape.
//!
//! Reference: <https://platform.openai.com/docs/api-reference/embeddings>.

use axum::Json;
use axum::extract::{Request, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lorekeep_types::EmbedKind;
use serde::Deserialize;
use serde_json::{Value, json};

use super::chat::OneOrMany;
use super::refuse::{Refusal, Shape};
use super::{MOST_BODY, ModelServer};
use crate::extract;

/// Most texts of one request, as OpenAI has it.
const MOST_TEXTS: usize = 2_048;

#[derive(Debug, Deserialize)]
pub(super) struct Body {
    input: OneOrMany,
    encoding_format: Option<String>,
}

/// The handler.
pub(super) async fn embed(State(server): State<ModelServer>, request: Request) -> Result<Json<Value>, Refusal> {
    let body: Body = extract::json(request, MOST_BODY).await.map_err(|error| Refusal::of(Shape::OpenAi, &error))?;
    let texts = body.input.many();
    if texts.is_empty() || texts.len() > MOST_TEXTS {
        return Err(Refusal::invalid(Shape::OpenAi, format!("`input` must be 1 to {MOST_TEXTS} texts")));
    }
    let encoded = match body.encoding_format.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(Refusal::invalid(Shape::OpenAi, "`encoding_format` must be `float` or `base64`")),
    };
    let model = server.embedder()?;
    let (call, mut tokens, mut rows) = (server.call(), 0, Vec::with_capacity(texts.len()));
    for batch in texts.chunks(model.batch().max(1)) {
        let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
        let made = model.embed(&call, &batch, EmbedKind::Passage).await;
        let made = made.map_err(|error| Refusal::failed(Shape::OpenAi, &error))?;
        tokens += made.usage.prompt;
        for vector in made.vectors {
            let embedding = if encoded { json!(base64_of(&vector)) } else { json!(vector) };
            rows.push(json!({ "object": "embedding", "index": rows.len(), "embedding": embedding }));
        }
    }
    Ok(Json(json!({
        "object": "list", "data": rows, "model": model.figures().name,
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    })))
}

/// Little-endian 32-bit floats.
fn base64_of(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}
