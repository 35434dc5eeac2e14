//! Durable jobs: accepting documents, handing them out, ending them.

use std::borrow::Cow;

use lorekeep_types::{
    ContentHash, DocumentId, DocumentState, Job, JobCounts, JobId, JobItem, JobKind, JobState, NewJob, PageRequest,
    PendingItem, Problem,
};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};

use super::items::{self, Ended, Given};
use super::reader::Reader;
use super::reader::chunks::{document_id, json};
use super::{Truth, delete, fresh, graph_jobs};
use crate::error::{Result, StoreError};

const JOB: &str = "SELECT public, kind, state, label, total, open, ready, duplicate, needs_ocr, failed, cancelled, \
     created_at, started_at, ended_at, problem, spending, principal FROM jobs";

/// Most rows of one page of a list.
pub(super) const MOST_ROWS: usize = 1_000;

impl Truth {
    /// Queues again what a process that ended was working on.
    pub(crate) fn requeue(&self) -> Result<()> {
        self.write(|writing| {
            let sql = writing.sql();
            let of_cancelled = "SELECT i.id FROM items i JOIN jobs j ON j.id = i.job \
                                WHERE i.outcome = 'processing' AND j.state = 'cancelled'";
            for item in ids(sql, of_cancelled, [])? {
                // Times here belong to the job's end, which is past.
                items::end(sql, item, &Ended::state(DocumentState::Cancelled), ended_at(sql, item)?)?;
            }
            sql.execute("UPDATE documents SET state = 'queued' WHERE state = 'processing'", [])?;
            sql.execute("UPDATE items SET outcome = 'queued' WHERE outcome = 'processing'", [])?;
            graph_jobs::requeue(sql)
        })
    }

    /// Accepts documents.
    pub(crate) fn enqueue(&self, job: &NewJob, now_ms: i64) -> Result<Job> {
        self.write(|writing| {
            let sql = writing.sql();
            let row = open_job(sql, &job.id, job.label.as_deref(), (job.principal.as_deref(), now_ms))?;
            job.items.iter().try_for_each(|item| items::accept(sql, row, item, now_ms))?;
            let settle = "UPDATE jobs SET state = iif(open = 0, 'done', state), ended_at = iif(open = 0, ?2, NULL) WHERE id = ?1";
            sql.prepare_cached(settle)?.execute((row, now_ms))?;
            present_job(sql, &job.id)
        })
    }

    /// Hands out queued items, oldest first. Of one document only one item is worked on at a time.
    pub(crate) fn claim(&self, limit: usize, max_bytes: u64, now_ms: i64) -> Result<Vec<PendingItem>> {
        self.write(|writing| {
            let sql = writing.sql();
            let mut claimed = Vec::new();
            for item in claimable(sql, limit, max_bytes)? {
                sql.prepare_cached("UPDATE items SET outcome = 'processing' WHERE id = ?1")?.execute([item])?;
                let state =
                    "UPDATE documents SET state = 'processing' WHERE id = (SELECT document FROM items WHERE id = ?1)";
                sql.prepare_cached(state)?.execute([item])?;
                let start = "UPDATE jobs SET state = 'running', started_at = coalesce(started_at, ?2) \
                             WHERE id = (SELECT job FROM items WHERE id = ?1) AND state <> 'cancelled'";
                sql.prepare_cached(start)?.execute((item, now_ms))?;
                claimed.push(pending_item(sql, item)?);
            }
            Ok(claimed)
        })
    }

    /// Puts claimed items back.
    pub(crate) fn unclaim(&self, claimed: &[i64]) -> Result<()> {
        self.write(|writing| {
            for item in claimed {
                let back = "UPDATE items SET outcome = 'queued' WHERE id = ?1 AND outcome = 'processing'";
                if writing.sql().prepare_cached(back)?.execute([item])? == 1 {
                    let state =
                        "UPDATE documents SET state = 'queued' WHERE id = (SELECT document FROM items WHERE id = ?1)";
                    writing.sql().prepare_cached(state)?.execute([item])?;
                }
            }
            Ok(())
        })
    }

