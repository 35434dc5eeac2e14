//! `/documents/*`: lists, states, deletion, and the routes that repair what cannot break here.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, VARY};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use lorekeep_types::{
    DocumentFilter, DocumentId, DocumentOrder, DocumentRecord, ErrorCode, Job, JobId, JobState, OrderField,
    PageRequest, RequestContext,
};
use serde_json::{Map, Value, json};

use super::add::extensions;
use super::refuse::{Answer, Fault, Refusal};
use super::status::{self, DocStatus, TrackIds};
use super::validate;
use crate::scope::Scope;
use crate::state::{App, Shared};

const STATUSES: [&str; 7] = ["pending", "parsing", "analyzing", "processing", "preprocessed", "processed", "failed"];
/// Documents of a job read at once, and most of them in one answer.
const PAGE: usize = 1_000;
const MAX_TRACKED: usize = 100_000;

/// `POST /documents/paginated`.
pub(super) async fn paginated(State(app): State<Shared>, scope: Scope, request: Request) -> Answer<Json<Value>> {
    let mut body = validate::body(request, app.settings.max_json_bytes).await?;
    let (page, size) = (body.number("page", 1, (1, usize::MAX)), body.number("page_size", 50, (10, 200)));
    let field = body.one_of("sort_field", &["created_at", "updated_at", "id", "file_path"]).unwrap_or("updated_at");
    let direction = body.one_of("sort_direction", &["asc", "desc"]).unwrap_or("desc");
    let wanted = wanted_statuses(&mut body);
    body.check()?;
    let order = DocumentOrder { field: order_field(field), descending: direction == "desc" };
    let window = PageRequest { offset: (page - 1).saturating_mul(size), limit: size };
    let mut filter = DocumentFilter::default();
    if let Some(statuses) = &wanted {
        filter.states = statuses.iter().flat_map(|status| status::states_of(status)).collect();
    }
    // A status that never occurs here selects nothing; an empty list of states would select everything.
    let nothing = wanted.is_some() && filter.states.is_empty();
    let mut found = app.engine().documents(&scope, filter, order, window).await?;
    if nothing {
        found.documents.clear();
        found.total = 0;
    }
    let tracks = TrackIds::of(&app, &scope, &found.documents).await?;
    let documents: Vec<DocStatus> = found.documents.into_iter().map(|record| tracks.row(record)).collect();
    let pages = found.total.div_ceil(size as u64);
    Ok(Json(json!({
        "documents": documents,
        "pagination": {
            "page": page, "page_size": size, "total_count": found.total, "total_pages": pages,
            "has_next": (page as u64) < pages, "has_prev": page > 1,
        },
        "status_counts": status::counts(found.counts),
    })))
}

fn order_field(name: &str) -> OrderField {
    match name {
        "created_at" => OrderField::CreatedAt,
        "id" => OrderField::Id,
        "file_path" => OrderField::Name,
        _ => OrderField::UpdatedAt,
    }
}

/// The statuses asked for; `None` for all.
fn wanted_statuses(body: &mut validate::Fields) -> Option<Vec<String>> {
    let one = body.one_of("status_filter", &STATUSES);
    let several = body.texts("status_filters", false, (0, usize::MAX)).unwrap_or_default();
    for (index, status) in several.iter().enumerate() {
        if !STATUSES.contains(&status.as_str()) {
            let mut loc = body.loc("status_filters");
            loc.push(json!(index));
            body.fault(Fault::new("enum", loc, format!("Input should be one of {STATUSES:?}"), json!(status)));
        }
    }
    let all: Vec<String> = several.into_iter().chain(one.map(str::to_owned)).collect();
    (!all.is_empty()).then_some(all)
}

/// `GET /documents/status_counts`.
pub(super) async fn status_counts(State(app): State<Shared>, scope: Scope) -> Answer<Json<Value>> {
    let page = PageRequest { offset: 0, limit: 1 };
    let found = app.engine().documents(&scope, DocumentFilter::default(), DocumentOrder::default(), page).await?;
    Ok(Json(json!({ "status_counts": status::counts(found.counts) })))
}

