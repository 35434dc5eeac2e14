//! LightRAG's surface (release 1.5.7): queries, documents and graph, with its shapes, statuses and oddities, so that
//! its clients work unchanged. Only conversions live here. Where the peer errs, the shape is kept and the behaviour
//! is right; `docs/reference/lightrag.md` lists each case.

mod add;
mod chunking;
mod context;
mod data;
mod documents;
mod edit;
mod graph;
mod ollama;
mod prompt;
mod python;
mod query;
mod refuse;
mod request;
mod service;
mod status;
mod stream;
mod token;
mod validate;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post};
use utoipa::openapi::path::{HttpMethod, OperationBuilder};
use utoipa::openapi::{OpenApi, PathItem, ResponseBuilder};

pub(crate) use service::health;

use crate::state::Shared;

/// Every route: method, path, operation id, what it does.
const ROUTES: [(&str, &str, &str, &str); 39] = [
    ("post", "/query", "lightragQuery", "Answer, context or prompt for a query"),
    ("post", "/query/stream", "lightragQueryStream", "The same as newline-delimited JSON"),
    ("post", "/query/data", "lightragQueryData", "What was retrieved, as data"),
    ("post", "/documents/upload", "lightragUpload", "Adds a file"),
    ("post", "/documents/text", "lightragText", "Adds a text"),
    ("post", "/documents/texts", "lightragTexts", "Adds texts"),
    ("post", "/documents/scan", "lightragScan", "Adds new files of the input folder"),
    ("get", "/documents/scan/status/{track_id}", "lightragScanStatus", "How far a scan is"),
    ("delete", "/documents", "lightragClear", "Deletes every document"),
    ("delete", "/documents/delete_document", "lightragDelete", "Deletes documents"),
    ("get", "/documents/pipeline_status", "lightragPipelineStatus", "Whether indexing runs"),
    ("post", "/documents/cancel_pipeline", "lightragCancel", "Cancels indexing"),
    ("post", "/documents/paginated", "lightragPaginated", "Lists documents"),
    ("get", "/documents/status_counts", "lightragStatusCounts", "Documents by status"),
    ("get", "/documents/track_status/{track_id}", "lightragTrackStatus", "Documents of one request"),
    ("get", "/documents/supported_file_types", "lightragFileTypes", "What can be read"),
    ("post", "/documents/reprocess_failed", "lightragReprocess", "Queues failed documents again"),
    ("post", "/documents/clear_cache", "lightragClearCache", "Clears the cache of model calls"),
    ("post", "/documents/recovery/force_reset", "lightragForceReset", "Resets the recovery state"),
    ("get", "/documents/source_conflicts", "lightragConflicts", "Sources with several documents"),
    ("post", "/documents/source_conflicts/repair", "lightragRepair", "Resolves such a source"),
    ("get", "/graph/label/list", "lightragLabels", "Names of all entities"),
    ("get", "/graph/label/popular", "lightragPopularLabels", "Names by number of neighbours"),
    ("get", "/graph/label/search", "lightragSearchLabels", "Names that match"),
    ("get", "/graphs", "lightragGraph", "A part of the graph"),
    ("get", "/graph/entity/exists", "lightragEntityExists", "Whether an entity exists"),
    ("post", "/graph/entity/edit", "lightragEditEntity", "Changes, renames or merges an entity"),
    ("post", "/graph/relation/edit", "lightragEditRelation", "Changes a relation"),
    ("post", "/graph/entity/create", "lightragCreateEntity", "Creates an entity"),
    ("post", "/graph/relation/create", "lightragCreateRelation", "Creates a relation"),
    ("post", "/graph/entities/merge", "lightragMergeEntities", "Merges entities"),
    ("delete", "/graph/entity/delete", "lightragDeleteEntity", "Deletes an entity"),
    ("delete", "/graph/relation/delete", "lightragDeleteRelation", "Deletes a relation"),
    ("get", "/api/version", "ollamaVersion", "The release of Ollama that is emulated"),
    ("get", "/api/tags", "ollamaTags", "The model that can be chosen"),
    ("get", "/api/ps", "ollamaPs", "The model that runs"),
    ("post", "/api/chat", "ollamaChat", "Answers a conversation from the documents"),
    ("post", "/api/generate", "ollamaGenerate", "The model alone"),
    ("get", "/auth-status", "lightragAuthStatus", "Whether accounts exist"),
];

