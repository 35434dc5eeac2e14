//! Vectors made anew: a job that fills three tables beside those in use and then trades places with them.
//!
//! While such a job is open no document is handed out, so the chunks that there are at its beginning can only become
//! fewer. Texts of entities and relations may change meanwhile: whatever waits in `embed_queue` is left to those who
//! work that queue off after the swap. The model that the new vectors are of is a setting that exists from the beginning
//! to the swap.

use lorekeep_types::{EmbeddingModelId, FreshVector, Job, JobId, Problem, VectorKind, VectorTask, VectorsStage};
use rusqlite::{Connection, OptionalExtension, Row};

use super::changes::ChangeKind;
use super::reader::Reader;
use super::settings::{self, MODEL};
use super::{Truth, jobs, vectors};
use crate::error::{Result, StoreError};

/// The model of the new vectors.
const FRESH_MODEL: &str = "store.fresh_model";

/// A table in use, the one that fills up beside it, and the table of what the vectors stand for.
struct Pair {
    kind: VectorKind,
    live: &'static str,
    fresh: &'static str,
    rows: &'static str,
}

static PAIRS: [Pair; 3] = [
    Pair { kind: VectorKind::Chunk, live: "chunk_vectors", fresh: "fresh_chunk_vectors", rows: "chunks" },
    Pair { kind: VectorKind::Entity, live: "entity_vectors", fresh: "fresh_entity_vectors", rows: "entities" },
    Pair { kind: VectorKind::Relation, live: "relation_vectors", fresh: "fresh_relation_vectors", rows: "relations" },
];

impl Truth {
    /// Accepts a job of new vectors.
    pub(crate) fn enqueue_vectors(&self, job: &JobId, principal: Option<&str>, now_ms: i64) -> Result<Job> {
        self.write(|writing| {
            let sql = writing.sql();
            if let Some(open) = open_job(sql)? {
                return Err(StoreError::conflict(
                    format!("the job `{open}` is making all vectors anew already"),
                    "follow it with `lorekeep jobs follow`, or cancel it first",
                ));
            }
            let insert = "INSERT INTO jobs (public, kind, state, created_at, total, open, principal) \
                          VALUES (?1, 'reindex', 'queued', ?2, ?3, ?3, ?4)";
            sql.prepare_cached(insert)?.execute((job.as_str(), now_ms, missing(sql)?, principal))?;
            jobs::present_job(sql, job)
        })
    }

    /// Begins a job, or goes on with it.
    pub(crate) fn begin_vectors(&self, job: &JobId, model: &EmbeddingModelId, now_ms: i64) -> Result<VectorsStage> {
        self.write(|writing| {
            let sql = writing.sql();
            if !is_open(sql, job)? {
                return Ok(VectorsStage::Ended);
            }
            let staged = settings::get(sql, FRESH_MODEL)?;
            let started = sql
                .prepare_cached("SELECT started_at IS NOT NULL FROM jobs WHERE public = ?1")?
                .query_row([job.as_str()], |row| row.get::<_, bool>(0))?;
            if started && staged.is_none() {
                return Ok(VectorsStage::Swapped);
            }
            let model = serde_json::to_string(model)?;
            if staged.as_deref() != Some(&model) {
                drop_staged(sql)?;
                settings::put(sql, FRESH_MODEL, Some(&model))?;
            }
            let begin = "UPDATE jobs SET state = 'running', started_at = coalesce(started_at, ?2), ready = ?3, \
                         open = ?4, total = ?3 + ?4 WHERE public = ?1";
            sql.prepare_cached(begin)?.execute((job.as_str(), now_ms, staged_count(sql)?, missing(sql)?))?;
            Ok(VectorsStage::Making)
        })
    }

    /// Keeps vectors beside the present ones; `false` when the job was cancelled.
    pub(crate) fn stage_vectors(&self, job: &JobId, fresh: &[FreshVector], passed: u64) -> Result<bool> {
        self.write(|writing| {
            let sql = writing.sql();
            if !is_open(sql, job)? {
                return Ok(false);
            }
            for one in fresh {
                vectors::insert(sql, pair(one.kind).fresh, one.row, &one.vector)?;
            }
            let count = "UPDATE jobs SET ready = ready + ?2, open = max(0, open - ?2) WHERE public = ?1";
            sql.prepare_cached(count)?.execute((job.as_str(), passed))?;
            Ok(true)
        })
    }

