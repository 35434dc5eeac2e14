//! Removing documents and versions: exactly what they contributed.

use lorekeep_types::{DocumentId, DocumentState, VersionId};
use rusqlite::{Connection, OptionalExtension};

use super::changes::ChangeKind;
use super::graph::GraphChange;
use super::items::{self, Ended};
use super::{Truth, Writing, graph_jobs};
use crate::error::Result;

impl Truth {
    /// Deletes documents; returns those that existed.
    pub(crate) fn delete(&self, ids: &[DocumentId], now_ms: i64) -> Result<Vec<DocumentId>> {
        self.write(|writing| {
            let mut graph = GraphChange::default();
            let mut deleted = Vec::new();
            for id in ids {
                if remove_document(writing, &mut graph, id, now_ms)? {
                    deleted.push(id.clone());
                }
            }
            graph.settle(writing, now_ms)?;
            Ok(deleted)
        })
    }
}

fn remove_document(writing: &mut Writing<'_>, graph: &mut GraphChange, id: &DocumentId, now_ms: i64) -> Result<bool> {
    let question = "SELECT id, version FROM documents WHERE public = ?1";
    let found = writing
        .sql()
        .prepare_cached(question)?
        .query_row([id.as_str()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?)))
        .optional()?;
    let Some((document, version)) = found else { return Ok(false) };
    for item in items::open_of(writing.sql(), document)? {
        items::end(writing.sql(), item, &Ended::state(DocumentState::Cancelled), now_ms)?;
    }
    graph_jobs::drop_waiting(writing.sql(), document, now_ms)?;
    if let Some(version) = version {
        remove_version(writing, graph, VersionId(version))?;
    }
    drop_document(writing.sql(), document)?;
    Ok(true)
}

/// Removes a document that has no version, with the bytes that waited for it.
pub(super) fn drop_document(sql: &Connection, document: i64) -> Result<()> {
    items::drop_waiting_bytes(sql, document)?;
    sql.prepare_cached("DELETE FROM documents WHERE id = ?1")?.execute([document])?;
    Ok(())
}

/// Removes what a version says about the graph; its chunks have the ids from the first of `chunks` to before the second.
pub(super) fn remove_graph(
    sql: &Connection,
    graph: &mut GraphChange,
    version: VersionId,
    chunks: (i64, i64),
) -> Result<()> {
    graph.remove(sql, version, chunks)?;
    for by_chunk in [
        "DELETE FROM mentions WHERE chunk >= ?1 AND chunk < ?2",
        "DELETE FROM definitions WHERE chunk >= ?1 AND chunk < ?2",
        "DELETE FROM descriptions WHERE chunk >= ?1 AND chunk < ?2",
        "DELETE FROM evidence WHERE chunk >= ?1 AND chunk < ?2",
    ] {
        sql.prepare_cached(by_chunk)?.execute(chunks)?;
    }
    for by_version in
        ["DELETE FROM contributions WHERE version = ?1", "DELETE FROM document_aliases WHERE version = ?1"]
    {
        sql.prepare_cached(by_version)?.execute([version.0])?;
    }
    Ok(())
}

/// Removes a version and all its contributions.
pub(super) fn remove_version(writing: &mut Writing<'_>, graph: &mut GraphChange, version: VersionId) -> Result<()> {
    let sql = writing.sql();
    let question = "SELECT first_chunk, first_chunk + chunks, original FROM versions WHERE id = ?1";
    let (first, end, original): (i64, i64, i64) =
        sql.prepare_cached(question)?.query_row([version.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    remove_graph(sql, graph, version, (first, end))?;
    for by_chunk in
        ["DELETE FROM chunk_vectors WHERE row >= ?1 AND row < ?2", "DELETE FROM chunks WHERE id >= ?1 AND id < ?2"]
    {
        sql.prepare_cached(by_chunk)?.execute((first, end))?;
    }
    for by_version in ["DELETE FROM texts WHERE version = ?1", "DELETE FROM versions WHERE id = ?1"] {
        sql.prepare_cached(by_version)?.execute([version.0])?;
    }
    sql.prepare_cached("DELETE FROM originals WHERE id = ?1")?.execute([original])?;
    writing.changed(ChangeKind::VersionRemoved(version));
    Ok(())
}
