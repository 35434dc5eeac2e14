//! Adding documents: files as multipart, texts as JSON. Reading their formats is left to the engine.

use axum::Json;
use axum::body::HttpBody as _;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use lorekeep_engine::AddRequest;
use lorekeep_types::{DocumentId, Error, ErrorCode, JobId, NewItem, RequestContext, Result};
use tokio::sync::OwnedSemaphorePermit;

use crate::dto;
use crate::error::ApiResult;
use crate::extract;
use crate::routes::openapi::Failures;
use crate::scope::Scope;
use crate::state::{App, Shared};

/// Longest text field of a form, and longest name or source of a document, in bytes.
const MAX_FIELD: usize = 4_096;

/// Adds documents: `multipart/form-data` with repeated `file` parts, or JSON texts. The optional text parts
/// `source`, `name` and `tags` (comma separated) apply to the next file; `label` and `job` to all.
#[utoipa::path(post, path = "/v1/documents", operation_id = "addDocuments", tag = "documents",
    request_body(content((dto::TextDocuments = "application/json"), (dto::UploadForm = "multipart/form-data"))),
    responses((status = 202, body = dto::Added), Failures))]
pub(crate) async fn add(
    State(app): State<Shared>,
    scope: Scope,
    request: Request,
) -> ApiResult<(StatusCode, Json<dto::Added>)> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let (adding, _room) = if kind.trim_start().to_ascii_lowercase().starts_with("multipart/") {
        let room = room(&app, &request)?;
        (form(&app, request).await?, Some(room))
    } else {
        (texts(extract::json(request, app.settings.max_text_bytes).await?)?, None)
    };
    Ok((StatusCode::ACCEPTED, Json(enqueue(&app, &scope, adding).await?)))
}

async fn enqueue(app: &App, scope: &RequestContext, adding: AddRequest) -> Result<dto::Added> {
    let documents = adding.items.iter().map(|item| dto::AddedDocument {
        id: DocumentId::of_source(&item.source).into(),
        name: item.name.clone(),
        source: item.source.clone(),
    });
    let documents = documents.collect();
    let job = app.engine().add(scope, adding).await?;
    Ok(dto::Added { job: job.into(), documents })
}

fn texts(body: dto::TextDocuments) -> Result<AddRequest> {
    let items = body.documents.into_iter().map(|document| {
        let name = display_name(&document.name)?;
        let source = document.source.unwrap_or_else(|| format!("text:{name}"));
        let (bytes, tags, metadata) = (document.text.into_bytes(), document.tags, document.metadata);
        Ok(NewItem { tags, metadata, ..NewItem::new(source, name, bytes) })
    });
    let job = body.job.map(|id| JobId::parse(&id)).transpose()?;
    Ok(AddRequest { items: items.collect::<Result<_>>()?, label: body.label, job })
}

/// What text parts said about the next file.
#[derive(Default)]
struct Next {
    source: Option<String>,
    name: Option<String>,
    tags: Vec<String>,
}

/// Memory for the upload, held until the store has it.
pub(crate) fn room(app: &App, request: &Request) -> Result<OwnedSemaphorePermit> {
    let limit = app.settings.max_upload_bytes;
    let declared = request.body().size_hint();
    if declared.lower() > limit as u64 {
        return Err(too_large(limit));
    }
    app.admit_upload(declared.upper().and_then(|upper| usize::try_from(upper).ok()).unwrap_or(limit))
}

async fn form(app: &Shared, request: Request) -> Result<AddRequest> {
    let limit = app.settings.max_upload_bytes;
    let mut parts = Multipart::from_request(request, app)
        .await
        .map_err(|rejection| Error::invalid(format!("the form cannot be read: {}", rejection.body_text())))?;
    let mut adding = AddRequest::default();
    let mut next = Next::default();
    while let Some(field) = parts.next_field().await.map_err(|fault| broken(&fault, limit))? {
        match field.name().unwrap_or_default() {
            "file" | "files" => adding.items.push(file(field, std::mem::take(&mut next), limit).await?),
            "source" => next.source = Some(text(field, limit).await?),
            "name" => next.name = Some(text(field, limit).await?),
            "tags" => next.tags = tags(&text(field, limit).await?),
            "label" => adding.label = Some(text(field, limit).await?),
            "job" => adding.job = Some(JobId::parse(&text(field, limit).await?)?),
            other => {
                return Err(Error::invalid(format!("the form has a part `{other}` that is not known"))
                    .hint("use `file`, and before it `source`, `name`, `tags`, `label` or `job`"));
            }
        }
    }
    if adding.items.is_empty() {
        return Err(Error::invalid("the form holds no part `file`").hint("send at least one file as `file`"));
    }
    Ok(adding)
}

async fn file(mut field: Field<'_>, next: Next, limit: usize) -> Result<NewItem> {
    let given = next.name.as_deref().or(field.file_name()).unwrap_or_default();
    let name = display_name(given)?;
    let mut bytes = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(|fault| broken(&fault, limit))? {
        bytes.extend_from_slice(&piece);
    }
    let source = next.source.unwrap_or_else(|| format!("upload:{name}"));
    Ok(NewItem { tags: next.tags, ..NewItem::new(source, name, bytes) })
}

async fn text(mut field: Field<'_>, limit: usize) -> Result<String> {
    let mut bytes = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(|fault| broken(&fault, limit))? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MAX_FIELD {
            return Err(Error::new(ErrorCode::TooLarge, format!("a text part is longer than {MAX_FIELD} bytes")));
        }
    }
    String::from_utf8(bytes).map_err(|fault| Error::invalid("a text part is not UTF-8").caused_by(fault))
}

fn tags(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}

/// A document's display name: `/` between folders, no control characters.
pub(crate) fn display_name(given: &str) -> Result<String> {
    let name: String = given.trim().replace('\\', "/").chars().filter(|letter| !letter.is_control()).collect();
    if name.is_empty() || name.len() > MAX_FIELD {
        return Err(Error::invalid("a document needs a name of at most 4,096 bytes")
            .hint("give each `file` part a filename, or a `name` part before it"));
    }
    Ok(name)
}

fn broken(fault: &MultipartError, limit: usize) -> Error {
    if fault.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large(limit);
    }
    Error::invalid(format!("the form broke off: {}", fault.body_text()))
}

fn too_large(limit: usize) -> Error {
    Error::new(ErrorCode::TooLarge, format!("the upload is larger than the limit of {limit} bytes"))
        .hint("send fewer files at once, or raise `server.max_body_mib`")
}
