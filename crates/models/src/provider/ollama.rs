//! Ollama's own chat, `/api/chat`: lines of JSON instead of events.
//!
//! Unlike its OpenAI layer, it takes the size of the context window per request. A model loaded with too small a
//! window loses the start of a long prompt without a word.
//!
//! Reference: <https://docs.ollama.com/api/chat>, <https://docs.ollama.com/api/errors>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lorekeep_types::{ChatMessage, ChatRequest, ModelFault, OutputFormat, Part, ToolCall, ToolChoice};
use serde_json::{Map, Value, json};

use super::openai::{in_band_error, number, parse, parsed_schema, rounded, string};
use super::tools;
use super::wire::{ChatWire, Framing, Piece, RawUsage, StreamDecoder, ToolPiece, WireFault, WireRequest};

/// The wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ollama {
    /// Tokens of the context window that the model is loaded with; `None` leaves it to the server.
    pub num_ctx: Option<u32>,
    /// How long the model stays loaded after the answer, e.g. `5m`, or `-1m` for ever; `None` leaves it to the server.
    pub keep_alive: Option<String>,
}

impl ChatWire for Ollama {
    fn request(&self, model: &str, request: &ChatRequest, streamed: bool) -> Result<WireRequest, WireFault> {
        if matches!(request.tool_choice, ToolChoice::Required | ToolChoice::Named(_)) {
            return Err(WireFault::new(ModelFault::Capability, "Ollama cannot make a model call a tool"));
        }
        let messages = request.messages.iter().map(messages).collect::<Result<Vec<_>, _>>()?.concat();
        let mut body = Map::new();
        body.insert("model".to_owned(), json!(model));
        body.insert("messages".to_owned(), json!(messages));
        // Said either way, because the server streams when nothing is said.
        body.insert("stream".to_owned(), json!(streamed));
        let options = self.options(request);
        let optional = [
            ("format", format(&request.output)?),
            ("tools", tools::list(request)?.filter(|_| request.tool_choice == ToolChoice::Auto)),
            ("options", (!options.is_empty()).then_some(Value::Object(options))),
            ("keep_alive", self.keep_alive.as_ref().map(|time| json!(time))),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        }
        Ok(WireRequest::new("/api/chat", Value::Object(body)))
    }

    fn answer(&self, _request: &ChatRequest, body: &[u8]) -> Result<Vec<Piece>, WireFault> {
        let body = parse(body)?;
        in_band_error(&body)?;
        if body.get("message").is_none() {
            return Err(WireFault::malformed("the answer has no message"));
        }
        Ok(pieces(&body, &mut 0))
    }

    fn framing(&self) -> Framing {
        Framing::Lines
    }

    fn decoder(&self, _request: &ChatRequest) -> Box<dyn StreamDecoder> {
        Box::<Lines>::default()
    }
}

impl Ollama {
    fn options(&self, request: &ChatRequest) -> Map<String, Value> {
        let options = [
            ("temperature", request.temperature.map(|value| json!(rounded(value)))),
            ("top_p", request.top_p.map(|value| json!(rounded(value)))),
            ("num_predict", request.max_tokens.map(|value| json!(value))),
            ("seed", request.seed.map(|value| json!(value))),
            ("stop", (!request.stop.is_empty()).then(|| json!(request.stop))),
            ("num_ctx", self.num_ctx.map(|value| json!(value))),
        ];
        options.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

/// The lines of a streamed answer: each has the shape of a whole one, the last is `done`.
#[derive(Default)]
struct Lines {
    /// Calls of tools so far: each comes whole, in one line.
    calls: usize,
}

impl StreamDecoder for Lines {
    fn frame(&mut self, _event: &str, data: &[u8]) -> Result<Vec<Piece>, WireFault> {
        let line = parse(data)?;
        in_band_error(&line)?;
        let mut pieces = pieces(&line, &mut self.calls);
        if line.get("done").and_then(Value::as_bool) == Some(true) {
            pieces.push(Piece::End);
        }
        Ok(pieces)
    }
}

/// What a model thinks stands in a field of its own, and is left there.
fn pieces(body: &Value, calls: &mut usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    pieces.extend(string(body, "/model").map(Piece::Model));
    pieces.extend(string(body, "/message/content").map(Piece::Text));
    let asked = body.pointer("/message/tool_calls").and_then(Value::as_array).into_iter().flatten();
    for call in asked {
        pieces.push(Piece::ToolCall(ToolPiece {
            index: *calls,
            id: string(call, "/id").unwrap_or_default(),
            name: string(call, "/function/name").unwrap_or_default(),
            arguments: call.pointer("/function/arguments").map(Value::to_string).unwrap_or_default(),
            signature: None,
        }));
        *calls += 1;
    }
    pieces.extend(string(body, "/done_reason").map(Piece::Finish));
    pieces.push(Piece::Usage(RawUsage {
        prompt: number(body, "/prompt_eval_count"),
        completion: number(body, "/eval_count"),
        ..RawUsage::default()
    }));
    pieces
}

/// The messages of one: results of tools are messages of their own.
fn messages(said: &ChatMessage) -> Result<Vec<Value>, WireFault> {
    let result = |part: &Part| match part {
        Part::ToolResult { name, text, .. } => Some(json!({ "role": "tool", "tool_name": name, "content": text })),
        _ => None,
    };
    let results: Vec<Value> = said.parts.iter().filter_map(result).collect();
    if results.is_empty() { Ok(vec![message(said)?]) } else { Ok(results) }
}

fn message(message: &ChatMessage) -> Result<Value, WireFault> {
    let mut value = json!({ "role": message.role.name(), "content": message.plain() });
    let call = |call: &ToolCall| Ok(json!({ "function": { "name": call.name, "arguments": tools::arguments(call)? } }));
    let calls = tools::calls(message).map(call).collect::<Result<Vec<_>, WireFault>>()?;
    if !calls.is_empty() {
        value["tool_calls"] = json!(calls);
    }
    let images: Vec<String> = message.parts.iter().filter_map(image).collect();
    if !images.is_empty() {
        value["images"] = json!(images);
    }
    Ok(value)
}

fn image(part: &Part) -> Option<String> {
    match part {
        Part::Image { bytes, .. } => Some(STANDARD.encode(bytes)),
        Part::Text(_) | Part::ToolCall(_) | Part::ToolResult { .. } => None,
    }
}

fn format(output: &OutputFormat) -> Result<Option<Value>, WireFault> {
    Ok(match output {
        OutputFormat::Text => None,
        OutputFormat::Json => Some(json!("json")),
        OutputFormat::Schema { schema, .. } => Some(parsed_schema(schema)?),
    })
}
