//! Documents and jobs as LightRAG shows them.

use std::collections::HashMap;

use lorekeep_types::{DocumentRecord, DocumentState, JobId, JobItem, RequestContext, Result, StateCounts};
use serde::Serialize;
use serde_json::{Value, json};
use time::macros::format_description;

use crate::dto::moment;
use crate::state::App;

/// A row of the document list.
#[derive(Debug, Serialize)]
pub(super) struct DocStatus {
    id: String,
    content_summary: String,
    content_length: u64,
    pub(super) status: &'static str,
    created_at: String,
    updated_at: String,
    track_id: Option<String>,
    chunks_count: Option<u32>,
    error_msg: Option<String>,
    metadata: Value,
    file_path: String,
}

/// LightRAG's name of a state.
pub(super) const fn status_of(state: DocumentState) -> &'static str {
    match state {
        DocumentState::Queued => "pending",
        DocumentState::Processing => "processing",
        DocumentState::Ready => "processed",
        DocumentState::NeedsOcr | DocumentState::Failed | DocumentState::Cancelled => "failed",
    }
}

/// The states behind a LightRAG status; none for those that do not occur here.
pub(super) fn states_of(status: &str) -> Vec<DocumentState> {
    DocumentState::ALL.into_iter().filter(|state| status_of(*state) == status).collect()
}

/// Documents by status, with the statuses that do not occur here as zeros.
pub(super) fn counts(counts: StateCounts) -> Value {
    let failed = counts.failed + counts.needs_ocr + counts.cancelled;
    json!({
        "pending": counts.queued, "parsing": 0, "analyzing": 0, "processing": counts.processing, "preprocessed": 0,
        "processed": counts.ready, "failed": failed,
        "all": counts.queued + counts.processing + counts.ready + failed,
    })
}

/// A moment as Python's `isoformat` writes it in UTC.
pub(super) fn isoformat(unix_ms: i64) -> String {
    let moment = moment(unix_ms);
    let whole = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]+00:00");
    let parts = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]+00:00");
    let text = if moment.nanosecond() == 0 { moment.format(&whole) } else { moment.format(&parts) };
    text.unwrap_or_default()
}

/// A new track id: what was done, when, and eight digits of the id source.
pub(super) fn track_id(app: &App, action: &str) -> String {
    let format = format_description!("[year][month][day]_[hour][minute][second]");
    let when = moment(app.state.clock.now_ms()).format(&format).unwrap_or_default();
    format!("{action}_{when}_{}", crate::compat::hex_of(&app.state.ids.next(), 8))
}

/// Labels of jobs, read once each; a job without label goes by its id.
#[derive(Default)]
pub(super) struct TrackIds(HashMap<JobId, String>);

impl TrackIds {
    pub(super) async fn of(app: &App, ctx: &RequestContext, records: &[DocumentRecord]) -> Result<Self> {
        let mut known = Self::default();
        for job in records.iter().filter_map(|record| record.job.as_ref()) {
            if !known.0.contains_key(job) {
                let label = app.engine().job(ctx, job).await.ok().and_then(|job| job.label);
                known.0.insert(job.clone(), label.unwrap_or_else(|| job.to_string()));
            }
        }
        Ok(known)
    }

    pub(super) fn row(&self, record: DocumentRecord) -> DocStatus {
        let lossy = matches!(record.state, DocumentState::NeedsOcr | DocumentState::Cancelled);
        let error_msg = record.problem.map(|problem| match problem.hint {
            Some(hint) => format!("{}; {hint}", problem.message),
            None => problem.message,
        });
        DocStatus {
            id: record.id.into(),
            content_summary: record.summary,
            content_length: if record.characters > 0 { record.characters } else { record.bytes },
            status: status_of(record.state),
            created_at: isoformat(record.created_at),
            updated_at: isoformat(record.updated_at),
            track_id: record.job.as_ref().and_then(|job| self.0.get(job).cloned()),
            chunks_count: (record.version > 0).then_some(record.chunks),
            error_msg,
            metadata: if lossy { json!({ "state": record.state.name() }) } else { json!({}) },
            file_path: record.name,
        }
    }
}

/// The row that tells that an item's bytes were known under another name.
pub(super) fn duplicate(item: JobItem, track_id: &str, at: i64) -> DocStatus {
    let original = item.duplicate_of.map(String::from).unwrap_or_default();
    let key = format!("{track_id}\n{}\n{original}", item.name);
    DocStatus {
        id: format!("dup-{}", crate::compat::hex_of(&key, 32)),
        content_summary: format!("[DUPLICATE:content_hash] Original document: {original}"),
        content_length: 0,
        status: "failed",
        created_at: isoformat(at),
        updated_at: isoformat(at),
        track_id: Some(track_id.to_owned()),
        chunks_count: None,
        error_msg: Some(format!("Identical content already exists. Original doc_id: {original}")),
        metadata: json!({
            "is_duplicate": true, "duplicate_kind": "content_hash", "original_doc_id": original,
        }),
        file_path: item.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_look_like_pythons() {
        assert_eq!(isoformat(0), "1970-01-01T00:00:00+00:00");
        assert_eq!(isoformat(1_700_000_000_123), "2023-11-14T22:13:20.123000+00:00");
    }

    #[test]
    fn every_state_has_a_status_and_back() {
        let mut states: Vec<_> =
            ["pending", "processing", "processed", "failed"].into_iter().flat_map(states_of).collect();
        states.sort_by_key(|state| state.name());
        assert_eq!(states.len(), DocumentState::ALL.len());
        assert!(states_of("parsing").is_empty());
    }
}
