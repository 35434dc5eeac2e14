//! Jobs: list, look at, cancel. Following them is in `events`.

use axum::Json;
use axum::extract::State;
use lorekeep_types::{Error, JobId, JobState, Result};
use serde::Deserialize;

use crate::dto;
use crate::error::ApiResult;
use crate::extract::{self, Args, Segment, Window};
use crate::routes::openapi::Failures;
use crate::scope::Scope;
use crate::state::Shared;

#[derive(Deserialize)]
pub(crate) struct ListArgs {
    state: Option<String>,
    offset: Option<usize>,
    limit: Option<usize>,
}

/// Lists jobs, newest first.
#[utoipa::path(get, path = "/v1/jobs", operation_id = "listJobs", tag = "jobs",
    params(("state" = Option<String>, Query, description = "`queued`, `running`, `done` or `cancelled`"),
        ("offset" = Option<usize>, Query, description = "jobs to skip"),
        ("limit" = Option<usize>, Query, description = "jobs to return, 1 to 1,000; default 50")),
    responses((status = 200, body = dto::Jobs), Failures))]
pub(crate) async fn list(
    State(app): State<Shared>,
    scope: Scope,
    Args(args): Args<ListArgs>,
) -> ApiResult<Json<dto::Jobs>> {
    let state = args.state.as_deref().map(state_of).transpose()?;
    let jobs = app.engine().jobs(&scope, state, extract::page(args.offset, args.limit)?).await?;
    Ok(Json(dto::Jobs { jobs: jobs.into_iter().map(Into::into).collect() }))
}

fn state_of(name: &str) -> Result<JobState> {
    match name {
        "queued" => Ok(JobState::Queued),
        "running" => Ok(JobState::Running),
        "done" => Ok(JobState::Done),
        "cancelled" => Ok(JobState::Cancelled),
        _ => Err(Error::invalid(format!("`{name}` is not a state of a job"))
            .hint("use one of queued, running, done, cancelled")),
    }
}

/// One job. It is `done` only when queries see all of its documents.
#[utoipa::path(get, path = "/v1/jobs/{id}", operation_id = "getJob", tag = "jobs",
    params(("id" = String, Path, description = "the job's id")),
    responses((status = 200, body = dto::Job), Failures))]
pub(crate) async fn show(State(app): State<Shared>, scope: Scope, Segment(id): Segment) -> ApiResult<Json<dto::Job>> {
    Ok(Json(app.engine().job(&scope, &JobId::parse(&id)?).await?.into()))
}

/// Documents of a job, in the order they were added.
#[utoipa::path(get, path = "/v1/jobs/{id}/items", operation_id = "listJobItems", tag = "jobs",
    params(("id" = String, Path, description = "the job's id"),
        ("offset" = Option<usize>, Query, description = "items to skip"),
        ("limit" = Option<usize>, Query, description = "items to return, 1 to 1,000; default 50")),
    responses((status = 200, body = dto::JobItems), Failures))]
pub(crate) async fn items(
    State(app): State<Shared>,
    scope: Scope,
    Segment(id): Segment,
    Args(window): Args<Window>,
) -> ApiResult<Json<dto::JobItems>> {
    let items = app.engine().job_items(&scope, &JobId::parse(&id)?, window.page()?).await?;
    Ok(Json(dto::JobItems { items: items.into_iter().map(Into::into).collect() }))
}

/// Cancels a job within two seconds; documents that were already indexed stay.
#[utoipa::path(post, path = "/v1/jobs/{id}/cancel", operation_id = "cancelJob", tag = "jobs",
    params(("id" = String, Path, description = "the job's id")),
    responses((status = 200, body = dto::Cancelled), Failures))]
pub(crate) async fn cancel(
    State(app): State<Shared>,
    scope: Scope,
    Segment(id): Segment,
) -> ApiResult<Json<dto::Cancelled>> {
    let cancelled = app.engine().cancel_job(&scope, &JobId::parse(&id)?).await?;
    Ok(Json(dto::Cancelled { cancelled }))
}
