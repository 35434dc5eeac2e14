//! `POST /v1/chat/completions` in OpenAI's shape, whole and streamed.
//!
//! Reference: <https://platform.openai.com/docs/api-reference/chat>.

use std::convert::Infallible;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt as _, stream};
use lorekeep_types::{
    ChatEvent, ChatMessage, ChatRequest, ChatRole, ChatStream, FinishReason, ModelError, OutputFormat,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::generate::{empty, limits, whole};
use super::refuse::{Refusal, Shape};
use super::{MOST_BODY, ModelServer};
use crate::extract;

/// Most texts that may end an answer.
const MOST_STOPS: usize = 16;

#[derive(Debug, Deserialize)]
pub(super) struct Body {
    messages: Vec<Message>,
    max_tokens: Option<u32>,
    max_completion_tokens: Option<u32>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    seed: Option<i64>,
    stop: Option<OneOrMany>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: StreamOptions,
    n: Option<u32>,
    #[serde(default)]
    tools: Vec<Value>,
    #[serde(default)]
    response_format: Value,
}

#[derive(Debug, Default, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Debug, Deserialize)]
struct Message {
    role: String,
    content: Content,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
}

/// A text or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    /// As a list.
    pub(super) fn many(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
    }
}

/// The handler.
pub(super) async fn complete(State(server): State<ModelServer>, request: Request) -> Result<Response, Refusal> {
    let body: Body = extract::json(request, MOST_BODY).await.map_err(|error| Refusal::of(Shape::OpenAi, &error))?;
    let (streamed, with_usage) = (body.stream, body.stream_options.include_usage);
    let asked = asked(body)?;
    let model = server.chat(Shape::OpenAi)?;
    let failed = |error: ModelError| Refusal::failed(Shape::OpenAi, &error);
    let events = model.stream(&server.call(), &asked).await.map_err(failed)?;
    let head =
        Head { id: format!("chatcmpl-{}", server.ids.next()), created: server.created(), model: model.figures().name };
    if streamed {
        let chunks = chunks(events, head, with_usage).map(Ok::<_, Infallible>);
        return Ok(Sse::new(chunks).keep_alive(KeepAlive::default()).into_response());
    }
    let (text, finish, usage) = whole(events).await.map_err(failed)?;
    let choice = json!({
        "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": finish_name(&finish),
    });
    Ok(Json(json!({
        "id": head.id, "object": "chat.completion", "created": head.created, "model": head.model,
        "choices": [choice], "usage": usage_of(usage),
    }))
    .into_response())
}

fn asked(body: Body) -> Result<ChatRequest, Refusal> {
    let invalid = |message: &str| Err(Refusal::invalid(Shape::OpenAi, message));
    if body.messages.is_empty() {
        return invalid("`messages` is empty");
    }
    if body.n.is_some_and(|n| n != 1) {
        return invalid("only one answer at a time (`n` = 1) is written");
    }
    if !body.tools.is_empty() {
        return invalid("the model calls no tools");
    }
    let output = match body.response_format["type"].as_str() {
        None | Some("text") => OutputFormat::Text,
        Some("json_object") => OutputFormat::Json,
        Some(_) => return invalid("the model keeps to no schema; `response_format` may be `text` or `json_object`"),
    };
    let stop = body.stop.map(OneOrMany::many).unwrap_or_default();
    if stop.len() > MOST_STOPS {
        return invalid("`stop` holds too many texts");
    }
    let messages = body.messages.into_iter().map(message).collect::<Result<_, _>>()?;
    let limits = limits(Shape::OpenAi, body.max_completion_tokens.or(body.max_tokens), body.temperature, body.top_p)?;
    Ok(ChatRequest { messages, stop, output, seed: body.seed.map(i64::cast_unsigned), ..limits })
}

fn message(message: Message) -> Result<ChatMessage, Refusal> {
    let role = match message.role.as_str() {
        "system" | "developer" => ChatRole::System,
        "user" => ChatRole::User,
        "assistant" => ChatRole::Assistant,
        other => return Err(Refusal::invalid(Shape::OpenAi, format!("messages of the role `{other}` are not read"))),
    };
    let text = match message.content {
        Content::Text(text) => text,
        Content::Parts(parts) => {
            let mut texts = Vec::with_capacity(parts.len());
            for part in parts {
                match part.text {
                    Some(text) if part.kind == "text" => texts.push(text),
                    _ => return Err(Refusal::invalid(Shape::OpenAi, "the model reads text only")),
                }
            }
            texts.join("\n")
        }
    };
    Ok(ChatMessage::text(role, text))
}

/// What all chunks of an answer carry.
#[derive(Clone, Debug)]
struct Head {
    id: String,
    created: i64,
    model: String,
}

impl Head {
    fn chunk(&self, choices: Value, usage: Option<[u64; 2]>) -> Event {
        let mut chunk = json!({
            "id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model,
            "choices": choices,
        });
        if let Some(usage) = usage {
            chunk["usage"] = usage_of(usage);
        }
        Event::default().data(chunk.to_string())
    }

    fn piece(&self, delta: Value, finish: Option<&str>) -> Event {
        self.chunk(json!([{ "index": 0, "delta": delta, "finish_reason": finish }]), None)
    }
}

/// The events of a streamed answer, the mark of its end included.
fn chunks(events: ChatStream, head: Head, with_usage: bool) -> impl Stream<Item = Event> + Send {
    let first = head.piece(json!({ "role": "assistant", "content": "" }), None);
    let rest = events.flat_map(move |event| stream::iter(chunk(event, &head, with_usage)));
    stream::iter([first]).chain(rest)
}

fn chunk(event: Result<ChatEvent, ModelError>, head: &Head, with_usage: bool) -> Vec<Event> {
    let (finish, usage) = match event {
        Ok(ChatEvent::Text(text)) => return vec![head.piece(json!({ "content": text }), None)],
        Ok(ChatEvent::Done(done)) => (done.finish, [done.usage.prompt, done.usage.completion]),
        Err(error) => match empty(&error) {
            Some(end) => end,
            // The status was sent long ago: the failure comes in the stream, and no mark of an end follows it.
            None => return vec![Event::default().data(Refusal::failed(Shape::OpenAi, &error).body().to_string())],
        },
    };
    let mut last = vec![head.piece(json!({}), Some(finish_name(&finish)))];
    if with_usage {
        last.push(head.chunk(json!([]), Some(usage)));
    }
    last.push(Event::default().data("[DONE]"));
    last
}

fn finish_name(finish: &FinishReason) -> &str {
    match finish {
        FinishReason::Length => "length",
        _ => "stop",
    }
}

fn usage_of([prompt, completion]: [u64; 2]) -> Value {
    json!({ "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion })
}
