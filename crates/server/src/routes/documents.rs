//! Documents: list, read, tag, delete, retry. Adding is in `upload`.

use axum::Json;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use lorekeep_types::{DocumentFilter, DocumentId, DocumentOrder, Error, OrderField, PageRequest, Result};
use serde::Deserialize;

use crate::dto;
use crate::error::ApiResult;
use crate::extract::{self, Args, JsonBody, Segment, Window};
use crate::routes::openapi::Failures;
use crate::scope::Scope;
use crate::state::Shared;

/// Lists documents. Filters may be repeated or comma separated.
#[utoipa::path(get, path = "/v1/documents", operation_id = "listDocuments", tag = "documents",
    params(
        ("offset" = Option<usize>, Query, description = "entries to skip"),
        ("limit" = Option<usize>, Query, description = "entries to return, 1 to 1,000; default 50"),
        ("sort" = Option<String>, Query, description = "`updated_at` (default), `created_at`, `name` or `id`"),
        ("order" = Option<String>, Query, description = "`desc` (default) or `asc`"),
        ("state" = Option<String>, Query, description = "only in this state"),
        ("document" = Option<String>, Query, description = "only this document: id or name, `*` and `?` match"),
        ("folder" = Option<String>, Query, description = "only in this folder"),
        ("tag" = Option<String>, Query, description = "only with this tag"),
        ("language" = Option<String>, Query, description = "only in this language (ISO 639-1)"),
        ("since" = Option<String>, Query, description = "only dated on or after, YYYY-MM-DD"),
        ("until" = Option<String>, Query, description = "only dated on or before, YYYY-MM-DD"),
        ("job" = Option<String>, Query, description = "only of this job")),
    responses((status = 200, body = dto::Documents), Failures))]
pub(crate) async fn list(
    State(app): State<Shared>,
    scope: Scope,
    Query(pairs): Query<Vec<(String, String)>>,
) -> ApiResult<Json<dto::Documents>> {
    let (filter, order, page) = listing(pairs)?;
    let found = app.engine().documents(&scope, filter, order, page).await?;
    Ok(Json(found.into()))
}

fn listing(pairs: Vec<(String, String)>) -> Result<(DocumentFilter, DocumentOrder, PageRequest)> {
    let mut filter = dto::Filter::default();
    let (mut offset, mut limit) = (None, None);
    let mut order = DocumentOrder::default();
    for (key, value) in pairs {
        let several = || value.split(',').filter(|part| !part.is_empty()).map(str::to_owned);
        match key.as_str() {
            "offset" => offset = Some(number(&key, &value)?),
            "limit" => limit = Some(number(&key, &value)?),
            "sort" => order.field = order_field(&value)?,
            "order" => order.descending = descending(&value)?,
            "state" => filter.states.extend(several()),
            "tag" => filter.tags.extend(several()),
            "language" => filter.languages.extend(several()),
            "job" => filter.jobs.extend(several()),
            // Names may hold commas.
            "document" => filter.documents.push(value),
            "folder" => filter.folders.push(value),
            "since" => filter.since = Some(value),
            "until" => filter.until = Some(value),
            "workspace" => {}
            _ => return Err(Error::invalid(format!("`{key}` is not a parameter of this list")).hint("see /docs")),
        }
    }
    Ok((filter.try_into()?, order, extract::page(offset, limit)?))
}

fn number(key: &str, value: &str) -> Result<usize> {
    value.parse().map_err(|_| Error::invalid(format!("`{key}` is `{value}`; it must be a number")))
}

fn order_field(name: &str) -> Result<OrderField> {
    match name {
        "updated_at" => Ok(OrderField::UpdatedAt),
        "created_at" => Ok(OrderField::CreatedAt),
        "name" => Ok(OrderField::Name),
        "id" => Ok(OrderField::Id),
        _ => Err(Error::invalid(format!("`{name}` is not a sorting key"))
            .hint("use one of updated_at, created_at, name, id")),
    }
}

fn descending(name: &str) -> Result<bool> {
    match name {
        "desc" => Ok(true),
        "asc" => Ok(false),
        _ => Err(Error::invalid(format!("`{name}` is not an order")).hint("use `asc` or `desc`")),
    }
}

/// One document.
#[utoipa::path(get, path = "/v1/documents/{id}", operation_id = "getDocument", tag = "documents",
    params(("id" = String, Path, description = "the document's id")),
    responses((status = 200, body = dto::Document), Failures))]
pub(crate) async fn show(
    State(app): State<Shared>,
    scope: Scope,
    Segment(id): Segment,
) -> ApiResult<Json<dto::Document>> {
    let record = app.engine().document(&scope, &DocumentId::parse(&id)?).await?;
    Ok(Json(record.into()))
}

