//! Google's Gemini API, `generateContent`.
//!
//! The base address is the host alone (`https://generativelanguage.googleapis.com`); the key goes into the header
//! `x-goog-api-key`. A streamed answer has no end mark: it is whole when a reason for stopping was given.
//!
//! Reference: <https://ai.google.dev/api/generate-content>, <https://ai.google.dev/gemini-api/docs/structured-output>,
//! <https://ai.google.dev/gemini-api/docs/troubleshooting>.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lorekeep_types::{ChatRequest, ChatRole, ModelFault, OutputFormat, Part, Tool, ToolChoice};
use serde_json::{Map, Value, json};

use super::openai::{in_band_error, number, parse, parsed_schema, rounded, string};
use super::tools::{arguments, parameters};
use super::turns::{Turn, system, turns};
use super::wire::{ChatWire, Piece, RawUsage, StreamDecoder, ToolPiece, WireFault, WireRequest};

/// Seeds are signed numbers of 32 bits here; of a longer one, the lowest bits are sent.
const SEED_BITS: u64 = 0x7fff_ffff;

/// The wire.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gemini;

impl ChatWire for Gemini {
    fn request(&self, model: &str, request: &ChatRequest, streamed: bool) -> Result<WireRequest, WireFault> {
        let contents = turns(&request.messages).iter().map(content).collect::<Result<Vec<_>, _>>()?;
        let mut body = Map::new();
        body.insert("contents".to_owned(), json!(contents));
        let system = system(&request.messages);
        if !system.is_empty() {
            body.insert("systemInstruction".to_owned(), json!({ "parts": [{ "text": system }] }));
        }
        let config = generation_config(request)?;
        if !config.is_empty() {
            body.insert("generationConfig".to_owned(), Value::Object(config));
        }
        if !request.tools.is_empty() {
            body.insert("tools".to_owned(), json!([{ "functionDeclarations": declarations(request)? }]));
            body.extend(tool_config(request).map(|config| ("toolConfig".to_owned(), config)));
        }
        // Tuned models have a folder of their own.
        let name = if model.contains('/') { model.to_owned() } else { format!("models/{model}") };
        let method = if streamed { "streamGenerateContent?alt=sse" } else { "generateContent" };
        Ok(WireRequest::new(format!("/v1beta/{name}:{method}"), Value::Object(body)))
    }

    fn answer(&self, _request: &ChatRequest, body: &[u8]) -> Result<Vec<Piece>, WireFault> {
        let body = parse(body)?;
        let pieces = pieces(&body, &mut 0)?;
        let said = |piece: &Piece| matches!(piece, Piece::Text(_) | Piece::ToolCall(_) | Piece::Finish(_));
        if !pieces.iter().any(said) {
            return Err(WireFault::malformed("the answer has no candidates"));
        }
        Ok(pieces)
    }

    fn decoder(&self, _request: &ChatRequest) -> Box<dyn StreamDecoder> {
        Box::<Chunks>::default()
    }

    fn error_fault(&self, status: u16, body: &[u8]) -> Option<ModelFault> {
        let body: Value = serde_json::from_slice(body).ok()?;
        // The body of a refused stream is a list.
        let error = body.get("error").or_else(|| body.pointer("/0/error"))?;
        let details = error.get("details")?.as_array()?;
        if details.iter().any(|detail| string(detail, "/reason").as_deref() == Some("API_KEY_INVALID")) {
            return Some(ModelFault::Credential);
        }
        let after = details.iter().find_map(retry_delay)?;
        match status {
            429 => Some(ModelFault::RateLimited { after: Some(after) }),
            503 => Some(ModelFault::Overloaded { after: Some(after) }),
            _ => None,
        }
    }
}

/// The chunks of a streamed answer: each has the shape of a whole one, and usage so far.
#[derive(Default)]
struct Chunks {
    /// Calls of tools so far: each comes whole, in one chunk.
    calls: usize,
}

impl StreamDecoder for Chunks {
    fn frame(&mut self, _event: &str, data: &[u8]) -> Result<Vec<Piece>, WireFault> {
        pieces(&parse(data)?, &mut self.calls)
    }
}

fn pieces(body: &Value, calls: &mut usize) -> Result<Vec<Piece>, WireFault> {
    in_band_error(body)?;
    let mut pieces = Vec::new();
    pieces.extend(string(body, "/modelVersion").map(Piece::Model));
    pieces.extend(string(body, "/responseId").map(Piece::Id));
    match body.pointer("/candidates/0") {
        Some(candidate) => {
            if let Some(parts) = candidate.pointer("/content/parts") {
                pieces.push(Piece::Text(text(parts)));
                pieces.extend(parts.as_array().into_iter().flatten().filter_map(|part| call(part, calls)));
            }
            pieces.extend(string(candidate, "/finishReason").map(Piece::Finish));
        }
        // The question was refused, so there is no answer that could have a reason for stopping.
        None if string(body, "/promptFeedback/blockReason").is_some() => {
            pieces.push(Piece::Finish("content_filter".to_owned()));
        }
        None => {}
    }
    pieces.extend(body.get("usageMetadata").map(|counts| Piece::Usage(usage(counts))));
    Ok(pieces)
}

