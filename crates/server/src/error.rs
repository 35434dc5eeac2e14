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
    /// Seconds.
    retry_after: Option<u64>,
}

impl Failure {
    fn of(error: &Error, status: Option<StatusCode>) -> Self {
        let code = error.code();
        let busy = (code == ErrorCode::Busy).then_some(1);
        Self {
            code,
            message: error.message().to_owned(),
            hint: error.remedy().map(str::to_owned),
            status: status.unwrap_or_else(|| status_of(code)),
            // Rounded up: whoever comes back then is not too early.
            retry_after: error.retry_after().map(|wait| wait.as_millis().div_ceil(1_000) as u64).or(busy),
        }
    }

    /// What happened and what to do about it.
    fn whole(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; {hint}", self.message),
            None => self.message.clone(),
        }
    }

    /// A response in the manner of a surface.
    fn response(&self, mut headers: HeaderMap, media_type: &'static str, body: String) -> Response {
        headers.extend(self.retry_after.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds))));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        (self.status, headers, body).into_response()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let failure = Failure::of(&self.error, self.status);
        if failure.status.is_server_error() {
            log(&self.error);
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = failure.status;
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
            Self::LightRag => lightrag_body(failure, request_id, headers),
            Self::OpenAi => openai_body(&failure, headers),
            Self::Native => {
                let body = serde_json::to_string(&problem(&failure, request_id)).unwrap_or_default();
                failure.response(headers, "application/problem+json", body)
            }
        }
    }
}

fn openai_body(failure: &Failure, headers: HeaderMap) -> Response {
    let body = crate::compat::openai::failure(failure.status, failure.code, &failure.whole());
    failure.response(headers, "application/json", body.to_string())
}

/// The native error body (RFC 9457).
pub(crate) fn problem_of(error: &Error, request_id: &str) -> Problem {
    problem(&Failure::of(error, None), request_id)
}

fn problem(failure: &Failure, request_id: &str) -> Problem {
    Problem {
        r#type: format!("https://lorekeep.dev/errors/{}", failure.code.name()),
        title: failure.code.meaning().to_owned(),
        status: failure.status.as_u16(),
        detail: failure.message.clone(),
        code: failure.code.name().to_owned(),
        hint: failure.hint.clone(),
        retry_after_s: failure.retry_after,
        request_id: request_id.to_owned(),
    }
}

fn lightrag_body(mut failure: Failure, request_id: &str, headers: HeaderMap) -> Response {
    let detail = match (failure.code, failure.status) {
        (_, StatusCode::METHOD_NOT_ALLOWED) => "Method Not Allowed".to_owned(),
        (ErrorCode::Internal | ErrorCode::Storage | ErrorCode::Configuration, _) => {
            let id = crate::compat::hex_of(request_id, 12);
            tracing::error!(error_id = id, request_id, "internal server error");
            format!("Internal server error (error_id: {id})")
        }
        (ErrorCode::Busy, _) => {
            failure.retry_after = Some(30);
            format!("Pipeline is at capacity: {}", failure.message)
        }
        _ => failure.whole(),
    };
    failure.response(headers, "application/json", json!({ "detail": detail }).to_string())
}

/// What failed in a stream that has begun, as LightRAG's streams tell it: as far as it is the client's business, which is
/// the kind of a failure, and the budget where one is the reason.
pub(crate) fn failed_in_stream(error: &Error, request_id: &str) -> String {
    let code = error.code();
    tracing::error!(code = code.name(), request_id, "a streamed answer failed: {error}");
    let reason = if code.is_of_budget() { error.message() } else { code.meaning() };
    format!("{reason} ({}, request {request_id})", code.name())
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
