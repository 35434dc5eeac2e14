//! Refusals in the shapes of this service: `{detail}` of `/v1/generate`, `{error}` of OpenAI.

use axum::Json;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use lorekeep_types::{Error, ErrorCode, ModelError, ModelFault};
use serde_json::{Value, json};

/// Seconds after which a caller who found the queue full may ask again.
const AGAIN_AFTER: &str = "1";

/// Whose shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `/v1/generate`.
    Plain,
    /// OpenAI.
    OpenAi,
}

/// A refused or failed request.
#[derive(Debug)]
pub(super) struct Refusal {
    shape: Shape,
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl Refusal {
    /// A request that is wrong.
    pub(super) fn invalid(shape: Shape, message: impl Into<String>) -> Self {
        Self { shape, status: StatusCode::BAD_REQUEST, kind: "invalid_request_error", message: message.into() }
    }

    /// No model does this here.
    pub(super) fn absent(shape: Shape, does: &str, flag: &str) -> Self {
        let message = format!("no model that {does} is loaded; start the service with {flag} PATH");
        Self { shape, status: StatusCode::NOT_IMPLEMENTED, kind: "not_loaded", message }
    }

    /// A failure of reading the request.
    pub(super) fn of(shape: Shape, error: &Error) -> Self {
        let message = match error.remedy() {
            Some(hint) if error.code() == ErrorCode::Forbidden => format!("{error}; {hint}"),
            _ => error.to_string(),
        };
        // The plain shape knows 400 for everything that is wrong with a request.
        let status = match (shape, error.code()) {
            (Shape::Plain, ErrorCode::Unsupported | ErrorCode::Unprocessable) => StatusCode::BAD_REQUEST,
            (_, code) => StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        };
        Self { shape, status, kind: "invalid_request_error", message }
    }

    /// A failed call of the model.
    pub(super) fn failed(shape: Shape, error: &ModelError) -> Self {
        let (status, kind) = match error.fault {
            ModelFault::QueueFull => (StatusCode::TOO_MANY_REQUESTS, "queue_full"),
            ModelFault::Request | ModelFault::Capability => (StatusCode::BAD_REQUEST, "invalid_request_error"),
            ModelFault::Timeout(_) => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        };
        if status.is_server_error() {
            tracing::error!(%error, "a local model failed");
        }
        Self { shape, status, kind, message: error.message.clone() }
    }

    /// The body.
    pub(super) fn body(&self) -> Value {
        match self.shape {
            Shape::Plain => json!({ "detail": self.message }),
            Shape::OpenAi => json!({ "error": { "message": self.message, "type": self.kind, "code": self.kind } }),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(RETRY_AFTER, AGAIN_AFTER.parse().unwrap_or_else(|_| 1.into()));
        }
        response
    }
}

/// The answer to a path that does not exist.
pub(super) async fn no_route(request: Request) -> Refusal {
    let mut refusal = Refusal::invalid(Shape::OpenAi, format!("there is no route `{}`", request.uri().path()));
    refusal.status = StatusCode::NOT_FOUND;
    refusal
}

/// The answer to a method that a path does not take.
pub(super) async fn no_method(request: Request) -> Refusal {
    let mut refusal = Refusal::invalid(Shape::OpenAi, format!("this path does not take {}", request.method()));
    refusal.status = StatusCode::METHOD_NOT_ALLOWED;
    refusal
}
