//! Documents: what a parser yields, what the truth keeps, what a list shows.

use serde::{Deserialize, Serialize};

use crate::error::ErrorCode;
use crate::id::{DocumentId, JobId};
use crate::span::ByteSpan;

/// What is known about a document besides its text. All optional; `language` is an ISO 639-1 code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Title as the document itself gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Author or authors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Date of the document, `YYYY-MM-DD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Language, e.g. `en`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// One page of a paged document and the text it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSpan {
    /// Page number as printed by viewers, from 1.
    pub number: u32,
    /// Where its text lies.
    pub span: ByteSpan,
}

/// A heading and the section it governs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    /// The heading's words.
    pub title: String,
    /// Depth, 1 for the outermost.
    pub level: u8,
    /// First byte of the heading line.
    pub start: usize,
    /// One past the last byte of its section (up to the next heading of the same or a smaller level).
    pub end: usize,
}

/// Text with its places. `text` is UTF-8 without NUL; pages and headings are in order and inside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParsedDocument {
    /// The extracted text; citations quote it byte for byte.
    pub text: String,
    /// Pages, empty for formats without pages.
    pub pages: Vec<PageSpan>,
    /// Headings in order of appearance.
    pub headings: Vec<Heading>,
    /// Spans that should not be cut if they fit a chunk: tables, code blocks.
    pub blocks: Vec<ByteSpan>,
    /// Passages that the source itself delimits, ascending; when there are any, the document is cut nowhere else.
    pub passages: Vec<ByteSpan>,
    /// Title, author, date, language.
    pub metadata: Metadata,
    /// Everything that was left out, shortened or guessed, one sentence each.
    pub warnings: Vec<String>,
}

/// Why a document is not ready: code, what happened, what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The code.
    pub code: ErrorCode,
    /// What happened.
    pub message: String,
    /// The remedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Where a document stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentState {
    /// Accepted and durable, waiting for a worker.
    Queued,
    /// A worker reads it.
    Processing,
    /// Indexed; answers cite it.
    Ready,
    /// It holds images of pages and no text.
    NeedsOcr,
    /// It could not be indexed; an earlier version, if any, still answers.
    Failed,
    /// Its job was cancelled before it was indexed.
    Cancelled,
}

impl DocumentState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Processing, Self::Ready, Self::NeedsOcr, Self::Failed, Self::Cancelled];

    /// The name used in the truth and on every surface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Processing => "processing",
            Self::Ready => "ready",
            Self::NeedsOcr => "needs-ocr",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// A document as lists and pages show it. Times are Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentRecord {
    /// Identity.
    pub id: DocumentId,
    /// Where it came from: an absolute path, `upload:NAME`, `text:NAME`.
    pub source: String,
    /// Display name, e.g. `reports/retrofit.pdf`.
    pub name: String,
    /// State.
    pub state: DocumentState,
    /// Why it is not ready.
    pub problem: Option<Problem>,
    /// Metadata of the current version.
    pub metadata: Metadata,
    /// Labels given by users.
    pub tags: Vec<String>,
    /// Number of the current version, from 1; 0 when none is stored yet.
    pub version: u32,
    /// BLAKE3 of the current version's bytes, hexadecimal.
    pub content_hash: Option<String>,
    /// Size of the original in bytes.
    pub bytes: u64,
    /// Code points of extracted text.
    pub characters: u64,
    /// First code points of the text, at most 255.
    pub summary: String,
    /// Pages.
    pub pages: u32,
    /// Chunks.
    pub chunks: u32,
    /// Entities mentioned.
    pub entities: u32,
    /// Warnings of the parser.
    pub warnings: Vec<String>,
    /// The job that last touched it.
    pub job: Option<JobId>,
    /// First accepted.
    pub created_at: i64,
    /// Last changed.
    pub updated_at: i64,
}

/// The extracted text of a document's current version with its places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentText {
    /// Number of the version.
    pub version: u32,
    /// The text.
    pub text: String,
    /// Pages.
    pub pages: Vec<PageSpan>,
    /// Headings.
    pub headings: Vec<Heading>,
}

/// Which documents. Every field narrows; empty fields do not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DocumentFilter {
    /// Only these documents (ids or names; `*` and `?` match as in a shell).
    pub documents: Vec<String>,
    /// Only documents whose name lies in one of these folders.
    pub folders: Vec<String>,
    /// Only documents with all of these tags.
    pub tags: Vec<String>,
    /// Only documents in one of these languages (ISO 639-1).
    pub languages: Vec<String>,
    /// Only documents dated on or after, `YYYY-MM-DD`.
    pub since: Option<String>,
    /// Only documents dated on or before, `YYYY-MM-DD`.
    pub until: Option<String>,
    /// Only documents in one of these states.
    pub states: Vec<DocumentState>,
    /// Only documents of these jobs.
    pub jobs: Vec<JobId>,
}

/// Sorting key of a document list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderField {
    /// Last change.
    #[default]
    UpdatedAt,
    /// First acceptance.
    CreatedAt,
    /// Identity.
    Id,
    /// Display name.
    Name,
}

/// Order of a document list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentOrder {
    /// Key.
    pub field: OrderField,
    /// Largest first.
    pub descending: bool,
}

impl Default for DocumentOrder {
    fn default() -> Self {
        Self { field: OrderField::UpdatedAt, descending: true }
    }
}

/// A window on a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Entries to skip.
    pub offset: usize,
    /// Entries to return, at most 1,000.
    pub limit: usize,
}

/// Documents by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateCounts {
    /// Waiting.
    pub queued: u64,
    /// Being read.
    pub processing: u64,
    /// Indexed.
    pub ready: u64,
    /// Without text.
    pub needs_ocr: u64,
    /// Not indexable.
    pub failed: u64,
    /// Cancelled.
    pub cancelled: u64,
}

/// One window of a document list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DocumentPage {
    /// The window.
    pub documents: Vec<DocumentRecord>,
    /// How many match the filter in all.
    pub total: u64,
    /// All documents of the workspace by state, whatever the filter.
    pub counts: StateCounts,
}
