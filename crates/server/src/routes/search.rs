//! Searches: passages with scores and reasons.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use lorekeep_types::SearchRequest;

use crate::dto;
use crate::error::ApiResult;
use crate::extract::JsonBody;
use crate::routes::openapi::Failures;
use crate::scope::Scope;
use crate::state::Shared;

/// Finds passages, each with its score and the reasons for it.
#[utoipa::path(post, path = "/v1/search", operation_id = "search", tag = "answers", request_body = dto::SearchBody,
    responses((status = 200, body = dto::SearchResults), Failures))]
pub(crate) async fn search(
    State(app): State<Shared>,
    mut scope: Scope,
    JsonBody(body): JsonBody<dto::SearchBody>,
) -> ApiResult<Json<dto::SearchResults>> {
    let request = SearchRequest::try_from(body)?;
    let (query, mode, started) = (request.query.clone(), request.mode, Instant::now());
    let limit = app.settings.request_timeout;
    let found = scope.within(limit, async |ctx| app.engine().search(ctx, request).await).await?;
    let took_ms = started.elapsed().as_secs_f64() * 1e3;
    Ok(Json(dto::SearchResults::new(query, mode, took_ms, found)))
}
