//! How LightRAG's routes refuse: validation faults in FastAPI's shape, and plain details.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lorekeep_types::Error;
use serde_json::{Value, json};

use crate::error::ApiError;

/// One validation fault.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    kind: &'static str,
    loc: Vec<Value>,
    message: String,
    input: Value,
    ctx: Option<Value>,
}

impl Fault {
    pub(crate) fn new(kind: &'static str, loc: Vec<Value>, message: impl Into<String>, input: Value) -> Self {
        Self { kind, loc, message: message.into(), input, ctx: None }
    }

    pub(crate) fn ctx(mut self, ctx: Value) -> Self {
        self.ctx = Some(ctx);
        self
    }

    fn render(&self) -> Value {
        let mut fault = json!({ "type": self.kind, "loc": self.loc, "msg": self.message, "input": self.input });
        if let (Some(ctx), Some(fields)) = (&self.ctx, fault.as_object_mut()) {
            fields.insert("ctx".to_owned(), ctx.clone());
        }
        fault
    }

    /// `body -> field: message`, as `/query/data` says it.
    pub(crate) fn line(&self) -> String {
        let place: Vec<String> =
            self.loc.iter().map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned)).collect();
        format!("{}: {}", place.join(" -> "), self.message)
    }
}

/// Why a request of LightRAG's surface is not served.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Fields that are not what the route takes.
    Invalid(Vec<Fault>),
    /// A status and a text.
    Detail(StatusCode, String),
    /// An error of the product, rendered by the table of codes.
    Failed(ApiError),
}

pub(crate) type Answer<T> = Result<T, Refusal>;

impl Refusal {
    pub(crate) fn detail(status: StatusCode, text: impl Into<String>) -> Self {
        Self::Detail(status, text.into())
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let text = format!("Request body too large. This endpoint accepts at most {limit} bytes.");
        Self::detail(StatusCode::PAYLOAD_TOO_LARGE, text)
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Invalid(faults) => {
                let detail: Vec<Value> = faults.iter().map(Fault::render).collect();
                (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "detail": detail }))).into_response()
            }
            Self::Detail(status, text) => (status, Json(json!({ "detail": text }))).into_response(),
            Self::Failed(error) => error.into_response(),
        }
    }
}
