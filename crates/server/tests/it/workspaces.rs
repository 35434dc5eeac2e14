//! Workspaces: isolation, archives, rebuilding.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::support::{CHARTER, Server};

async fn get_in(server: &Server, header: &str, workspace: &str, path: &str) -> crate::support::Reply {
    server.send(Request::get(path).header(header, workspace).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn workspaces_are_made_chosen_and_removed() {
    let server = Server::with_library().await;
    let made = server.post("/v1/workspaces", &json!({"name": "physics"})).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(server.post("/v1/workspaces", &json!({"name": "physics"})).await.problem().0, 409);
    assert_eq!(server.post("/v1/workspaces", &json!({"name": "../x"})).await.problem().0, 400);
    for header in ["x-lorekeep-workspace", "lightrag-workspace"] {
        assert_eq!(get_in(&server, header, "physics", "/v1/documents").await.ok()["total"], 0);
    }
    assert_eq!(server.get("/v1/documents?workspace=physics").await.ok()["total"], 0);
    assert_eq!(server.get("/v1/documents").await.ok()["total"], 2);
    assert_eq!(server.delete("/v1/workspaces/physics").await.status, StatusCode::NO_CONTENT);
    for path in ["/v1/documents", "/v1/graph/stats", "/v1/jobs", "/documents/status_counts", "/health", "/v1/events"] {
        let reply = get_in(&server, "x-lorekeep-workspace", "physics", path).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}: {}", reply.text());
    }
}

#[tokio::test]
async fn an_archive_makes_an_equal_workspace() {
    let server = Server::with_library().await;
    let archive = server.get("/v1/workspaces/default/export").await;
    assert_eq!(archive.status, StatusCode::OK);
    assert!(archive.header("content-disposition").contains("default.lorekeep"));
    let import = Request::post("/v1/workspaces/copy/import").body(Body::from(archive.body.clone())).unwrap();
    let made = server.send(import).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text());
    assert_eq!(made.json()["documents"], 2);
    let copied = get_in(&server, "x-lorekeep-workspace", "copy", "/v1/documents?sort=name").await.ok();
    assert_eq!(copied["total"], 2);

    let half = archive.body[..archive.body.len() / 2].to_vec();
    let broken = Request::post("/v1/workspaces/half/import").body(Body::from(half)).unwrap();
    assert_eq!(server.send(broken).await.problem(), (422, "E-UNPROCESSABLE".to_owned()));
    assert_eq!(get_in(&server, "x-lorekeep-workspace", "half", "/v1/documents").await.problem().0, 404);
    assert_eq!(server.get("/v1/workspaces/none/export").await.problem().0, 404);
}

#[tokio::test]
async fn reindexing_tells_its_progress_and_changes_nothing() {
    let server = Server::with_library().await;
    let reply = server.post("/v1/reindex", &json!({})).await;
    assert_eq!(reply.header("content-type"), "application/x-ndjson");
    let lines: Vec<Value> = reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.last().unwrap()["type"], "done", "{lines:?}");
    let check = server.get("/v1/check").await.ok();
    assert_eq!(check["problems"], json!([]));
    assert_eq!(check["truth_seq"], check["view_seq"]);
    let found = server.post("/v1/search", &json!({"query": "tidal energy"})).await.ok();
    assert!(!found["results"].as_array().unwrap().is_empty());
    assert!(CHARTER.contains("tidal energy"));
}
