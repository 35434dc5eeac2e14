//! Documents as lists and pages show them.

use lorekeep_types::{
    ByteSpan, ContentHash, DocumentFilter, DocumentId, DocumentOrder, DocumentPage, DocumentRecord, DocumentState,
    DocumentText, JobId, Metadata, OrderField, PageRequest, PageSpan, StateCounts,
};
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row};

use super::Truth;
use super::filter::Condition;
use super::jobs::MOST_ROWS;
use super::reader::Reader;
use super::reader::chunks::{document_id, json};
use crate::error::{Result, StoreError};

const FROM: &str = "FROM documents d LEFT JOIN versions v ON v.id = d.version";
const COLUMNS: &str = "SELECT d.public, d.source, d.name, d.state, d.problem, d.tags, v.number, v.hash, \
     coalesce(v.bytes, (SELECT i.bytes FROM items i WHERE i.document = d.id ORDER BY i.id DESC LIMIT 1), 0), \
     v.title, v.author, v.date, v.language, v.characters, v.summary, v.pages, v.chunks, v.entities, v.warnings, \
     (SELECT j.public FROM jobs j WHERE j.id = d.job), d.created_at, d.updated_at";

impl Reader<'_> {
    /// One document.
    pub(crate) fn document(&self, id: &DocumentId) -> Result<Option<DocumentRecord>> {
        let sql = format!("{COLUMNS} {FROM} WHERE d.public = ?1");
        Ok(self.sql()?.prepare_cached(&sql)?.query_row([id.as_str()], record).optional()?)
    }

    /// The documents with this exact name, oldest first.
    pub(crate) fn documents_named(&self, name: &str) -> Result<Vec<DocumentRecord>> {
        let sql = format!("{COLUMNS} {FROM} WHERE d.name = ?1 ORDER BY d.id");
        let mut statement = self.sql()?.prepare_cached(&sql)?;
        let rows = statement.query_map([name], record)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A window of the document list.
    pub(crate) fn documents(
        &self,
        filter: &DocumentFilter,
        order: DocumentOrder,
        page: PageRequest,
    ) -> Result<DocumentPage> {
        let condition = Condition::of(filter);
        let count = format!("SELECT count(*) {FROM}{}", condition.sql);
        let total =
            self.sql()?.prepare(&count)?.query_row(rusqlite::params_from_iter(&condition.values), |row| row.get(0))?;
        let column = match order.field {
            OrderField::UpdatedAt => "updated_at",
            OrderField::CreatedAt => "created_at",
            OrderField::Id => "public",
            OrderField::Name => "name",
        };
        let direction = if order.descending { "DESC" } else { "ASC" };
        let sql = format!(
            "{COLUMNS} {FROM}{} ORDER BY d.{column} {direction}, d.id {direction} LIMIT ? OFFSET ?",
            condition.sql
        );
        let window = [page.limit.min(MOST_ROWS), page.offset]
            .map(|number| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX)));
        let mut statement = self.sql()?.prepare(&sql)?;
        let rows = statement.query_map(rusqlite::params_from_iter(condition.values.iter().chain(&window)), record)?;
        Ok(DocumentPage { documents: rows.collect::<Result<_, _>>()?, total, counts: self.state_counts()? })
    }

    /// All documents by state.
    pub(crate) fn state_counts(&self) -> Result<StateCounts> {
        let mut counts = StateCounts::default();
        let mut statement = self.sql()?.prepare_cached("SELECT state, count(*) FROM documents GROUP BY state")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let slot = match state(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)? {
                DocumentState::Queued => &mut counts.queued,
                DocumentState::Processing => &mut counts.processing,
                DocumentState::Ready => &mut counts.ready,
                DocumentState::NeedsOcr => &mut counts.needs_ocr,
                DocumentState::Failed => &mut counts.failed,
                DocumentState::Cancelled => &mut counts.cancelled,
            };
            *slot = row.get(1)?;
        }
        Ok(counts)
    }

    /// Number of documents.
    pub(crate) fn document_count(&self) -> Result<u64> {
        let mut statement = self.sql()?.prepare_cached("SELECT count(*) FROM documents")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// Extracted text of the current version.
    pub(crate) fn document_text(&self, id: &DocumentId) -> Result<Option<DocumentText>> {
        let sql = "SELECT v.number, t.text, t.pages, t.headings FROM documents d JOIN versions v ON v.id = d.version \
                   JOIN texts t ON t.version = v.id WHERE d.public = ?1";
        let mut statement = self.sql()?.prepare_cached(sql)?;
        let text = statement.query_row([id.as_str()], |row| {
            let pages: Vec<(u32, usize, usize)> = json(row, 2)?;
            let page = |(number, start, end)| PageSpan { number, span: ByteSpan::new(start, end) };
            Ok(DocumentText {
                version: row.get(0)?,
                text: row.get(1)?,
                pages: pages.into_iter().map(page).collect(),
                headings: json(row, 3)?,
            })
        });
        Ok(text.optional()?)
    }

    /// Original bytes of the current version, else those that were handed in last.
    pub(crate) fn document_bytes(&self, id: &DocumentId) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT bytes FROM originals WHERE id = (SELECT coalesce(v.original, (SELECT i.original FROM items i \
                   WHERE i.document = d.id AND i.original IS NOT NULL ORDER BY i.id DESC LIMIT 1)) \
                   FROM documents d LEFT JOIN versions v ON v.id = d.version WHERE d.public = ?1)";
        Ok(self.sql()?.prepare_cached(sql)?.query_row([id.as_str()], |row| row.get(0)).optional()?)
    }

    /// The indexed document with these bytes; the first, if there are several.
    pub(crate) fn document_with_hash(&self, hash: &ContentHash) -> Result<Option<DocumentId>> {
        let sql = "SELECT d.public FROM versions v JOIN documents d ON d.id = v.document WHERE v.hash = ?1 \
                   ORDER BY v.id LIMIT 1";
        let mut statement = self.sql()?.prepare_cached(sql)?;
        let found = statement.query_row([hash.0.as_slice()], |row| document_id(row.get_ref(0)?.as_str()?));
        Ok(found.optional()?)
    }
}

