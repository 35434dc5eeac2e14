//! The one way commands reach the product: the native API. It is spoken over HTTP to a server, or to the
//! same router inside this process when the data folder is free, so that every command works on both.

mod http;
mod local;
mod multipart;
mod sse;

use std::time::Duration;

use anyhow::{Context, Result};
use axum::body::{Body, Bytes};
use axum::http::{Method, Request, Response, StatusCode, header};
use lorekeep_types::{ErrorCode, WorkspaceName};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use local::Node;
pub use multipart::{FilePart, encode};
pub use sse::Events;

/// The largest JSON answer a command will hold, in bytes.
const MAX_ANSWER: usize = 256 << 20;

/// How long a one-shot command waits for work that follows indexing.
const SETTLE: Duration = Duration::from_secs(600);

/// An error that the API answered.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// `E-…`, or empty when the peer is not a Lorekeep server.
    pub code: String,
    /// What happened.
    pub message: String,
    /// The remedy.
    pub hint: Option<String>,
}

impl ApiError {
    /// The code, if it is one of ours.
    pub fn known_code(&self) -> Option<ErrorCode> {
        ErrorCode::ALL.into_iter().find(|code| code.name() == self.code)
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

enum Transport {
    Local(Box<Node>),
    Http(http::Remote),
}

/// A connection to a workspace.
pub struct Client {
    transport: Transport,
    workspace: WorkspaceName,
}

impl Client {
    /// Speaks to the router of this process.
    pub fn local(node: Node, workspace: WorkspaceName) -> Self {
        Self { transport: Transport::Local(Box::new(node)), workspace }
    }

    /// Speaks to the server at `url`.
    pub fn remote(url: &str, workspace: WorkspaceName) -> Result<Self> {
        Ok(Self { transport: Transport::Http(http::Remote::new(url)?), workspace })
    }

    /// The workspace requests go to.
    pub fn workspace(&self) -> &WorkspaceName {
        &self.workspace
    }

    /// Sends a request and returns the answer whatever its status.
    pub async fn send(&self, method: Method, path: &str, kind: &str, body: Body) -> Result<Response<Body>> {
        let mut request =
            Request::builder().method(method).uri(path).header("x-lorekeep-workspace", self.workspace.as_str());
        if !kind.is_empty() {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request.body(body).context("cannot make the request")?;
        match &self.transport {
            Transport::Local(node) => node.call(request).await,
            Transport::Http(remote) => remote.call(request).await,
        }
    }

    /// Sends a request and returns the answer's body, still streaming, or the API's error.
    pub async fn stream(&self, method: Method, path: &str, kind: &str, body: Body) -> Result<Body> {
        let response = self.send(method, path, kind, body).await?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), MAX_ANSWER).await.unwrap_or_default();
        Err(api_error(status, &body).into())
    }

    /// Sends a request and returns the answer's bytes.
    pub async fn bytes(&self, method: Method, path: &str, kind: &str, body: Body) -> Result<Bytes> {
        let body = self.stream(method, path, kind, body).await?;
        axum::body::to_bytes(body, MAX_ANSWER).await.context("the answer broke off")
    }

    /// GET, as JSON.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let bytes = self.bytes(Method::GET, path, "", Body::empty()).await?;
        serde_json::from_slice(&bytes).with_context(|| format!("the answer to {path} is not what was expected"))
    }

    /// A request with a JSON body and a JSON answer.
    pub async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: &Value) -> Result<T> {
        let bytes = self.bytes(method, path, "application/json", Body::from(body.to_string())).await?;
        serde_json::from_slice(&bytes).with_context(|| format!("the answer to {path} is not what was expected"))
    }

    /// Server-sent events of a GET.
    pub async fn events(&self, path: &str) -> Result<Events> {
        Ok(Events::new(self.stream(Method::GET, path, "", Body::empty()).await?))
    }

    /// Waits until the vectors of entities and relations are done as well, if this process is the one that makes them:
    /// otherwise the next command would find them undone.
    pub async fn settle(&self) {
        if let Transport::Local(node) = &self.transport
            && !node.engine.settle(SETTLE).await
        {
            tracing::warn!("work that follows indexing is not done; the next command or server goes on with it");
        }
    }

    /// Lets go of the data folder, if this client holds it, after running work has stopped cleanly.
    pub async fn close(self) {
        if let Transport::Local(node) = self.transport {
            node.close().await;
        }
    }
}

fn api_error(status: StatusCode, body: &[u8]) -> ApiError {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    ApiError { status: status.as_u16(), ..problem(&said) }
}

/// The error that a problem document (RFC 9457) tells, as a body or inside a stream.
pub fn problem(problem: &Value) -> ApiError {
    let status = problem["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(500);
    let text = |name: &str| problem.get(name).and_then(Value::as_str).map(str::to_owned);
    ApiError {
        status,
        code: text("code").unwrap_or_default(),
        message: text("detail").unwrap_or_else(|| format!("the server answered {status}")),
        hint: text("hint"),
    }
}

/// A value made safe for a path or query: everything but unreserved characters is percent-encoded (RFC 3986).
pub fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
