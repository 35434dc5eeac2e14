//! The API's description, generated from the routes, and the offline page that shows it.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, OpenApi};

use crate::compat::{lightrag, openai};
use crate::dto;
use crate::routes::{
    ask, cache, communities, documents, events, gateway, graph, health, jobs, search, upload, usage, workspaces,
};

/// The error answer of every operation.
pub(crate) struct Failures;

impl IntoResponses for Failures {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new()
            .description("The request failed; `code` says why (RFC 9457).")
            .content("application/problem+json", content)
            .build();
        BTreeMap::from([("default".to_owned(), response.into())])
    }
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lorekeep",
        description = "Cited answers from your documents. The workspace is chosen by the header `X-Lorekeep-Workspace` \
                       (or `?workspace=`); without it, it is `default`. Every response has `X-Request-Id`. Spans count \
                       Unicode code points of a document's extracted text, end exclusive.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        ask::ask, search::search,
        upload::add, documents::list, documents::remove_many, documents::show, documents::set_tags, documents::remove,
        documents::text, documents::chunks, documents::original, documents::retry, documents::retry_many,
        jobs::list, jobs::show, jobs::items, jobs::cancel, events::of_job, events::all,
        graph::stats, graph::entities, graph::entity, graph::neighbourhood, graph::path, graph::build,
        communities::list, communities::summarise,
        workspaces::list, workspaces::create, workspaces::remove, workspaces::export, workspaces::import,
        workspaces::reindex, workspaces::check,
        gateway::show, gateway::set_role, gateway::test, usage::usage, usage::export, usage::budgets,
        cache::show, cache::forget, openai::transcribe, openai::speak,
        health::livez, health::readyz, health::version, health::formats,
    ),
    components(schemas(dto::Problem)),
    tags(
        (name = "answers", description = "Questions and searches"),
        (name = "documents", description = "What answers are made from"),
        (name = "jobs", description = "Durable work on documents"),
        (name = "graph", description = "Entities and relations"),
        (name = "workspaces", description = "Separate libraries in one server"),
        (name = "models", description = "Models that are called, and what that costs"),
        (name = "server", description = "State and abilities of the server"),
        (name = "lightrag", description = "Routes that clients of LightRAG use, with its shapes; see the reference"),
    )
)]
struct Described;

/// The description of every operation (OpenAPI 3.1).
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut described = Described::openapi();
    env!("CARGO_PKG_VERSION").clone_into(&mut described.info.version);
    lightrag::describe(&mut described);
    described
}

/// `GET /openapi.json`.
pub(crate) async fn document() -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| serde_json::to_string(&openapi()).unwrap_or_default());
    asset(text, "application/json")
}

/// `GET /docs`.
pub(crate) async fn viewer() -> Response {
    asset(include_str!("../viewer/index.html"), "text/html; charset=utf-8")
}

/// `GET /docs/viewer.js`.
pub(crate) async fn viewer_script() -> Response {
    asset(include_str!("../viewer/viewer.js"), "text/javascript; charset=utf-8")
}

/// `GET /docs/viewer.css`.
pub(crate) async fn viewer_style() -> Response {
    asset(include_str!("../viewer/viewer.css"), "text/css; charset=utf-8")
}

fn asset(text: &'static str, kind: &'static str) -> Response {
    let mut response = text.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