/// Replaces a document's tags.
#[utoipa::path(patch, path = "/v1/documents/{id}", operation_id = "tagDocument", tag = "documents",
    params(("id" = String, Path, description = "the document's id")), request_body = dto::TagsBody,
    responses((status = 200, body = dto::Document), Failures))]
pub(crate) async fn set_tags(
    State(app): State<Shared>,
    scope: Scope,
    Segment(id): Segment,
    JsonBody(body): JsonBody<dto::TagsBody>,
) -> ApiResult<Json<dto::Document>> {
    let record = app.engine().set_tags(&scope, &DocumentId::parse(&id)?, body.tags).await?;
    Ok(Json(record.into()))
}

/// Deletes a document and exactly what it contributed.
#[utoipa::path(delete, path = "/v1/documents/{id}", operation_id = "deleteDocument", tag = "documents",
    params(("id" = String, Path, description = "the document's id")),
    responses((status = 200, body = dto::Deleted), Failures))]
pub(crate) async fn remove(
    State(app): State<Shared>,
    scope: Scope,
    Segment(id): Segment,
) -> ApiResult<Json<dto::Deleted>> {
    let deleted = app.engine().delete(&scope, vec![DocumentId::parse(&id)?]).await?;
    if deleted.is_empty() {
        return Err(Error::not_found("document", &id).into());
    }
    Ok(Json(deleted_ids(deleted)))
}

fn deleted_ids(ids: Vec<DocumentId>) -> dto::Deleted {
    let deleted: Vec<String> = ids.into_iter().map(Into::into).collect();
    dto::Deleted { count: deleted.len(), deleted }
}

#[derive(Deserialize)]
pub(crate) struct RemoveArgs {
    #[serde(default)]
    all: bool,
}

/// Deletes the documents named in the body, or every document with `?all=true`.
#[utoipa::path(delete, path = "/v1/documents", operation_id = "deleteDocuments", tag = "documents",
    params(("all" = Option<bool>, Query, description = "delete every document of the workspace")),
    request_body(content = Option<dto::IdsBody>),
    responses((status = 200, body = dto::Deleted), Failures))]
pub(crate) async fn remove_many(
    State(app): State<Shared>,
    scope: Scope,
    Args(args): Args<RemoveArgs>,
    request: Request,
) -> ApiResult<Json<dto::Deleted>> {
    if args.all {
        let count = app.engine().delete_all(&scope).await?;
        return Ok(Json(dto::Deleted { deleted: Vec::new(), count }));
    }
    let body: dto::IdsBody = extract::json(request, app.settings.max_json_bytes).await?;
    if body.ids.is_empty() {
        return Err(Error::invalid("`ids` is empty").hint("name documents, or use `?all=true`").into());
    }
    let ids = parse_ids(&body.ids)?;
    Ok(Json(deleted_ids(app.engine().delete(&scope, ids).await?)))
}

fn parse_ids(ids: &[String]) -> Result<Vec<DocumentId>> {
    ids.iter().map(|id| DocumentId::parse(id)).collect()
}

/// The extracted text with its pages and headings; with `Accept: text/plain` the bare text.
#[utoipa::path(get, path = "/v1/documents/{id}/text", operation_id = "getDocumentText", tag = "documents",
    params(("id" = String, Path, description = "the document's id")),
    responses((status = 200, content((dto::DocumentText = "application/json"), (String = "text/plain"))), Failures))]
pub(crate) async fn text(
    State(app): State<Shared>,
    scope: Scope,
    Segment(id): Segment,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let text = app.engine().document_text(&scope, &DocumentId::parse(&id)?).await?;
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accept.split(',').any(|kind| kind.trim().starts_with("text/plain")) {
        return Ok(text.text.into_response());
    }
    Ok(Json(dto::DocumentText::new(id, text)).into_response())
}

/// The document's chunks in order.
#[utoipa::path(get, path = "/v1/documents/{id}/chunks", operation_id = "getDocumentChunks", tag = "documents",
    params(("id" = String, Path, description = "the document's id"),
        ("offset" = Option<usize>, Query, description = "chunks to skip"),
        ("limit" = Option<usize>, Query, description = "chunks to return, 1 to 1,000; default 50")),
    responses((status = 200, body = dto::Chunks), Failures))]
pub(crate) async fn chunks(
    State(app): State<Shared>,
    scope: Scope,
    Segment(id): Segment,
    Args(window): Args<Window>,
) -> ApiResult<Json<dto::Chunks>> {
    let chunks = app.engine().document_chunks(&scope, &DocumentId::parse(&id)?, window.page()?).await?;
    Ok(Json(dto::Chunks { chunks: chunks.into_iter().map(Into::into).collect() }))
}

