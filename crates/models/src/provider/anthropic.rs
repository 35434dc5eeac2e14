//! Anthropic's Messages API.
//!
//! The base address is the host alone (`https://api.anthropic.com`); the key goes into the header `x-api-key`.
//! What the wire cannot say: a seed, which is left out, and free JSON, which is asked for in words: the wire
//! constrains an answer by a schema or not at all. Models since Claude 4.1 refuse a temperature together with a
//! nucleus: where both are asked for, the temperature alone is sent.
//!
//! Reference: <https://platform.claude.com/docs/en/api/messages>,
//! <https://platform.claude.com/docs/en/build-with-claude/streaming>,
//! <https://platform.claude.com/docs/en/build-with-claude/structured-outputs>,
//! <https://platform.claude.com/docs/en/api/errors>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lorekeep_types::{ChatRequest, ModelFault, OutputFormat, Part, Tool, ToolChoice};
use serde_json::{Map, Value, json};

use super::openai::{error_message, head, number, parse, parsed_schema, rounded, string, text_of};
use super::tools::{arguments, parameters};
use super::turns::{Turn, system, turns};
use super::wire::{ChatWire, Piece, RawUsage, StreamDecoder, ToolPiece, WireFault, WireRequest};

/// The version of the API whose shapes are spoken here.
pub const VERSION: &str = "2023-06-01";

/// Most tokens to write where the request names none: the wire demands a number.
const DEFAULT_MAX_TOKENS: u32 = 4096;

/// Asks for what [`OutputFormat::Json`] means.
const ONLY_JSON: &str = "Answer with a single JSON object and nothing else: no code fence, no explanation.";

/// The wire.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anthropic;

impl ChatWire for Anthropic {
    fn request(&self, model: &str, request: &ChatRequest, streamed: bool) -> Result<WireRequest, WireFault> {
        let messages = turns(&request.messages).iter().map(message).collect::<Result<Vec<_>, _>>()?;
        let mut body = Map::new();
        body.insert("model".to_owned(), json!(model));
        body.insert("messages".to_owned(), json!(messages));
        body.insert("max_tokens".to_owned(), json!(request.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS)));
        let optional = [
            ("system", instructions(request).map(Value::String)),
            ("temperature", request.temperature.map(|value| json!(rounded(value)))),
            // Newer models refuse both together; whoever gives both means the first, as OpenAI advises.
            ("top_p", request.top_p.filter(|_| request.temperature.is_none()).map(|value| json!(rounded(value)))),
            ("stop_sequences", (!request.stop.is_empty()).then(|| json!(request.stop))),
            ("output_config", output_config(&request.output)?),
            ("tools", tools(request)?),
            ("tool_choice", choice(request)),
            ("stream", streamed.then_some(Value::Bool(true))),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        }
        let headers = vec![("anthropic-version", VERSION.to_owned())];
        Ok(WireRequest { path: "/v1/messages".to_owned(), headers, body: Value::Object(body) })
    }

    fn answer(&self, _request: &ChatRequest, body: &[u8]) -> Result<Vec<Piece>, WireFault> {
        let body = parse(body)?;
        in_band_error(&body)?;
        let content = body.get("content").ok_or_else(|| WireFault::malformed("the answer has no content"))?;
        let mut pieces = head(&body);
        pieces.push(Piece::Text(text_of(content)));
        let blocks = content.as_array().into_iter().flatten().enumerate();
        pieces.extend(blocks.filter_map(|(at, block)| call(block, at)));
        pieces.extend(string(&body, "/stop_reason").map(Piece::Finish));
        pieces.extend(body.get("usage").map(|counts| Piece::Usage(usage(counts))));
        Ok(pieces)
    }

    fn decoder(&self, _request: &ChatRequest) -> Box<dyn StreamDecoder> {
        Box::new(Events::default())
    }
}

/// The events of a streamed answer.
#[derive(Default)]
struct Events {
    /// Each figure of usage as it was last told: the parts of the prompt come at the start, and again at the end
    /// where they have changed.
    counts: Map<String, Value>,
}

impl StreamDecoder for Events {
    fn frame(&mut self, _event: &str, data: &[u8]) -> Result<Vec<Piece>, WireFault> {
        let event = parse(data)?;
        in_band_error(&event)?;
        let text = |pointer: &str| string(&event, pointer).map(Piece::Text).into_iter().collect();
        Ok(match event.get("type").and_then(Value::as_str).unwrap_or_default() {
            "message_start" => self.start(&event),
            "content_block_start" => match event.get("content_block").and_then(|block| call(block, at(&event))) {
                // The arguments of a call that begins are a placeholder; they follow piece by piece.
                Some(Piece::ToolCall(begun)) => vec![Piece::ToolCall(ToolPiece { arguments: String::new(), ..begun })],
                _ => text("/content_block/text"),
            },
            // A delta of thinking has no text, one of citations neither.
            "content_block_delta" => match string(&event, "/delta/partial_json") {
                Some(arguments) => {
                    vec![Piece::ToolCall(ToolPiece { index: at(&event), arguments, ..ToolPiece::default() })]
                }
                None => text("/delta/text"),
            },
            "message_delta" => {
                let finish = string(&event, "/delta/stop_reason").map(Piece::Finish);
                finish.into_iter().chain(self.count(event.get("usage"))).collect()
            }
            "message_stop" => vec![Piece::End],
            // `ping`, ends of blocks, and events yet to be invented.
            _ => Vec::new(),
        })
    }
}