    /// Puts the new vectors in the place of the old ones; `false` when the job was cancelled.
    pub(crate) fn swap_vectors(&self, job: &JobId) -> Result<bool> {
        self.write(|writing| {
            let sql = writing.sql();
            if !is_open(sql, job)? {
                return Ok(false);
            }
            let Some(model) = settings::get(sql, FRESH_MODEL)? else { return Ok(true) };
            for Pair { kind, live, fresh, rows } in &PAIRS {
                sql.execute(&format!("DELETE FROM {fresh} WHERE row NOT IN (SELECT id FROM {rows})"), [])?;
                if let Some(queue) = vectors::queue_of(*kind) {
                    sql.execute(
                        &format!("DELETE FROM {fresh} WHERE row IN (SELECT row FROM embed_queue WHERE kind = ?1)"),
                        [queue],
                    )?;
                }
                sql.execute_batch(&format!(
                    "DROP TABLE {live}; ALTER TABLE {fresh} RENAME TO {live}; \
                     CREATE TABLE {fresh} (row INTEGER PRIMARY KEY, scale REAL NOT NULL, bytes BLOB NOT NULL);"
                ))?;
            }
            settings::put(sql, MODEL, Some(&model))?;
            settings::put(sql, FRESH_MODEL, None)?;
            writing.changed(ChangeKind::VectorsReplaced);
            Ok(true)
        })
    }

    /// Remembers what a job waits for.
    pub(crate) fn delay_vectors(&self, job: &JobId, problem: Option<&Problem>) -> Result<()> {
        self.write(|writing| {
            let problem = problem.map(serde_json::to_string).transpose()?;
            let update = "UPDATE jobs SET problem = ?2 WHERE public = ?1 AND state IN ('queued', 'running')";
            writing.sql().prepare_cached(update)?.execute((job.as_str(), problem))?;
            Ok(())
        })
    }

    /// Ends a job; with a problem the new vectors are dropped.
    pub(crate) fn end_vectors(&self, job: &JobId, problem: Option<&Problem>, now_ms: i64) -> Result<()> {
        self.write(|writing| {
            let sql = writing.sql();
            if !is_open(sql, job)? {
                return Ok(());
            }
            let Some(problem) = problem else {
                // What was deleted meanwhile needed no vector after all.
                let done = "UPDATE jobs SET state = 'done', total = ready, open = 0, ended_at = ?2, problem = NULL \
                            WHERE public = ?1";
                sql.prepare_cached(done)?.execute((job.as_str(), now_ms))?;
                return Ok(());
            };
            let failed = "UPDATE jobs SET state = 'done', failed = open, open = 0, ended_at = ?2, problem = ?3 \
                          WHERE public = ?1";
            sql.prepare_cached(failed)?.execute((job.as_str(), now_ms, serde_json::to_string(problem)?))?;
            give_up(sql)
        })
    }
}

impl Reader<'_> {
    /// The open job of new vectors.
    pub(crate) fn vectors_job(&self) -> Result<Option<Job>> {
        let Some(open) = open_job(self.sql()?)? else { return Ok(None) };
        jobs::one_job(self.sql()?, "public", &open)
    }

    /// Texts whose new vectors are missing, after a row.
    pub(crate) fn vector_tasks(&self, after: Option<(VectorKind, i64)>, limit: usize) -> Result<Vec<VectorTask>> {
        let sql = self.sql()?;
        let first = after.map_or(0, |(kind, _)| place(kind));
        let mut tasks = Vec::new();
        for Pair { kind, .. } in PAIRS.iter().skip(first) {
            let row = after.filter(|(reached, _)| reached == kind).map_or(i64::MIN, |(_, row)| row);
            let left = limit.saturating_sub(tasks.len());
            match kind {
                VectorKind::Chunk => tasks.extend(chunk_tasks(sql, row, left)?),
                VectorKind::Entity | VectorKind::Relation => tasks.extend(graph_tasks(sql, *kind, row, left)?),
            }
        }
        Ok(tasks)
    }
}