    /// Ends an item whose bytes are already indexed as `of`.
    pub(crate) fn finish_duplicate(&self, item: i64, of: &DocumentId, now_ms: i64) -> Result<()> {
        self.write(|writing| {
            let sql = writing.sql();
            if !items::end(sql, item, &Ended::duplicate(of.clone()), now_ms)? {
                return Ok(());
            }
            let question = "SELECT d.id FROM items i JOIN documents d ON d.id = i.document \
                            WHERE i.id = ?1 AND d.version IS NULL AND d.public <> ?2";
            let empty: Option<i64> =
                sql.prepare_cached(question)?.query_row((item, of.as_str()), |row| row.get(0)).optional()?;
            match empty {
                Some(document) if items::open_of(sql, document)?.is_empty() => delete::drop_document(sql, document),
                _ => Ok(()),
            }
        })
    }

    /// Ends an item without a version.
    pub(crate) fn fail(&self, item: i64, state: DocumentState, problem: &Problem, now_ms: i64) -> Result<()> {
        if !matches!(state, DocumentState::Failed | DocumentState::NeedsOcr | DocumentState::Cancelled) {
            return Err(StoreError::conflict(format!("an item cannot fail as `{}`", state.name()), ""));
        }
        self.write(|writing| items::end(writing.sql(), item, &Ended::because(state, problem.clone()), now_ms).map(drop))
    }

    /// Queues documents that are not indexed again, as one job; `None` when there is nothing to do.
    pub(crate) fn retry(
        &self,
        job: &JobId,
        documents: &[DocumentId],
        principal: Option<&str>,
        now_ms: i64,
    ) -> Result<Option<Job>> {
        self.write(|writing| {
            let sql = writing.sql();
            let retryable = "SELECT id FROM documents d WHERE state IN ('failed', 'cancelled', 'needs-ocr') \
                             AND EXISTS (SELECT 1 FROM items i WHERE i.document = d.id AND i.original IS NOT NULL)";
            let mut rows = Vec::new();
            if documents.is_empty() {
                rows = ids(sql, &format!("{retryable} ORDER BY id"), [])?;
            }
            for document in documents {
                rows.extend(ids(sql, &format!("{retryable} AND public = ?1"), [document.as_str()])?);
            }
            if rows.is_empty() {
                return Ok(None);
            }
            let row = open_job(sql, job, None, (principal, now_ms))?;
            for document in rows {
                items::accept_again(sql, row, document, now_ms)?;
            }
            present_job(sql, job).map(Some)
        })
    }

    /// Cancels a job; `false` when it had ended.
    pub(crate) fn cancel_job(&self, job: &JobId, now_ms: i64) -> Result<bool> {
        self.write(|writing| {
            let sql = writing.sql();
            let question = "SELECT id, state, kind = 'reindex' FROM jobs WHERE public = ?1";
            let found = sql
                .prepare_cached(question)?
                .query_row([job.as_str()], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, bool>(2)?))
                })
                .optional()?;
            let Some((row, state, of_vectors)) = found else { return Err(no_job(job)) };
            if state == "done" || state == "cancelled" {
                return Ok(false);
            }
            sql.execute("UPDATE jobs SET state = 'cancelled', ended_at = ?2 WHERE id = ?1", (row, now_ms))?;
            if of_vectors {
                sql.execute("UPDATE jobs SET cancelled = open, open = 0 WHERE id = ?1", [row])?;
                fresh::give_up(sql)?;
            }
            for item in ids(sql, "SELECT id FROM items WHERE job = ?1 AND outcome = 'queued'", [row])? {
                items::end(sql, item, &Ended::state(DocumentState::Cancelled), now_ms)?;
            }
            graph_jobs::cancel_waiting(writing, row, now_ms)?;
            Ok(true)
        })
    }
}

