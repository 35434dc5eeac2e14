//! `/query`, `/query/stream` and `/query/data`.

use std::time::Instant;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream;
use lorekeep_types::{Answer as Found, AnswerKind, AskRequest, Mode, Retrieval, SearchRequest};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::context::{self, Reference, References};
use super::data;
use super::refuse::{Answer, Fault, Refusal};
use super::request::QueryBody;
use super::{prompt, python};
use crate::scope::Scope;
use crate::state::{App, Shared};

/// A reference in `/query`: `content` is always there, `null` unless asked for.
#[derive(Serialize)]
struct ReferenceWithContent {
    reference_id: String,
    file_path: String,
    content: Option<Vec<String>>,
}

/// What any of the routes answers from.
struct Outcome {
    response: String,
    references: References,
    /// Texts per reference, for `include_chunk_content`.
    contents: Vec<Vec<String>>,
    llm_generated: bool,
    took_s: f64,
}

/// `POST /query`.
pub(super) async fn query(State(app): State<Shared>, mut scope: Scope, request: Request) -> Answer<Response> {
    let body = QueryBody::read(request, app.settings.max_json_bytes).await?;
    let outcome = answer(&app, &mut scope, &body).await?;
    let references = body.include_references.then(|| {
        let rows = outcome.references.list.into_iter().zip(outcome.contents);
        rows.map(|(one, texts)| with_content(one, body.include_chunk_content.then_some(texts))).collect::<Vec<_>>()
    });
    let answer = json!({
        "response": outcome.response,
        "references": references,
        "response_time": outcome.took_s,
        "llm_generated": outcome.llm_generated,
    });
    Ok(Json(answer).into_response())
}

fn with_content(one: Reference, content: Option<Vec<String>>) -> ReferenceWithContent {
    ReferenceWithContent { reference_id: one.reference_id, file_path: one.file_path, content }
}

async fn answer(app: &App, scope: &mut Scope, body: &QueryBody) -> Answer<Outcome> {
    let started = Instant::now();
    let mut outcome = if body.only_need_context || body.only_need_prompt {
        let (request, limit) = (body.search_request(), app.settings.request_timeout);
        let found = scope.within(limit, async |ctx| app.engine().search(ctx, request).await).await?;
        debugged(body, &found)
    } else {
        let request = AskRequest { search: body.search_request(), history: body.history(), ..AskRequest::new("") };
        let limit = app.settings.answer_timeout;
        let found = scope.within(limit, async |ctx| app.engine().ask(ctx, request).await).await?;
        answered(&found)
    };
    outcome.took_s = (started.elapsed().as_secs_f64() * 1e3).round() / 1e3;
    Ok(outcome)
}

/// The context, or the prompt made of it, instead of an answer.
fn debugged(body: &QueryBody, found: &Retrieval) -> Outcome {
    let references = context::references(found);
    let text = context::text(found, &references, body.mode != Mode::Naive);
    let contents = references.list.iter().map(|one| {
        let of_document = found.passages.iter().filter(|passage| passage.chunk.document_name == one.file_path);
        of_document.map(|passage| passage.chunk.chunk.text.clone()).collect()
    });
    let contents =
        if body.include_chunk_content { contents.collect() } else { vec![Vec::new(); references.list.len()] };
    let response = if body.only_need_prompt { prompt::text(body, &text) } else { text };
    Outcome { response, references, contents, llm_generated: false, took_s: 0.0 }
}

/// An answer with its documents numbered as references.
fn answered(found: &Found) -> Outcome {
    let cited = if found.kind == AnswerKind::Abstained { &[][..] } else { &found.citations };
    let references = References::of(cited.iter().map(|citation| citation.name.as_str()));
    let contents = references.list.iter().map(|one| {
        cited.iter().filter(|citation| citation.name == one.file_path).map(|citation| citation.quote.clone()).collect()
    });
    let contents = contents.collect();
    let response = match found.kind {
        AnswerKind::Quoted => quoted(found, &references),
        AnswerKind::Generated => renumbered(found, &references),
        AnswerKind::Abstained => found.answer.clone(),
    };
    Outcome { response, references, contents, llm_generated: found.kind == AnswerKind::Generated, took_s: 0.0 }
}

