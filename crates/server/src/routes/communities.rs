//! Communities of the graph: what groups of entities the documents speak of, and summaries of them.

use axum::Json;
use axum::extract::State;
use lorekeep_types::{Error, Result};
use serde::Deserialize;

use crate::dto;
use crate::dto::set;
use crate::error::ApiResult;
use crate::extract::{Args, JsonBody};
use crate::routes::openapi::Failures;
use crate::scope::Scope;
use crate::state::Shared;

/// Deepest level that can be asked for.
const DEEPEST: u32 = 16;

/// Most communities that are summarised at once.
const MOST_SUMMARISED: usize = 100;

#[derive(Deserialize)]
pub(crate) struct CommunitiesArgs {
    level: Option<u32>,
    limit: Option<usize>,
}

fn level_of(level: Option<u32>) -> Result<u32> {
    let level = level.unwrap_or(0);
    if level > DEEPEST {
        return Err(Error::invalid(format!("`level` is {level}; it must be 0 to {DEEPEST}")));
    }
    Ok(level)
}

/// Groups of entities that relations join closely, the largest first, each with its central entities and the keywords of
/// its relations. Level 0 is of the whole graph; deeper levels split large groups.
#[utoipa::path(get, path = "/v1/graph/communities", operation_id = "listCommunities", tag = "graph",
    params(("level" = Option<u32>, Query, description = "0 to 16; default 0"),
        ("limit" = Option<usize>, Query, description = "communities to return, 1 to 1,000; default 20")),
    responses((status = 200, body = dto::Communities), Failures))]
pub(crate) async fn list(
    State(app): State<Shared>,
    mut scope: Scope,
    Args(args): Args<CommunitiesArgs>,
) -> ApiResult<Json<dto::Communities>> {
    let (level, mut limit) = (level_of(args.level)?, 20);
    set("limit", args.limit, 1..=1_000, &mut limit)?;
    let time = app.settings.request_timeout;
    let found = scope.within(time, async |ctx| app.engine().communities(ctx, level, limit).await).await?;
    Ok(Json(found.into()))
}

/// Has the model of the role `summarize` write a title and a summary of each community. What it wrote before about the same
/// members costs nothing. Summaries go along with written answers in mode `global`.
#[utoipa::path(post, path = "/v1/graph/communities/summaries", operation_id = "summariseCommunities", tag = "graph",
    request_body = dto::SummariesBody, responses((status = 200, body = dto::Communities), Failures))]
pub(crate) async fn summarise(
    State(app): State<Shared>,
    mut scope: Scope,
    JsonBody(body): JsonBody<dto::SummariesBody>,
) -> ApiResult<Json<dto::Communities>> {
    let (level, mut limit) = (level_of(body.level)?, 20);
    set("limit", body.limit, 1..=MOST_SUMMARISED, &mut limit)?;
    let time = app.settings.answer_timeout;
    let found = scope.within(time, async |ctx| app.engine().summarise_communities(ctx, level, limit).await).await?;
    Ok(Json(found.into()))
}
