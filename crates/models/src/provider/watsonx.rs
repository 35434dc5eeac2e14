//! IBM watsonx.ai: chat at `/ml/v1/text/chat`, whole and streamed, and every shape in which its models have been
//! seen to answer. Credentials are those of [`super::iam`].
//!
//! Reference: <https://cloud.ibm.com/apidocs/watsonx-ai#text-chat>, and the types of IBM's own client,
//! <https://ibm.github.io/watsonx-ai-node-sdk/>.

use lorekeep_types::{ChatRequest, ModelFault};
use serde_json::{Value, json};

use super::http::fault_of;
use super::openai::{body, number, parse, string, text_of};
use super::tools;
use super::wire::{ChatWire, Piece, RawUsage, StreamDecoder, WireFault, WireRequest};

/// The version of the API that is asked for unless another is configured.
pub const VERSION: &str = "2025-07-29";

/// Where a message or a delta has been seen to hold its text, in order of preference.
const FIELDS: [&str; 6] = ["content", "text", "generated_text", "output", "assistant", "response"];

/// Where an answer without a message holds it.
const POINTERS: [&str; 5] =
    ["/choices/0/text", "/choices/0/generated_text", "/results/0/generated_text", "/generated_text", "/text"];

/// What calls are accounted to: exactly one of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A project's id.
    Project(String),
    /// A deployment space's id.
    Space(String),
}

impl Scope {
    /// The scope that a configuration means; empty texts count as missing.
    ///
    /// # Errors
    /// A sentence when both or neither is given.
    pub fn new(project: Option<&str>, space: Option<&str>) -> Result<Self, String> {
        let given = |id: Option<&str>| id.map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned);
        match (given(project), given(space)) {
            (Some(project), None) => Ok(Self::Project(project)),
            (None, Some(space)) => Ok(Self::Space(space)),
            (None, None) => Err("watsonx needs the id of a project or of a space".to_owned()),
            (Some(_), Some(_)) => Err("watsonx takes a project or a space, not both".to_owned()),
        }
    }

    /// Adds the field to the body of a request.
    pub fn write(&self, body: &mut Value) {
        let (name, id) = match self {
            Self::Project(id) => ("project_id", id),
            Self::Space(id) => ("space_id", id),
        };
        if let Some(body) = body.as_object_mut() {
            body.insert(name.to_owned(), json!(id));
        }
    }
}

/// The wire. The base address is a region's, e.g. `https://us-south.ml.cloud.ibm.com`, with or without `/ml/v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatsonX {
    /// What calls are accounted to.
    pub scope: Scope,
    /// The version of the API, as `YYYY-MM-DD`; see [`VERSION`].
    pub version: String,
}

impl WatsonX {
    /// The wire in its usual version.
    #[must_use]
    pub fn new(scope: Scope) -> Self {
        Self { scope, version: VERSION.to_owned() }
    }
}

impl ChatWire for WatsonX {
    fn request(&self, model: &str, request: &ChatRequest, streamed: bool) -> Result<WireRequest, WireFault> {
        let mut body = body(model, request)?;
        body.remove("model");
        body.insert("model_id".to_owned(), json!(model));
        if let Some(tokens) = request.max_tokens {
            body.insert("max_tokens".to_owned(), json!(tokens));
        }
        // Said outright, so that no default of a model's own counts.
        body.entry("top_p").or_insert_with(|| json!(1));
        body.extend(["frequency_penalty", "presence_penalty"].map(|name| (name.to_owned(), json!(0))));
        // A choice in a word has a field of its own.
        if let Some(choice) = body.remove("tool_choice") {
            let name = if choice.is_string() { "tool_choice_option" } else { "tool_choice" };
            body.insert(name.to_owned(), choice);
        }
        let messages = body.get_mut("messages").and_then(Value::as_array_mut);
        messages.into_iter().flatten().for_each(in_parts);
        let (operation, accept) =
            if streamed { ("chat_stream", "text/event-stream") } else { ("chat", "application/json") };
        let path = format!("/ml/v1/text/{operation}?version={}", self.version);
        let headers = vec![("accept", accept.to_owned())];
        let mut body = Value::Object(body);
        self.scope.write(&mut body);
        Ok(WireRequest { headers, ..WireRequest::new(path, body) })
    }

