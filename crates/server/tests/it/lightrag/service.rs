//! `/health`, `/auth-status` and the bodies of errors.

use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn health_has_what_clients_read() {
    let health = super::with_texts().await.get("/health").await.ok();
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["pipeline_busy"], false);
    assert_eq!(health["auth_mode"], "disabled");
    assert_eq!(health["configuration"]["max_graph_nodes"], 1_000);
    assert_eq!(health["core_version"], "1.5.7");
    assert_eq!(health["lorekeep"]["documents"], 2);
}

#[tokio::test]
async fn guests_get_a_token() {
    let mut status = Server::new().get("/auth-status").await.ok();
    let token = status["access_token"].take();
    assert_eq!(token.as_str().unwrap().split('.').count(), 3);
    insta::assert_json_snapshot!(status);
}

#[tokio::test]
async fn errors_have_the_peers_shape() {
    let server = Server::new();
    let missing = server.get("/documents/nothing").await;
    assert_eq!((missing.status, missing.json()), (StatusCode::NOT_FOUND, json!({"detail": "Not Found"})));
    let method = server.get("/documents").await;
    assert_eq!(
        (method.status, method.json()),
        (StatusCode::METHOD_NOT_ALLOWED, json!({"detail": "Method Not Allowed"}))
    );
    assert_eq!(method.header("allow"), "DELETE");
    let large = server.post("/query", &json!({"query": "x".repeat(1 << 20)})).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    let text = "Request body too large. This endpoint accepts at most 1048576 bytes.";
    assert_eq!(large.json(), json!({"detail": text}));
    let unknown = server.call(Method::POST, "/query?workspace=none", &json!({"query": "hello there"})).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert_eq!(unknown.json(), json!({"detail": "there is no workspace `none`"}));
}
