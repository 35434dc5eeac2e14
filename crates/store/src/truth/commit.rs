//! Committing documents: everything of one version, and the removal of the version before it.

use std::collections::HashSet;

use lorekeep_types::{ByteSpan, ChunkId, CommitOutcome, DocumentState, DocumentWrite, Vector, VersionId};
use rusqlite::{Connection, OptionalExtension};

use super::changes::ChangeKind;
use super::delete;
use super::graph::{Contribution, GraphChange};
use super::items::{self, Ended};
use super::{Truth, Writing};
use crate::error::{Result, StoreError};

/// Code points of a document's summary.
const SUMMARY: usize = 255;

/// Where a write's item, job and document stand.
struct Standing {
    document: i64,
    original: Option<i64>,
    bytes: i64,
    outcome: String,
    job_state: String,
    version: Option<i64>,
    numbers: u32,
}

impl Truth {
    /// Commits documents in one transaction.
    pub(crate) fn commit(&self, writes: &[DocumentWrite], now_ms: i64) -> Result<Vec<CommitOutcome>> {
        self.write(|writing| {
            let mut graph = GraphChange::default();
            let mut documents = HashSet::new();
            let mut outcomes = Vec::with_capacity(writes.len());
            for write in writes {
                // A second version of the same document removes rows that settling the first has yet to write.
                if !documents.insert(&write.document) {
                    std::mem::take(&mut graph).settle(writing, now_ms)?;
                }
                outcomes.push(commit_one(writing, &mut graph, write, now_ms)?);
            }
            graph.settle(writing, now_ms)?;
            Ok(outcomes)
        })
    }
}

fn commit_one(
    writing: &mut Writing<'_>,
    graph: &mut GraphChange,
    write: &DocumentWrite,
    now_ms: i64,
) -> Result<CommitOutcome> {
    let nothing =
        || CommitOutcome { document: write.document.clone(), version_id: VersionId(0), version: 0, committed: false };
    let Some(standing) = standing(writing.sql(), write)? else { return Ok(nothing()) };
    if standing.outcome != "processing" {
        return Ok(nothing());
    }
    if standing.job_state == "cancelled" {
        items::end(writing.sql(), write.item, &Ended::state(DocumentState::Cancelled), now_ms)?;
        return Ok(nothing());
    }
    let Some(original) = standing.original else { return Ok(nothing()) };
    if let Some(former) = standing.version {
        delete::remove_version(writing, graph, VersionId(former))?;
    }
    let number = standing.numbers + 1;
    let version = insert_version(writing.sql(), write, &standing, original, number, now_ms)?;
    let first_chunk = insert_chunks(writing.sql(), version, write)?;
    insert_vectors(writing.sql(), first_chunk, &write.vectors, write.chunks.len())?;
    let chunks: Vec<(ByteSpan, &str)> = write.chunks.iter().map(|chunk| (chunk.span, chunk.text.as_str())).collect();
    let from = Contribution { version, document: standing.document, first_chunk, chunks: &chunks };
    let entities = graph.add(writing.sql(), &from, &write.extraction)?;
    let finish = "UPDATE versions SET first_chunk = ?2, entities = ?3 WHERE id = ?1";
    writing.sql().prepare_cached(finish)?.execute((version.0, first_chunk, entities))?;
    let current = "UPDATE documents SET version = ?2, numbers = ?3 WHERE id = ?1";
    writing.sql().prepare_cached(current)?.execute((standing.document, version.0, number))?;
    items::end(writing.sql(), write.item, &Ended::committed(), now_ms)?;
    writing.changed(ChangeKind::VersionAdded(version));
    Ok(CommitOutcome { document: write.document.clone(), version_id: version, version: number, committed: true })
}

