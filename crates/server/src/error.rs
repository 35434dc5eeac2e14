//! How an [`Error`] becomes a response, for every surface, from the one table of codes.
//!
//! A route fails with [`ApiError`]; it only notes what went wrong. [`Manner::render`], in a layer around all routes, writes
//! the body in the manner of the surface that was addressed. What the codes mean is left to `lorekeep-types`.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use lorekeep_types::{Error, ErrorCode};
use serde_json::json;

use crate::dto::Problem;

/// A failed request.
#[derive(Debug)]
pub(crate) struct ApiError {
    error: Error,
    status: Option<StatusCode>,
}

pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// An error whose status differs from that of its code.
    pub(crate) fn with_status(error: Error, status: StatusCode) -> Self {
        Self { error, status: Some(status) }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self { error, status: None }
    }
}

/// What a failed route leaves for [`Manner::render`].
#[derive(Clone, Debug)]
struct Failure {
    code: ErrorCode,
    message: String,
    hint: Option<String>,
    status: StatusCode,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let code = self.error.code();
        let status = self.status.unwrap_or_else(|| status_of(code));
        if status.is_server_error() {
            log(&self.error);
        }
        let failure = Failure {
            code,
            message: self.error.message().to_owned(),
            hint: self.error.remedy().map(str::to_owned),
            status,
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        response.extensions_mut().insert(failure);
        response
    }
}

fn status_of(code: ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn log(error: &Error) {
    let mut causes = String::new();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        causes.push_str(": ");
        causes.push_str(&cause.to_string());
        next = cause.source();
    }
    if matches!(error.code(), ErrorCode::CapabilityMissing | ErrorCode::Timeout) {
        tracing::info!(code = error.code().name(), "{error}{causes}");
    } else {
        tracing::error!(code = error.code().name(), "{error}{causes}");
    }
}

/// How the surface that a request addresses tells of failures.
#[derive(Clone, Copy)]
pub(crate) enum Manner {
    LightRag,
    OpenAi,
    Native,
}

impl Manner {
    pub(crate) fn of(request: &Request) -> Self {
        let path = request.uri().path();
        if crate::compat::is_lightrag_path(path) {
            return Self::LightRag;
        }
        if crate::compat::is_openai_path(path) { Self::OpenAi } else { Self::Native }
    }

    /// Writes the body of a failed request; any other response is left as it is.
    pub(crate) fn render(self, request_id: &str, mut response: Response) -> Response {
        let Some(failure) = response.extensions_mut().remove::<Failure>() else { return response };
        let headers = std::mem::take(response.headers_mut());
        match self {
            Self::LightRag => lightrag_body(&failure, request_id, headers),
            Self::OpenAi => openai_body(&failure, headers),
            Self::Native => problem(&failure, request_id.to_owned(), headers),
        }
    }
}

fn openai_body(failure: &Failure, mut headers: HeaderMap) -> Response {
    if failure.code == ErrorCode::Busy {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let message = match &failure.hint {
        Some(hint) => format!("{}; {hint}", failure.message),
        None => failure.message.clone(),
    };
    let body = crate::compat::openai::failure(failure.status, failure.code, &message);
    (failure.status, headers, body.to_string()).into_response()
}

fn problem(failure: &Failure, request_id: String, mut headers: HeaderMap) -> Response {
    let code = failure.code;
    if code == ErrorCode::Busy {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    let problem = problem_of(code, failure.status.as_u16(), &failure.message, failure.hint.clone(), request_id);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    (failure.status, headers, serde_json::to_string(&problem).unwrap_or_default()).into_response()
}

/// The native error body (RFC 9457).
pub(crate) fn problem_of(
    code: ErrorCode,
    status: u16,
    detail: &str,
    hint: Option<String>,
    request_id: String,
) -> Problem {
    Problem {
        r#type: format!("https://lorekeep.dev/errors/{}", code.name()),
        title: code.meaning().to_owned(),
        status,
        detail: detail.to_owned(),
        code: code.name().to_owned(),
        hint,
        request_id,
    }
}

fn lightrag_body(failure: &Failure, request_id: &str, mut headers: HeaderMap) -> Response {
    let detail = match (failure.code, failure.status) {
        (_, StatusCode::METHOD_NOT_ALLOWED) => "Method Not Allowed".to_owned(),
        (ErrorCode::Internal | ErrorCode::Storage | ErrorCode::Configuration, _) => {
            let id = crate::compat::hex_of(request_id, 12);
            tracing::error!(error_id = id, request_id, "internal server error");
            format!("Internal server error (error_id: {id})")
        }
        (ErrorCode::Busy, _) => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("30"));
            format!("Pipeline is at capacity: {}", failure.message)
        }
        _ => match &failure.hint {
            Some(hint) => format!("{}; {hint}", failure.message),
            None => failure.message.clone(),
        },
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (failure.status, headers, json!({ "detail": detail }).to_string()).into_response()
}

/// The answer to a path that does not exist.
pub(crate) async fn no_route(request: Request) -> ApiError {
    let path = request.uri().path();
    if crate::compat::is_lightrag_path(path) {
        return Error::new(ErrorCode::NotFound, "Not Found").into();
    }
    Error::not_found("route", path).hint("see /docs for every operation").into()
}

/// The answer to a method that a path does not take.
pub(crate) async fn no_method(request: Request) -> ApiError {
    let error = Error::invalid(format!("this path does not take {}", request.method()))
        .hint("the `Allow` header lists the methods it takes");
    ApiError::with_status(error, StatusCode::METHOD_NOT_ALLOWED)
}