/// The routes that count as work; `/health` is served apart.
pub(crate) fn routes(app: &Shared) -> Router<Shared> {
    Router::new().merge(queries_and_graph()).merge(documents_routes(app))
}

fn queries_and_graph() -> Router<Shared> {
    Router::new()
        .route("/query", post(query::query))
        .route("/query/stream", post(stream::query_stream))
        .route("/query/data", post(query::query_data))
        .route("/graphs", get(graph::graphs))
        .route("/graph/label/list", get(graph::labels))
        .route("/graph/label/popular", get(graph::popular))
        .route("/graph/label/search", get(graph::search))
        .route("/graph/entity/exists", get(graph::exists))
        .route("/graph/entity/create", post(edit::create_entity))
        .route("/graph/entity/edit", post(edit::edit_entity))
        .route("/graph/entity/delete", delete(graph::delete_entity))
        .route("/graph/entities/merge", post(edit::merge))
        .route("/graph/relation/create", post(edit::create_relation))
        .route("/graph/relation/edit", post(edit::edit_relation))
        .route("/graph/relation/delete", delete(graph::delete_relation))
        .route("/api/version", get(ollama::version))
        .route("/api/tags", get(ollama::tags))
        .route("/api/ps", get(ollama::ps))
        .route("/api/chat", post(ollama::chat))
        .route("/api/generate", post(ollama::generate))
        .route("/auth-status", get(service::auth_status))
}

fn documents_routes(app: &Shared) -> Router<Shared> {
    Router::new()
        .route("/documents", delete(documents::clear))
        .route("/documents/upload", post(add::upload))
        .route("/documents/text", post(add::text))
        .route("/documents/texts", post(add::texts))
        .route("/documents/scan", post(add::scan))
        .route("/documents/scan/status/{track_id}", get(documents::scan_status))
        .route("/documents/delete_document", delete(documents::delete))
        .route("/documents/pipeline_status", get(documents::pipeline_status))
        .route("/documents/cancel_pipeline", post(documents::cancel_pipeline))
        .route("/documents/paginated", post(documents::paginated))
        .route("/documents/status_counts", get(documents::status_counts))
        .route("/documents/track_status/{track_id}", get(documents::track_status))
        .route("/documents/supported_file_types", get(documents::supported_file_types))
        .route("/documents/reprocess_failed", post(documents::reprocess_failed))
        .route("/documents/clear_cache", post(documents::clear_cache))
        .route("/documents/recovery/force_reset", post(documents::force_reset))
        .route("/documents/source_conflicts", get(documents::source_conflicts))
        .route("/documents/source_conflicts/repair", post(documents::repair_conflict))
        .layer(DefaultBodyLimit::max(app.settings.max_upload_bytes))
}

/// Adds these routes to the API's description, by name and purpose; their bodies are in the reference.
pub(crate) fn describe(api: &mut OpenApi) {
    for (method, path, id, summary) in ROUTES {
        let method = match method {
            "get" => HttpMethod::Get,
            "post" => HttpMethod::Post,
            _ => HttpMethod::Delete,
        };
        let response = ResponseBuilder::new().description("As LightRAG 1.5.7 answers; see the reference.").build();
        let operation = OperationBuilder::new()
            .operation_id(Some(id))
            .tag("lightrag")
            .summary(Some(summary))
            .response("200", response);
        let item = PathItem::new(method, operation);
        match api.paths.paths.get_mut(path) {
            Some(known) => known.merge_operations(item),
            None => drop(api.paths.paths.insert(path.to_owned(), item)),
        }
    }
}
