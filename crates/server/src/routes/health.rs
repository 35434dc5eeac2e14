//! Whether the process lives, whether it is ready, which build it is, what it can read.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::dto;
use crate::state::Shared;

/// The process lives.
#[utoipa::path(get, path = "/livez", operation_id = "livez", tag = "server",
    responses((status = 200, body = Object, example = json!({"status": "ok"}))))]
pub(crate) async fn livez() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// Whether requests are served: 200 when ready, 503 while starting or stopping or when a check fails.
#[utoipa::path(get, path = "/readyz", operation_id = "readyz", tag = "server",
    responses((status = 200, body = dto::Health), (status = 503, body = dto::Health)))]
pub(crate) async fn readyz(State(app): State<Shared>) -> (StatusCode, Json<dto::Health>) {
    let started = Instant::now();
    let found = app.engine().workspaces().await;
    let took_ms = started.elapsed().as_secs_f64() * 1e3;
    let (ok, detail) = match found {
        Ok(workspaces) => (true, format!("{} workspaces", workspaces.len())),
        Err(error) => (false, error.to_string()),
    };
    let status = match app.state.readiness.name() {
        "ready" if !ok => "degraded",
        stage => stage,
    };
    let code = if status == "ready" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let check = dto::HealthCheck { name: "store".to_owned(), ok, detail, took_ms };
    (code, Json(dto::Health { status: status.to_owned(), checks: vec![check] }))
}

/// Which build this is.
#[utoipa::path(get, path = "/version", operation_id = "version", tag = "server",
    responses((status = 200, body = dto::Version)))]
pub(crate) async fn version(State(app): State<Shared>) -> Json<dto::Version> {
    let build = app.state.build;
    Json(dto::Version {
        name: "lorekeep".to_owned(),
        version: build.version.to_owned(),
        commit: build.commit.map(str::to_owned),
        api: "v1".to_owned(),
    })
}

/// The formats that can be read.
#[utoipa::path(get, path = "/v1/formats", operation_id = "listFormats", tag = "server",
    responses((status = 200, body = dto::Formats)))]
pub(crate) async fn formats(State(app): State<Shared>) -> Json<dto::Formats> {
    Json(dto::Formats { formats: app.engine().formats().iter().map(Into::into).collect() })
}
