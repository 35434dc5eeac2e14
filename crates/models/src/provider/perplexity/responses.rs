//! Perplexity's Agent API: typed items in, typed items out.
//!
//! Reference: <https://docs.perplexity.ai/api-reference/agent-post>,
//! <https://docs.perplexity.ai/docs/agent-api/openai-compatibility> (the path `/v1/responses` is an alias of
//! `/v1/agent`), <https://docs.perplexity.ai/docs/cookbook/articles/streaming-citations/README>, and the types of
//! Perplexity's own client. `incomplete` and `response.incomplete` are not in those; they are OpenAI's, whose form
//! this is.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lorekeep_types::{ChatMessage, ChatRequest, ChatRole, ModelFault, Part, WebSearch, WebSource};
use serde_json::{Map, Value, json};

use super::{MOST_SOURCES, filters, page, response_format};
use crate::provider::http::fault_of;
use crate::provider::openai::{head, in_band_error, number, parse, string};
use crate::provider::wire::{Piece, RawUsage, StreamDecoder, WireFault, WireRequest};

pub(super) fn request(model: &str, request: &ChatRequest, streamed: bool) -> Result<WireRequest, WireFault> {
    if !request.stop.is_empty() {
        return Err(WireFault::new(ModelFault::Capability, "the Agent API takes no stop texts"));
    }
    let (system, said): (Vec<_>, Vec<_>) =
        request.messages.iter().partition(|message| message.role == ChatRole::System);
    let instructions: Vec<String> = system.into_iter().map(ChatMessage::plain).collect();
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(model));
    body.insert("input".to_owned(), said.into_iter().map(item).collect());
    let optional = [
        ("tools", request.web.as_ref().map(|web| json!([web_search(web)]))),
        ("instructions", (!instructions.is_empty()).then(|| json!(instructions.join("\n\n")))),
        ("max_output_tokens", request.max_tokens.map(|tokens| json!(tokens))),
        ("response_format", response_format(&request.output)?),
        ("stream", streamed.then_some(json!(true))),
    ];
    body.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Ok(WireRequest::new("/v1/responses", Value::Object(body)))
}

/// The tool without which a model does not search.
fn web_search(web: &WebSearch) -> Value {
    let filters = filters(web);
    let mut tool = json!({ "type": "web_search" });
    if !filters.is_empty() {
        tool["filters"] = Value::Object(filters);
    }
    if let Some(size) = &web.context_size {
        tool["search_context_size"] = json!(size);
    }
    tool
}

fn item(message: &ChatMessage) -> Value {
    let only_text = message.parts.iter().all(|part| matches!(part, Part::Text(_)));
    let content = if only_text { json!(message.plain()) } else { message.parts.iter().filter_map(part).collect() };
    json!({ "type": "message", "role": message.role.name(), "content": content })
}

fn part(part: &Part) -> Option<Value> {
    Some(match part {
        Part::Text(text) => json!({ "type": "input_text", "text": text }),
        Part::Image { media_type, bytes } => {
            let url = format!("data:{media_type};base64,{}", STANDARD.encode(bytes));
            json!({ "type": "input_image", "image_url": url })
        }
        // These models have no tools.
        Part::ToolCall(_) | Part::ToolResult { .. } => return None,
    })
}

pub(super) fn answer(body: &[u8]) -> Result<Vec<Piece>, WireFault> {
    let response: Value = parse(body)?;
    failed(&response)?;
    let items = items(&response).ok_or_else(|| WireFault::malformed("the answer has no output"))?;
    let mut pages = Pages::default();
    items.iter().for_each(|item| pages.add_item(item));
    let mut pieces = head(&response);
    pieces.push(Piece::Text(text(items)?));
    pieces.extend(pages.piece(items));
    pieces.extend(end(&response));
    Ok(pieces)
}

/// The events of a streamed answer.
#[derive(Default)]
pub(super) struct Events {
    pages: Pages,
    /// Whether any text has come; the last event repeats all of it.
    said: bool,
}

impl StreamDecoder for Events {
    fn frame(&mut self, event: &str, data: &[u8]) -> Result<Vec<Piece>, WireFault> {
        if data.trim_ascii() == b"[DONE]" {
            return Ok(vec![Piece::End]);
        }
        let body: Value = parse(data)?;
        let kind = string(&body, "/type").unwrap_or_else(|| event.to_owned());
        match kind.as_str() {
            "response.created" | "response.in_progress" => Ok(body.get("response").map(head).unwrap_or_default()),
            "response.output_text.delta" => {
                self.said = true;
                Ok(string(&body, "/delta").map(Piece::Text).into_iter().collect())
            }
            "response.reasoning.search_results" => {
                self.pages.add(body.get("results").and_then(Value::as_array).into_iter().flatten());
                Ok(self.pages.piece(&[]).into_iter().collect())
            }
            "response.output_item.done" => {
                body.get("item").into_iter().for_each(|item| self.pages.add_item(item));
                Ok(self.pages.piece(&[]).into_iter().collect())
            }
            "response.completed" | "response.incomplete" => self.last(&kind, &body),
            "response.failed" | "error" => Err(failure(&body)),
            _ => in_band_error(&body).map(|()| Vec::new()),
        }
    }
}