/// The text of the parts that are no thoughts.
fn text(parts: &Value) -> String {
    let parts = parts.as_array().into_iter().flatten();
    let shown = parts.filter(|part| part.get("thought").and_then(Value::as_bool) != Some(true));
    shown.filter_map(|part| part.get("text").and_then(Value::as_str)).collect()
}

/// Thoughts are counted beside the candidates, tokens of the cache within the prompt.
fn usage(counts: &Value) -> RawUsage {
    let thoughts = number(counts, "/thoughtsTokenCount");
    let shown = number(counts, "/candidatesTokenCount");
    RawUsage {
        prompt: number(counts, "/promptTokenCount"),
        completion: shown.map_or(thoughts, |shown| Some(shown + thoughts.unwrap_or(0.0))),
        cached: number(counts, "/cachedContentTokenCount"),
        reasoning: thoughts,
        ..RawUsage::default()
    }
}

/// The call in a part of that kind.
fn call(part: &Value, calls: &mut usize) -> Option<Piece> {
    let call = part.get("functionCall")?;
    let index = *calls;
    *calls += 1;
    Some(Piece::ToolCall(ToolPiece {
        index,
        id: string(call, "/id").unwrap_or_default(),
        name: string(call, "/name").unwrap_or_default(),
        arguments: call.get("args").map(Value::to_string).unwrap_or_default(),
        signature: string(part, "/thoughtSignature"),
    }))
}

fn declarations(request: &ChatRequest) -> Result<Vec<Value>, WireFault> {
    let tool = |tool: &Tool| {
        Ok(json!({ "name": tool.name, "description": tool.description, "parametersJsonSchema": parameters(tool)? }))
    };
    request.tools.iter().map(tool).collect()
}

fn tool_config(request: &ChatRequest) -> Option<Value> {
    let config = match &request.tool_choice {
        ToolChoice::Auto => return None,
        ToolChoice::None => json!({ "mode": "NONE" }),
        ToolChoice::Required => json!({ "mode": "ANY" }),
        ToolChoice::Named(name) => json!({ "mode": "ANY", "allowedFunctionNames": [name] }),
    };
    Some(json!({ "functionCallingConfig": config }))
}

fn content(turn: &Turn<'_>) -> Result<Value, WireFault> {
    let role = if turn.role == ChatRole::Assistant { "model" } else { "user" };
    let parts = turn.parts.iter().map(|part| content_part(part)).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({ "role": role, "parts": parts }))
}

fn content_part(part: &Part) -> Result<Value, WireFault> {
    Ok(match part {
        Part::Text(text) => json!({ "text": text }),
        Part::Image { media_type, bytes } => {
            json!({ "inlineData": { "mimeType": media_type, "data": STANDARD.encode(bytes) } })
        }
        Part::ToolCall(call) => {
            let said = json!({ "id": call.id, "name": call.name, "args": arguments(call)? });
            match &call.signature {
                Some(signature) => json!({ "functionCall": said, "thoughtSignature": signature }),
                None => json!({ "functionCall": said }),
            }
        }
        Part::ToolResult { id, name, text } => {
            json!({ "functionResponse": { "id": id, "name": name, "response": { "result": text } } })
        }
    })
}

fn generation_config(request: &ChatRequest) -> Result<Map<String, Value>, WireFault> {
    let schema = match &request.output {
        OutputFormat::Schema { schema, .. } => Some(parsed_schema(schema)?),
        OutputFormat::Text | OutputFormat::Json => None,
    };
    let optional = [
        ("maxOutputTokens", request.max_tokens.map(|value| json!(value))),
        ("temperature", request.temperature.map(|value| json!(rounded(value)))),
        ("topP", request.top_p.map(|value| json!(rounded(value)))),
        ("stopSequences", (!request.stop.is_empty()).then(|| json!(request.stop))),
        ("seed", request.seed.map(|value| json!(value & SEED_BITS))),
        ("responseMimeType", (request.output != OutputFormat::Text).then(|| json!("application/json"))),
        ("responseJsonSchema", schema),
    ];
    Ok(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
}

/// The wait that an error asks for, e.g. `57.2s`: the header `Retry-After` is not sent.
fn retry_delay(detail: &Value) -> Option<Duration> {
    let seconds: f64 = string(detail, "/retryDelay")?.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}
