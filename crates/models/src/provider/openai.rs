//! OpenAI's chat completions, and the many servers that speak them: vLLM, llama.cpp, LM Studio, OpenRouter, Azure.
//!
//! Reference: <https://platform.openai.com/docs/api-reference/chat>,
//! <https://openrouter.ai/docs/api-reference/overview>,
//! <https://learn.microsoft.com/azure/ai-foundry/openai/reference>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lorekeep_types::{ChatMessage, ChatRequest, ModelFault, OutputFormat, Part};
use serde_json::{Map, Value, json};

use super::tools;
use super::wire::{ChatWire, Piece, RawUsage, StreamDecoder, WireFault, WireRequest};

/// Which of the family is spoken to: they differ in a few fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI itself.
    OpenAi,
    /// Any server of the same shape.
    Compatible,
    /// OpenRouter: reports cost when asked to.
    OpenRouter,
    /// Azure: the model is a deployment in the path.
    Azure {
        /// E.g. `2024-10-21`.
        api_version: String,
    },
}

/// The wire.
#[derive(Clone, Debug)]
pub struct OpenAi {
    /// Which of the family.
    pub dialect: Dialect,
}

impl ChatWire for OpenAi {
    fn request(&self, model: &str, request: &ChatRequest, streamed: bool) -> Result<WireRequest, WireFault> {
        let mut body = body(model, request)?;
        if let Some(tokens) = request.max_tokens {
            // OpenAI's newer models refuse the old name, most other servers do not know the new one.
            let name = if self.dialect == Dialect::OpenAi { "max_completion_tokens" } else { "max_tokens" };
            body.insert(name.to_owned(), json!(tokens));
        }
        if streamed {
            body.insert("stream".to_owned(), json!(true));
            body.insert("stream_options".to_owned(), json!({ "include_usage": true }));
        }
        let path = match &self.dialect {
            Dialect::Azure { api_version } => {
                body.remove("model");
                format!("/openai/deployments/{model}/chat/completions?api-version={api_version}")
            }
            Dialect::OpenRouter => {
                body.insert("usage".to_owned(), json!({ "include": true }));
                "/chat/completions".to_owned()
            }
            Dialect::OpenAi | Dialect::Compatible => "/chat/completions".to_owned(),
        };
        Ok(WireRequest::new(path, Value::Object(body)))
    }

    fn answer(&self, _request: &ChatRequest, body: &[u8]) -> Result<Vec<Piece>, WireFault> {
        let body: Value = parse(body)?;
        in_band_error(&body)?;
        let message =
            at(&body, "/choices/0/message").ok_or_else(|| WireFault::malformed("the answer has no choices"))?;
        let mut pieces = head(&body);
        pieces.extend(message.get("content").map(text_of).map(Piece::Text));
        pieces.extend(tools::pieces(message));
        refused(message)?;
        pieces.extend(string(&body, "/choices/0/finish_reason").map(Piece::Finish));
        pieces.extend(usage(&body));
        Ok(pieces)
    }

    fn decoder(&self, _request: &ChatRequest) -> Box<dyn StreamDecoder> {
        Box::new(Chunks)
    }

    fn error_fault(&self, _status: u16, body: &[u8]) -> Option<ModelFault> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let code = string(&body, "/error/code")?;
        (code == "content_filter").then_some(ModelFault::ContentFilter)
    }
}

/// The chunks of a streamed answer.
struct Chunks;

impl StreamDecoder for Chunks {
    fn frame(&mut self, _event: &str, data: &[u8]) -> Result<Vec<Piece>, WireFault> {
        if data.trim_ascii() == b"[DONE]" {
            return Ok(vec![Piece::End]);
        }
        let chunk: Value = parse(data)?;
        in_band_error(&chunk)?;
        let mut pieces = head(&chunk);
        // The last chunk carries usage and no choice; Azure's first carries filter results and no choice.
        if let Some(delta) = at(&chunk, "/choices/0/delta") {
            refused(delta)?;
            pieces.extend(delta.get("content").map(text_of).map(Piece::Text));
            pieces.extend(tools::pieces(delta));
        }
        pieces.extend(string(&chunk, "/choices/0/finish_reason").map(Piece::Finish));
        pieces.extend(usage(&chunk));
        Ok(pieces)
    }
}

/// The fields that every server of the family knows.
///
/// # Errors
/// When the request's schema is not JSON.
pub fn body(model: &str, request: &ChatRequest) -> Result<Map<String, Value>, WireFault> {
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(model));
    body.insert("messages".to_owned(), request.messages.iter().flat_map(messages).collect());
    let optional = [
        ("temperature", request.temperature.map(|value| json!(rounded(value)))),
        ("top_p", request.top_p.map(|value| json!(rounded(value)))),
        ("seed", request.seed.map(|value| json!(value))),
        ("stop", (!request.stop.is_empty()).then(|| json!(request.stop))),
        ("response_format", response_format(&request.output)?),
        ("tools", tools::list(request)?),
        ("tool_choice", tools::choice(request)),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    }
    Ok(body)
}

/// A sampling parameter as a decimal number that was meant: 0.7, not 0.699999988079071.
#[must_use]
pub fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1e4).round() / 1e4
}