impl Truth {
    /// Replaces a document's tags.
    pub(crate) fn set_tags(&self, id: &DocumentId, tags: &[String], now_ms: i64) -> Result<()> {
        let tags = serde_json::to_string(&super::items::with_tags(Vec::new(), tags))?;
        self.write(|writing| {
            let update = "UPDATE documents SET tags = ?2, updated_at = ?3 WHERE public = ?1";
            match writing.sql().prepare_cached(update)?.execute((id.as_str(), tags, now_ms))? {
                0 => Err(StoreError::NotFound { kind: "document", name: id.to_string() }),
                _ => Ok(()),
            }
        })
    }
}

fn record(row: &Row<'_>) -> rusqlite::Result<DocumentRecord> {
    let hash: Option<[u8; 32]> = row.get(7)?;
    let job: Option<String> = row.get(19)?;
    let warnings: Option<String> = row.get(18)?;
    Ok(DocumentRecord {
        id: document_id(row.get_ref(0)?.as_str()?)?,
        source: row.get(1)?,
        name: row.get(2)?,
        state: state(row.get_ref(3)?.as_str()?)?,
        problem: if row.get::<_, Option<String>>(4)?.is_some() { Some(json(row, 4)?) } else { None },
        metadata: Metadata { title: row.get(9)?, author: row.get(10)?, date: row.get(11)?, language: row.get(12)? },
        tags: json(row, 5)?,
        version: row.get::<_, Option<u32>>(6)?.unwrap_or(0),
        content_hash: hash.map(|hash| ContentHash(hash).to_hex()),
        bytes: row.get(8)?,
        characters: row.get::<_, Option<u64>>(13)?.unwrap_or(0),
        summary: row.get::<_, Option<String>>(14)?.unwrap_or_default(),
        pages: row.get::<_, Option<u32>>(15)?.unwrap_or(0),
        chunks: row.get::<_, Option<u32>>(16)?.unwrap_or(0),
        entities: row.get::<_, Option<u32>>(17)?.unwrap_or(0),
        warnings: if warnings.is_some() { json(row, 18)? } else { Vec::new() },
        job: job.map(|job| JobId::with_suffix(job.strip_prefix("job_").unwrap_or(&job))),
        created_at: row.get(20)?,
        updated_at: row.get(21)?,
    })
}

fn state(name: &str) -> rusqlite::Result<DocumentState> {
    DocumentState::from_name(name).ok_or_else(|| {
        let unknown = StoreError::Damaged(format!("a document has the unknown state `{name}`"));
        rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, Box::new(unknown))
    })
}
