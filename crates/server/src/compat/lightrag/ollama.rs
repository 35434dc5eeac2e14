//! Ollama's surface as LightRAG emulates it: chats that are answered from the documents, for Open WebUI and other clients of
//! Ollama. Only conversions live here: a conversation becomes a question with history, an answer becomes a message.
//!
//! The first word of a message may choose the mode (`/naive …`), ask for the context instead of an answer (`/context …`), or
//! hold wishes for the answer (`/mix[as a table] …`), as in LightRAG.

mod request;

use std::convert::Infallible;
use std::time::Instant;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use lorekeep_engine::{AskEvent, AskStream};
use lorekeep_types::{Answer as Found, AskRequest, Error, Usage};
use serde_json::{Value, json};

use self::request::{Asked, Chat};
use super::context::{self, References};
use super::query;
use super::refuse::Answer;
use crate::dto::rfc3339;
use crate::error::failed_in_stream;
use crate::scope::Scope;
use crate::state::{App, Shared};

/// The only model that there is to choose.
const MODEL: &str = "lightrag:latest";

/// `GET /api/version`: the release of Ollama whose surface this is.
pub(super) async fn version() -> Json<Value> {
    Json(json!({ "version": "0.9.3" }))
}

/// `GET /api/tags`.
pub(super) async fn tags() -> Json<Value> {
    let details = json!({
        "parent_model": "", "format": "gguf", "family": "lightrag", "families": ["lightrag"],
        "parameter_size": "13B", "quantization_level": "Q4_0",
    });
    Json(json!({ "models": [{
        "name": MODEL, "model": MODEL, "modified_at": "2024-01-15T00:00:00Z", "size": 7_365_960_935_u64,
        "digest": "sha256:lightrag", "details": details,
    }] }))
}

/// `GET /api/ps`.
pub(super) async fn ps() -> Json<Value> {
    let details = json!({
        "parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"],
        "parameter_size": "7.2B", "quantization_level": "Q4_0",
    });
    Json(json!({ "models": [{
        "name": MODEL, "model": MODEL, "size": 7_365_960_935_u64, "digest": "sha256:lightrag", "details": details,
        "expires_at": "2050-12-31T14:38:31.83753-07:00", "size_vram": 7_365_960_935_u64,
    }] }))
}

/// `POST /api/generate`: the model alone, without the documents.
pub(super) async fn generate(State(app): State<Shared>, scope: Scope, request: Request) -> Answer<Response> {
    let (asked, streams) = request::generation(request, app.settings.max_json_bytes).await?;
    answered(app, scope, asked, streams, Shape::Generate).await
}

/// `POST /api/chat`.
pub(super) async fn chat(State(app): State<Shared>, mut scope: Scope, request: Request) -> Answer<Response> {
    let chat = Chat::read(request, app.settings.max_json_bytes).await?;
    let streams = chat.stream;
    match chat.asked() {
        Asked::Answer(request) => answered(app, scope, *request, streams, Shape::Chat).await,
        Asked::Context(search) => {
            let (started, limit) = (Instant::now(), app.settings.request_timeout);
            let found = scope.within(limit, async |ctx| app.engine().search(ctx, *search).await).await?;
            let references = context::references(&found);
            let text = context::text(&found, &references, !found.entities.is_empty() || !found.relations.is_empty());
            let writer = Writer::new(&app, Shape::Chat, started);
            let end = writer.end(Usage::NONE, None);
            let lines = vec![writer.piece(&text), end];
            Ok(if streams {
                lines_of(stream::iter(lines))
            } else {
                Json(writer.whole(&text, Usage::NONE, None)).into_response()
            })
        }
    }
}

async fn answered(app: Shared, mut scope: Scope, request: AskRequest, streams: bool, shape: Shape) -> Answer<Response> {
    let started = Instant::now();
    if !streams {
        let limit = app.settings.answer_timeout;
        let found = scope.within(limit, async |ctx| app.engine().ask(ctx, request).await).await?;
        let writer = Writer::new(&app, shape, started);
        let text = query::answered(&found).response;
        return Ok(Json(writer.whole(&text, found.usage, found.first_token_ms)).into_response());
    }
    let mut events = app.engine().ask_streamed(scope.until(app.settings.answer_timeout), request);
    let mut writer = Writer::new(&app, shape, started);
    // A failure before the first piece keeps its status.
    let mut ready = Vec::new();
    while let Some(event) = events.next().await {
        let begins = matches!(event, Ok(AskEvent::Text(_) | AskEvent::Done(_)));
        ready.extend(writer.lines(event?));
        if begins {
            break;
        }
    }
    Ok(lines_of(stream::iter(ready).chain(rest(events, writer, scope))))
}