    fn answer(&self, _request: &ChatRequest, body: &[u8]) -> Result<Vec<Piece>, WireFault> {
        let body: Value = parse(body)?;
        in_band_error(&body)?;
        if !["choices", "results", "generated_text", "text"].iter().any(|field| body.get(field).is_some()) {
            return Err(WireFault::malformed("the answer has neither choices nor results"));
        }
        let mut pieces = head(&body);
        let text = body.pointer("/choices/0/message").and_then(said);
        let text = text.or_else(|| POINTERS.iter().find_map(|pointer| string(&body, pointer)));
        pieces.extend(text.map(Piece::Text));
        pieces.extend(body.pointer("/choices/0/message").map(tools::pieces).unwrap_or_default());
        pieces.extend(finish(&body)?);
        pieces.extend(usage(&body));
        Ok(pieces)
    }

    fn decoder(&self, _request: &ChatRequest) -> Box<dyn StreamDecoder> {
        Box::new(Items)
    }
}

/// The items of a streamed answer.
struct Items;

impl StreamDecoder for Items {
    fn frame(&mut self, _event: &str, data: &[u8]) -> Result<Vec<Piece>, WireFault> {
        if data.trim_ascii() == b"[DONE]" {
            return Ok(vec![Piece::End]);
        }
        let item: Value = parse(data)?;
        in_band_error(&item)?;
        let mut pieces = head(&item);
        let delta = item.pointer("/choices/0/delta");
        pieces.extend(delta.and_then(said).map(Piece::Text));
        pieces.extend(delta.map(tools::pieces).unwrap_or_default());
        let finish = finish(&item)?;
        // Usage beside a delta is not yet that of the answer, and would make a cut answer look whole.
        if finish.is_some() || item.pointer("/choices/0").is_none() {
            pieces.extend(usage(&item));
        }
        pieces.extend(finish);
        Ok(pieces)
    }
}

/// A user's words are sent as a list of parts.
fn in_parts(message: &mut Value) {
    if message.get("role").and_then(Value::as_str) != Some("user") {
        return;
    }
    if let Some(content) = message.get_mut("content").filter(|content| content.is_string()) {
        *content = json!([{ "type": "text", "text": content.take() }]);
    }
}

/// The text of a message or delta, wherever it is.
fn said(message: &Value) -> Option<String> {
    FIELDS.iter().filter_map(|field| message.get(field)).map(text_of).find(|text| !text.is_empty())
}

fn head(body: &Value) -> Vec<Piece> {
    let model = string(body, "/model_id").or_else(|| string(body, "/model")).map(Piece::Model);
    model.into_iter().chain(string(body, "/id").map(Piece::Id)).collect()
}

/// Why it stopped; `error` is a failure of the service in the middle of an answer.
fn finish(body: &Value) -> Result<Option<Piece>, WireFault> {
    let word = string(body, "/choices/0/finish_reason").or_else(|| string(body, "/results/0/stop_reason"));
    match word.as_deref() {
        Some("error") => Err(WireFault::new(ModelFault::Server, "the service stopped with an error")),
        _ => Ok(word.map(Piece::Finish)),
    }
}

fn usage(body: &Value) -> Option<Piece> {
    let raw = RawUsage {
        prompt: number(body, "/usage/prompt_tokens").or_else(|| number(body, "/results/0/input_token_count")),
        completion: number(body, "/usage/completion_tokens")
            .or_else(|| number(body, "/results/0/generated_token_count")),
        ..RawUsage::default()
    };
    (raw != RawUsage::default()).then_some(Piece::Usage(raw))
}

/// `{trace, status_code, errors[{code, message, more_info}]}` in a body of status 200, or in a stream.
fn in_band_error(body: &Value) -> Result<(), WireFault> {
    let Some(error) = body.pointer("/errors/0") else { return Ok(()) };
    let said = string(error, "/message").unwrap_or_else(|| error.to_string());
    let status = body.get("status_code").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
    let fault = status.filter(|status| *status >= 400).map_or(ModelFault::Server, |status| fault_of(status, None));
    Err(WireFault::new(fault, said))
}
