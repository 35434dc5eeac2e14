//! Vectors of entities and relations: what waits to be embedded, and taking in what was.

use lorekeep_types::{EmbedTask, Vector, VectorKind, VectorWrite};
use rusqlite::{Connection, OptionalExtension};

use super::changes::ChangeKind;
use super::reader::Reader;
use super::settle::{QUEUE_ENTITY, QUEUE_RELATION};
use super::{Truth, Writing};
use crate::error::{Result, StoreError};

impl Reader<'_> {
    /// Entities and relations to embed, at most `limit`.
    pub(crate) fn embed_tasks(&self, limit: usize) -> Result<Vec<EmbedTask>> {
        let sql = self.sql()?;
        let mut statement = sql.prepare_cached("SELECT kind, row FROM embed_queue ORDER BY kind, row LIMIT ?1")?;
        let rows = statement.query_map([limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let queued: Vec<(i64, i64)> = rows.collect::<Result<_, _>>()?;
        let mut tasks = Vec::with_capacity(queued.len());
        for (kind, row) in queued {
            let kind = if kind == QUEUE_ENTITY { VectorKind::Entity } else { VectorKind::Relation };
            tasks.extend(task(sql, kind, row)?);
        }
        Ok(tasks)
    }
}

/// What is embedded for an entity or a relation; `None` when it is gone.
pub(super) fn task(sql: &Connection, kind: VectorKind, row: i64) -> Result<Option<EmbedTask>> {
    match kind {
        VectorKind::Entity => entity_task(sql, row),
        VectorKind::Relation => relation_task(sql, row),
        VectorKind::Chunk => Ok(None),
    }
}

/// The number of a kind in `embed_queue`; chunks get their vectors with their document.
pub(super) const fn queue_of(kind: VectorKind) -> Option<i64> {
    match kind {
        VectorKind::Chunk => None,
        VectorKind::Entity => Some(QUEUE_ENTITY),
        VectorKind::Relation => Some(QUEUE_RELATION),
    }
}

fn entity_task(sql: &Connection, row: i64) -> Result<Option<EmbedTask>> {
    let question = "SELECT name, description, revision FROM entities WHERE id = ?1";
    let task = sql.prepare_cached(question)?.query_row([row], |found| {
        let (name, description): (String, String) = (found.get(0)?, found.get(1)?);
        let text = format!("{name}\n{description}");
        Ok(EmbedTask { kind: VectorKind::Entity, row, revision: found.get(2)?, text, description })
    });
    Ok(task.optional()?)
}

fn relation_task(sql: &Connection, row: i64) -> Result<Option<EmbedTask>> {
    let question = "SELECT r.keywords, a.name, b.name, r.description, r.revision FROM relations r \
                    JOIN entities a ON a.id = r.low JOIN entities b ON b.id = r.high WHERE r.id = ?1";
    let task = sql.prepare_cached(question)?.query_row([row], |found| {
        let (keywords, one, other): (String, String, String) = (found.get(0)?, found.get(1)?, found.get(2)?);
        let description: String = found.get(3)?;
        let text = format!("{keywords}\n{one}\n{other}\n{description}");
        Ok(EmbedTask { kind: VectorKind::Relation, row, revision: found.get(4)?, text, description })
    });
    Ok(task.optional()?)
}

impl Truth {
    /// Stores vectors whose revision is still current.
    pub(crate) fn put_vectors(&self, vectors: &[VectorWrite]) -> Result<()> {
        self.write(|writing| vectors.iter().try_for_each(|write| put(writing, write)))
    }
}

fn put(writing: &mut Writing<'_>, write: &VectorWrite) -> Result<()> {
    let (queue, table, update, change) = match write.kind {
        VectorKind::Entity => (
            QUEUE_ENTITY,
            "entity_vectors",
            "UPDATE entities SET description_tokens = ?3 WHERE id = ?1 AND revision = ?2",
            ChangeKind::EntityVector(write.row),
        ),
        VectorKind::Relation => (
            QUEUE_RELATION,
            "relation_vectors",
            "UPDATE relations SET description_tokens = ?3 WHERE id = ?1 AND revision = ?2",
            ChangeKind::RelationVector(write.row),
        ),
        VectorKind::Chunk => {
            return Err(StoreError::conflict("the vectors of chunks come with their document", ""));
        }
    };
    let sql = writing.sql();
    let current = sql.prepare_cached(update)?.execute((write.row, write.revision, write.description_tokens))?;
    if current == 1 {
        insert(sql, table, write.row, &write.vector)?;
        sql.prepare_cached("DELETE FROM embed_queue WHERE kind = ?1 AND row = ?2")?.execute((queue, write.row))?;
        writing.changed(change);
    }
    Ok(())
}

/// Writes a row of one of the three tables of vectors.
pub(super) fn insert(sql: &Connection, table: &str, row: i64, vector: &Vector) -> Result<()> {
    let bytes: Vec<u8> = vector.bytes.iter().map(|byte| byte.cast_unsigned()).collect();
    let insert = format!("INSERT OR REPLACE INTO {table} (row, scale, bytes) VALUES (?1, ?2, ?3)");
    sql.prepare_cached(&insert)?.execute((row, vector.scale, bytes))?;
    Ok(())
}
