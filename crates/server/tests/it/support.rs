//! A server over a store in memory with a fixed clock and counted ids, and a client that speaks to it in-process.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use lorekeep_engine::{Engine, EngineParts, EngineSettings};
use lorekeep_models::gateway::Gateway;
use lorekeep_models::gateway::settings::GatewaySettings;
use lorekeep_models::layer::kept::Kept;
use lorekeep_models::{O200k, StaticEmbedder};
use lorekeep_parse::Parser;
use lorekeep_server::{AppState, Build, Readiness, ScanFolder, ServerSettings, router};
use lorekeep_store::{CacheLimits, Store};
use lorekeep_types::{Clock, Ids, Ledger, ModelDesk, Models};
use serde_json::Value;
use tower::ServiceExt as _;

/// 2026-05-03 12:00:00 UTC.
pub const NOW_MS: i64 = 1_777_809_600_000;

struct FixedClock;

impl Clock for FixedClock {
    fn now_ms(&self) -> i64 {
        NOW_MS
    }
}

#[derive(Default)]
struct CountedIds(AtomicU64);

impl Ids for CountedIds {
    fn next(&self) -> String {
        format!("{:08}", self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// A running server.
pub struct Server {
    pub router: Router,
    pub readiness: Readiness,
    pub ledger: Arc<dyn Ledger>,
}

/// An answer, read to its end.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|fault| panic!("{fault}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The JSON body of a success.
    pub fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{}: {}", self.status, self.text());
        self.json()
    }

    /// The code of a problem, after checking its form.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
        (self.status.as_u16(), problem["code"].as_str().unwrap().to_owned())
    }

    /// Server-sent events: name and data.
    pub fn events(&self) -> Vec<(String, Value)> {
        let text = self.text();
        let blocks = text.split("\n\n").filter(|block| block.contains("data:"));
        let field = |block: &str, name: &str| {
            block
                .lines()
                .find_map(|line| line.strip_prefix(name).map(|rest| rest.trim().to_owned()))
                .unwrap_or_default()
        };
        let event = |block: &str| (field(block, "event:"), serde_json::from_str(&field(block, "data:")).unwrap());
        blocks.map(event).collect()
    }
}

impl Server {
    /// A server with the default workspace, empty.
    pub fn new() -> Self {
        Self::with(ServerSettings::default(), None)
    }

    pub fn with(settings: ServerSettings, scan: Option<Arc<dyn ScanFolder>>) -> Self {
        Self::over(Arc::new(Store::in_memory().unwrap()), settings, scan, None)
    }

    /// One with models.
    pub fn with_models(models: GatewaySettings, settings: ServerSettings) -> Self {
        let store = Arc::new(Store::in_memory().unwrap());
        let kept = Kept::new(store.cache(Arc::new(FixedClock), CacheLimits::default()).unwrap());
        let gateway = Gateway::new(models, BTreeMap::new(), store.ledger(), Arc::new(FixedClock)).unwrap();
        Self::over(store, settings, None, Some(Arc::new(gateway.keeping(Some(kept)))))
    }

    fn over(
        store: Arc<Store>,
        settings: ServerSettings,
        scan: Option<Arc<dyn ScanFolder>>,
        gateway: Option<Arc<Gateway>>,
    ) -> Self {
        let ledger = store.ledger();
        let engine = Engine::new(EngineParts {
            store,
            embedder: Some(Arc::new(StaticEmbedder)),
            models: gateway.clone().map(|gateway| gateway as Arc<dyn Models>),
            cache: None,
            tokens: Arc::new(O200k),
            prompt_tokens: Arc::new(O200k),
            parser: Arc::new(Parser::default()),
            clock: Arc::new(FixedClock),
            ids: Arc::new(CountedIds::default()),
            settings: EngineSettings::default(),
        })
        .unwrap();
        let readiness = Readiness::default();
        readiness.ready();
        let state = AppState {
            engine,
            clock: Arc::new(FixedClock),
            ids: Arc::new(CountedIds::default()),
            scan,
            models: gateway.map(|gateway| gateway as Arc<dyn ModelDesk>),
            ledger: Arc::clone(&ledger),
            readiness: readiness.clone(),
            build: Build { version: "0.1.0", commit: None },
            folder: "(memory)".to_owned(),
        };
        Self { router: router(state, settings), readiness, ledger }
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec();
        Reply { status, headers, body }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn call(&self, method: Method, path: &str, body: &Value) -> Reply {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.call(Method::POST, path, body).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.send(Request::delete(path).body(Body::empty()).unwrap()).await
    }

    /// Sends files as a form; `before` are text parts in front of them.
    pub async fn upload(&self, path: &str, before: &[(&str, &str)], files: &[(&str, &[u8])]) -> Reply {
        self.send(form(path, before, files)).await
    }

    /// Adds texts and waits until they are indexed; returns the documents' ids.
    pub async fn add(&self, texts: &[(&str, &str)]) -> Vec<String> {
        let documents: Vec<Value> =
            texts.iter().map(|(name, text)| serde_json::json!({"name": name, "text": text})).collect();
        let added = self.post("/v1/documents", &serde_json::json!({ "documents": documents })).await.ok();
        self.finished(added["job"]["id"].as_str().unwrap()).await;
        added["documents"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits for the end of a job by reading its events to their end.
    pub async fn finished(&self, job: &str) -> Value {
        let started = Instant::now();
        let events = tokio::time::timeout(Duration::from_secs(60), self.get(&format!("/v1/jobs/{job}/events"))).await;
        events.unwrap_or_else(|_| panic!("the job did not end in {:?}", started.elapsed()));
        let job = self.get(&format!("/v1/jobs/{job}")).await.ok();
        assert!(matches!(job["state"].as_str(), Some("done" | "cancelled")), "{job}");
        job
    }

    /// Two texts that speak of one another.
    pub async fn with_library() -> Self {
        Self::new().stocked().await
    }

    /// The same server with that library.
    pub async fn stocked(self) -> Self {
        self.add(&[("charter.md", CHARTER), ("minutes/may.md", MINUTES)]).await;
        self
    }
}

/// A form as browsers send it.
pub fn form(path: &str, before: &[(&str, &str)], files: &[(&str, &[u8])]) -> Request<Body> {
    const BOUNDARY: &str = "----boundary7MA4YWxk";
    let mut body = Vec::new();
    for (name, value) in before {
        let part = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    for (name, bytes) in files {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    let request = Request::post(path).header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"));
    request.body(Body::from(body)).unwrap()
}

pub const CHARTER: &str = "# Charter of the Harbour Institute\n\n\
    The Harbour Institute is a research institute in Rotterdam. The Harbour Institute was founded by Maria \
    Alvarez in 1987.\n\n\
    ## Purpose\n\nThe Harbour Institute studies tidal energy and the repair of old quays.\n";

pub const MINUTES: &str = "# Minutes of May\n\n\
    Maria Alvarez opened the meeting. Jonas Weber reported that the tidal turbine at Pier Nine reached 94 percent \
    availability.\n\nThe board approved a budget of 2.4 million euros for the quay wall.\n";
