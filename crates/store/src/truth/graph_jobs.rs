//! Jobs that have a model make graphs: which documents wait, what they cost, and the replacement of a version's graph.
//! Unlike the items of other jobs theirs own no bytes, and the state of their documents stays as it is.

use lorekeep_types::{
    ByteSpan, DocumentId, DocumentState, GraphEnd, GraphItem, GraphSource, GraphWrite, Job, JobId, NewGraphJob,
    Problem, Spending, VersionId,
};
use rusqlite::{Connection, OptionalExtension};

use super::changes::ChangeKind;
use super::delete::remove_graph;
use super::graph::{Contribution, GraphChange};
use super::items::count_end;
use super::jobs::{ids, job_id, no_job, present_job};
use super::reader::Reader;
use super::reader::chunks::document_id;
use super::{Truth, Writing};
use crate::error::{Result, StoreError};

impl Reader<'_> {
    /// Documents that have a version: those named, or all.
    pub(crate) fn graph_sources(&self, documents: &[DocumentId]) -> Result<Vec<GraphSource>> {
        let all = "SELECT d.public, d.name, v.chunks, v.graph FROM documents d JOIN versions v ON v.id = d.version";
        let mut sources = Vec::new();
        let mut read = |sql: &str, values: &[&str]| -> Result<bool> {
            let mut statement = self.sql()?.prepare_cached(sql)?;
            let mut rows = statement.query(rusqlite::params_from_iter(values))?;
            let before = sources.len();
            while let Some(row) = rows.next()? {
                let document = document_id(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?;
                sources.push(GraphSource { document, name: row.get(1)?, chunks: row.get(2)?, maker: row.get(3)? });
            }
            Ok(sources.len() > before)
        };
        if documents.is_empty() {
            read(&format!("{all} ORDER BY d.id"), &[])?;
        }
        for document in documents {
            let known = read(&format!("{all} WHERE d.public = ?1"), &[document.as_str()])?;
            if !known && self.document(document)?.is_none() {
                return Err(StoreError::NotFound { kind: "document", name: document.to_string() });
            }
        }
        Ok(sources)
    }
}

impl Truth {
    /// Accepts a job that makes graphs.
    pub(crate) fn enqueue_graph(&self, new: &NewGraphJob, now_ms: i64) -> Result<Job> {
        self.write(|writing| {
            let sql = writing.sql();
            let job = open_graph_job(sql, new, now_ms)?;
            let item = "INSERT INTO graph_items (job, document, public, name, outcome) \
                        SELECT ?1, id, public, name, 'queued' FROM documents WHERE public = ?2 AND version IS NOT NULL";
            let mut statement = sql.prepare_cached(item)?;
            let mut total = 0;
            for document in &new.documents {
                total += statement.execute((job, document.as_str()))?;
            }
            let settle = "UPDATE jobs SET total = total + ?2, open = open + ?2, \
                          state = iif(open + ?2 = 0, 'done', state), ended_at = iif(open + ?2 = 0, ?3, NULL) WHERE id = ?1";
            sql.prepare_cached(settle)?.execute((job, total, now_ms))?;
            present_job(sql, &new.id)
        })
    }

    /// Hands out the oldest queued document.
    pub(crate) fn claim_graph(&self, now_ms: i64) -> Result<Option<GraphItem>> {
        self.write(|writing| {
            let sql = writing.sql();
            let question = "SELECT i.id, j.public, i.public, i.name, j.spending, j.id, j.principal FROM graph_items i \
                            JOIN jobs j ON j.id = i.job WHERE i.outcome = 'queued' AND NOT EXISTS (SELECT 1 \
                            FROM graph_items o WHERE o.document = i.document AND o.outcome = 'processing') \
                            ORDER BY i.id LIMIT 1";
            let found = sql.prepare_cached(question)?.query_row([], |row| {
                let item = GraphItem {
                    item: row.get(0)?,
                    job: job_id(&row.get::<_, String>(1)?),
                    principal: row.get(6)?,
                    document: document_id(row.get_ref(2)?.as_str()?)?,
                    name: row.get(3)?,
                    spending: Spending::default(),
                };
                Ok((item, row.get::<_, Option<String>>(4)?, row.get::<_, i64>(5)?))
            });
            let Some((mut item, spending, job)) = found.optional()? else { return Ok(None) };
            item.spending = spending.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default();
            sql.prepare_cached("UPDATE graph_items SET outcome = 'processing' WHERE id = ?1")?.execute([item.item])?;
            let start = "UPDATE jobs SET state = 'running', started_at = coalesce(started_at, ?2) \
                         WHERE id = ?1 AND state <> 'cancelled'";
            sql.prepare_cached(start)?.execute((job, now_ms))?;
            Ok(Some(item))
        })
    }

