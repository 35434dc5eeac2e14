//! Documents on the wire.

use lorekeep_types::{ByteSpan, DocumentPage, DocumentRecord, Metadata, StateCounts, StoredChunk};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Job, rfc3339};

/// A document.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Document {
    /// `doc_` and 24 hexadecimal digits, derived from the source.
    #[schema(example = "doc_0f3a5c7e9b1d2f4a6c8e0b2d")]
    pub id: String,
    /// Display name.
    #[schema(example = "reports/retrofit.pdf")]
    pub name: String,
    /// Where it came from: an absolute path, `upload:NAME`, `text:NAME`.
    #[schema(example = "upload:reports/retrofit.pdf")]
    pub source: String,
    /// `queued`, `processing`, `ready`, `needs-ocr`, `failed` or `cancelled`.
    #[schema(example = "ready")]
    pub state: String,
    /// Why it is not ready.
    pub problem: Option<DocumentProblem>,
    /// Title as the document gives it.
    pub title: Option<String>,
    /// Author or authors.
    pub author: Option<String>,
    /// Date of the document, `YYYY-MM-DD`.
    pub date: Option<String>,
    /// Language (ISO 639-1).
    #[schema(example = "en")]
    pub language: Option<String>,
    /// Labels given by users.
    pub tags: Vec<String>,
    /// Number of the current version, from 1; 0 before the first.
    pub version: u32,
    /// BLAKE3 of the original bytes, hexadecimal.
    pub content_hash: Option<String>,
    /// Size of the original.
    pub bytes: u64,
    /// Code points of extracted text.
    pub characters: u64,
    /// The first code points of the text.
    pub summary: String,
    /// Pages; 0 for formats without pages.
    pub pages: u32,
    /// Chunks.
    pub chunks: u32,
    /// Entities mentioned.
    pub entities: u32,
    /// What was left out, shortened or guessed while reading it.
    pub warnings: Vec<String>,
    /// The job that last touched it.
    pub job: Option<String>,
    /// First accepted (RFC 3339).
    pub created_at: String,
    /// Last changed (RFC 3339).
    pub updated_at: String,
}

impl From<DocumentRecord> for Document {
    fn from(record: DocumentRecord) -> Self {
        let Metadata { title, author, date, language } = record.metadata;
        Self {
            id: record.id.into(),
            name: record.name,
            source: record.source,
            state: record.state.name().to_owned(),
            problem: record.problem.map(Into::into),
            title,
            author,
            date,
            language,
            tags: record.tags,
            version: record.version,
            content_hash: record.content_hash,
            bytes: record.bytes,
            characters: record.characters,
            summary: record.summary,
            pages: record.pages,
            chunks: record.chunks,
            entities: record.entities,
            warnings: record.warnings,
            job: record.job.map(Into::into),
            created_at: rfc3339(record.created_at),
            updated_at: rfc3339(record.updated_at),
        }
    }
}

/// Why a document is not ready.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DocumentProblem {
    /// The stable name, `E-…`.
    #[schema(example = "E-UNSUPPORTED")]
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<lorekeep_types::Problem> for DocumentProblem {
    fn from(problem: lorekeep_types::Problem) -> Self {
        Self { code: problem.code.name().to_owned(), message: problem.message, hint: problem.hint }
    }
}

/// One window of the document list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Documents {
    /// The window.
    pub documents: Vec<Document>,
    /// How many match the filter in all.
    pub total: u64,
    /// All documents of the workspace by state, whatever the filter.
    pub counts: Counts,
}

impl From<DocumentPage> for Documents {
    fn from(page: DocumentPage) -> Self {
        Self {
            documents: page.documents.into_iter().map(Into::into).collect(),
            total: page.total,
            counts: page.counts.into(),
        }
    }
}

/// Documents by state.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names are the states")]
pub struct Counts {
    pub queued: u64,
    pub processing: u64,
    pub ready: u64,
    pub needs_ocr: u64,
    pub failed: u64,
    pub cancelled: u64,
}

impl From<StateCounts> for Counts {
    fn from(counts: StateCounts) -> Self {
        let StateCounts { queued, processing, ready, needs_ocr, failed, cancelled } = counts;
        Self { queued, processing, ready, needs_ocr, failed, cancelled }
    }
}

/// Accepted documents and the job that indexes them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Added {
    /// The job.
    pub job: Job,
    /// The documents, in the order given.
    pub documents: Vec<AddedDocument>,
}

/// An accepted document.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AddedDocument {
    /// Its id.
    pub id: String,
    /// Its display name.
    pub name: String,
    /// Where it came from.
    pub source: String,
}

/// Texts to add.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"documents": [{"name": "minutes.md", "text": "# Minutes\n\nThe board met on 3 May."}]}))]
pub struct TextDocuments {
    /// The texts, at least one.
    pub documents: Vec<TextDocument>,
    /// Your own name for the job, unique in the workspace.
    #[serde(default)]
    pub label: Option<String>,
    /// An open job to extend.
    #[serde(default)]
    pub job: Option<String>,
}

/// Files to add, as form parts.
#[derive(Clone, Debug, ToSchema)]
pub struct UploadForm {
    /// The files; each may be preceded by parts of its own.
    #[schema(value_type = Vec<String>, format = Binary)]
    pub file: Vec<Vec<u8>>,
    /// Where the next file comes from; decides its identity. Default: `upload:` and its name.
    pub source: Option<String>,
    /// Display name of the next file. Default: its filename.
    pub name: Option<String>,
    /// Labels of the next file, comma separated.
    pub tags: Option<String>,
    /// Your own name for the job, unique in the workspace.
    pub label: Option<String>,
    /// An open job to extend.
    pub job: Option<String>,
}

