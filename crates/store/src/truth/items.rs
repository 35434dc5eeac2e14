//! Items of jobs: how one begins, waits and ends, and what that means for its document and job.
//!
//! An item owns the bytes that were handed in (`items.original`) until it is committed, when the version takes
//! them over. An item that ended otherwise keeps them, so that it can be tried again, until newer bytes come.

use std::borrow::Cow;

use lorekeep_types::{ChunkOptions, ContentHash, DocumentId, DocumentState, Metadata, NewItem, Problem};
use rusqlite::{Connection, OptionalExtension};
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// What `items.metadata` holds: all that a sender says about a document besides its bytes and labels.
#[derive(Serialize, Deserialize)]
pub(super) struct Given<'a> {
    #[serde(flatten)]
    pub(super) metadata: Cow<'a, Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) chunking: Option<Cow<'a, ChunkOptions>>,
}

impl<'a> Given<'a> {
    fn of(item: &'a NewItem) -> Self {
        Self { metadata: Cow::Borrowed(&item.metadata), chunking: item.chunking.as_ref().map(Cow::Borrowed) }
    }
}

/// How an item ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Ended {
    outcome: &'static str,
    problem: Option<Problem>,
    duplicate_of: Option<DocumentId>,
}

impl Ended {
    /// Its document has a new version.
    pub(super) fn committed() -> Self {
        Self { outcome: "ready", ..Self::default() }
    }

    /// Its bytes are those of `of`.
    pub(super) fn duplicate(of: DocumentId) -> Self {
        Self { outcome: "duplicate", duplicate_of: Some(of), ..Self::default() }
    }

    /// Without a version.
    pub(super) fn state(state: DocumentState) -> Self {
        Self { outcome: state.name(), ..Self::default() }
    }

    /// Without a version, for a reason.
    pub(super) fn because(state: DocumentState, problem: Problem) -> Self {
        Self { outcome: state.name(), problem: Some(problem), ..Self::default() }
    }
}

/// Ends an open item: its outcome, its job's counts, its document's state. `false` when it had ended before.
pub(super) fn end(sql: &Connection, item: i64, ended: &Ended, now_ms: i64) -> Result<bool> {
    let question = "SELECT document, job, original FROM items WHERE id = ?1 AND outcome IN ('queued', 'processing')";
    let open = sql
        .prepare_cached(question)?
        .query_row([item], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<i64>>(2)?)));
    let Some((document, job, original)) = open.optional()? else { return Ok(false) };
    let problem = ended.problem.as_ref().map(serde_json::to_string).transpose()?;
    let duplicate_of = ended.duplicate_of.as_ref().map(DocumentId::as_str);
    let update = "UPDATE items SET outcome = ?2, problem = ?3, duplicate_of = ?4 WHERE id = ?1";
    sql.prepare_cached(update)?.execute((item, ended.outcome, &problem, duplicate_of))?;
    if matches!(ended.outcome, "ready" | "duplicate") {
        sql.prepare_cached("UPDATE items SET original = NULL WHERE id = ?1")?.execute([item])?;
    }
    if ended.outcome == "duplicate" {
        sql.prepare_cached("DELETE FROM originals WHERE id = ?1")?.execute([original])?;
    }
    count_end(sql, job, ended.outcome, now_ms)?;
    let state = if ended.outcome == "duplicate" { "ready" } else { ended.outcome };
    set_state(sql, document, state, problem.as_deref(), now_ms)?;
    Ok(true)
}

/// Counts an item of a job as ended; with the last one the job ends.
pub(super) fn count_end(sql: &Connection, job: i64, outcome: &str, now_ms: i64) -> Result<()> {
    let column = match outcome {
        "needs-ocr" => "needs_ocr",
        "ready" | "duplicate" | "failed" | "cancelled" => outcome,
        _ => "failed",
    };
    let update = format!(
        "UPDATE jobs SET open = open - 1, {column} = {column} + 1, \
         ended_at = iif(open = 1 AND state <> 'cancelled', ?2, ended_at), \
         state = iif(open = 1 AND state <> 'cancelled', 'done', state) WHERE id = ?1"
    );
    sql.prepare_cached(&update)?.execute((job, now_ms))?;
    Ok(())
}

