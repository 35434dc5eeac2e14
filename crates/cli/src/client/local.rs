//! The native API inside this process: the server's own router, called without a socket.

use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, header};
use lorekeep_engine::Engine;
use lorekeep_server::{Readiness, ServerSettings};
use lorekeep_store::Store;
use lorekeep_types::Ledger;
use tower::ServiceExt;

use crate::live::LiveGateway;

/// A running engine and the router over it.
#[derive(Clone)]
pub struct Node {
    /// The routes.
    pub router: Router,
    /// The engine beneath them.
    pub engine: Engine,
    /// Start and stop.
    pub readiness: Readiness,
    /// The limits the routes keep.
    pub settings: ServerSettings,
    /// The data folder; held as long as the node lives.
    pub store: Arc<Store>,
    /// Models that are called.
    pub gateway: Arc<LiveGateway>,
    /// What calling them took.
    pub ledger: Arc<dyn Ledger>,
}

impl Node {
    /// Answers one request.
    pub async fn call(&self, mut request: Request<Body>) -> Result<Response<Body>> {
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("localhost"));
        self.router.clone().oneshot(request).await.context("the router failed")
    }

    /// Stops background work cleanly.
    pub async fn close(self) {
        self.engine.shutdown(self.settings.grace).await;
    }
}
