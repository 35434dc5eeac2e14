//! Models: which there are, what they are for, whether they answer.

use axum::Json;
use axum::extract::State;
use lorekeep_types::{Error, ErrorCode, ModelDesk, ModelId, ModelsOverview, Result, Role};

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

/// Asks a model for a little of what a role needs: a few words, a vector, an order of two texts. The call is recorded and costs what it costs.
#[utoipa::path(post, path = "/v1/gateway/test", operation_id = "testModel", tag = "models",
    request_body = dto::TestBody, responses((status = 200, body = dto::Trial), Failures))]
pub(crate) async fn test(
    State(app): State<Shared>,
    JsonBody(body): JsonBody<dto::TestBody>,
) -> ApiResult<Json<dto::Trial>> {
    let desk = desk(&app)?;
    let role = body.role.as_deref().map(Role::parse).transpose()?;
    let model = match body.model {
        Some(name) => model_of(&name)?,
        None => {
            let mut roles = desk.overview().roles;
            let models = roles.remove(&role.unwrap_or(Role::Answer)).unwrap_or_default();
            models.into_iter().next().ok_or_else(none)?
        }
    };
    let role = role.unwrap_or_else(|| role_for(&desk.overview(), &model));
    Ok(Json(desk.test(&model, role).await.into()))
}

/// A role that the model fills, else one that its provider can fill.
fn role_for(overview: &ModelsOverview, model: &ModelId) -> Role {
    if let Some((role, _)) = overview.roles.iter().find(|(_, models)| models.contains(model)) {
        return *role;
    }
    let provider = overview.providers.iter().find(|provider| provider.name == model.provider);
    match provider.map(|provider| provider.capabilities) {
        Some(can) if can.embed && !can.chat => Role::Embed,
        Some(can) if can.rerank && !can.chat => Role::Rerank,
        _ => Role::Answer,
    }
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
