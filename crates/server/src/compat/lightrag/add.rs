//! `/documents/upload`, `/documents/text`, `/documents/texts` and `/documents/scan`.

use axum::Json;
use axum::extract::multipart::Multipart;
use axum::extract::{FromRequest, Request, State};
use axum::http::StatusCode;
use lorekeep_engine::AddRequest;
use lorekeep_types::{ChunkOptions, DocumentRecord, DocumentState, ErrorCode, Format, NewItem, RequestContext};
use serde_json::{Value, json};

use super::chunking;
use super::refuse::{Answer, Fault, Refusal};
use super::status::{status_of, track_id};
use super::validate::{self, Fields};
use crate::routes::upload_room;
use crate::scope::Scope;
use crate::state::{App, Shared};

fn started(message: &str, track_id: &str) -> Json<Value> {
    Json(json!({ "status": "success", "message": message, "track_id": track_id }))
}

async fn enqueue(app: &App, ctx: &RequestContext, items: Vec<NewItem>, label: &str) -> Answer<()> {
    let request = AddRequest { items, label: Some(label.to_owned()), job: None };
    app.engine().add(ctx, request).await?;
    Ok(())
}

/// `POST /documents/upload`.
pub(super) async fn upload(State(app): State<Shared>, scope: Scope, request: Request) -> Answer<Json<Value>> {
    let limit = app.settings.max_upload_bytes;
    let _room = upload_room(&app, &request).map_err(|error| too_large_or(error, limit))?;
    let (name, bytes) = one_file(&app, request, limit).await?;
    check_name(&name)?;
    check_format(app.engine().formats(), &name)?;
    refuse_known(&app, &scope, &name).await?;
    let track = track_id(&app, "upload");
    let item = NewItem::new(format!("upload:{name}"), &name, bytes);
    enqueue(&app, &scope, vec![item], &track).await?;
    Ok(started(&format!("File '{name}' uploaded successfully. Processing will continue in background."), &track))
}

fn too_large_or(error: lorekeep_types::Error, limit: usize) -> Refusal {
    if error.code() == ErrorCode::TooLarge { Refusal::too_large(limit) } else { error.into() }
}

async fn one_file(app: &Shared, request: Request, limit: usize) -> Answer<(String, Vec<u8>)> {
    let missing = |input: Value| {
        Refusal::Invalid(vec![Fault::new("missing", vec![json!("body"), json!("file")], "Field required", input)])
    };
    let Ok(mut parts) = Multipart::from_request(request, app).await else { return Err(missing(Value::Null)) };
    let broken = |fault: axum::extract::multipart::MultipartError| {
        if fault.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Refusal::too_large(limit)
        } else {
            Refusal::detail(StatusCode::BAD_REQUEST, "There was an error parsing the body")
        }
    };
    while let Some(mut field) = parts.next_field().await.map_err(broken)? {
        if field.name() != Some("file") {
            continue;
        }
        let name = field.file_name().unwrap_or_default().to_owned();
        let mut bytes = Vec::new();
        while let Some(piece) = field.chunk().await.map_err(broken)? {
            bytes.extend_from_slice(&piece);
        }
        return Ok((name, bytes));
    }
    Err(missing(Value::Null))
}

/// A plain file name: nothing that could be a path.
fn check_name(name: &str) -> Answer<()> {
    let unsafe_name = name.is_empty()
        || name.trim() != name
        || name.contains("..")
        || name.chars().any(|letter| matches!(letter, '/' | '\\' | ':') || letter.is_control());
    if unsafe_name {
        return Err(Refusal::detail(StatusCode::BAD_REQUEST, "Invalid filename: empty or unsafe name"));
    }
    Ok(())
}

fn check_format(formats: &'static [Format], name: &str) -> Answer<()> {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default();
    if formats.iter().any(|format| format.extensions.contains(&extension.as_str())) {
        return Ok(());
    }
    let text = format!("Unsupported file type. Supported types: {}", extensions(formats).join(", "));
    Err(Refusal::detail(StatusCode::BAD_REQUEST, text))
}