impl Reader<'_> {
    /// One job.
    pub(crate) fn job(&self, job: &JobId) -> Result<Option<Job>> {
        one_job(self.sql()?, "public", job.as_str())
    }

    /// The job with a label.
    pub(crate) fn job_labelled(&self, label: &str) -> Result<Option<Job>> {
        one_job(self.sql()?, "label", label)
    }

    /// Jobs, newest first.
    pub(crate) fn jobs(&self, state: Option<JobState>, page: PageRequest) -> Result<Vec<Job>> {
        let sql = format!("{JOB} WHERE state = coalesce(?1, state) ORDER BY id DESC LIMIT ?2 OFFSET ?3");
        let mut statement = self.sql()?.prepare_cached(&sql)?;
        let rows = statement.query_map((state.map(state_name), page.limit.min(MOST_ROWS), page.offset), job_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Items of a job in order.
    pub(crate) fn job_items(&self, job: &JobId, page: PageRequest) -> Result<Vec<JobItem>> {
        // A job has items of one kind only.
        let sql = "SELECT i.public, i.name, i.outcome, i.duplicate_of, i.problem, i.id FROM items i \
                   JOIN jobs j ON j.id = i.job WHERE j.public = ?1 \
                   UNION ALL SELECT i.public, i.name, i.outcome, NULL, i.problem, i.id FROM graph_items i \
                   JOIN jobs j ON j.id = i.job WHERE j.public = ?1 ORDER BY 6 LIMIT ?2 OFFSET ?3";
        let mut statement = self.sql()?.prepare_cached(sql)?;
        let rows = statement.query_map((job.as_str(), page.limit.min(MOST_ROWS), page.offset), |row| {
            let duplicate_of: Option<String> = row.get(3)?;
            Ok(JobItem {
                document: document_id(row.get_ref(0)?.as_str()?)?,
                name: row.get(1)?,
                outcome: row.get(2)?,
                duplicate_of: duplicate_of.map(|id| document_id(&id)).transpose()?,
                problem: if row.get_ref(4)? == ValueRef::Null { None } else { Some(json(row, 4)?) },
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// The row of the job `id`, made when it is new, on behalf of a principal and now; a job that was done goes on.
fn open_job(
    sql: &Connection,
    id: &JobId,
    label: Option<&str>,
    (principal, now_ms): (Option<&str>, i64),
) -> Result<i64> {
    let question = "SELECT id, state, label FROM jobs WHERE public = ?1";
    let found = sql.prepare_cached(question)?.query_row([id.as_str()], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, Option<String>>(2)?))
    });
    let found = found.optional()?;
    if let Some((row, state, own)) = &found
        && (label.is_none() || label == own.as_deref())
    {
        if state == "cancelled" {
            return Err(StoreError::conflict(format!("the job `{id}` was cancelled"), "start another job"));
        }
        let reopen = "UPDATE jobs SET state = iif(state = 'done', 'running', state) WHERE id = ?1";
        sql.prepare_cached(reopen)?.execute([row])?;
        return Ok(*row);
    }
    if let Some(label) = label
        && (found.is_some() || one_job(sql, "label", label)?.is_some())
    {
        return Err(StoreError::conflict(
            format!("the label `{label}` is not free for this job"),
            "choose another label",
        ));
    }
    let insert = "INSERT INTO jobs (public, kind, state, label, created_at, principal) \
                  VALUES (?1, 'add', 'queued', ?2, ?3, ?4)";
    sql.prepare_cached(insert)?.execute((id.as_str(), label, now_ms, principal))?;
    Ok(sql.last_insert_rowid())
}

/// Queued items in order, within the limits; at least one if there is any. None while vectors are made anew: those of
/// a document would be of one model or the other by chance.
fn claimable(sql: &Connection, limit: usize, max_bytes: u64) -> Result<Vec<i64>> {
    let question = "SELECT i.id, i.document, i.bytes FROM items i WHERE i.outcome = 'queued' AND NOT EXISTS \
                    (SELECT 1 FROM items o WHERE o.document = i.document AND o.outcome = 'processing') AND NOT EXISTS \
                    (SELECT 1 FROM jobs WHERE kind = 'reindex' AND state IN ('queued', 'running')) ORDER BY i.id";
    let mut statement = sql.prepare_cached(question)?;
    let mut rows = statement.query([])?;
    let mut documents = std::collections::HashSet::new();
    let (mut items, mut bytes) = (Vec::new(), 0_u64);
    while items.len() < limit {
        let Some(row) = rows.next()? else { break };
        let (item, document): (i64, i64) = (row.get(0)?, row.get(1)?);
        bytes = bytes.saturating_add(row.get(2)?);
        if bytes > max_bytes && !items.is_empty() {
            break;
        }
        if documents.insert(document) {
            items.push(item);
        }
    }
    Ok(items)
}

fn pending_item(sql: &Connection, item: i64) -> Result<PendingItem> {
    let question = "SELECT j.public, i.public, d.source, i.name, o.bytes, i.hash, i.tags, i.metadata, j.principal \
                    FROM items i \
                    JOIN jobs j ON j.id = i.job JOIN documents d ON d.id = i.document \
                    JOIN originals o ON o.id = i.original WHERE i.id = ?1";
    let mut statement = sql.prepare_cached(question)?;
    let item = statement.query_row([item], |row| {
        let job: String = row.get(0)?;
        let given: Given<'static> = json(row, 7)?;
        Ok(PendingItem {
            item,
            job: job_id(&job),
            principal: row.get(8)?,
            document: document_id(row.get_ref(1)?.as_str()?)?,
            source: row.get(2)?,
            name: row.get(3)?,
            bytes: row.get(4)?,
            hash: ContentHash(row.get(5)?),
            tags: json(row, 6)?,
            metadata: given.metadata.into_owned(),
            chunking: given.chunking.map(Cow::into_owned),
        })
    })?;
    Ok(item)
}

fn ended_at(sql: &Connection, item: i64) -> Result<i64> {
    let question = "SELECT coalesce(j.ended_at, j.created_at) FROM items i JOIN jobs j ON j.id = i.job WHERE i.id = ?1";
    Ok(sql.prepare_cached(question)?.query_row([item], |row| row.get(0))?)
}

/// The ids that a question finds.
pub(super) fn ids(sql: &Connection, question: &str, values: impl rusqlite::Params) -> Result<Vec<i64>> {
    let mut statement = sql.prepare_cached(question)?;
    let rows = statement.query_map(values, |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// There is no such job.
pub(super) fn no_job(job: &JobId) -> StoreError {
    StoreError::NotFound { kind: "job", name: job.to_string() }
}

/// A job that is known to be there.
pub(super) fn present_job(sql: &Connection, job: &JobId) -> Result<Job> {
    one_job(sql, "public", job.as_str())?.ok_or_else(|| no_job(job))
}

pub(super) fn one_job(sql: &Connection, column: &str, value: &str) -> Result<Option<Job>> {
    let question = format!("{JOB} WHERE {column} = ?1");
    Ok(sql.prepare_cached(&question)?.query_row([value], job_row).optional()?)
}

/// A stored job id.
pub(super) fn job_id(public: &str) -> JobId {
    JobId::with_suffix(public.strip_prefix("job_").unwrap_or(public))
}

fn job_row(row: &Row<'_>) -> rusqlite::Result<Job> {
    let public: String = row.get(0)?;
    let (kind, state): (String, String) = (row.get(1)?, row.get(2)?);
    Ok(Job {
        id: job_id(&public),
        kind: match kind.as_str() {
            "reindex" => JobKind::Reindex,
            "graph" => JobKind::Graph,
            _ => JobKind::Add,
        },
        state: match state.as_str() {
            "queued" => JobState::Queued,
            "running" => JobState::Running,
            "cancelled" => JobState::Cancelled,
            _ => JobState::Done,
        },
        label: row.get(3)?,
        principal: row.get(16)?,
        counts: JobCounts {
            total: row.get(4)?,
            open: row.get(5)?,
            ready: row.get(6)?,
            duplicate: row.get(7)?,
            needs_ocr: row.get(8)?,
            failed: row.get(9)?,
            cancelled: row.get(10)?,
        },
        spending: if row.get_ref(15)? == ValueRef::Null { None } else { Some(json(row, 15)?) },
        created_at: row.get(11)?,
        started_at: row.get(12)?,
        ended_at: row.get(13)?,
        problem: if row.get_ref(14)? == ValueRef::Null { None } else { Some(json(row, 14)?) },
    })
}

fn state_name(state: JobState) -> &'static str {
    match state {
        JobState::Queued => "queued",
        JobState::Running => "running",
        JobState::Done => "done",
        JobState::Cancelled => "cancelled",
    }
}
