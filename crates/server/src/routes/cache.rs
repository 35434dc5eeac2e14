//! What is kept of model calls.

use axum::Json;
use axum::extract::State;
use lorekeep_types::CacheKind;
use serde::Deserialize;

use crate::dto;
use crate::error::ApiResult;
use crate::extract::Args;
use crate::routes::openapi::Failures;
use crate::scope::Scope;
use crate::state::Shared;

#[derive(Deserialize)]
pub(crate) struct ForgetArgs {
    kind: Option<String>,
    #[serde(default)]
    all: bool,
}

/// How much is kept of model calls, over all workspaces.
#[utoipa::path(get, path = "/v1/cache", operation_id = "getCache", tag = "models",
    responses((status = 200, body = dto::Cache), Failures))]
pub(crate) async fn show(State(app): State<Shared>, scope: Scope) -> ApiResult<Json<dto::Cache>> {
    Ok(Json(app.engine().cached(&scope).await?.into()))
}

/// Forgets results of model calls of the workspace; what is asked for again costs again.
#[utoipa::path(delete, path = "/v1/cache", operation_id = "clearCache", tag = "models",
    params(("kind" = Option<String>, Query, description = "only these: `extraction`, `summary`, `keywords`, `translation`, `embedding` or `answer`"),
        ("all" = Option<bool>, Query, description = "of every workspace")),
    responses((status = 200, body = dto::Forgotten), Failures))]
pub(crate) async fn forget(
    State(app): State<Shared>,
    scope: Scope,
    Args(args): Args<ForgetArgs>,
) -> ApiResult<Json<dto::Forgotten>> {
    let kind = args.kind.as_deref().map(CacheKind::parse).transpose()?;
    let forgotten = app.engine().forget_cached(&scope, kind, args.all).await?;
    Ok(Json(dto::Forgotten { forgotten }))
}