/// Every extension that can be read, with its dot, sorted.
pub(super) fn extensions(formats: &'static [Format]) -> Vec<String> {
    let mut all: Vec<String> =
        formats.iter().flat_map(|format| format.extensions.iter().map(|one| format!(".{one}"))).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Refuses a name that is stored already. One that failed or was cancelled may be sent again.
async fn refuse_known(app: &App, ctx: &RequestContext, name: &str) -> Answer<()> {
    let known = app.engine().documents_named(ctx, name).await?;
    let blocking = |record: &&DocumentRecord| {
        !matches!(record.state, DocumentState::Failed | DocumentState::Cancelled | DocumentState::NeedsOcr)
    };
    if let Some(record) = known.iter().find(blocking) {
        let status = status_of(record.state);
        let text = format!(
            "Document storage already contains '{name}' (Status: {status}). Delete the existing record before \
             re-inserting."
        );
        return Err(Refusal::detail(StatusCode::CONFLICT, text));
    }
    Ok(())
}

/// `POST /documents/text`.
pub(super) async fn text(State(app): State<Shared>, scope: Scope, request: Request) -> Answer<Json<Value>> {
    let mut body = validate::body(request, app.settings.max_text_bytes).await?;
    let text = trimmed(&mut body, "text");
    let source = body.text("file_source", false, (0, usize::MAX)).unwrap_or_default();
    let chunking = chunking::read(&mut body);
    body.check()?;
    let name = canonical(&source)?;
    refuse_known(&app, &scope, &name).await?;
    let track = track_id(&app, "insert");
    enqueue(&app, &scope, vec![item(&name, text, chunking)], &track).await?;
    Ok(started("Text successfully received. Processing will continue in background.", &track))
}

fn trimmed(body: &mut Fields, name: &str) -> String {
    let Some(text) = body.text(name, true, (1, usize::MAX)) else { return String::new() };
    let text = text.trim().to_owned();
    if text.is_empty() {
        let fault =
            Fault::new("string_too_short", body.loc(name), "String should have at least 1 character", json!(""));
        body.fault(fault.ctx(json!({"min_length": 1})));
    }
    text
}

/// `POST /documents/texts`.
pub(super) async fn texts(State(app): State<Shared>, scope: Scope, request: Request) -> Answer<Json<Value>> {
    let mut body = validate::body(request, app.settings.max_text_bytes).await?;
    let texts = body.texts("texts", true, (1, usize::MAX));
    if let Some(texts) = &texts {
        body.length("texts", texts.len(), (1, usize::MAX));
    }
    let sources = body.texts("file_sources", false, (0, usize::MAX));
    let chunking = chunking::read(&mut body);
    body.check()?;
    let (texts, sources) = (texts.unwrap_or_default(), sources.unwrap_or_default());
    let items = pair(texts, &sources, chunking.as_ref())?;
    for item in &items {
        refuse_known(&app, &scope, &item.name).await?;
    }
    let track = track_id(&app, "insert");
    enqueue(&app, &scope, items, &track).await?;
    Ok(started("Texts successfully received. Processing will continue in background.", &track))
}

fn pair(texts: Vec<String>, sources: &[String], chunking: Option<&ChunkOptions>) -> Answer<Vec<NewItem>> {
    if sources.len() != texts.len() {
        let text = "file_sources must hold one valid source for each text";
        return Err(Refusal::detail(StatusCode::BAD_REQUEST, text));
    }
    let names = sources.iter().map(|source| canonical(source)).collect::<Answer<Vec<_>>>()?;
    let mut seen = std::collections::HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(name.as_str())) {
        let text = format!("file_sources must be unique: '{twice}' is given twice");
        return Err(Refusal::detail(StatusCode::BAD_REQUEST, text));
    }
    let items = names.iter().zip(texts);
    Ok(items.map(|(name, text)| item(name, text.trim().to_owned(), chunking.cloned())).collect())
}

fn item(name: &str, text: String, chunking: Option<ChunkOptions>) -> NewItem {
    NewItem { chunking, ..NewItem::new(format!("text:{name}"), name, text.into_bytes()) }
}

/// The last part of a source, without `[hints]` before its extension.
fn canonical(source: &str) -> Answer<String> {
    let name = source.trim().rsplit(['/', '\\']).next().unwrap_or_default().trim();
    if name.is_empty() || name == "no-file-path" {
        let text = "A valid file_source is required for text insertion";
        return Err(Refusal::detail(StatusCode::BAD_REQUEST, text));
    }
    Ok(without_hint(name))
}

/// `name.[engine-opts].pdf` → `name.pdf`.
fn without_hint(name: &str) -> String {
    let Some((stem, extension)) = name.rsplit_once('.') else { return name.to_owned() };
    match stem.rsplit_once(".[") {
        Some((plain, hint)) if hint.ends_with(']') && !plain.is_empty() => format!("{plain}.{extension}"),
        _ => name.to_owned(),
    }
}

/// `POST /documents/scan`.
pub(super) async fn scan(State(app): State<Shared>, scope: Scope) -> Answer<Json<Value>> {
    app.engine().stats(&scope).await?;
    let Some(folder) = app.state.scan.clone() else {
        let text = "No input folder is configured; start the server with one to scan it";
        return Err(Refusal::detail(StatusCode::NOT_IMPLEMENTED, text));
    };
    let track = track_id(&app, "scan");
    let (workspace, label) = (scope.workspace.clone(), track.clone());
    let place = folder.folder();
    let scanned = tokio::task::spawn_blocking(move || folder.scan(&workspace, &label)).await;
    let files = scanned.map_err(|fault| {
        lorekeep_types::Error::new(ErrorCode::Internal, "the scan ended unexpectedly").caused_by(fault)
    })??;
    let message = format!("Scanning of {files} files in {place} has been initiated in the background");
    Ok(Json(json!({ "status": "scanning_started", "message": message, "track_id": track })))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn sources_lose_folders_and_hints() {
        assert_eq!(canonical("a/b/foo.txt").unwrap(), "foo.txt");
        assert_eq!(canonical("paper.[mineru-iteP].pdf").unwrap(), "paper.pdf");
        assert_eq!(canonical("notes [old].md").unwrap(), "notes [old].md");
        for source in ["", "  ", "no-file-path", "a/"] {
            assert!(canonical(source).is_err(), "{source}");
        }
    }

    #[test]
    fn names_that_could_be_paths_are_refused() {
        for name in ["", "../x", "a/b", "a\\b", "c:x", " x", "x\n"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name("Bản ghi nhớ.md").is_ok());
    }
}