/// The job behind a track id: its label, or one of our own job ids.
async fn job_of(app: &App, ctx: &RequestContext, track_id: &str) -> Answer<Option<Job>> {
    let found = match app.engine().job_labelled(ctx, track_id).await {
        Err(error) if error.code() == ErrorCode::NotFound => match JobId::parse(track_id) {
            Ok(id) => app.engine().job(ctx, &id).await,
            Err(_) => Err(error),
        },
        other => other,
    };
    match found {
        Ok(job) => Ok(Some(job)),
        Err(error) if error.code() == ErrorCode::NotFound => {
            app.engine().stats(ctx).await?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// `GET /documents/track_status/{track_id}`; an unknown id is an empty answer.
pub(super) async fn track_status(
    State(app): State<Shared>,
    scope: Scope,
    Path(track_id): Path<String>,
) -> Answer<Json<Value>> {
    let rows = match job_of(&app, &scope, &track_id).await? {
        Some(job) => tracked(&app, &scope, &job, &track_id).await?,
        None => Vec::new(),
    };
    let mut summary: Map<String, Value> = Map::new();
    for row in &rows {
        let count = summary.entry(format!("DocStatus.{}", row.status.to_uppercase())).or_insert(json!(0));
        *count = json!(count.as_u64().unwrap_or(0) + 1);
    }
    Ok(Json(json!({
        "track_id": track_id, "total_count": rows.len(), "documents": rows, "status_summary": summary,
    })))
}

/// Rows of a job's documents, with a row for each duplicate.
async fn tracked(app: &App, ctx: &RequestContext, job: &Job, track_id: &str) -> Answer<Vec<DocStatus>> {
    let filter = DocumentFilter { jobs: vec![job.id.clone()], ..DocumentFilter::default() };
    let order = DocumentOrder { field: OrderField::CreatedAt, descending: false };
    let mut records: Vec<DocumentRecord> = Vec::new();
    while records.len() < MAX_TRACKED {
        let page = PageRequest { offset: records.len(), limit: PAGE };
        let found = app.engine().documents(ctx, filter.clone(), order, page).await?;
        let last = found.documents.len() < PAGE;
        records.extend(found.documents);
        if last {
            break;
        }
    }
    let tracks = TrackIds::of(app, ctx, &records).await?;
    let shown: std::collections::HashSet<DocumentId> = records.iter().map(|record| record.id.clone()).collect();
    let mut rows: Vec<DocStatus> = records.into_iter().map(|record| tracks.row(record)).collect();
    if job.counts.duplicate > 0 {
        let page = PageRequest { offset: 0, limit: PAGE };
        let items = app.engine().job_items(ctx, &job.id, page).await?;
        let duplicates =
            items.into_iter().filter(|item| item.outcome == "duplicate" && !shown.contains(&item.document));
        rows.extend(duplicates.map(|item| status::duplicate(item, track_id, job.created_at)));
    }
    Ok(rows)
}

/// `GET /documents/scan/status/{track_id}`.
pub(super) async fn scan_status(
    State(app): State<Shared>,
    scope: Scope,
    Path(track_id): Path<String>,
) -> Answer<Json<Value>> {
    let job = job_of(&app, &scope, &track_id).await?;
    let Some(job) = job.filter(|_| track_id.starts_with("scan_")) else {
        return Err(Refusal::detail(StatusCode::NOT_FOUND, format!("Scan '{track_id}' not found")));
    };
    let state = match job.state {
        JobState::Queued | JobState::Running => "running",
        JobState::Done => "completed",
        JobState::Cancelled => "cancelled",
    };
    Ok(Json(json!({
        "track_id": track_id, "status": state,
        "counts": {
            "total": job.counts.total, "processed": job.counts.ready, "duplicate": job.counts.duplicate,
            "failed": job.counts.failed + job.counts.needs_ocr + job.counts.cancelled, "pending": job.counts.open,
        },
        "counts_dropped": 0, "samples": {},
        "created_at": status::isoformat(job.created_at),
        "updated_at": status::isoformat(job.ended_at.or(job.started_at).unwrap_or(job.created_at)),
        "version": 1, "message": "",
    })))
}

/// Jobs that have not ended, newest first.
async fn open_jobs(app: &App, ctx: &RequestContext) -> Answer<Vec<Job>> {
    let page = PageRequest { offset: 0, limit: 100 };
    // In this order a job that begins between the two is found twice, in the other it would not be found at all.
    let queued = app.engine().jobs(ctx, Some(JobState::Queued), page).await?;
    let mut open = app.engine().jobs(ctx, Some(JobState::Running), page).await?;
    let waiting = queued.into_iter().filter(|job| open.iter().all(|running| running.id != job.id)).collect::<Vec<_>>();
    open.extend(waiting);
    Ok(open)
}

/// Whether documents are being indexed, for `/health`.
pub(super) async fn is_busy(app: &App, ctx: &RequestContext) -> Answer<bool> {
    Ok(!open_jobs(app, ctx).await?.is_empty())
}

/// `GET /documents/pipeline_status`.
pub(super) async fn pipeline_status(State(app): State<Shared>, scope: Scope) -> Answer<Json<Value>> {
    let open = open_jobs(&app, &scope).await?;
    let total: u64 = open.iter().map(|job| job.counts.total).sum();
    let left: u64 = open.iter().map(|job| job.counts.open).sum();
    let first = open.iter().min_by_key(|job| job.created_at);
    let message =
        if open.is_empty() { String::new() } else { format!("Processed {} of {total} documents", total - left) };
    let history: Vec<&str> = if message.is_empty() { Vec::new() } else { vec![&message] };
    Ok(Json(json!({
        "autoscanned": false,
        "busy": first.is_some(),
        "job_name": first.map_or_else(|| "-".to_owned(), |job| job.label.clone().unwrap_or_else(|| job.id.to_string())),
        "job_start": first.map(|job| status::isoformat(job.started_at.unwrap_or(job.created_at))),
        "docs": total,
        "batchs": total,
        "cur_batch": total - left,
        "request_pending": false,
        "latest_message": message,
        "history_messages": history,
        "update_status": {},
        "recovery_required": false, "recovery_kind": null, "recovery_message": null,
        "destructive_busy": false, "scanning": false, "scanning_exclusive": false, "pending_enqueues": 0,
    })))
}

/// `POST /documents/cancel_pipeline`.
pub(super) async fn cancel_pipeline(State(app): State<Shared>, scope: Scope) -> Answer<Json<Value>> {
    let mut cancelled = false;
    for job in open_jobs(&app, &scope).await? {
        cancelled |= app.engine().cancel_job(&scope, &job.id).await?;
    }
    let (status, message) = if cancelled {
        ("cancellation_requested", "Pipeline cancellation has been requested. Documents will be marked as FAILED.")
    } else {
        ("not_busy", "Pipeline is not currently running. No cancellation needed.")
    };
    Ok(Json(json!({ "status": status, "message": message })))
}

/// `DELETE /documents`: deletes every document.
pub(super) async fn clear(State(app): State<Shared>, scope: Scope) -> Answer<Json<Value>> {
    let count = app.engine().delete_all(&scope).await?;
    let message = format!("All documents cleared successfully. Deleted {count} files.");
    Ok(Json(json!({ "status": "success", "message": message })))
}

/// `DELETE /documents/delete_document`.
pub(super) async fn delete(State(app): State<Shared>, scope: Scope, request: Request) -> Answer<Json<Value>> {
    let mut body = validate::body(request, app.settings.max_json_bytes).await?;
    let ids = body.texts("doc_ids", true, (0, usize::MAX));
    if let Some(ids) = &ids {
        check_ids(&mut body, ids);
    }
    body.flag("delete_file", false);
    body.flag("delete_llm_cache", false);
    body.check()?;
    let ids = ids.unwrap_or_default();
    // An id of another form cannot exist; the peer, too, leaves unknown ids to its log.
    let known = ids.iter().filter_map(|id| DocumentId::parse(id.trim()).ok()).collect();
    let deleted = app.engine().delete(&scope, known).await?.len();
    let message = format!("Deleted {deleted} of {} documents.", ids.len());
    Ok(Json(json!({ "status": "deletion_started", "message": message, "doc_id": ids.join(", ") })))
}

fn check_ids(body: &mut validate::Fields, ids: &[String]) {
    body.length("doc_ids", ids.len(), (1, usize::MAX));
    let mut seen = std::collections::HashSet::new();
    let fault = if ids.iter().any(|id| id.trim().is_empty()) {
        Some("Value error, Document ID cannot be empty")
    } else if ids.iter().any(|id| !seen.insert(id.trim())) {
        Some("Value error, Document IDs must be unique")
    } else {
        None
    };
    if let Some(message) = fault {
        let fault = Fault::new("value_error", body.loc("doc_ids"), message, json!(ids)).ctx(json!({"error": {}}));
        body.fault(fault);
    }
}

/// `GET /documents/supported_file_types`.
pub(super) async fn supported_file_types(State(app): State<Shared>) -> Response {
    let all = extensions(app.engine().formats());
    let body = Json(json!({ "supported_extensions": all, "engines": { "native": all } }));
    let mut response = body.into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(VARY, HeaderValue::from_name(HeaderName::from_static("lightrag-workspace")));
    response
}

/// `POST /documents/reprocess_failed`.
pub(super) async fn reprocess_failed(State(app): State<Shared>, scope: Scope) -> Answer<Json<Value>> {
    app.engine().retry(&scope, Vec::new()).await?;
    let message = "Reprocessing of failed documents has been initiated in background.";
    Ok(Json(json!({ "status": "reprocessing_started", "message": message, "track_id": "" })))
}

/// `POST /documents/clear_cache`: forgets what is kept of the workspace's model calls.
pub(super) async fn clear_cache(State(app): State<Shared>, scope: Scope, request: Request) -> Answer<Json<Value>> {
    validate::body(request, app.settings.max_json_bytes).await?;
    app.engine().forget_cached(&scope, None, false).await?;
    Ok(Json(json!({ "status": "success", "message": "Successfully cleared all cache" })))
}

/// `POST /documents/recovery/force_reset`: every commit is complete or absent, so nothing is ever to be reset.
pub(super) async fn force_reset(State(app): State<Shared>, scope: Scope, request: Request) -> Answer<Json<Value>> {
    let mut body = validate::body(request, app.settings.max_json_bytes).await?;
    let confirmed = body.flag("confirm", false);
    body.check()?;
    if !confirmed {
        return Err(Refusal::detail(StatusCode::BAD_REQUEST, "Set confirm=true to reset the recovery state"));
    }
    app.engine().stats(&scope).await?;
    Ok(Json(json!({
        "status": "no_recovery_required", "message": "No recovery is required", "cancelled_manual_retries": 0,
    })))
}

/// `GET /documents/source_conflicts`: a source is one document, so there are none.
pub(super) async fn source_conflicts(State(app): State<Shared>, scope: Scope, uri: Uri) -> Answer<Json<Value>> {
    let mut query = validate::query(&uri);
    query.number("limit", 50, (1, 200));
    query.check()?;
    app.engine().stats(&scope).await?;
    Ok(Json(json!({ "conflicts": [], "next_cursor": null })))
}

/// `POST /documents/source_conflicts/repair`.
pub(super) async fn repair_conflict(State(app): State<Shared>, scope: Scope, request: Request) -> Answer<Json<Value>> {
    let mut body = validate::body(request, app.settings.max_json_bytes).await?;
    let key = body.text("canonical_source_key", true, (1, usize::MAX)).unwrap_or_default();
    body.text("primary_doc_id", true, (1, usize::MAX));
    body.flag("dry_run", true);
    body.check()?;
    app.engine().stats(&scope).await?;
    Err(Refusal::detail(StatusCode::CONFLICT, format!("There is no source conflict '{key}'")))
}
