//! `/health` and `/auth-status`.

use axum::Json;
use axum::extract::State;
use lorekeep_types::{ModelId, Role};
use serde_json::{Value, json};

use super::documents::is_busy;
use super::refuse::Answer;
use super::token;
use crate::scope::Scope;
use crate::state::Shared;

/// The versions that LightRAG's clients compare with: the release whose surface this is.
const CORE_VERSION: &str = "1.5.7";
const API_VERSION: &str = "1.5.7";

/// `GET /health`: LightRAG's summary, with this product's own name and version beside it.
pub(crate) async fn health(State(app): State<Shared>, scope: Scope) -> Answer<Json<Value>> {
    let busy = is_busy(&app, &scope).await?;
    let stats = app.engine().stats(&scope).await?;
    let mut body = json!({
        "status": "healthy",
        "auth_mode": "disabled",
        "core_version": CORE_VERSION,
        "api_version": API_VERSION,
        "webui_available": true,
        "workspace_available": true,
        "api_docs_available": true,
        "webui_title": "Lorekeep",
        "webui_description": null,
        "ai_content_notice_enabled": false,
        "pipeline_busy": busy,
        "pipeline_active": busy,
        "pipeline_scanning": false,
        "pipeline_destructive_busy": false,
        "pipeline_pending_enqueues": 0,
        "working_directory": app.state.folder,
        "input_directory": app.state.scan.as_ref().map(|scan| scan.folder()).unwrap_or_default(),
        "server_mode": "lorekeep",
        "workers": 1,
        "lorekeep": {
            "version": app.state.build.version, "stage": app.state.readiness.name(), "documents": stats.documents,
            "chunks": stats.chunks, "entities": stats.entities, "relations": stats.relations,
        },
    });
    if let Some(fields) = body.as_object_mut() {
        fields.insert("configuration".to_owned(), configuration(scope.workspace.as_str(), embedding_model(&app)));
        fields.insert("keyed_locks".to_owned(), json!({}));
        fields.insert("llm_queue_status".to_owned(), json!({}));
        fields.insert("capabilities".to_owned(), json!({}));
    }
    Ok(Json(body))
}

/// The model of the role `embed`, where one is configured.
fn embedding_model(app: &Shared) -> Option<ModelId> {
    app.state.models.as_ref()?.overview().roles.remove(&Role::Embed)?.into_iter().next()
}

fn configuration(workspace: &str, embedding: Option<ModelId>) -> Value {
    let built_in = || "built-in".to_owned();
    let (binding, model) = embedding.map(|id| (id.provider, id.model)).unwrap_or_else(|| (built_in(), built_in()));
    json!({
        "llm_binding": "none", "llm_binding_host": "", "llm_model": "none",
        "embedding_binding": binding, "embedding_binding_host": "", "embedding_model": model,
        "summary_max_tokens": 0, "summary_context_size": 0,
        "kv_storage": "lorekeep", "doc_status_storage": "lorekeep", "graph_storage": "lorekeep",
        "vector_storage": "lorekeep",
        "enable_llm_cache_for_extract": false, "enable_llm_cache": false, "vlm_process_enable": false,
        "workspace": workspace,
        "max_graph_nodes": 1_000, "enable_rerank": false, "rerank_binding": null, "rerank_model": null,
        "rerank_binding_host": null, "summary_language": "", "force_llm_summary_on_merge": 0,
        "cosine_threshold": 0.2, "min_rerank_score": 0.0, "related_chunk_number": 5,
        "max_async": 0, "embedding_func_max_async": 0, "embedding_batch_num": 0, "role_llm_config": {},
    })
}

/// `GET /auth-status`: no accounts, and the token that clients carry in that case.
pub(super) async fn auth_status(State(app): State<Shared>) -> Json<Value> {
    Json(json!({
        "auth_configured": false,
        "access_token": token::guest(app.state.clock.now_ms() / 1_000),
        "token_type": "bearer",
        "auth_mode": "disabled",
        "message": "Authentication is disabled. Using guest access.",
        "core_version": CORE_VERSION,
        "api_version": API_VERSION,
        "webui_title": "Lorekeep",
        "webui_description": null,
        "ai_content_notice_enabled": false,
    }))
}