/// A text to add.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TextDocument {
    /// Display name; its extension tells the format (`.md`, `.txt`, …).
    pub name: String,
    /// The text.
    pub text: String,
    /// Where it comes from; decides its identity. Default: `text:` and the name.
    #[serde(default)]
    pub source: Option<String>,
    /// Labels.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Metadata that overrides what is read from the text.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub metadata: Metadata,
}

/// Documents, by id.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IdsBody {
    /// The ids.
    pub ids: Vec<String>,
}

/// New tags of a document, replacing the present ones.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"tags": ["minutes", "2026"]}))]
pub struct TagsBody {
    /// The tags.
    pub tags: Vec<String>,
}

/// Ids of deleted documents.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Deleted {
    /// Those that existed, when ids were given.
    pub deleted: Vec<String>,
    /// How many there were.
    pub count: usize,
}

/// The extracted text of a document's current version.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DocumentText {
    /// The document.
    pub document_id: String,
    /// The version's number.
    pub version: u32,
    /// The text; citations quote it letter by letter.
    pub text: String,
    /// Pages, for paged formats.
    pub pages: Vec<Page>,
    /// Headings in order.
    pub headings: Vec<Heading>,
}

/// A page of a document.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Page {
    /// Its number, from 1.
    pub number: u32,
    /// Where its text lies, in code points.
    pub span: [usize; 2],
}

/// A heading and the section it governs.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Heading {
    /// Its words.
    pub title: String,
    /// Its depth, 1 for the outermost.
    pub level: u8,
    /// From its first code point to the end of its section.
    pub span: [usize; 2],
}

impl DocumentText {
    /// The text with its places, converted to code points in one pass.
    pub(crate) fn new(document_id: String, text: lorekeep_types::DocumentText) -> Self {
        let points = CodePoints::new(&text.text);
        let pages = text.pages.iter().map(|page| Page { number: page.number, span: points.span(page.span) });
        let headings = text.headings.iter().map(|heading| Heading {
            title: heading.title.clone(),
            level: heading.level,
            span: points.span(ByteSpan::new(heading.start, heading.end)),
        });
        let (pages, headings) = (pages.collect(), headings.collect());
        Self { document_id, version: text.version, text: text.text, pages, headings }
    }
}

/// Converts byte offsets of one text to code points: a count every 4,096 bytes keeps each look-up short.
struct CodePoints<'a> {
    text: &'a str,
    marks: Vec<usize>,
}

const STRIDE: usize = 4_096;

impl<'a> CodePoints<'a> {
    fn new(text: &'a str) -> Self {
        let mut total = 0;
        let marks = text.as_bytes().chunks(STRIDE).map(|block| {
            let before = total;
            total += block.iter().filter(|byte| starts_character(**byte)).count();
            before
        });
        Self { text, marks: marks.collect() }
    }

    fn at(&self, offset: usize) -> usize {
        let bytes = self.text.as_bytes();
        let offset = offset.min(bytes.len());
        let block = (offset / STRIDE).min(self.marks.len().saturating_sub(1));
        let before = self.marks.get(block).copied().unwrap_or(0);
        let rest = bytes.get(block * STRIDE..offset).unwrap_or_default();
        before + rest.iter().filter(|byte| starts_character(**byte)).count()
    }

    fn span(&self, span: ByteSpan) -> [usize; 2] {
        [self.at(span.start), self.at(span.end)]
    }
}

fn starts_character(byte: u8) -> bool {
    byte & 0b1100_0000 != 0b1000_0000
}

/// Chunks of a document.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Chunks {
    /// The window, in order.
    pub chunks: Vec<Chunk>,
}

/// A chunk (passage): the unit that is indexed and retrieved.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Chunk {
    /// Its id in this workspace.
    pub id: i64,
    /// Position in the document, from 0.
    pub position: u32,
    /// Where it lies in the document's text, in code points.
    pub span: [usize; 2],
    /// First page, for paged formats.
    pub page: Option<u32>,
    /// Titles of the headings above it, outermost first.
    pub headings: Vec<String>,
    /// Tokens (o200k).
    pub tokens: u32,
    /// The text.
    pub text: String,
}

impl From<StoredChunk> for Chunk {
    fn from(stored: StoredChunk) -> Self {
        let span = chunk_span(&stored);
        Self {
            id: stored.id.0,
            position: stored.chunk.position,
            span,
            page: stored.chunk.page,
            headings: stored.chunk.heading_path,
            tokens: stored.chunk.tokens,
            text: stored.chunk.text,
        }
    }
}

/// Where a chunk lies in its document, in code points.
pub(crate) fn chunk_span(stored: &StoredChunk) -> [usize; 2] {
    [stored.char_start, stored.char_start + stored.chunk.text.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_code_points_across_blocks() {
        let text = "é漢a".repeat(3_000);
        let points = CodePoints::new(&text);
        for (count, (offset, _)) in text.char_indices().enumerate() {
            assert_eq!(points.at(offset), count);
        }
        assert_eq!(points.at(text.len()), 9_000);
        assert_eq!(points.at(text.len() + 5), 9_000);
        assert_eq!(CodePoints::new("").at(0), 0);
    }
}