/// The quoted sentences, each with the number of its document, and the list of references at the end.
fn quoted(found: &Found, references: &References) -> String {
    let sentences =
        found.citations.iter().map(|one| format!("{} [{}]", one.quote.trim(), references.number(&one.name)));
    sentences.collect::<Vec<_>>().join("\n\n") + &list(references)
}

/// A written answer cites passages; on this surface a number is that of a document. The engine leaves no number that
/// is none of its citations.
fn renumbered(found: &Found, references: &References) -> String {
    let mut text = found.answer.clone();
    // In two steps, so that a number that was put in is not taken for one to replace.
    for citation in &found.citations {
        text = text.replace(&format!("[{}]", citation.n), &format!("[\u{1}{}]", references.number(&citation.name)));
    }
    let text = text.replace('\u{1}', "");
    if references.list.is_empty() { text } else { text + &list(references) }
}

fn list(references: &References) -> String {
    let rows = references.list.iter().map(|one| format!("\n- [{}] {}", one.reference_id, one.file_path));
    std::iter::once("\n\n### References\n".to_owned()).chain(rows).collect()
}

/// `POST /query/stream`: newline-delimited JSON.
pub(super) async fn query_stream(State(app): State<Shared>, mut scope: Scope, request: Request) -> Answer<Response> {
    let body = QueryBody::read(request, app.settings.max_json_bytes).await?;
    // The answer is known before the first line, so a failure keeps its status instead of ending a stream of 200.
    let outcome = answer(&app, &mut scope, &body).await?;
    let lines = stream_lines(&body, outcome);
    let lines = stream::iter(lines).map(|line| Ok::<_, std::convert::Infallible>(Bytes::from(line)));
    let mut response = Body::from_stream(lines).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

#[derive(Serialize)]
struct WholeLine<'a> {
    response: &'a str,
    llm_generated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    references: Option<Vec<Value>>,
}

fn stream_lines(body: &QueryBody, outcome: Outcome) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    if body.include_progress {
        lines.extend(body.progress().iter().map(|step| python::line(&json!({ "progress": step }))));
    }
    let references = body.include_references.then(|| {
        let rows = outcome.references.list.iter().zip(&outcome.contents);
        rows.map(|(one, texts)| stream_reference(one, body.include_chunk_content.then_some(texts))).collect::<Vec<_>>()
    });
    let debug = body.only_need_context || body.only_need_prompt;
    if debug || !body.stream {
        let line = WholeLine { response: &outcome.response, llm_generated: outcome.llm_generated, references };
        lines.push(python::line(&line));
    } else {
        if let Some(references) = references {
            lines.push(python::line(&json!({ "references": references })));
        }
        let line = WholeLine { response: &outcome.response, llm_generated: outcome.llm_generated, references: None };
        lines.push(python::line(&line));
    }
    if body.include_progress {
        lines.push(python::line(&json!({ "response_time": outcome.took_s })));
    }
    lines
}

/// A reference in a stream: without `content` unless it was asked for.
fn stream_reference(one: &Reference, content: Option<&Vec<String>>) -> Value {
    let mut row = Map::new();
    row.insert("reference_id".to_owned(), json!(one.reference_id));
    row.insert("file_path".to_owned(), json!(one.file_path));
    if let Some(content) = content {
        row.insert("content".to_owned(), json!(content));
    }
    Value::Object(row)
}

/// `POST /query/data`: what was retrieved, as data. Validation faults are 400 here, and here only.
pub(super) async fn query_data(State(app): State<Shared>, mut scope: Scope, request: Request) -> Answer<Response> {
    let body = match QueryBody::read(request, app.settings.max_json_bytes).await {
        Ok(body) => body,
        Err(Refusal::Invalid(faults)) => return Ok(invalid(&faults)),
        Err(other) => return Err(other),
    };
    if body.mode == Mode::Bypass {
        return Ok(Json(data::bypass()).into_response());
    }
    let request: SearchRequest = body.search_request();
    let limit = app.settings.request_timeout;
    let found = scope.within(limit, async |ctx| app.engine().search(ctx, request).await).await?;
    Ok(Json(data::of(&body, &found)).into_response())
}

fn invalid(faults: &[Fault]) -> Response {
    let lines: Vec<String> = faults.iter().map(Fault::line).collect();
    let message = format!("Validation error: {}", lines.join("; "));
    let body = json!({ "status": "failure", "message": message, "data": {}, "metadata": {} });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}
