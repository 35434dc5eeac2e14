//! `/query` and `/query/data`; what both and `/query/stream` make of an answer.

use std::time::Instant;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lorekeep_types::{Answer as Found, AnswerKind, Mode, Retrieval, SearchRequest, Source};
use serde::Serialize;
use serde_json::json;

use super::context::{self, Reference, References};
use super::data;
use super::prompt;
use super::refuse::{Answer, Fault, Refusal};
use super::request::QueryBody;
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
pub(super) struct Outcome {
    pub(super) response: String,
    pub(super) references: References,
    /// Texts per reference, for `include_chunk_content`.
    pub(super) contents: Vec<Vec<String>>,
    pub(super) llm_generated: bool,
    pub(super) took_s: f64,
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

pub(super) async fn answer(app: &App, scope: &mut Scope, body: &QueryBody) -> Answer<Outcome> {
    let started = Instant::now();
    let mut outcome = if body.only_need_context || body.only_need_prompt {
        let (request, limit) = (body.search_request(), app.settings.request_timeout);
        let found = scope.within(limit, async |ctx| app.engine().search(ctx, request).await).await?;
        debugged(body, &found)
    } else {
        let (request, limit) = (body.ask_request(), app.settings.answer_timeout);
        let found = scope.within(limit, async |ctx| app.engine().ask(ctx, request).await).await?;
        answered(&found)
    };
    outcome.took_s = seconds(started);
    Ok(outcome)
}

/// Seconds since, to the millisecond.
pub(super) fn seconds(started: Instant) -> f64 {
    (started.elapsed().as_secs_f64() * 1e3).round() / 1e3
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

/// An answer with its documents numbered as references: of a written one all that the model was given, of quotes those
/// quoted.
pub(super) fn answered(found: &Found) -> Outcome {
    let (references, contents) = match found.kind {
        AnswerKind::Generated => {
            let references = References::of(found.sources.iter().map(|source| source.name.as_str()));
            let contents = contents(&references, &found.sources);
            (references, contents)
        }
        AnswerKind::Quoted => {
            let cited = &found.citations;
            let references = References::of(cited.iter().map(|citation| citation.name.as_str()));
            let quotes = |one: &Reference| {
                let of_document = cited.iter().filter(|citation| citation.name == one.file_path);
                of_document.map(|citation| citation.quote.clone()).collect()
            };
            let contents = references.list.iter().map(quotes).collect();
            (references, contents)
        }
        AnswerKind::Abstained => (References::of(std::iter::empty()), Vec::new()),
    };
    let response = match found.kind {
        AnswerKind::Quoted => quoted(found, &references),
        AnswerKind::Generated if references.list.is_empty() => found.answer.clone(),
        AnswerKind::Generated => renumbered(&found.answer, &found.sources, &references) + &list(&references),
        AnswerKind::Abstained => found.answer.clone(),
    };
    Outcome { response, references, contents, llm_generated: found.kind == AnswerKind::Generated, took_s: 0.0 }
}

/// Texts of the passages of each reference.
pub(super) fn contents(references: &References, sources: &[Source]) -> Vec<Vec<String>> {
    let texts = |one: &Reference| {
        let of_document = sources.iter().filter(|source| source.name == one.file_path);
        of_document.map(|source| source.text.clone()).collect()
    };
    references.list.iter().map(texts).collect()
}

/// The quoted sentences, each with the number of its document, and the list of references at the end.
fn quoted(found: &Found, references: &References) -> String {
    let sentences =
        found.citations.iter().map(|one| format!("{} [{}]", one.quote.trim(), references.number(&one.name)));
    sentences.collect::<Vec<_>>().join("\n\n") + &list(references)
}

/// A written answer cites passages; on this surface a number is that of a document. The engine leaves no number that
/// is none of its sources.
pub(super) fn renumbered(text: &str, sources: &[Source], references: &References) -> String {
    let mut text = text.to_owned();
    // In two steps, so that a number that was put in is not taken for one to replace.
    for source in sources {
        text = text.replace(&format!("[{}]", source.n), &format!("[\u{1}{}]", references.number(&source.name)));
    }
    text.replace('\u{1}', "")
}

/// The list of references that ends an answer.
pub(super) fn list(references: &References) -> String {
    let rows = references.list.iter().map(|one| format!("\n- [{}] {}", one.reference_id, one.file_path));
    std::iter::once("\n\n### References\n".to_owned()).chain(rows).collect()
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
