//! Workspaces as a whole: list, make, remove, archive, rebuild, check.

use std::io;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt as _;
use lorekeep_types::{RequestContext, WorkspaceName};
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::dto;
use crate::error::{ApiResult, problem_of};
use crate::extract::{Args, JsonBody, Segment, too_large};
use crate::routes::documents::disposition;
use crate::routes::openapi::Failures;
use crate::scope::Scope;
use crate::state::Shared;
use crate::streams::{ChannelReader, ChannelWriter, driven};

/// Bytes written to an archive before they are sent on, and pieces under way.
const PIECE: usize = 64 << 10;
const PIECES: usize = 16;

/// Lists workspaces.
#[utoipa::path(get, path = "/v1/workspaces", operation_id = "listWorkspaces", tag = "workspaces",
    responses((status = 200, body = dto::Workspaces), Failures))]
pub(crate) async fn list(State(app): State<Shared>) -> ApiResult<Json<dto::Workspaces>> {
    let workspaces = app.engine().workspaces().await?.into_iter().map(Into::into).collect();
    Ok(Json(dto::Workspaces { workspaces }))
}

/// Makes a workspace.
#[utoipa::path(post, path = "/v1/workspaces", operation_id = "createWorkspace", tag = "workspaces",
    request_body = dto::WorkspaceBody, responses((status = 201, body = dto::Workspace), Failures))]
pub(crate) async fn create(
    State(app): State<Shared>,
    JsonBody(body): JsonBody<dto::WorkspaceBody>,
) -> ApiResult<(StatusCode, Json<dto::Workspace>)> {
    let name = WorkspaceName::parse(&body.name)?;
    app.engine().create_workspace(&name).await?;
    Ok((StatusCode::CREATED, Json(empty(name))))
}

fn empty(name: WorkspaceName) -> dto::Workspace {
    dto::Workspace { name: name.into(), documents: 0, chunks: 0, bytes: 0 }
}

/// Removes a workspace with everything in it.
#[utoipa::path(delete, path = "/v1/workspaces/{name}", operation_id = "deleteWorkspace", tag = "workspaces",
    params(("name" = String, Path, description = "its name")), responses((status = 204), Failures))]
pub(crate) async fn remove(State(app): State<Shared>, Segment(name): Segment) -> ApiResult<StatusCode> {
    app.engine().remove_workspace(&WorkspaceName::parse(&name)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// One archive of a workspace, written while it is in use.
#[utoipa::path(get, path = "/v1/workspaces/{name}/export", operation_id = "exportWorkspace", tag = "workspaces",
    params(("name" = String, Path, description = "its name")),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), Failures))]
pub(crate) async fn export(State(app): State<Shared>, scope: Scope, Segment(name): Segment) -> ApiResult<Response> {
    let ctx = RequestContext { workspace: WorkspaceName::parse(&name)?, ..(*scope).clone() };
    // An unknown workspace is said with a status, before the body begins.
    app.engine().stats(&ctx).await?;
    let (sender, pieces) = mpsc::channel::<io::Result<Bytes>>(PIECES);
    let archive = io::BufWriter::with_capacity(PIECE, ChannelWriter(sender));
    let work = async move {
        let written = app.engine().export(&ctx, Box::new(archive)).await;
        drop(scope);
        written.err().map(|error| Err(io::Error::other(error)))
    };
    let mut response = Body::from_stream(driven(pieces, work)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_DISPOSITION, disposition(&format!("{name}.lorekeep"), false));
    Ok(response)
}

/// Makes a workspace from an archive; nothing is left behind when it fails.
#[utoipa::path(post, path = "/v1/workspaces/{name}/import", operation_id = "importWorkspace", tag = "workspaces",
    params(("name" = String, Path, description = "name of the new workspace")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = dto::Workspace), Failures))]
pub(crate) async fn import(
    State(app): State<Shared>,
    Segment(name): Segment,
    request: Request,
) -> ApiResult<(StatusCode, Json<dto::Workspace>)> {
    let name = WorkspaceName::parse(&name)?;
    let (sender, pieces) = mpsc::channel(PIECES);
    let limit = app.settings.max_upload_bytes;
    let archive = Box::new(ChannelReader::new(pieces));
    let (over, imported) = tokio::join!(pump(request.into_body(), sender, limit), app.engine().import(&name, archive));
    if over {
        return Err(too_large(limit).into());
    }
    imported?;
    let found = app.engine().workspaces().await?.into_iter().find(|workspace| workspace.name == name);
    Ok((StatusCode::CREATED, Json(found.map_or_else(|| empty(name), Into::into))))
}

/// Sends a body's bytes on until it ends, breaks off or passes `limit`; says whether it passed it. The receiver
/// sees an error in the last two cases, so nothing half is taken for whole.
async fn pump(body: Body, sender: mpsc::Sender<io::Result<Bytes>>, limit: usize) -> bool {
    let (mut pieces, mut total) = (body.into_data_stream(), 0_usize);
    while let Some(piece) = pieces.next().await {
        total += piece.as_ref().map_or(0, Bytes::len);
        let over = total > limit;
        let piece = if over { Err(io::Error::other("over the limit")) } else { piece.map_err(io::Error::other) };
        let stop = piece.is_err();
        if sender.send(piece).await.is_err() || stop {
            return over;
        }
    }
    false
}

#[derive(Deserialize)]
pub(crate) struct ReindexArgs {
    #[serde(default)]
    vectors: bool,
}

/// Rebuilds the views of the workspace while the old ones serve; answers one JSON object per line. With `vectors`,
/// accepts a job instead that makes all vectors anew with the model of the role `embed`: follow and cancel it like any
/// other.
#[utoipa::path(post, path = "/v1/reindex", operation_id = "reindex", tag = "workspaces",
    params(("vectors" = Option<bool>, Query, description = "make all vectors anew, as a job")),
    responses((status = 200, content_type = "application/x-ndjson", body = dto::ReindexEvent),
        (status = 202, body = dto::Job), Failures))]
pub(crate) async fn reindex(
    State(app): State<Shared>,
    scope: Scope,
    Args(args): Args<ReindexArgs>,
) -> ApiResult<Response> {
    if args.vectors {
        let job: dto::Job = app.engine().reindex_vectors(&scope).await?.into();
        return Ok((StatusCode::ACCEPTED, Json(job)).into_response());
    }
    app.engine().stats(&scope).await?;
    let (sender, pieces) = mpsc::channel(PIECES);
    let work = async move {
        // A slow reader misses steps of the progress, never the end.
        let progress = move |done, total| drop(sender.try_send(dto::ReindexEvent::Progress { done, total }));
        let result = app.engine().reindex(&scope, progress).await;
        Some(match result {
            Ok(()) => dto::ReindexEvent::Done,
            Err(error) => dto::ReindexEvent::Error { problem: problem_of(&error, &scope.request_id) },
        })
    };
    let lines = driven(pieces, work).map(|event| {
        let line = serde_json::to_string(&event).unwrap_or_default();
        Ok::<_, io::Error>(Bytes::from(line + "\n"))
    });
    let mut response = Body::from_stream(lines).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

/// Compares views and truth.
#[utoipa::path(get, path = "/v1/check", operation_id = "check", tag = "workspaces",
    responses((status = 200, body = dto::Check), Failures))]
pub(crate) async fn check(State(app): State<Shared>, scope: Scope) -> ApiResult<Json<dto::Check>> {
    Ok(Json(app.engine().check(&scope).await?.into()))
}
