//! Models: which there are, what they are for, whether they answer.

use axum::Json;
use axum::extract::State;
use lorekeep_types::{Error, ErrorCode, ModelDesk, ModelId, Result, Role};

use crate::dto;
use crate::error::ApiResult;
use crate::extract::{JsonBody, Segment};
use crate::routes::openapi::Failures;
use crate::state::{App, Shared};

/// Providers, the models of each role, and the state of those in use.
#[utoipa::path(get, path = "/v1/gateway", operation_id = "getGateway", tag = "models",
    responses((status = 200, body = dto::Gateway), Failures))]
pub(crate) async fn show(State(app): State<Shared>) -> ApiResult<Json<dto::Gateway>> {
    Ok(Json(desk(&app)?.overview().into()))
}

/// Gives a role other models from now on, without a restart.
#[utoipa::path(put, path = "/v1/gateway/roles/{role}", operation_id = "setRole", tag = "models",
    params(("role" = String, Path, description = "`answer`, `extract`, `embed` …")),
    request_body = dto::RoleBody, responses((status = 200, body = dto::Gateway), Failures))]
pub(crate) async fn set_role(
    State(app): State<Shared>,
    Segment(role): Segment,
    JsonBody(body): JsonBody<dto::RoleBody>,
) -> ApiResult<Json<dto::Gateway>> {
    let role = Role::parse(&role)?;
    let models = body.models.iter().map(|name| model_of(name)).collect::<Result<Vec<_>>>()?;
    desk(&app)?.set_role(role, models)?;
    show(State(app)).await
}

/// Asks a model for a few words. The call is recorded and costs what it costs.
#[utoipa::path(post, path = "/v1/gateway/test", operation_id = "testModel", tag = "models",
    request_body = dto::TestBody, responses((status = 200, body = dto::Trial), Failures))]
pub(crate) async fn test(
    State(app): State<Shared>,
    JsonBody(body): JsonBody<dto::TestBody>,
) -> ApiResult<Json<dto::Trial>> {
    let desk = desk(&app)?;
    let model = match body.model {
        Some(name) => model_of(&name)?,
        None => {
            desk.overview().roles.remove(&Role::Answer).and_then(|models| models.into_iter().next()).ok_or_else(none)?
        }
    };
    Ok(Json(desk.test(&model).await.into()))
}

pub(crate) fn model_of(name: &str) -> Result<ModelId> {
    ModelId::parse(name).ok_or_else(|| {
        Error::invalid(format!("`{name}` is not the name of a model")).hint("write it as PROVIDER/MODEL")
    })
}

fn desk(app: &App) -> Result<&dyn ModelDesk> {
    app.state.models.as_deref().ok_or_else(none)
}

fn none() -> Error {
    Error::new(ErrorCode::CapabilityMissing, "no model is configured").hint("configure one: `lorekeep model set`")
}
