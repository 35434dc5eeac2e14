//! Chunks to show, and the versions that a filter admits.

use lorekeep_types::{
    ByteSpan, ChunkId, DocumentFilter, DocumentId, Metadata, NewChunk, PageRequest, StoredChunk, VersionId,
};
use rusqlite::{OptionalExtension, Row};

use super::super::filter::Condition;
use super::Reader;
use crate::error::Result;

const CHUNK: &str = "SELECT c.id, d.public, d.name, v.id, v.number, v.title, v.author, v.date, v.language, \
     c.char_start, c.position, c.start, c.stop, c.text, c.heading_path, c.headings, c.page, c.tokens \
     FROM chunks c JOIN versions v ON v.id = c.version JOIN documents d ON d.id = v.document";

impl Reader<'_> {
    /// Reads chunks in the order asked for; those that are gone are left out.
    pub(crate) fn chunks(&self, ids: &[ChunkId]) -> Result<Vec<StoredChunk>> {
        let mut statement = self.sql()?.prepare_cached(&format!("{CHUNK} WHERE c.id = ?1"))?;
        let mut chunks = Vec::with_capacity(ids.len());
        for id in ids {
            chunks.extend(statement.query_row([id.0], stored_chunk).optional()?);
        }
        Ok(chunks)
    }

    /// A window on the chunks of a document's current version, by position.
    pub(crate) fn document_chunks(&self, document: &DocumentId, page: PageRequest) -> Result<Vec<StoredChunk>> {
        let sql =
            "SELECT v.first_chunk, v.chunks FROM documents d JOIN versions v ON v.id = d.version WHERE d.public = ?1";
        let mut statement = self.sql()?.prepare_cached(sql)?;
        let found = statement.query_row([document.as_str()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)));
        let Some((first, count)) = found.optional()? else { return Ok(Vec::new()) };
        let from = i64::try_from(page.offset).unwrap_or(i64::MAX).min(count);
        let until = from.saturating_add(i64::try_from(page.limit).unwrap_or(i64::MAX)).min(count);
        let ids: Vec<_> = (first + from..first + until).map(ChunkId).collect();
        self.chunks(&ids)
    }

    /// The versions of the documents that `filter` admits, by id. The empty filter admits all.
    pub(crate) fn select_versions(&self, filter: &DocumentFilter) -> Result<Vec<VersionId>> {
        let condition = Condition::of(filter);
        let sql =
            format!("SELECT v.id FROM versions v JOIN documents d ON d.id = v.document{} ORDER BY v.id", condition.sql);
        let mut statement = self.sql()?.prepare(&sql)?;
        let rows =
            statement.query_map(rusqlite::params_from_iter(condition.values), |row| Ok(VersionId(row.get(0)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn stored_chunk(row: &Row<'_>) -> rusqlite::Result<StoredChunk> {
    let name: String = row.get(2)?;
    let metadata = Metadata { title: row.get(5)?, author: row.get(6)?, date: row.get(7)?, language: row.get(8)? };
    Ok(StoredChunk {
        id: ChunkId(row.get(0)?),
        document: document_id(row.get_ref(1)?.as_str()?)?,
        document_title: title_or_name(metadata.title.clone().unwrap_or_default(), &name),
        document_name: name,
        version_id: VersionId(row.get(3)?),
        version: row.get(4)?,
        metadata,
        char_start: row.get(9)?,
        chunk: NewChunk {
            position: row.get(10)?,
            span: ByteSpan::new(row.get(11)?, row.get(12)?),
            text: row.get(13)?,
            heading_path: json(row, 14)?,
            headings: json(row, 15)?,
            page: row.get(16)?,
            tokens: row.get(17)?,
        },
    })
}

/// A column that holds JSON.
pub(crate) fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

/// Parses a stored document id.
pub(crate) fn document_id(public: &str) -> rusqlite::Result<DocumentId> {
    DocumentId::parse(public)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, Box::new(error)))
}

/// The title to show: the document's own, else its name without folder and extension.
pub(crate) fn title_or_name(title: String, name: &str) -> String {
    if !title.is_empty() {
        return title;
    }
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    match file.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem.to_owned(),
        _ => file.to_owned(),
    }
}