    /// Puts claimed documents back.
    pub(crate) fn unclaim_graph(&self, items: &[i64]) -> Result<()> {
        self.write(|writing| {
            let back = "UPDATE graph_items SET outcome = 'queued' WHERE id = ?1 AND outcome = 'processing'";
            let mut statement = writing.sql().prepare_cached(back)?;
            items.iter().try_for_each(|item| statement.execute([item]).map(drop))?;
            Ok(())
        })
    }

    /// Ends documents.
    pub(crate) fn end_graph(&self, ends: &[GraphEnd], now_ms: i64) -> Result<()> {
        self.write(|writing| ends.iter().try_for_each(|one| end(writing.sql(), one, now_ms).map(drop)))
    }

    /// Ends what waits in a job.
    pub(crate) fn stop_graph(&self, job: &JobId, problem: &Problem, now_ms: i64) -> Result<()> {
        self.write(|writing| {
            let waiting = "SELECT i.id FROM graph_items i JOIN jobs j ON j.id = i.job \
                           WHERE j.public = ?1 AND i.outcome = 'queued'";
            for item in ids(writing.sql(), waiting, [job.as_str()])? {
                let problem = Some(problem.clone());
                end(writing.sql(), &GraphEnd { item, state: DocumentState::Cancelled, problem }, now_ms)?;
            }
            Ok(())
        })
    }

    /// Adds to what a job has spent.
    pub(crate) fn spend(&self, job: &JobId, more: &Spending) -> Result<()> {
        self.write(|writing| {
            let sql = writing.sql();
            let question = "SELECT spending FROM jobs WHERE public = ?1";
            let stored = sql.prepare_cached(question)?.query_row([job.as_str()], |row| row.get::<_, Option<String>>(0));
            let stored = stored.optional()?.ok_or_else(|| no_job(job))?;
            let mut spending: Spending =
                stored.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default();
            spending.add(more);
            let update = "UPDATE jobs SET spending = ?2 WHERE public = ?1";
            sql.prepare_cached(update)?.execute((job.as_str(), serde_json::to_string(&spending)?))?;
            Ok(())
        })
    }

    /// Replaces the graph of a version.
    pub(crate) fn write_graph(&self, write: &GraphWrite, now_ms: i64) -> Result<bool> {
        self.write(|writing| {
            let Some((document, first_chunk, end)) = present(writing.sql(), write)? else { return Ok(false) };
            let mut graph = GraphChange::default();
            remove_graph(writing.sql(), &mut graph, write.version, (first_chunk, end))?;
            let texts = chunk_texts(writing.sql(), (first_chunk, end))?;
            let chunks: Vec<(ByteSpan, &str)> = texts.iter().map(|(span, text)| (*span, text.as_str())).collect();
            let from = Contribution { version: write.version, document, first_chunk, chunks: &chunks };
            let entities = graph.add(writing.sql(), &from, &write.extraction)?;
            let update = "UPDATE versions SET entities = ?2, graph = ?3 WHERE id = ?1";
            writing.sql().prepare_cached(update)?.execute((write.version.0, entities, &write.maker))?;
            writing.changed(ChangeKind::MentionsChanged(write.version));
            writing.changed(ChangeKind::AliasesChanged);
            graph.settle(writing, now_ms)?;
            Ok(true)
        })
    }
}