impl Events {
    /// The last event repeats the whole response; only what was not said before is taken from it.
    fn last(&mut self, kind: &str, body: &Value) -> Result<Vec<Piece>, WireFault> {
        let response = body.get("response").unwrap_or(&Value::Null);
        failed(response)?;
        let items = items(response).map_or(&[][..], Vec::as_slice);
        let mut pieces = head(response);
        if !self.said {
            pieces.push(Piece::Text(text(items)?));
        }
        items.iter().for_each(|item| self.pages.add_item(item));
        pieces.extend(self.pages.piece(items));
        pieces.push(Piece::Finish(kind.trim_start_matches("response.").to_owned()));
        pieces.extend(end(response));
        pieces.push(Piece::End);
        Ok(pieces)
    }
}

fn items(response: &Value) -> Option<&Vec<Value>> {
    response.get("output").and_then(Value::as_array)
}

fn parts(items: &[Value]) -> impl Iterator<Item = &Value> {
    let messages = items.iter().filter(|item| item.get("type").and_then(Value::as_str) == Some("message"));
    messages.filter_map(|item| item.get("content").and_then(Value::as_array)).flatten()
}

fn text(items: &[Value]) -> Result<String, WireFault> {
    if let Some(refusal) = parts(items).find_map(|part| string(part, "/refusal")) {
        return Err(WireFault::new(ModelFault::ContentFilter, refusal));
    }
    Ok(parts(items).filter_map(|part| part.get("text").and_then(Value::as_str)).collect())
}

/// The pages of an answer by the numbers that its text calls them.
#[derive(Default)]
struct Pages(BTreeMap<usize, WebSource>);

impl Pages {
    /// Adds a list of results. One without a number of its own follows those that are known, once.
    fn add<'a>(&mut self, results: impl IntoIterator<Item = &'a Value>) {
        for result in results {
            let Some(page) = page(result) else { continue };
            let id = result.get("id").and_then(Value::as_u64).and_then(|id| usize::try_from(id).ok());
            if id.is_none() && self.0.values().any(|known| known.url == page.url) {
                continue;
            }
            let number = id.unwrap_or_else(|| self.0.last_key_value().map_or(1, |(last, _)| last + 1));
            if (1..=MOST_SOURCES).contains(&number) {
                self.0.insert(number, page);
            }
        }
    }

    /// Adds what an item holds, if it is one of search results.
    fn add_item(&mut self, item: &Value) {
        if item.get("type").and_then(Value::as_str) == Some("search_results") {
            self.add(item.get("results").and_then(Value::as_array).into_iter().flatten());
        }
    }

    /// The list in which the first is what the text calls `[1]`; where there are no results, the pages that
    /// annotations name, in the order of their first mention. A number that no page has holds its place with an
    /// empty address.
    fn piece(&self, items: &[Value]) -> Option<Piece> {
        if self.0.is_empty() {
            let mut cited = Self::default();
            cited.add(parts(items).filter_map(|part| part.get("annotations").and_then(Value::as_array)).flatten());
            return if cited.0.is_empty() { None } else { cited.piece(&[]) };
        }
        let last = *self.0.last_key_value()?.0;
        Some(Piece::Sources((1..=last).map(|number| self.0.get(&number).cloned().unwrap_or_default()).collect()))
    }
}

/// Why it ended, and what it took.
fn end(response: &Value) -> Vec<Piece> {
    let reason = string(response, "/incomplete_details/reason").or_else(|| string(response, "/status"));
    reason.map(Piece::Finish).into_iter().chain(usage(response)).collect()
}

fn usage(response: &Value) -> Option<Piece> {
    let usage = response.get("usage").filter(|usage| usage.is_object())?;
    let tool = |name: &str| number(usage, &format!("/tool_calls_details/{name}/invocation"));
    let cached = number(usage, "/input_tokens_details/cached_tokens");
    Some(Piece::Usage(RawUsage {
        prompt: number(usage, "/input_tokens"),
        completion: number(usage, "/output_tokens"),
        cached: cached.or_else(|| number(usage, "/input_tokens_details/cache_read_input_tokens")),
        cache_written: number(usage, "/input_tokens_details/cache_creation_input_tokens"),
        reasoning: number(usage, "/output_tokens_details/reasoning_tokens"),
        searches: tool("search_web").or_else(|| tool("web_search")),
        cost_usd: number(usage, "/cost/total_cost"),
    }))
}

/// A response that failed is told with status 200.
fn failed(response: &Value) -> Result<(), WireFault> {
    let error = response.get("error").is_some_and(|error| !error.is_null());
    let status = response.get("status").and_then(Value::as_str) == Some("failed");
    if error || status { Err(failure(response)) } else { Ok(()) }
}

/// The error in a response, in an event, or in an event's response; its code may be a status.
fn failure(body: &Value) -> WireFault {
    let error = ["/error", "/response/error"].iter().find_map(|pointer| body.pointer(pointer)).unwrap_or(body);
    let said = string(error, "/message").or_else(|| error.as_str().map(str::to_owned));
    let code = string(error, "/code").or_else(|| number(error, "/code").map(|code| code.to_string()));
    let status = code.as_deref().and_then(|code| code.parse().ok()).filter(|code| (400..600).contains(code));
    let fault = status.map_or(ModelFault::Server, |status| fault_of(status, None));
    WireFault::new(fault, said.unwrap_or_else(|| "the response failed".to_owned()))
}
