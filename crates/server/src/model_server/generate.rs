//! `POST /v1/generate`: one prompt in, one text out, without the prompt.

use axum::Json;
use axum::extract::{Request, State};
use futures::StreamExt as _;
use lorekeep_types::{ChatEvent, ChatRequest, ChatStream, Completion, FinishReason, ModelError, ModelFault};
use serde::Deserialize;
use serde_json::{Value, json};

use super::refuse::{Refusal, Shape};
use super::{MOST_BODY, ModelServer};
use crate::extract;

/// Most tokens that may be asked for.
const MOST_TOKENS: u32 = 1_000_000;

#[derive(Debug, Deserialize)]
pub(super) struct Body {
    prompt: Option<String>,
    #[serde(default = "max_tokens")]
    max_tokens: u32,
    #[serde(default = "temperature")]
    temperature: f32,
    #[serde(default = "top_p")]
    top_p: f32,
    #[serde(default = "yes")]
    do_sample: bool,
}

// The defaults are those of the services that this one stands in for.
const fn max_tokens() -> u32 {
    128
}

const fn temperature() -> f32 {
    0.7
}

const fn top_p() -> f32 {
    0.9
}

const fn yes() -> bool {
    true
}

/// The handler.
pub(super) async fn generate(State(server): State<ModelServer>, request: Request) -> Result<Json<Value>, Refusal> {
    let body: Body = extract::json(request, MOST_BODY).await.map_err(|error| Refusal::of(Shape::Plain, &error))?;
    let prompt = body.prompt.filter(|prompt| !prompt.trim().is_empty());
    let prompt = prompt.ok_or_else(|| Refusal::invalid(Shape::Plain, "the prompt is empty"))?;
    let limits = limits(Shape::Plain, Some(body.max_tokens), Some(body.temperature), Some(body.top_p))?;
    let asked = ChatRequest { temperature: Some(if body.do_sample { body.temperature } else { 0.0 }), ..limits };
    let model = server.chat(Shape::Plain)?;
    let failed = |error: ModelError| Refusal::failed(Shape::Plain, &error);
    let events = model.complete(&server.call(), &prompt, &asked).await.map_err(failed)?;
    let (text, _, _) = whole(events).await.map_err(failed)?;
    Ok(Json(json!({ "text": text })))
}

/// Limits and randomness, checked.
pub(super) fn limits(
    shape: Shape,
    max_tokens: Option<u32>,
    temperature: Option<f32>,
    top_p: Option<f32>,
) -> Result<ChatRequest, Refusal> {
    if max_tokens.is_some_and(|tokens| tokens == 0 || tokens > MOST_TOKENS) {
        return Err(Refusal::invalid(shape, format!("`max_tokens` must be 1 to {MOST_TOKENS}")));
    }
    if temperature.is_some_and(|value| !(0.0..=10.0).contains(&value)) {
        return Err(Refusal::invalid(shape, "`temperature` must be 0 to 10"));
    }
    if top_p.is_some_and(|value| !(value > 0.0 && value <= 1.0)) {
        return Err(Refusal::invalid(shape, "`top_p` must be above 0 and at most 1"));
    }
    Ok(ChatRequest { max_tokens, temperature, top_p, ..ChatRequest::default() })
}

/// The whole of an answer: text, reason for its end, tokens read and written. That a model writes nothing is no
/// failure of this service.
pub(super) async fn whole(mut events: ChatStream) -> Result<(String, FinishReason, [u64; 2]), ModelError> {
    let mut text = String::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(ChatEvent::Text(piece)) => text.push_str(&piece),
            Ok(ChatEvent::Done(done)) => {
                let Completion { text, finish, usage, .. } = *done;
                return Ok((text, finish, [usage.prompt, usage.completion]));
            }
            Err(error) => {
                return match empty(&error) {
                    Some((finish, usage)) => Ok((text, finish, usage)),
                    None => Err(error),
                };
            }
        }
    }
    Ok((text, FinishReason::Other(String::new()), [0, 0]))
}

/// What an empty answer took, if that is what the error tells of.
pub(super) fn empty(error: &ModelError) -> Option<(FinishReason, [u64; 2])> {
    let ModelFault::Empty { finish } = &error.fault else { return None };
    let finish = if finish == "length" { FinishReason::Length } else { FinishReason::Stop };
    let usage = error.usage.unwrap_or_default();
    Some((finish, [usage.prompt, usage.completion]))
}