/// The row of the job, made when it is new; one that was done goes on.
fn open_graph_job(sql: &Connection, new: &NewGraphJob, now_ms: i64) -> Result<i64> {
    let question = "SELECT id, kind, state FROM jobs WHERE public = ?1";
    let found = sql.prepare_cached(question)?.query_row([new.id.as_str()], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
    });
    if let Some((row, kind, state)) = found.optional()? {
        if kind != "graph" || state == "cancelled" {
            let message = format!("the job `{}` takes no further documents", new.id);
            return Err(StoreError::conflict(message, "start another job"));
        }
        let reopen = "UPDATE jobs SET state = iif(state = 'done', 'running', state) WHERE id = ?1";
        sql.prepare_cached(reopen)?.execute([row])?;
        return Ok(row);
    }
    let insert = "INSERT INTO jobs (public, kind, state, created_at, spending, principal) \
                  VALUES (?1, 'graph', 'queued', ?2, ?3, ?4)";
    let spending = serde_json::to_string(&Spending { limit: new.limit, ..Spending::default() })?;
    sql.prepare_cached(insert)?.execute((new.id.as_str(), now_ms, spending, new.principal.as_deref()))?;
    Ok(sql.last_insert_rowid())
}

/// The row of the document and its chunks, if its version is still the one that was read.
fn present(sql: &Connection, write: &GraphWrite) -> Result<Option<(i64, i64, i64)>> {
    let question = "SELECT d.id, v.first_chunk, v.first_chunk + v.chunks FROM documents d \
                    JOIN versions v ON v.id = d.version WHERE d.public = ?1 AND v.id = ?2";
    let VersionId(version) = write.version;
    let found = sql
        .prepare_cached(question)?
        .query_row((write.document.as_str(), version), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    Ok(found.optional()?)
}

fn chunk_texts(sql: &Connection, range: (i64, i64)) -> Result<Vec<(ByteSpan, String)>> {
    let mut statement =
        sql.prepare_cached("SELECT start, stop, text FROM chunks WHERE id >= ?1 AND id < ?2 ORDER BY id")?;
    let rows = statement.query_map(range, |row| Ok((ByteSpan::new(row.get(0)?, row.get(1)?), row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Ends an item and counts it; `false` when it had ended.
fn end(sql: &Connection, end: &GraphEnd, now_ms: i64) -> Result<bool> {
    let update = "UPDATE graph_items SET outcome = ?2, problem = ?3 \
                  WHERE id = ?1 AND outcome IN ('queued', 'processing') RETURNING job";
    let problem = end.problem.as_ref().map(serde_json::to_string).transpose()?;
    let job = sql.prepare_cached(update)?.query_row((end.item, end.state.name(), problem), |row| row.get(0));
    let Some(job) = job.optional()? else { return Ok(false) };
    count_end(sql, job, end.state.name(), now_ms)?;
    Ok(true)
}

/// Ends what waits of a cancelled job.
pub(super) fn cancel_waiting(writing: &Writing<'_>, job: i64, now_ms: i64) -> Result<()> {
    end_all(writing.sql(), "SELECT id FROM graph_items WHERE job = ?1 AND outcome = 'queued'", job, now_ms)
}

/// Ends what waits of a document that is about to go.
pub(super) fn drop_waiting(sql: &Connection, document: i64, now_ms: i64) -> Result<()> {
    let open = "SELECT id FROM graph_items WHERE document = ?1 AND outcome IN ('queued', 'processing')";
    end_all(sql, open, document, now_ms)
}

fn end_all(sql: &Connection, question: &str, value: i64, now_ms: i64) -> Result<()> {
    for item in ids(sql, question, [value])? {
        end(sql, &GraphEnd { item, state: DocumentState::Cancelled, problem: None }, now_ms)?;
    }
    Ok(())
}

/// Queues again what a process that ended was working on; of a cancelled job it ends.
pub(super) fn requeue(sql: &Connection) -> Result<()> {
    let of_cancelled = "SELECT i.id, coalesce(j.ended_at, j.created_at) FROM graph_items i JOIN jobs j ON j.id = i.job \
                        WHERE i.outcome = 'processing' AND j.state = 'cancelled'";
    let mut statement = sql.prepare_cached(of_cancelled)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for row in rows.collect::<Result<Vec<(i64, i64)>, _>>()? {
        end(sql, &GraphEnd { item: row.0, state: DocumentState::Cancelled, problem: None }, row.1)?;
    }
    sql.execute("UPDATE graph_items SET outcome = 'queued' WHERE outcome = 'processing'", [])?;
    Ok(())
}
