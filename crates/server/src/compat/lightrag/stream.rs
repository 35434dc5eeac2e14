//! `/query/stream`: newline-delimited JSON, written while the engine works.
//!
//! The first line waits for the first piece of the answer unless progress is asked for, so that a failure before it keeps
//! its status; a later one ends the stream with an `error` line that names its kind and nothing of its cause.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt as _};
use lorekeep_engine::{AskEvent, AskStream, Step};
use lorekeep_types::{Answer as Found, AnswerKind, Source};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::context::{Reference, References};
use super::python;
use super::query::{self, Outcome};
use super::refuse::Answer;
use super::request::QueryBody;
use crate::error::failed_in_stream;
use crate::scope::Scope;
use crate::state::Shared;

/// `POST /query/stream`.
pub(super) async fn query_stream(State(app): State<Shared>, mut scope: Scope, request: Request) -> Answer<Response> {
    let body = QueryBody::read(request, app.settings.max_json_bytes).await?;
    if body.only_need_context || body.only_need_prompt || !body.stream {
        let outcome = query::answer(&app, &mut scope, &body).await?;
        return Ok(lines_of(stream::iter(whole_lines(&body, &outcome))));
    }
    let mut events = app.engine().ask_streamed(scope.until(app.settings.answer_timeout), body.ask_request());
    let mut lines = Lines::new(body);
    let mut ready = VecDeque::new();
    if !lines.body.include_progress {
        while let Some(event) = events.next().await {
            let begins = matches!(event, Ok(AskEvent::Text(_) | AskEvent::Done(_)));
            ready.extend(lines.of(event?));
            if begins {
                break;
            }
        }
    }
    Ok(lines_of(running(events, lines, ready, scope)))
}

/// The lines of what is ready, then of what comes. The scope goes along: when the client does, the work ends.
fn running(events: AskStream, lines: Lines, ready: VecDeque<Vec<u8>>, scope: Scope) -> BoxStream<'static, Vec<u8>> {
    let state = (events, lines, ready, scope);
    stream::unfold(state, |(mut events, mut lines, mut ready, scope)| async move {
        loop {
            if let Some(line) = ready.pop_front() {
                return Some((line, (events, lines, ready, scope)));
            }
            match events.next().await? {
                Ok(event) => ready.extend(lines.of(event)),
                Err(error) => {
                    let line = json!({ "error": failed_in_stream(&error, &scope.request_id) });
                    ready.push_back(python::line(&line));
                }
            }
        }
    })
    .boxed()
}

fn lines_of(lines: impl Stream<Item = Vec<u8>> + Send + 'static) -> Response {
    let lines = lines.map(|line| Ok::<_, Infallible>(Bytes::from(line)));
    let mut response = Body::from_stream(lines).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

#[derive(Serialize)]
struct WholeLine<'a> {
    response: &'a str,
    llm_generated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    references: Option<Vec<Value>>,
}

/// The one line of an answer that is not streamed, with the progress around it.
fn whole_lines(body: &QueryBody, outcome: &Outcome) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    if body.include_progress {
        lines.extend(body.progress().iter().map(|step| python::line(&json!({ "progress": step }))));
    }
    lines.push(whole_line(body, outcome));
    if body.include_progress {
        lines.push(python::line(&json!({ "response_time": outcome.took_s })));
    }
    lines
}

fn whole_line(body: &QueryBody, outcome: &Outcome) -> Vec<u8> {
    let references = body.include_references.then(|| rows(body, &outcome.references, &outcome.contents));
    python::line(&WholeLine { response: &outcome.response, llm_generated: outcome.llm_generated, references })
}

fn rows(body: &QueryBody, references: &References, contents: &[Vec<String>]) -> Vec<Value> {
    let rows = references.list.iter().zip(contents);
    rows.map(|(one, texts)| row(one, body.include_chunk_content.then_some(texts))).collect()
}

/// A reference in a stream: without `content` unless it was asked for.
fn row(one: &Reference, content: Option<&Vec<String>>) -> Value {
    let mut row = Map::new();
    row.insert("reference_id".to_owned(), json!(one.reference_id));
    row.insert("file_path".to_owned(), json!(one.file_path));
    if let Some(content) = content {
        row.insert("content".to_owned(), json!(content));
    }
    Value::Object(row)
}

/// Turns steps of an answer into lines.
struct Lines {
    body: QueryBody,
    started: Instant,
    sources: Vec<Source>,
    references: References,
    /// Whether any piece of the answer was sent.
    began: bool,
}

impl Lines {
    fn new(body: QueryBody) -> Self {
        let references = References::of(std::iter::empty());
        Self { body, started: Instant::now(), sources: Vec::new(), references, began: false }
    }

    fn of(&mut self, event: AskEvent) -> Vec<Vec<u8>> {
        match event {
            AskEvent::Step(Step::Understanding) => self.progress(|step| step == "extracting_keywords"),
            AskEvent::Step(Step::Searching) => self.progress(|step| step != "extracting_keywords"),
            AskEvent::Sources(sources) => {
                self.references = References::of(sources.iter().map(|source| source.name.as_str()));
                self.sources = sources;
                Vec::new()
            }
            AskEvent::Writing { .. } => {
                let mut lines = Vec::new();
                if self.body.include_progress {
                    lines.push(python::line(&json!({ "progress": "generating_response" })));
                }
                lines.extend(self.reference_line());
                lines
            }
            AskEvent::Text(text) => {
                self.began = true;
                vec![piece(&query::renumbered(&text, &self.sources, &self.references))]
            }
            AskEvent::Done(answer) => self.end(&answer),
        }
    }

    fn progress(&self, wanted: impl Fn(&str) -> bool) -> Vec<Vec<u8>> {
        let steps = self.body.progress().iter().filter(|step| self.body.include_progress && wanted(step));
        steps.map(|step| python::line(&json!({ "progress": step }))).collect()
    }

    fn reference_line(&self) -> Option<Vec<u8>> {
        let contents = query::contents(&self.references, &self.sources);
        let rows = self.body.include_references.then(|| rows(&self.body, &self.references, &contents))?;
        Some(python::line(&json!({ "references": rows })))
    }

    fn end(&self, answer: &Found) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        if self.began {
            let list = query::list(&self.references);
            lines.extend((!self.references.list.is_empty()).then(|| piece(&list)));
        } else {
            let outcome = query::answered(answer);
            if answer.kind == AnswerKind::Quoted && self.body.include_references {
                let rows = rows(&self.body, &outcome.references, &outcome.contents);
                lines.push(python::line(&json!({ "references": rows })));
                let line = WholeLine { response: &outcome.response, llm_generated: false, references: None };
                lines.push(python::line(&line));
            } else {
                lines.push(whole_line(&self.body, &outcome));
            }
        }
        if self.body.include_progress {
            let took_s = query::seconds(self.started);
            lines.push(python::line(&json!({ "response_time": took_s })));
        }
        lines
    }
}

fn piece(text: &str) -> Vec<u8> {
    python::line(&json!({ "response": text }))
}
