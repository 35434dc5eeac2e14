//! The embedded page and the API's viewer.

use axum::body::Body;
use axum::http::{Request, StatusCode};

use crate::support::Server;

#[tokio::test]
async fn the_page_is_served_at_its_own_addresses_only() {
    let server = Server::new();
    for path in ["/", "/w/default/ask", "/w/x/docs/doc_1"] {
        let reply = server.get(path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}");
        assert!(reply.header("content-type").starts_with("text/html"), "{path}");
    }
    for path in ["/nothing", "/index.html.br", "/assets/none.js", "/../Cargo.toml", "/v1"] {
        assert_eq!(server.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn an_unchanged_page_is_not_sent_again() {
    let server = Server::new();
    let tag = server.get("/").await.header("etag").to_owned();
    if tag.is_empty() {
        return; // A build without the page shows a notice instead.
    }
    let again = Request::get("/").header("if-none-match", &tag).body(Body::empty()).unwrap();
    assert_eq!(server.send(again).await.status, StatusCode::NOT_MODIFIED);
    let packed = Request::get("/").header("accept-encoding", "br").body(Body::empty()).unwrap();
    assert_eq!(server.send(packed).await.header("content-encoding"), "br");
    assert_eq!(server.get("/").await.header("cache-control"), "no-cache");
}

#[tokio::test]
async fn the_viewer_needs_nothing_from_elsewhere() {
    let server = Server::new();
    for path in ["/docs", "/docs/viewer.js", "/docs/viewer.css"] {
        let reply = server.get(path).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert!(!reply.text().contains("https://") && !reply.text().contains("http://"), "{path}");
    }
    assert!(server.get("/docs").await.text().contains("/docs/viewer.js"));
    assert_eq!(server.get("/openapi.json").await.ok()["info"]["title"], "Lorekeep");
}