impl Events {
    fn start(&mut self, event: &Value) -> Vec<Piece> {
        let Some(message) = event.get("message") else { return Vec::new() };
        let mut counts = message.get("usage").cloned();
        // Nothing has been written yet; the figure given is none to keep if no other follows.
        if let Some(counts) = counts.as_mut().and_then(Value::as_object_mut) {
            counts.remove("output_tokens");
        }
        head(message).into_iter().chain(self.count(counts.as_ref())).collect()
    }

    fn count(&mut self, told: Option<&Value>) -> Option<Piece> {
        let told = told?.as_object()?.iter().filter(|(_, value)| !value.is_null());
        self.counts.extend(told.map(|(name, value)| (name.clone(), value.clone())));
        Some(Piece::Usage(usage(&Value::Object(self.counts.clone()))))
    }
}

fn instructions(request: &ChatRequest) -> Option<String> {
    let mut said = vec![system(&request.messages)];
    if request.output == OutputFormat::Json {
        said.push(ONLY_JSON.to_owned());
    }
    said.retain(|text| !text.is_empty());
    (!said.is_empty()).then(|| said.join("\n\n"))
}

fn message(turn: &Turn<'_>) -> Result<Value, WireFault> {
    let blocks = turn.parts.iter().map(|part| block(part)).collect::<Result<Vec<_>, _>>()?;
    Ok(json!({ "role": turn.role.name(), "content": blocks }))
}

fn block(part: &Part) -> Result<Value, WireFault> {
    Ok(match part {
        Part::Text(text) => json!({ "type": "text", "text": text }),
        Part::Image { media_type, bytes } => {
            let source = json!({ "type": "base64", "media_type": media_type, "data": STANDARD.encode(bytes) });
            json!({ "type": "image", "source": source })
        }
        Part::ToolCall(call) => {
            json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": arguments(call)? })
        }
        Part::ToolResult { id, text, .. } => json!({ "type": "tool_result", "tool_use_id": id, "content": text }),
    })
}

fn tools(request: &ChatRequest) -> Result<Option<Value>, WireFault> {
    let tool = |tool: &Tool| {
        Ok(json!({ "name": tool.name, "description": tool.description, "input_schema": parameters(tool)? }))
    };
    let tools = request.tools.iter().map(tool).collect::<Result<Vec<_>, _>>()?;
    Ok((!tools.is_empty()).then_some(Value::Array(tools)))
}

fn choice(request: &ChatRequest) -> Option<Value> {
    let choice = match &request.tool_choice {
        ToolChoice::Auto => return None,
        ToolChoice::None => json!({ "type": "none" }),
        ToolChoice::Required => json!({ "type": "any" }),
        ToolChoice::Named(name) => json!({ "type": "tool", "name": name }),
    };
    (!request.tools.is_empty()).then_some(choice)
}

/// The call in a block of that kind.
fn call(block: &Value, at: usize) -> Option<Piece> {
    (block.get("type").and_then(Value::as_str) == Some("tool_use")).then(|| {
        Piece::ToolCall(ToolPiece {
            index: at,
            id: string(block, "/id").unwrap_or_default(),
            name: string(block, "/name").unwrap_or_default(),
            arguments: block.get("input").map(Value::to_string).unwrap_or_default(),
            signature: None,
        })
    })
}

/// The place of the block that an event is about.
fn at(event: &Value) -> usize {
    event.get("index").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok()).unwrap_or_default()
}

fn output_config(output: &OutputFormat) -> Result<Option<Value>, WireFault> {
    Ok(match output {
        OutputFormat::Text | OutputFormat::Json => None,
        OutputFormat::Schema { schema, .. } => {
            Some(json!({ "format": { "type": "json_schema", "schema": parsed_schema(schema)? } }))
        }
    })
}

/// Tokens read from and written to the cache are counted beside `input_tokens`, not in it.
fn usage(counts: &Value) -> RawUsage {
    let cached = number(counts, "/cache_read_input_tokens");
    let written = number(counts, "/cache_creation_input_tokens");
    let prompt = number(counts, "/input_tokens").map(|input| input + cached.unwrap_or(0.0) + written.unwrap_or(0.0));
    RawUsage {
        prompt,
        completion: number(counts, "/output_tokens"),
        cached,
        cache_written: written,
        reasoning: number(counts, "/output_tokens_details/thinking_tokens"),
        searches: number(counts, "/server_tool_use/web_search_requests"),
        cost_usd: None,
    }
}

/// An error in place of an answer, or in the middle of one.
fn in_band_error(body: &Value) -> Result<(), WireFault> {
    let Some(error) = body.get("error").filter(|error| !error.is_null()) else { return Ok(()) };
    let fault = match error.get("type").and_then(Value::as_str).unwrap_or_default() {
        "overloaded_error" => ModelFault::Overloaded { after: None },
        "rate_limit_error" => ModelFault::RateLimited { after: None },
        "authentication_error" | "permission_error" => ModelFault::Credential,
        "invalid_request_error" | "not_found_error" | "request_too_large" | "billing_error" => ModelFault::Request,
        _ => ModelFault::Server,
    };
    let said = error_message(body.to_string().as_bytes()).unwrap_or_else(|| error.to_string());
    Err(WireFault::new(fault, said))
}