fn standing(sql: &Connection, write: &DocumentWrite) -> Result<Option<Standing>> {
    let question = "SELECT i.document, i.original, i.bytes, i.outcome, j.state, d.version, d.numbers FROM items i \
                    JOIN jobs j ON j.id = i.job JOIN documents d ON d.id = i.document \
                    WHERE i.id = ?1 AND d.public = ?2";
    let row = sql.prepare_cached(question)?.query_row((write.item, write.document.as_str()), |row| {
        Ok(Standing {
            document: row.get(0)?,
            original: row.get(1)?,
            bytes: row.get(2)?,
            outcome: row.get(3)?,
            job_state: row.get(4)?,
            version: row.get(5)?,
            numbers: row.get(6)?,
        })
    });
    Ok(row.optional()?)
}

fn insert_version(
    sql: &Connection,
    write: &DocumentWrite,
    standing: &Standing,
    original: i64,
    number: u32,
    now_ms: i64,
) -> Result<VersionId> {
    let parsed = &write.parsed;
    let metadata = &parsed.metadata;
    let summary: String = parsed.text.chars().take(SUMMARY).collect();
    let insert = "INSERT INTO versions (document, number, hash, original, bytes, title, author, date, language, characters, \
                  summary, pages, chunks, first_chunk, entities, warnings, created_at) \
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 0, 0, ?14, ?15)";
    sql.prepare_cached(insert)?.execute(rusqlite::params![
        standing.document,
        number,
        write.hash.0.as_slice(),
        original,
        standing.bytes,
        metadata.title,
        metadata.author,
        metadata.date,
        metadata.language,
        parsed.text.chars().count(),
        summary,
        parsed.pages.len(),
        write.chunks.len(),
        serde_json::to_string(&parsed.warnings)?,
        now_ms,
    ])?;
    let version = sql.last_insert_rowid();
    let pages: Vec<_> = parsed.pages.iter().map(|page| (page.number, page.span.start, page.span.end)).collect();
    let insert = "INSERT INTO texts (version, text, pages, headings) VALUES (?1, ?2, ?3, ?4)";
    let (pages, headings) = (serde_json::to_string(&pages)?, serde_json::to_string(&parsed.headings)?);
    sql.prepare_cached(insert)?.execute((version, &parsed.text, pages, headings))?;
    Ok(VersionId(version))
}

/// Returns the id of the first; the others follow it.
fn insert_chunks(sql: &Connection, version: VersionId, write: &DocumentWrite) -> Result<i64> {
    let insert = "INSERT INTO chunks (version, position, start, stop, char_start, page, tokens, heading_path, headings, text) \
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let mut statement = sql.prepare_cached(insert)?;
    let mut places = CharPlaces::new(&write.parsed.text);
    let mut first = None;
    for (position, chunk) in write.chunks.iter().enumerate() {
        statement.execute(rusqlite::params![
            version.0,
            position,
            chunk.span.start,
            chunk.span.end,
            places.before(chunk.span.start),
            chunk.page,
            chunk.tokens,
            serde_json::to_string(&chunk.heading_path)?,
            serde_json::to_string(&chunk.headings)?,
            chunk.text,
        ])?;
        first = first.or_else(|| Some(sql.last_insert_rowid()));
    }
    Ok(first.unwrap_or(0))
}

fn insert_vectors(sql: &Connection, first_chunk: i64, vectors: &[Vector], chunks: usize) -> Result<()> {
    if !vectors.is_empty() && vectors.len() != chunks {
        return Err(StoreError::Damaged(format!("a document came with {} vectors for {chunks} chunks", vectors.len())));
    }
    for (row, vector) in (first_chunk..).zip(vectors) {
        super::vectors::insert(sql, "chunk_vectors", ChunkId(row).0, vector)?;
    }
    Ok(())
}

/// Counts the code points before ascending byte offsets in one pass over the text.
struct CharPlaces<'a> {
    text: &'a str,
    at: usize,
    characters: usize,
}

impl<'a> CharPlaces<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, characters: 0 }
    }

    fn before(&mut self, offset: usize) -> usize {
        if offset < self.at {
            *self = Self::new(self.text);
        }
        self.characters += self.text.get(self.at..offset).map_or(0, |between| between.chars().count());
        self.at = offset;
        self.characters
    }
}
