//! Health, description, headers, limits, protection against other sites, orderly end.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use lorekeep_server::{ServerSettings, openapi};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::Server;

#[tokio::test]
async fn health_says_how_far_the_process_is() {
    let server = Server::new();
    assert_eq!(server.get("/livez").await.ok(), json!({"status": "ok"}));
    let ready = server.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["status"]), (StatusCode::OK, &json!("ready")));
    assert_eq!(server.get("/version").await.ok(), json!({"name": "lorekeep", "version": "0.1.0", "api": "v1"}));
    server.readiness.stopping();
    let stopping = server.get("/readyz").await;
    assert_eq!((stopping.status, &stopping.json()["status"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("stopping")));
}

#[tokio::test]
async fn formats_are_listed() {
    let formats = Server::new().get("/v1/formats").await.ok();
    assert!(formats["formats"].as_array().unwrap().iter().any(|format| format["name"] == "pdf"));
}

#[tokio::test]
async fn every_response_has_an_id_and_security_headers() {
    let server = Server::new();
    for path in ["/livez", "/v1/nothing", "/docs", "/query"] {
        let reply = server.get(path).await;
        assert!(reply.header("x-request-id").starts_with("req_"), "{path}");
        assert!(reply.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
        assert_eq!(reply.header("access-control-allow-origin"), "");
    }
    let own = Request::get("/livez").header("x-request-id", "mine-1").body(Body::empty()).unwrap();
    assert_eq!(server.send(own).await.header("x-request-id"), "mine-1");
    let long = Request::get("/livez").header("x-request-id", "x".repeat(129)).body(Body::empty()).unwrap();
    assert!(server.send(long).await.header("x-request-id").starts_with("req_"));
}

#[tokio::test]
async fn other_sites_and_rebound_names_are_refused() {
    let server = Server::new();
    let ask = |host: &str, origin: Option<&str>| {
        let mut request = Request::post("/query").header("host", host).header("content-type", "text/plain");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.body(Body::from(r#"{"query": "hello there", "only_need_context": true}"#)).unwrap()
    };
    assert_eq!(server.send(ask("127.0.0.1:9621", None)).await.status, StatusCode::OK);
    assert_eq!(server.send(ask("127.0.0.1:9621", Some("http://127.0.0.1:9621"))).await.status, StatusCode::OK);
    assert_eq!(server.send(ask("127.0.0.1:9621", Some("https://evil.example"))).await.status, StatusCode::FORBIDDEN);
    assert_eq!(server.send(ask("evil.example", None)).await.status, StatusCode::FORBIDDEN);
    let read = Request::get("/v1/documents").header("host", "evil.example:9621").body(Body::empty()).unwrap();
    assert_eq!(server.send(read).await.problem(), (403, "E-FORBIDDEN".to_owned()));
}

#[tokio::test]
async fn origins_that_an_operator_named_may_call() {
    let settings = ServerSettings { cors_origins: vec!["https://app.example".to_owned()], ..ServerSettings::default() };
    let server = Server::with(settings, None);
    let call =
        Request::post("/v1/ask").header("origin", "https://app.example").header("content-type", "application/json");
    let reply = server.send(call.body(Body::from(r#"{"question": "hello there"}"#)).unwrap()).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    assert_eq!(reply.header("access-control-allow-origin"), "https://app.example");
}

#[tokio::test]
async fn a_named_page_may_read_that_it_has_to_come_again() {
    let cors_origins = vec!["https://app.example".to_owned()];
    let settings = ServerSettings { cors_origins, max_concurrent_requests: 1, ..ServerSettings::default() };
    let server = Server::with(settings, None);
    let ask = |stream: bool| {
        let call =
            Request::post("/v1/ask").header("origin", "https://app.example").header("content-type", "application/json");
        call.body(Body::from(json!({ "question": "hello there", "stream": stream }).to_string())).unwrap()
    };
    let open = server.router.clone().oneshot(ask(true)).await.unwrap();
    let refused = server.send(ask(false)).await;
    assert_eq!(refused.header("access-control-allow-origin"), "https://app.example");
    assert_eq!(refused.problem(), (429, "E-BUSY".to_owned()));
    drop(open);
    assert_eq!(server.send(ask(false)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn too_many_at_once_are_told_to_come_again() {
    let settings = ServerSettings { max_concurrent_requests: 1, max_event_streams: 1, ..ServerSettings::default() };
    let server = Server::with(settings, None);
    // A streamed answer that is not read keeps its place.
    let ask = Request::post("/v1/ask").header("content-type", "application/json");
    let open = ask.body(Body::from(r#"{"question": "hello there", "stream": true}"#)).unwrap();
    let open = server.router.clone().oneshot(open).await.unwrap();
    let refused = server.get("/v1/documents").await;
    assert_eq!(refused.problem(), (429, "E-BUSY".to_owned()));
    assert_eq!(refused.header("retry-after"), "1");
    let refused = server.get("/documents/status_counts").await;
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "30"));
    assert!(refused.json()["detail"].as_str().unwrap().starts_with("Pipeline is at capacity: "));
    assert_eq!(server.get("/livez").await.status, StatusCode::OK);
    drop(open);
    assert_eq!(server.get("/v1/documents").await.status, StatusCode::OK);

    let events = Request::get("/v1/events").body(Body::empty()).unwrap();
    let events = server.router.clone().oneshot(events).await.unwrap();
    assert_eq!(server.get("/v1/events").await.problem().0, 429);
    drop(events);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_broken_off() {
    let settings =
        ServerSettings { request_timeout: Duration::ZERO, answer_timeout: Duration::ZERO, ..ServerSettings::default() };
    let server = Server::with(settings, None);
    let reply = server.post("/v1/search", &json!({"query": "anything"})).await;
    assert_eq!(reply.problem(), (504, "E-TIMEOUT".to_owned()));
}

#[tokio::test]
async fn event_streams_end_when_the_server_stops() {
    let server = Server::new();
    let readiness = server.readiness.clone();
    let reading = server.get("/v1/events");
    let (reply, ()) = tokio::join!(reading, async { readiness.stopping() });
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn a_server_on_a_socket_stops_when_told() {
    let server = Server::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let settings = ServerSettings::default();
    let shutdown = async move { drop(stopped.await) };
    let serving =
        lorekeep_server::serve(listener, server.router.clone(), server.readiness.clone(), &settings, shutdown);
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), serving).await.unwrap().unwrap();
    assert_eq!(server.readiness.name(), "stopping");
}

#[test]
fn the_description_is_complete_and_consistent() {
    let api = serde_json::to_value(openapi()).unwrap();
    assert_eq!(api["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path}"));
            assert!(ids.insert(id.to_owned()), "{id} twice");
            assert!(operation["tags"][0].is_string(), "{id}");
            if path.starts_with("/v1") && path != "/v1/formats" {
                let failure = &operation["responses"]["default"]["content"]["application/problem+json"];
                assert!(failure["schema"]["$ref"].as_str().unwrap().ends_with("/Problem"), "{id}");
            }
        }
    }
    let schemas = api["components"]["schemas"].as_object().unwrap();
    let mut wanted = Vec::new();
    references(&api, &mut wanted);
    for name in wanted {
        assert!(schemas.contains_key(&name), "schema {name} is missing");
    }
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
                found.push(target.rsplit('/').next().unwrap().to_owned());
            }
            fields.values().for_each(|inner| references(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| references(inner, found)),
        _ => {}
    }
}

/// Every operation that the description names is served, and nothing answers 404 or 405 for its method.
#[tokio::test]
async fn every_described_operation_exists() {
    let server = Server::new();
    let api = serde_json::to_value(openapi()).unwrap();
    for (path, item) in api["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|method| !path.ends_with("/events") || *method != "get") {
            let concrete = path.replace("{id}", "job_x").replace("{name}", "nothing").replace("{track_id}", "t");
            let method = method.to_uppercase().parse().unwrap();
            let reply = server.call(method, &concrete, &json!({})).await;
            assert_ne!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
            assert!(!reply.text().contains("there is no route") && !reply.text().contains("\"Not Found\""), "{path}");
        }
    }
}
