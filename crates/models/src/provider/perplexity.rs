//! Perplexity: models that search the web, in two forms. Chat completions were retired for Sonar in September 2026
//! and are kept for servers that still speak them; the Agent API ([`responses`]) takes their place. Both give the
//! pages that the numbers in the text mean.
//!
//! Reference: <https://docs.perplexity.ai/api-reference/chat-completions-post> and the types of Perplexity's own
//! client, <https://github.com/perplexityai/perplexity-py>.

mod responses;

use lorekeep_types::{ChatRequest, OutputFormat, WebSearch, WebSource};
use serde_json::{Map, Value, json};

use super::openai::{body, head, in_band_error, number, parse, parsed_schema, string, text_of};
use super::wire::{ChatWire, Piece, RawUsage, StreamDecoder, WireFault, WireRequest};

/// More sources than any answer has; those beyond are left out.
const MOST_SOURCES: usize = 1000;

/// Which of the two forms is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// `POST /chat/completions`.
    Chat,
    /// `POST /v1/responses`, the Agent API. Its documented request has neither temperature, nucleus nor seed: they are
    /// not sent.
    #[default]
    Responses,
}

/// The wire. The base address is `https://api.perplexity.ai`, for the Agent API with or without `/v1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Perplexity {
    /// Which of the two forms is spoken.
    pub form: Form,
}

impl ChatWire for Perplexity {
    fn request(&self, model: &str, request: &ChatRequest, streamed: bool) -> Result<WireRequest, WireFault> {
        match self.form {
            Form::Chat => chat_request(model, request, streamed),
            Form::Responses => responses::request(model, request, streamed),
        }
    }

    fn answer(&self, _request: &ChatRequest, body: &[u8]) -> Result<Vec<Piece>, WireFault> {
        match self.form {
            Form::Chat => chat_answer(body),
            Form::Responses => responses::answer(body),
        }
    }

    fn decoder(&self, _request: &ChatRequest) -> Box<dyn StreamDecoder> {
        match self.form {
            Form::Chat => Box::new(Chunks),
            Form::Responses => Box::<responses::Events>::default(),
        }
    }
}

fn chat_request(model: &str, request: &ChatRequest, streamed: bool) -> Result<WireRequest, WireFault> {
    let mut body = body(model, request)?;
    body.remove("seed");
    let web = request.web.as_ref();
    let context = web.and_then(|web| web.context_size.as_ref()).map(|size| json!({ "search_context_size": size }));
    body.extend(web.map(filters).unwrap_or_default());
    let optional = [
        ("disable_search", web.is_none().then_some(json!(true))),
        ("max_tokens", request.max_tokens.map(|tokens| json!(tokens))),
        ("response_format", response_format(&request.output)?),
        ("web_search_options", context),
        ("stream", streamed.then_some(json!(true))),
    ];
    body.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Ok(WireRequest::new("/chat/completions", Value::Object(body)))
}

/// Where and from when pages may be.
fn filters(web: &WebSearch) -> Map<String, Value> {
    let domains = (!web.domains.is_empty()).then(|| json!(web.domains));
    let recency = web.recency.as_ref().map(|recency| json!(recency));
    let fields = [("search_domain_filter", domains), ("search_recency_filter", recency)];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Perplexity knows schemas only: any object is one.
fn response_format(output: &OutputFormat) -> Result<Option<Value>, WireFault> {
    let (name, schema) = match output {
        OutputFormat::Text => return Ok(None),
        OutputFormat::Json => ("object", json!({ "type": "object" })),
        OutputFormat::Schema { name, schema } => (name.as_str(), parsed_schema(schema)?),
    };
    Ok(Some(json!({ "type": "json_schema", "json_schema": { "name": name, "schema": schema } })))
}

fn chat_answer(body: &[u8]) -> Result<Vec<Piece>, WireFault> {
    let body: Value = parse(body)?;
    in_band_error(&body)?;
    let message =
        body.pointer("/choices/0/message").ok_or_else(|| WireFault::malformed("the answer has no choices"))?;
    let mut pieces = head(&body);
    pieces.extend(message.get("content").map(text_of).map(Piece::Text));
    pieces.extend(string(&body, "/choices/0/finish_reason").map(Piece::Finish));
    pieces.extend(chat_usage(&body));
    pieces.extend(chat_sources(&body));
    Ok(pieces)
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
        pieces.extend(chunk.pointer("/choices/0/delta/content").map(text_of).map(Piece::Text));
        pieces.extend(chat_sources(&chunk));
        let finish = string(&chunk, "/choices/0/finish_reason").map(Piece::Finish);
        // Usage comes with each chunk, but before the last it is not yet that of the answer.
        if finish.is_some() || chunk.pointer("/choices/0").is_none() {
            pieces.extend(chat_usage(&chunk));
        }
        pieces.extend(finish);
        Ok(pieces)
    }
}

fn chat_usage(body: &Value) -> Option<Piece> {
    let usage = body.get("usage").filter(|usage| usage.is_object())?;
    Some(Piece::Usage(RawUsage {
        prompt: number(usage, "/prompt_tokens"),
        completion: number(usage, "/completion_tokens"),
        reasoning: number(usage, "/reasoning_tokens"),
        searches: number(usage, "/num_search_queries"),
        cost_usd: number(usage, "/cost/total_cost"),
        ..RawUsage::default()
    }))
}

/// `search_results` say more than `citations`; either may be missing. The first is what the text calls `[1]`.
fn chat_sources(body: &Value) -> Option<Piece> {
    let list = |name: &str| body.get(name).and_then(Value::as_array).filter(|list| !list.is_empty());
    let list = list("search_results").or_else(|| list("citations"))?;
    // What has no address holds its place all the same, so that the numbers after it stay right.
    Some(Piece::Sources(list.iter().take(MOST_SOURCES).map(|result| page(result).unwrap_or_default()).collect()))
}

fn page(result: &Value) -> Option<WebSource> {
    let url = result.as_str().filter(|url| !url.is_empty()).map(str::to_owned).or_else(|| string(result, "/url"))?;
    Some(WebSource {
        url,
        title: string(result, "/title"),
        date: string(result, "/date").or_else(|| string(result, "/last_updated")),
        snippet: string(result, "/snippet"),
    })
}
