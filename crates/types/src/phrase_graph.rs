//! The graph of chunks and phrases that the embedded default walks: plain data, built once, read-only.
//!
//! Built by the store's graph view from mentions; walked by the engine. The recipe is section 2, points 3
//! to 5, of the retrieval notes: phrases met in one chunk only are kept for look-ups but are not nodes, and
//! phrases of more than `max(20, 0.03·N)` chunks (at most 200 from 50,000 chunks on) carry no edges.

/// The phrases of one chunk, as the builder takes them; chunks come in ordinal order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChunkPhrases {
    /// Which document version it belongs to; consecutive chunks of one version are joined.
    pub version: i64,
    /// Position in that version.
    pub position: u32,
    /// `(key, occurrences, whether it is an own key of the chunk)`, one entry per key.
    pub phrases: Vec<(String, u32, bool)>,
}

/// See the module's text. Empty by default.
#[derive(Clone, Debug, Default)]
pub struct PhraseGraph {
    chunks: u32,
}

impl PhraseGraph {
    /// Number of chunks.
    #[must_use]
    pub fn chunk_count(&self) -> u32 {
        self.chunks
    }
}