fn chunk_tasks(sql: &Connection, after: i64, limit: usize) -> Result<Vec<VectorTask>> {
    let question = "SELECT c.id, json_extract(c.heading_path, '$[#-1]'), c.text, v.language, coalesce(v.title, ''), d.name \
                    FROM chunks c JOIN versions v ON v.id = c.version JOIN documents d ON d.id = v.document \
                    WHERE c.id > ?1 AND NOT EXISTS (SELECT 1 FROM fresh_chunk_vectors f WHERE f.row = c.id) \
                    ORDER BY c.id LIMIT ?2";
    let task = |row: &Row<'_>| -> rusqlite::Result<VectorTask> {
        let (heading, text): (Option<String>, String) = (row.get(1)?, row.get(2)?);
        let (title, name): (String, String) = (row.get(4)?, row.get(5)?);
        let title = super::reader::chunks::title_or_name(title, &name);
        Ok(VectorTask {
            kind: VectorKind::Chunk,
            row: row.get(0)?,
            text: lorekeep_text::passage_text(&title, heading.as_deref(), &text),
            language: row.get(3)?,
        })
    };
    let mut statement = sql.prepare_cached(question)?;
    let rows = statement.query_map((after, limit), task)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Those that have a vector; the others wait in the queue, or are not shown.
fn graph_tasks(sql: &Connection, kind: VectorKind, after: i64, limit: usize) -> Result<Vec<VectorTask>> {
    let Pair { live, fresh, .. } = pair(kind);
    let question = format!(
        "SELECT v.row FROM {live} v WHERE v.row > ?1 AND NOT EXISTS (SELECT 1 FROM {fresh} f WHERE f.row = v.row) \
         AND NOT EXISTS (SELECT 1 FROM embed_queue q WHERE q.kind = ?2 AND q.row = v.row) ORDER BY v.row LIMIT ?3"
    );
    let mut statement = sql.prepare_cached(&question)?;
    let rows = statement.query_map((after, vectors::queue_of(kind), limit), |row| row.get(0))?;
    let rows: Vec<i64> = rows.collect::<rusqlite::Result<_>>()?;
    let mut tasks = Vec::with_capacity(rows.len());
    for row in rows {
        let task = vectors::task(sql, kind, row)?;
        tasks.extend(task.map(|task| VectorTask { kind, row, text: task.text, language: None }));
    }
    Ok(tasks)
}

/// Drops what was made, as when a job is given up.
pub(super) fn give_up(sql: &Connection) -> Result<()> {
    drop_staged(sql)?;
    settings::put(sql, FRESH_MODEL, None)
}

fn drop_staged(sql: &Connection) -> Result<()> {
    PAIRS.iter().try_for_each(|pair| Ok(sql.execute(&format!("DELETE FROM {}", pair.fresh), []).map(drop)?))
}

fn open_job(sql: &Connection) -> Result<Option<String>> {
    let question = "SELECT public FROM jobs WHERE kind = 'reindex' AND state IN ('queued', 'running') ORDER BY id";
    Ok(sql.prepare_cached(question)?.query_row([], |row| row.get(0)).optional()?)
}

fn is_open(sql: &Connection, job: &JobId) -> Result<bool> {
    Ok(open_job(sql)?.is_some_and(|open| open == job.as_str()))
}

/// Vectors that are yet to be made.
fn missing(sql: &Connection) -> Result<u64> {
    let question = "SELECT (SELECT count(*) FROM chunks c WHERE NOT EXISTS (SELECT 1 FROM fresh_chunk_vectors f WHERE f.row = c.id)) \
         + (SELECT count(*) FROM entity_vectors v WHERE NOT EXISTS (SELECT 1 FROM fresh_entity_vectors f WHERE f.row = v.row)) \
         + (SELECT count(*) FROM relation_vectors v WHERE NOT EXISTS (SELECT 1 FROM fresh_relation_vectors f WHERE f.row = v.row))";
    Ok(sql.prepare_cached(question)?.query_row([], |row| row.get(0))?)
}

fn staged_count(sql: &Connection) -> Result<u64> {
    let question = "SELECT (SELECT count(*) FROM fresh_chunk_vectors) + (SELECT count(*) FROM fresh_entity_vectors) \
                    + (SELECT count(*) FROM fresh_relation_vectors)";
    Ok(sql.prepare_cached(question)?.query_row([], |row| row.get(0))?)
}

const fn place(kind: VectorKind) -> usize {
    match kind {
        VectorKind::Chunk => 0,
        VectorKind::Entity => 1,
        VectorKind::Relation => 2,
    }
}

fn pair(kind: VectorKind) -> &'static Pair {
    let [chunk, entity, relation] = &PAIRS;
    match kind {
        VectorKind::Chunk => chunk,
        VectorKind::Entity => entity,
        VectorKind::Relation => relation,
    }
}
