//! Chunks (passages): the unit that is indexed, retrieved and cited.

use crate::document::Metadata;
use crate::id::{ChunkId, DocumentId, VersionId};
use crate::span::ByteSpan;

/// A chunk on its way into the truth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewChunk {
    /// Position in the document, from 0.
    pub position: u32,
    /// Place in the document's text; `text` is exactly what lies there.
    pub span: ByteSpan,
    /// The text.
    pub text: String,
    /// Titles of the headings above it, outermost first (the governing heading is the last).
    pub heading_path: Vec<String>,
    /// Titles of every heading whose section overlaps the chunk, in order.
    pub headings: Vec<String>,
    /// First page, if the format has pages.
    pub page: Option<u32>,
    /// Tokens of `text` (o200k).
    pub tokens: u32,
}

/// A chunk as read back through a snapshot, with what is needed to cite it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredChunk {
    /// Identity.
    pub id: ChunkId,
    /// The document.
    pub document: DocumentId,
    /// The document's display name.
    pub document_name: String,
    /// The document's title: from its metadata, else its name without folder and extension.
    pub document_title: String,
    /// The version's row.
    pub version_id: VersionId,
    /// The version's number, from 1.
    pub version: u32,
    /// The version's metadata.
    pub metadata: Metadata,
    /// Code points of the document's text before this chunk.
    pub char_start: usize,
    /// The chunk itself.
    pub chunk: NewChunk,
}

/// A set of chunk ordinals of one snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChunkSet {
    words: Vec<u64>,
}

impl ChunkSet {
    /// An empty set able to hold ordinals below `chunks`.
    #[must_use]
    pub fn with_capacity(chunks: usize) -> Self {
        Self { words: vec![0; chunks.div_ceil(64)] }
    }

    /// Adds an ordinal.
    pub fn insert(&mut self, ordinal: u32) {
        let word = ordinal as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        if let Some(bits) = self.words.get_mut(word) {
            *bits |= 1 << (ordinal % 64);
        }
    }

    /// Whether the ordinal is in the set.
    #[must_use]
    pub fn contains(&self, ordinal: u32) -> bool {
        self.words.get(ordinal as usize / 64).is_some_and(|bits| bits & (1 << (ordinal % 64)) != 0)
    }

    /// How many it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|bits| *bits == 0)
    }
}

/// The chunks a query may see: all, or a set.
pub type ChunkFilter = Option<ChunkSet>;
