//! The native API, one file per noun, and the router that joins all surfaces.

mod ask;
mod cache;
mod communities;
mod documents;
mod events;
mod gateway;
mod graph;
mod health;
mod jobs;
mod openapi;
mod page;
mod search;
mod upload;
mod usage;
mod workspaces;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post, put};

use crate::layers::{self, Counted};
use crate::settings::ServerSettings;
use crate::state::{App, AppState, Shared};
use crate::{compat, error};

pub(crate) use gateway::model_of;
pub(crate) use openapi::Failures;
pub use openapi::openapi;
pub(crate) use upload::room as upload_room;

/// The whole server as one service; [`crate::serve`] puts it on a socket, the command line calls it in-process.
pub fn router(state: AppState, settings: ServerSettings) -> Router {
    let app = App::new(state, settings);
    let worked = Router::new()
        .merge(documents_routes(&app))
        .merge(other_routes())
        .merge(compat::lightrag::routes(&app))
        .merge(compat::openai::routes())
        .method_not_allowed_fallback(error::no_method);
    let open = Router::new()
        .merge(event_routes())
        .merge(open_routes())
        .fallback(page::or_not_found)
        .method_not_allowed_fallback(error::no_method);
    let (worked, open) = (layers::wrap(worked, &app, Counted::Yes), layers::wrap(open, &app, Counted::No));
    worked.merge(open).with_state(app)
}

fn documents_routes(app: &Shared) -> Router<Shared> {
    Router::new()
        .route("/v1/documents", get(documents::list).post(upload::add).delete(documents::remove_many))
        .route("/v1/documents/retry", post(documents::retry_many))
        .route("/v1/documents/{id}", get(documents::show).delete(documents::remove).patch(documents::set_tags))
        .route("/v1/documents/{id}/text", get(documents::text))
        .route("/v1/documents/{id}/chunks", get(documents::chunks))
        .route("/v1/documents/{id}/original", get(documents::original))
        .route("/v1/documents/{id}/retry", post(documents::retry))
        .layer(DefaultBodyLimit::max(app.settings.max_upload_bytes))
}

fn other_routes() -> Router<Shared> {
    Router::new()
        .route("/v1/jobs", get(jobs::list))
        .route("/v1/jobs/{id}", get(jobs::show))
        .route("/v1/jobs/{id}/items", get(jobs::items))
        .route("/v1/jobs/{id}/cancel", post(jobs::cancel))
        .route("/v1/ask", post(ask::ask))
        .route("/v1/search", post(search::search))
        .route("/v1/graph/stats", get(graph::stats))
        .route("/v1/graph/entities", get(graph::entities))
        .route("/v1/graph/entities/{name}", get(graph::entity))
        .route("/v1/graph/neighbourhood", get(graph::neighbourhood))
        .route("/v1/graph/path", get(graph::path))
        .route("/v1/graph/communities", get(communities::list))
        .route("/v1/graph/communities/summaries", post(communities::summarise))
        .route("/v1/graph/build", post(graph::build))
        .route("/v1/workspaces", get(workspaces::list).post(workspaces::create))
        .route("/v1/workspaces/{name}", delete(workspaces::remove))
        .route("/v1/workspaces/{name}/export", get(workspaces::export))
        .route("/v1/workspaces/{name}/import", post(workspaces::import))
        .route("/v1/reindex", post(workspaces::reindex))
        .route("/v1/check", get(workspaces::check))
        .route("/v1/gateway", get(gateway::show))
        .route("/v1/gateway/roles/{role}", put(gateway::set_role))
        .route("/v1/gateway/test", post(gateway::test))
        .route("/v1/cache", get(cache::show).delete(cache::forget))
        .route("/v1/usage", get(usage::usage))
        .route("/v1/usage/export", get(usage::export))
        .route("/v1/budgets", get(usage::budgets))
}

fn event_routes() -> Router<Shared> {
    Router::new().route("/v1/events", get(events::all)).route("/v1/jobs/{id}/events", get(events::of_job))
}

fn open_routes() -> Router<Shared> {
    Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .route("/version", get(health::version))
        .route("/health", get(compat::lightrag::health))
        .route("/v1/formats", get(health::formats))
        .route("/openapi.json", get(openapi::document))
        .route("/docs", get(openapi::viewer))
        .route("/docs/viewer.js", get(openapi::viewer_script))
        .route("/docs/viewer.css", get(openapi::viewer_style))
}
