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
use lorekeep_engine::AskEvent;
use lorekeep_types::{AnswerKind, AskRequest, Result};
use serde::Serialize;

use crate::dto;
use crate::error::{ApiResult, problem_of};
use crate::extract::JsonBody;
use crate::routes::openapi::Failures;
use crate::scope::Scope;
use crate::state::Shared;

/// Answers a question from the documents. With `Accept: text/event-stream` or `"stream": true` the answer comes as
/// events: `stage`, `citation` (each), `answer` (pieces of the text), then `done` with the whole answer, or `error`. An
/// answer that a model writes sends the passages that it is written from first (`sources`), its pieces as they come, and
/// its citations after them. The text of `done` is the one that counts.
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
    let limit = app.settings.answer_timeout;
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
        let steps = app.engine().ask_streamed(scope.until(app.settings.answer_timeout), request);
        let mut shown = false;
        // The scope goes along: when the client does, what still runs is told to stop.
        steps.flat_map(move |step| stream::iter(pieces(step, &mut shown, &scope.request_id)))
    });
    let events = stream::iter([first]).chain(rest.flatten()).map(Ok::<_, Infallible>);
    Sse::new(events).keep_alive(KeepAlive::new().interval(keep_alive)).into_response()
}

#[derive(Serialize)]
struct Piece<'a> {
    text: &'a str,
}

/// The events of a step; `shown` says whether pieces of the text were sent.
fn pieces(step: Result<AskEvent>, shown: &mut bool, request_id: &str) -> Vec<Event> {
    let stage = |name: &str| event("stage", &dto::Stage { stage: name.to_owned() });
    match step {
        Ok(AskEvent::Writing { .. }) => vec![stage("writing")],
        Ok(AskEvent::Step(_)) => Vec::new(),
        Ok(AskEvent::Sources(sources)) => {
            vec![event("sources", &dto::Sources { sources: sources.into_iter().map(Into::into).collect() })]
        }
        Ok(AskEvent::Text(text)) => {
            *shown = true;
            vec![event("answer", &Piece { text: &text })]
        }
        Ok(AskEvent::Done(answer)) => {
            let written = answer.kind == AnswerKind::Generated;
            let answer = dto::Answer::from(*answer);
            let mut events = if written { Vec::new() } else { vec![stage("answering")] };
            let text = if *shown { "" } else { answer.answer.as_str() };
            let citations = answer.citations.iter().map(|citation| event("citation", citation));
            if written {
                // One that is kept from before is whole already.
                events.extend((!text.is_empty()).then(|| event("answer", &Piece { text })));
                events.extend(citations);
            } else {
                events.extend(citations);
                // A quoted answer is whole when it is found; it is sent sentence by sentence, each with its number.
                events.extend(text.split_inclusive("] ").map(|text| event("answer", &Piece { text })));
            }
            events.push(event("done", &answer));
            events
        }
        Err(error) => vec![event("error", &problem_of(&error, request_id))],
    }
}

fn event(name: &str, data: &impl Serialize) -> Event {
    Event::default().event(name).data(serde_json::to_string(data).unwrap_or_default())
}