/// The lines of what comes. The scope goes along: when the client does, the work ends.
fn rest(events: AskStream, writer: Writer, scope: Scope) -> BoxStream<'static, Value> {
    let state = (events, writer, scope);
    let lines = stream::unfold(state, |(mut events, mut writer, scope)| async move {
        let lines = match events.next().await? {
            Ok(event) => writer.lines(event),
            Err(error) => writer.failure(&error, &scope.request_id),
        };
        Some((stream::iter(lines), (events, writer, scope)))
    });
    lines.flatten().boxed()
}

fn lines_of(lines: impl Stream<Item = Value> + Send + 'static) -> Response {
    let lines = lines.map(|line| Ok::<_, Infallible>(Bytes::from(format!("{line}\n"))));
    let mut response = Body::from_stream(lines).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Which of the two kinds of message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Chat,
    Generate,
}

/// Turns an answer into messages.
struct Writer {
    shape: Shape,
    created_at: String,
    started: Instant,
    sources: Vec<lorekeep_types::Source>,
    references: References,
    began: bool,
}

impl Writer {
    fn new(app: &App, shape: Shape, started: Instant) -> Self {
        let references = References::of(std::iter::empty());
        let created_at = rfc3339(app.state.clock.now_ms());
        Self { shape, created_at, started, sources: Vec::new(), references, began: false }
    }

    fn lines(&mut self, event: AskEvent) -> Vec<Value> {
        match event {
            AskEvent::Step(_) | AskEvent::Writing { .. } => Vec::new(),
            AskEvent::Sources(sources) => {
                self.references = References::of(sources.iter().map(|source| source.name.as_str()));
                self.sources = sources;
                Vec::new()
            }
            AskEvent::Text(text) => {
                self.began = true;
                vec![self.piece(&query::renumbered(&text, &self.sources, &self.references))]
            }
            AskEvent::Done(answer) => self.last(&answer),
        }
    }

    fn last(&self, answer: &Found) -> Vec<Value> {
        let text = if !self.began {
            query::answered(answer).response
        } else if self.references.list.is_empty() {
            String::new()
        } else {
            query::list(&self.references)
        };
        let piece = (!text.is_empty()).then(|| self.piece(&text));
        piece.into_iter().chain([self.end(answer.usage, answer.first_token_ms)]).collect()
    }

    fn failure(&self, error: &Error, request_id: &str) -> Vec<Value> {
        let reason = failed_in_stream(error, request_id);
        let mut line = self.piece(&format!("\n\nError: Provider error: {reason}"));
        line["error"] = json!(format!("Provider error: {reason}"));
        vec![line, self.message("", true)]
    }

    fn piece(&self, text: &str) -> Value {
        self.message(text, false)
    }

    fn message(&self, text: &str, done: bool) -> Value {
        let mut message = json!({ "model": MODEL, "created_at": self.created_at, "done": done });
        match self.shape {
            Shape::Chat => message["message"] = json!({ "role": "assistant", "content": text, "images": null }),
            Shape::Generate => message["response"] = json!(text),
        }
        message
    }

    /// The last line, with what it took; times are in nanoseconds.
    fn end(&self, usage: Usage, first_token_ms: Option<f64>) -> Value {
        self.whole("", usage, first_token_ms)
    }

    fn whole(&self, text: &str, usage: Usage, first_token_ms: Option<f64>) -> Value {
        let total = self.started.elapsed().as_nanos();
        let before = (first_token_ms.unwrap_or_default().max(0.0) * 1e6) as u128;
        let mut message = self.message(text, true);
        if self.shape == Shape::Generate {
            message["context"] = json!([]);
        }
        let took = [
            ("done_reason", json!("stop")),
            ("total_duration", nanoseconds(total)),
            ("load_duration", json!(0)),
            ("prompt_eval_count", json!(usage.prompt_tokens)),
            ("prompt_eval_duration", nanoseconds(before.min(total))),
            ("eval_count", json!(usage.completion_tokens)),
            ("eval_duration", nanoseconds(total.saturating_sub(before))),
        ];
        took.into_iter().for_each(|(name, value)| message[name] = value);
        message
    }
}

fn nanoseconds(time: u128) -> Value {
    json!(u64::try_from(time).unwrap_or(u64::MAX))
}