/// Sets a document's state, unless an item of it is still open: then that one's state shows.
pub(super) fn set_state(
    sql: &Connection,
    document: i64,
    state: &str,
    problem: Option<&str>,
    now_ms: i64,
) -> Result<()> {
    let question = "SELECT outcome FROM items WHERE document = ?1 AND outcome IN ('queued', 'processing') \
                    ORDER BY outcome LIMIT 1";
    let open: Option<String> = sql.prepare_cached(question)?.query_row([document], |row| row.get(0)).optional()?;
    let problem = if open.is_some() { None } else { problem };
    let update = "UPDATE documents SET state = ?2, problem = ?3, updated_at = ?4 WHERE id = ?1";
    sql.prepare_cached(update)?.execute((document, open.as_deref().unwrap_or(state), problem, now_ms))?;
    Ok(())
}

/// Ids of the items of a document that have not ended.
pub(super) fn open_of(sql: &Connection, document: i64) -> Result<Vec<i64>> {
    let question = "SELECT id FROM items WHERE document = ?1 AND outcome IN ('queued', 'processing') ORDER BY id";
    let mut statement = sql.prepare_cached(question)?;
    let rows = statement.query_map([document], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Drops the bytes of a document's ended items.
pub(super) fn drop_waiting_bytes(sql: &Connection, document: i64) -> Result<()> {
    let ended = "document = ?1 AND original IS NOT NULL AND outcome NOT IN ('queued', 'processing')";
    let delete = format!("DELETE FROM originals WHERE id IN (SELECT original FROM items WHERE {ended})");
    sql.prepare_cached(&delete)?.execute([document])?;
    let update = format!("UPDATE items SET original = NULL WHERE {ended}");
    sql.prepare_cached(&update)?.execute([document])?;
    Ok(())
}

/// Accepts one handed-in document into a job.
pub(super) fn accept(sql: &Connection, job: i64, item: &NewItem, now_ms: i64) -> Result<()> {
    let id = DocumentId::of_source(&item.source);
    let document = upsert_document(sql, job, &id, item, now_ms)?;
    let queued = "SELECT id, job FROM items WHERE document = ?1 AND outcome = 'queued'";
    let waiting = sql
        .prepare_cached(queued)?
        .query_row([document], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
        .optional()?;
    match waiting {
        Some((waiting, of_job)) if of_job == job => replace_bytes(sql, waiting, item)?,
        other => {
            if let Some((waiting, _)) = other {
                end(sql, waiting, &Ended::duplicate(id.clone()), now_ms)?;
            }
            drop_waiting_bytes(sql, document)?;
            insert(sql, job, document, &id, item)?;
        }
    }
    set_state(sql, document, "queued", None, now_ms)
}

/// Creates or renames the document of a source and adds the item's tags to it.
fn upsert_document(sql: &Connection, job: i64, id: &DocumentId, item: &NewItem, now_ms: i64) -> Result<i64> {
    let question = "SELECT id, tags FROM documents WHERE public = ?1";
    let known = sql
        .prepare_cached(question)?
        .query_row([id.as_str()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    let Some((document, tags)) = known else {
        let insert = "INSERT INTO documents (public, source, name, state, tags, job, created_at, updated_at) \
                      VALUES (?1, ?2, ?3, 'queued', ?4, ?5, ?6, ?6)";
        let tags = serde_json::to_string(&with_tags(Vec::new(), &item.tags))?;
        sql.prepare_cached(insert)?.execute((id.as_str(), &item.source, &item.name, tags, job, now_ms))?;
        return Ok(sql.last_insert_rowid());
    };
    let tags = serde_json::to_string(&with_tags(serde_json::from_str(&tags)?, &item.tags))?;
    let update = "UPDATE documents SET name = ?2, tags = ?3, job = ?4 WHERE id = ?1";
    sql.prepare_cached(update)?.execute((document, &item.name, tags, job))?;
    Ok(document)
}

/// `tags` and those of `more` that are not among them, in order.
pub(super) fn with_tags(mut tags: Vec<String>, more: &[String]) -> Vec<String> {
    for tag in more {
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    tags
}

fn insert_original(sql: &Connection, bytes: &[u8]) -> Result<i64> {
    sql.prepare_cached("INSERT INTO originals (bytes) VALUES (?1)")?.execute([bytes])?;
    Ok(sql.last_insert_rowid())
}

fn insert(sql: &Connection, job: i64, document: i64, id: &DocumentId, item: &NewItem) -> Result<()> {
    let original = insert_original(sql, &item.bytes)?;
    let insert = "INSERT INTO items (job, document, public, name, outcome, original, hash, bytes, tags, metadata) \
                  VALUES (?1, ?2, ?3, ?4, 'queued', ?5, ?6, ?7, ?8, ?9)";
    sql.prepare_cached(insert)?.execute(rusqlite::params![
        job,
        document,
        id.as_str(),
        item.name,
        original,
        ContentHash::of(&item.bytes).0.as_slice(),
        item.bytes.len(),
        serde_json::to_string(&item.tags)?,
        serde_json::to_string(&Given::of(item))?,
    ])?;
    let count = "UPDATE jobs SET total = total + 1, open = open + 1 WHERE id = ?1";
    sql.prepare_cached(count)?.execute([job])?;
    Ok(())
}

fn replace_bytes(sql: &Connection, waiting: i64, item: &NewItem) -> Result<()> {
    let former = "DELETE FROM originals WHERE id = (SELECT original FROM items WHERE id = ?1)";
    sql.prepare_cached(former)?.execute([waiting])?;
    let original = insert_original(sql, &item.bytes)?;
    let update =
        "UPDATE items SET original = ?2, hash = ?3, bytes = ?4, name = ?5, tags = ?6, metadata = ?7 WHERE id = ?1";
    sql.prepare_cached(update)?.execute(rusqlite::params![
        waiting,
        original,
        ContentHash::of(&item.bytes).0.as_slice(),
        item.bytes.len(),
        item.name,
        serde_json::to_string(&item.tags)?,
        serde_json::to_string(&Given::of(item))?,
    ])?;
    Ok(())
}

/// Queues a document's last handed-in bytes again under another job. `false` when none are kept.
pub(super) fn accept_again(sql: &Connection, job: i64, document: i64, now_ms: i64) -> Result<bool> {
    let question = "SELECT id FROM items WHERE document = ?1 AND original IS NOT NULL ORDER BY id DESC LIMIT 1";
    let last: Option<i64> = sql.prepare_cached(question)?.query_row([document], |row| row.get(0)).optional()?;
    let Some(last) = last else { return Ok(false) };
    let copy = "INSERT INTO items (job, document, public, name, outcome, original, hash, bytes, tags, metadata) \
                SELECT ?2, document, public, name, 'queued', original, hash, bytes, tags, metadata FROM items WHERE id = ?1";
    sql.prepare_cached(copy)?.execute((last, job))?;
    sql.prepare_cached("UPDATE items SET original = NULL WHERE id = ?1")?.execute([last])?;
    sql.prepare_cached("UPDATE jobs SET total = total + 1, open = open + 1 WHERE id = ?1")?.execute([job])?;
    sql.prepare_cached("UPDATE documents SET job = ?2 WHERE id = ?1")?.execute((document, job))?;
    set_state(sql, document, "queued", None, now_ms)?;
    Ok(true)
}
