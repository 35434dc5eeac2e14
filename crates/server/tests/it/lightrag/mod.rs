//! LightRAG's surface, as transcripts of whole conversations with the router.

mod documents;
mod graph;
mod ollama;
mod query;
mod service;

use serde_json::{Value, json};

use crate::support::Server;

/// A server with the library of the tests, added as a LightRAG client adds it.
async fn with_texts() -> Server {
    let server = Server::new();
    let body = json!({
        "texts": [crate::support::CHARTER, crate::support::MINUTES], "file_sources": ["docs/charter.md", "may.md"]
    });
    let added = server.post("/documents/texts", &body).await.ok();
    processed(&server, added["track_id"].as_str().unwrap()).await;
    server
}

/// Waits until everything behind a track id has ended, and returns its rows.
async fn processed(server: &Server, track_id: &str) -> Value {
    let jobs = server.get("/v1/jobs?limit=100").await.ok();
    let jobs = jobs["jobs"].as_array().unwrap();
    let job = jobs.iter().find(|job| job["label"] == track_id).unwrap_or_else(|| panic!("{track_id}"));
    server.finished(job["id"].as_str().unwrap()).await;
    server.get(&format!("/documents/track_status/{track_id}")).await.ok()
}
