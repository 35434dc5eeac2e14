//! Questions: one JSON answer, or the same answer as server-sent events.

use std::convert::Infallible;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use futures::stream;
use lorekeep_types::{AskRequest, Result};
use serde::Serialize;

use crate::dto;
use crate::error::{ApiResult, problem_of};
use crate::extract::JsonBody;
use crate::routes::openapi::Failures;
use crate::scope::Scope;
use crate::state::Shared;

/// Answers a question from the documents. With `Accept: text/event-stream` or `"stream": true` the answer comes as
/// events: `stage`, `citation` (each), `answer` (pieces of the text), then `done` with the whole answer, or `error`.
#[utoipa::path(post, path = "/v1/ask", operation_id = "ask", tag = "answers", request_body = dto::AskBody,
    responses((status = 200, content((dto::Answer = "application/json"), (dto::Stage = "text/event-stream"))), Failures))]
pub(crate) async fn ask(
    State(app): State<Shared>,
    mut scope: Scope,
    headers: HeaderMap,
    JsonBody(body): JsonBody<dto::AskBody>,
) -> ApiResult<Response> {
    let streamed = body.stream || accepts_events(&headers);
    let request = AskRequest::try_from(body)?;
    if streamed {
        return Ok(events(app, scope, request));
    }
    let limit = app.settings.request_timeout;
    let answer = scope.within(limit, async |ctx| app.engine().ask(ctx, request).await).await?;
    Ok(Json(dto::Answer::from(answer)).into_response())
}

fn accepts_events(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|kind| kind.trim().starts_with("text/event-stream"))
}

fn events(app: Shared, mut scope: Scope, request: AskRequest) -> Response {
    let keep_alive = app.settings.keep_alive;
    let first = event("stage", &dto::Stage { stage: "searching".to_owned() });
    let rest = stream::once(async move {
        let limit = app.settings.request_timeout;
        let answer = scope.within(limit, async |ctx| app.engine().ask(ctx, request).await).await;
        stream::iter(pieces(answer, &scope.request_id))
    });
    let events = stream::iter([first]).chain(rest.flatten()).map(Ok::<_, Infallible>);
    Sse::new(events).keep_alive(KeepAlive::new().interval(keep_alive)).into_response()
}

#[derive(Serialize)]
struct Piece<'a> {
    text: &'a str,
}

fn pieces(answer: Result<lorekeep_types::Answer>, request_id: &str) -> Vec<Event> {
    let answer = match answer {
        Ok(answer) => dto::Answer::from(answer),
        Err(error) => {
            let (code, hint) = (error.code(), error.remedy().map(str::to_owned));
            let problem = problem_of(code, code.http_status(), error.message(), hint, request_id.to_owned());
            return vec![event("error", &problem)];
        }
    };
    let mut events = vec![event("stage", &dto::Stage { stage: "answering".to_owned() })];
    events.extend(answer.citations.iter().map(|citation| event("citation", citation)));
    // A quoted answer is whole when it is found; it is sent sentence by sentence, each with its number.
    events.extend(answer.answer.split_inclusive("] ").map(|text| event("answer", &Piece { text })));
    events.push(event("done", &answer));
    events
}

fn event(name: &str, data: &impl Serialize) -> Event {
    Event::default().event(name).data(serde_json::to_string(data).unwrap_or_default())
}