/// The original bytes, to be saved; browsers are kept from running anything in them.
#[utoipa::path(get, path = "/v1/documents/{id}/original", operation_id = "getDocumentOriginal", tag = "documents",
    params(("id" = String, Path, description = "the document's id"),
        ("inline" = Option<bool>, Query, description = "show in the browser (PDF and plain text only)")),
    responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>), Failures))]
pub(crate) async fn original(
    State(app): State<Shared>,
    scope: Scope,
    Segment(id): Segment,
    Args(args): Args<OriginalArgs>,
) -> ApiResult<Response> {
    let (record, bytes) = app.engine().document_bytes(&scope, &DocumentId::parse(&id)?).await?;
    let media_type = media_type(app.engine().formats(), &record.name);
    let inline = args.inline && matches!(media_type, "application/pdf" | "text/plain");
    let mut response = Body::from(bytes).into_response();
    let headers = response.headers_mut();
    // A document's HTML or SVG must never run in this origin.
    let served = if inline { media_type } else { safe_type(media_type) };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(served));
    headers.insert(CONTENT_DISPOSITION, disposition(&record.name, inline));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    Ok(response)
}

#[derive(Deserialize)]
pub(crate) struct OriginalArgs {
    #[serde(default)]
    inline: bool,
}

fn media_type(formats: &'static [lorekeep_types::Format], name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    let format = formats.iter().find(|format| format.extensions.contains(&extension.as_str()));
    format.map_or("application/octet-stream", |format| format.media_type)
}

fn safe_type(media_type: &'static str) -> &'static str {
    if media_type.contains("html") || media_type.contains("svg") { "application/octet-stream" } else { media_type }
}

/// `Content-Disposition` with the last part of the name, in ASCII and in full (RFC 6266, RFC 8187).
pub(crate) fn disposition(name: &str, inline: bool) -> HeaderValue {
    let file = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = file
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | ';' | '%') { c } else { '_' })
        .collect();
    let mut full = String::new();
    for byte in file.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            full.push(char::from(byte));
        } else {
            full.push_str(&format!("%{byte:02X}"));
        }
    }
    let kind = if inline { "inline" } else { "attachment" };
    HeaderValue::from_str(&format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{full}"))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

/// Queues a failed, cancelled or needs-ocr document again.
#[utoipa::path(post, path = "/v1/documents/{id}/retry", operation_id = "retryDocument", tag = "documents",
    params(("id" = String, Path, description = "the document's id")),
    responses((status = 202, body = dto::JobOutcome), Failures))]
pub(crate) async fn retry(
    State(app): State<Shared>,
    scope: Scope,
    Segment(id): Segment,
) -> ApiResult<(StatusCode, Json<dto::JobOutcome>)> {
    let id = DocumentId::parse(&id)?;
    app.engine().document(&scope, &id).await?;
    let job = app.engine().retry(&scope, vec![id]).await?;
    Ok((StatusCode::ACCEPTED, Json(dto::JobOutcome { job: job.map(Into::into) })))
}

/// Queues the named documents again, or all failed, cancelled and needs-ocr ones when `ids` is empty.
#[utoipa::path(post, path = "/v1/documents/retry", operation_id = "retryDocuments", tag = "documents",
    request_body = dto::IdsBody, responses((status = 202, body = dto::JobOutcome), Failures))]
pub(crate) async fn retry_many(
    State(app): State<Shared>,
    scope: Scope,
    JsonBody(body): JsonBody<dto::IdsBody>,
) -> ApiResult<(StatusCode, Json<dto::JobOutcome>)> {
    let job = app.engine().retry(&scope, parse_ids(&body.ids)?).await?;
    Ok((StatusCode::ACCEPTED, Json(dto::JobOutcome { job: job.map(Into::into) })))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn file_names_cannot_break_out_of_the_header() {
        let header = disposition("a/b/evil\"; x=\r\n é.html", false);
        let plain = "attachment; filename=\"evil___x=____.html\"";
        assert_eq!(
            header.to_str().unwrap(),
            format!("{plain}; filename*=UTF-8''evil%22%3B%20x%3D%0D%0A%20%C3%A9.html")
        );
    }

    #[test]
    fn lists_name_the_parameter_they_do_not_know() {
        let error = listing(vec![("colour".to_owned(), "red".to_owned())]).unwrap_err();
        assert!(error.message().contains("`colour`"));
        let (filter, order, page) = listing(vec![
            ("state".to_owned(), "ready,failed".to_owned()),
            ("state".to_owned(), "needs-ocr".to_owned()),
            ("order".to_owned(), "asc".to_owned()),
            ("limit".to_owned(), "7".to_owned()),
        ])
        .unwrap();
        assert_eq!((filter.states.len(), order.descending, page.limit), (3, false, 7));
        assert!(listing(vec![("limit".to_owned(), "0".to_owned())]).is_err());
    }
}