/// The messages of one: results of tools are messages of their own.
fn messages(said: &ChatMessage) -> Vec<Value> {
    tools::messages(said).unwrap_or_else(|| vec![message(said)])
}

fn message(message: &ChatMessage) -> Value {
    let only_text = message.parts.iter().all(|part| matches!(part, Part::Text(_)));
    if only_text {
        return json!({ "role": message.role.name(), "content": message.plain() });
    }
    let parts: Vec<Value> = message.parts.iter().filter_map(part).collect();
    json!({ "role": message.role.name(), "content": parts })
}

fn part(part: &Part) -> Option<Value> {
    match part {
        Part::Text(text) => Some(json!({ "type": "text", "text": text })),
        Part::Image { media_type, bytes } => {
            let url = format!("data:{media_type};base64,{}", STANDARD.encode(bytes));
            Some(json!({ "type": "image_url", "image_url": { "url": url } }))
        }
        // In messages of their own.
        Part::ToolCall(_) | Part::ToolResult { .. } => None,
    }
}

fn response_format(output: &OutputFormat) -> Result<Option<Value>, WireFault> {
    Ok(match output {
        OutputFormat::Text => None,
        OutputFormat::Json => Some(json!({ "type": "json_object" })),
        OutputFormat::Schema { name, schema } => {
            let schema = parsed_schema(schema)?;
            Some(json!({ "type": "json_schema", "json_schema": { "name": name, "schema": schema, "strict": true } }))
        }
    })
}

/// A schema given as text.
///
/// # Errors
/// `Request` when it is not JSON.
pub fn parsed_schema(schema: &str) -> Result<Value, WireFault> {
    serde_json::from_str(schema)
        .map_err(|error| WireFault::new(ModelFault::Request, format!("the schema of the answer is not JSON: {error}")))
}

/// Any JSON of an answer.
///
/// # Errors
/// `Malformed` with the reason.
pub fn parse(body: &[u8]) -> Result<Value, WireFault> {
    serde_json::from_slice(body).map_err(|error| WireFault::malformed(format!("the answer is not JSON: {error}")))
}

/// What lies at a path such as `/choices/0/message`: a JSON pointer (RFC 6901) without escapes, which costs
/// [`Value::pointer`] two copies of each key.
#[must_use]
pub fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('/').skip(1).try_fold(value, |value, key| match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => value.get(key),
    })
}

/// The text at a path, unless it is missing or empty.
#[must_use]
pub fn string(value: &Value, path: &str) -> Option<String> {
    at(value, path).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// The number at a path.
#[must_use]
pub fn number(value: &Value, path: &str) -> Option<f64> {
    at(value, path).and_then(Value::as_f64)
}

/// Content as a string, or as a list of parts with text.
#[must_use]
pub fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text").and_then(Value::as_str)).collect(),
        _ => String::new(),
    }
}

/// Model and id of an answer or chunk.
#[must_use]
pub fn head(body: &Value) -> Vec<Piece> {
    let model = string(body, "/model").map(Piece::Model);
    let id = string(body, "/id").map(Piece::Id);
    model.into_iter().chain(id).collect()
}

/// The `usage` of an answer or chunk, if it has one.
#[must_use]
pub fn usage(body: &Value) -> Option<Piece> {
    let usage = body.get("usage").filter(|usage| usage.is_object())?;
    Some(Piece::Usage(RawUsage {
        prompt: number(usage, "/prompt_tokens"),
        completion: number(usage, "/completion_tokens"),
        cached: number(usage, "/prompt_tokens_details/cached_tokens"),
        cache_written: number(usage, "/prompt_tokens_details/cache_write_tokens"),
        reasoning: number(usage, "/completion_tokens_details/reasoning_tokens"),
        searches: None,
        cost_usd: number(usage, "/cost"),
    }))
}

fn refused(message: &Value) -> Result<(), WireFault> {
    match string(message, "/refusal") {
        Some(refusal) => Err(WireFault::new(ModelFault::ContentFilter, refusal)),
        None => Ok(()),
    }
}

/// OpenRouter and some servers put an error into a body of status 200, or into a chunk.
///
/// # Errors
/// What it says.
pub fn in_band_error(body: &Value) -> Result<(), WireFault> {
    let Some(error) = body.get("error").filter(|error| !error.is_null()) else { return Ok(()) };
    let said =
        string(error, "/message").or_else(|| error.as_str().map(str::to_owned)).unwrap_or_else(|| error.to_string());
    let status = number(error, "/code").filter(|code| (400.0..600.0).contains(code));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie in 400..600")]
    let fault = status.map_or(ModelFault::Server, |status| super::http::fault_of(status as u16, None));
    Err(WireFault::new(fault, said))
}

/// The message in the body of an error: OpenAI's shape, and the shapes that other servers give it.
#[must_use]
pub fn error_message(body: &[u8]) -> Option<String> {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return std::str::from_utf8(body).ok().map(str::to_owned).filter(|text| !text.trim_start().starts_with('<'));
    };
    let places = ["/error/message", "/error", "/message", "/detail", "/errors/0/message", "/0/error/message"];
    places.iter().find_map(|place| string(&value, place))
}
