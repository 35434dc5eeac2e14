//! What an operator watches: `/health`, `/metrics` (Prometheus text format 0.0.4), `/v1/models`.

use std::fmt::Write as _;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use lorekeep_types::ResidentFigures;
use serde_json::{Value, json};

use super::ModelServer;

fn figures(server: &ModelServer) -> Vec<(&'static str, ResidentFigures)> {
    let chat = server.chat.as_deref().map(|model| ("chat", model.figures()));
    let embedder = server.embedder.as_deref().map(|model| ("embedding", model.figures()));
    chat.into_iter().chain(embedder).collect()
}

/// Models, memory and queues; 503 while a model is being loaded.
pub(super) async fn health(State(server): State<ModelServer>) -> (StatusCode, Json<Value>) {
    let figures = figures(&server);
    let (status, word) = match figures.iter().all(|(_, one)| one.context > 0) {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "loading"),
    };
    let mut body = json!({ "status": word, "memory": { "resident_bytes": (server.resident_bytes)() } });
    for (role, one) in figures {
        body[role] = json!({
            "model": one.name, "device": one.device, "context": one.context,
            "memory": { "weight_bytes": one.weight_bytes, "cache_bytes": one.cache_bytes },
            "queue": { "running": one.running, "waiting": one.waiting, "places": one.places },
            "calls": one.calls, "refused": one.refused,
            "prompt_tokens": one.prompt_tokens, "completion_tokens": one.completion_tokens,
        });
    }
    (status, Json(body))
}

/// The models that are loaded.
pub(super) async fn models(State(server): State<ModelServer>) -> Json<Value> {
    let created = server.created();
    let row = |(_, one): (_, ResidentFigures)| json!({ "id": one.name, "object": "model", "created": created, "owned_by": "local" });
    let rows: Vec<Value> = figures(&server).into_iter().map(row).collect();
    Json(json!({ "object": "list", "data": rows }))
}

/// A family of figures: name, type, meaning, and which figure.
type Family = (&'static str, &'static str, &'static str, fn(&ResidentFigures) -> u64);

const FAMILIES: [Family; 9] = [
    ("lorekeep_model_queue_depth", "gauge", "Calls that wait.", |one| one.waiting as u64),
    ("lorekeep_model_queue_places", "gauge", "Most calls that may wait.", |one| one.places as u64),
    ("lorekeep_model_in_flight", "gauge", "Calls that are worked on.", |one| one.running as u64),
    ("lorekeep_model_weight_bytes", "gauge", "Bytes of weights in memory.", |one| one.weight_bytes),
    ("lorekeep_model_cache_bytes", "gauge", "Bytes of keys and values in memory.", |one| one.cache_bytes),
    ("lorekeep_model_calls_total", "counter", "Calls that were done.", |one| one.calls),
    ("lorekeep_model_refused_total", "counter", "Calls that found the queue full.", |one| one.refused),
    ("lorekeep_model_prompt_tokens_total", "counter", "Tokens read.", |one| one.prompt_tokens),
    ("lorekeep_model_completion_tokens_total", "counter", "Tokens written.", |one| one.completion_tokens),
];

/// The same for Prometheus.
pub(super) async fn metrics(State(server): State<ModelServer>) -> Response {
    let figures = figures(&server);
    let mut text = String::new();
    for (name, kind, help, of) in FAMILIES {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (role, one) in &figures {
            let _ = writeln!(text, "{name}{{role=\"{role}\",model=\"{}\"}} {}", escaped(&one.name), of(one));
        }
    }
    if let Some(bytes) = (server.resident_bytes)() {
        let help = "# HELP process_resident_memory_bytes Resident memory of the process.";
        let _ =
            writeln!(text, "{help}\n# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes {bytes}");
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
