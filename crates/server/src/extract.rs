//! Reading of bodies and queries, with this API's errors instead of the framework's texts.

use axum::Json;
use axum::body::{Body, Bytes, HttpBody as _};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use lorekeep_types::{Error, ErrorCode, PageRequest, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::ApiError;
use crate::state::Shared;

/// A JSON body of at most `max_json_bytes`.
#[derive(Debug)]
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &Shared) -> Result<Self, ApiError> {
        Ok(Self(json(request, app.settings.max_json_bytes).await?))
    }
}

/// Reads a JSON body of at most `limit` bytes.
pub(crate) async fn json<T: DeserializeOwned>(request: Request, limit: usize) -> Result<T> {
    if let Some(kind) = request.headers().get(CONTENT_TYPE) {
        let kind = kind.to_str().unwrap_or_default();
        if !is_json(kind) {
            return Err(Error::new(ErrorCode::Unsupported, format!("a body of type `{kind}` cannot be read here"))
                .hint("send JSON with the header `Content-Type: application/json`"));
        }
    }
    let bytes = bytes(request.into_body(), limit).await?;
    // Serde would also fill a structure from an array, by position.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Error::invalid("the body is not a JSON object").hint("see /docs for the fields of every operation"));
    }
    if let Ok(value) = serde_json::from_slice(&bytes) {
        return Ok(value);
    }
    // Once more, slower, to tell which field is wrong.
    Json::from_bytes(&bytes).map(|Json(value)| value).map_err(|rejection| {
        let text = rejection.body_text();
        let detail = text.split_once(": ").map_or(text.as_str(), |(_, detail)| detail);
        let fault = if matches!(rejection, axum::extract::rejection::JsonRejection::JsonSyntaxError(_)) {
            "the body is not JSON"
        } else {
            "the body is not what this operation takes"
        };
        Error::invalid(format!("{fault}: {detail}")).hint("see /docs for the fields of every operation")
    })
}

fn is_json(kind: &str) -> bool {
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

/// Reads a body of at most `limit` bytes; a declared length over it is refused before reading.
pub(crate) async fn bytes(body: Body, limit: usize) -> Result<Bytes> {
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit));
    }
    axum::body::to_bytes(body, limit).await.map_err(|fault| {
        let over = std::error::Error::source(&fault).is_some_and(|cause| cause.to_string().contains("length limit"));
        if over { too_large(limit) } else { Error::invalid("the body broke off").caused_by(fault) }
    })
}

/// The error of a body over `limit` bytes.
pub(crate) fn too_large(limit: usize) -> Error {
    Error::new(ErrorCode::TooLarge, format!("the body is larger than the limit of {limit} bytes"))
        .hint("send less at once; files go to POST /v1/documents as multipart")
}

/// A query string.
#[derive(Debug)]
pub(crate) struct Args<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Shared> for Args<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, ApiError> {
        Query::<T>::try_from_uri(&parts.uri).map(|query| Self(query.0)).map_err(|rejection| {
            let text = rejection.body_text();
            let detail = text.split_once(": ").map_or(text.as_str(), |(_, detail)| detail);
            Error::invalid(format!("the query string is not what this operation takes: {detail}")).into()
        })
    }
}

/// A part of the path, percent-decoded.
#[derive(Debug)]
pub(crate) struct Segment(pub(crate) String);

impl FromRequestParts<Shared> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        let found = Path::<String>::from_request_parts(parts, app).await;
        found.map(|path| Self(path.0)).map_err(|_| Error::invalid("the path is not UTF-8 text").into())
    }
}

/// A window on a list, as asked for.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Window {
    offset: Option<usize>,
    limit: Option<usize>,
}

/// Entries of a list when the caller names no limit, and the most that may be asked for.
pub(crate) const WINDOW: (usize, usize) = (50, 1_000);

impl Window {
    pub(crate) fn page(self) -> Result<PageRequest> {
        page(self.offset, self.limit)
    }
}

/// A window with defaults, or the error that names the limit.
pub(crate) fn page(offset: Option<usize>, limit: Option<usize>) -> Result<PageRequest> {
    let (default, most) = WINDOW;
    let limit = limit.unwrap_or(default);
    if !(1..=most).contains(&limit) {
        return Err(Error::invalid(format!("`limit` is {limit}; it must be 1 to {most}")));
    }
    Ok(PageRequest { offset: offset.unwrap_or(0), limit })
}
