//! The port through which a query reads the views.

use std::sync::Arc;

use crate::chunk::{ChunkFilter, StoredChunk};
use crate::document::DocumentFilter;
use crate::error::Result;
use crate::graph::{EntityDetail, GraphStats, Neighbourhood, RelationDetail};
use crate::id::{ChunkId, EntityId, RelationId};
use crate::model::EmbeddingModelId;
use crate::phrase_graph::PhraseGraph;

/// The two analysed forms of a chunk's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LexicalField {
    /// Diacritics kept.
    Exact,
    /// Diacritics removed.
    Folded,
}

/// What a vector stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VectorKind {
    /// A chunk: title, governing heading and text.
    Chunk,
    /// An entity: name and description.
    Entity,
    /// A relation: keywords, both names and description.
    Relation,
}

/// A chunk and a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoredChunk {
    /// Ordinal in the snapshot, below [`CorpusStats::chunks`].
    pub ordinal: u32,
    /// The score.
    pub score: f32,
}

/// Size and make-up of what the snapshot holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CorpusStats {
    /// Documents with at least one chunk.
    pub documents: u64,
    /// Chunks; ordinals run below it.
    pub chunks: u32,
    /// Entities.
    pub entities: u64,
    /// Relations.
    pub relations: u64,
    /// Share of the corpus's words that carry a diacritic, 0..1.
    pub diacritic_share: f32,
    /// Chunks per language (ISO 639-1), most frequent first.
    pub languages: Vec<(String, u32)>,
}

/// One immutable, mutually consistent state of the text, vector and graph views. Cheap to hold, and never
/// shows a part of a document. Chunks are addressed by *ordinal* (dense, `0..stats().chunks`, ascending with
/// [`ChunkId`]), valid only for this snapshot.
pub trait Snapshot: Send + Sync {
    /// The last change of the truth that it shows.
    fn seq(&self) -> u64;

    /// Size and make-up.
    fn stats(&self) -> &CorpusStats;

    /// BM25 (k1 1.2, b 0.75, idf `ln(1+(N−df+.5)/(df+.5))`) of every chunk that holds at least one of the
    /// analysed `terms`, in no particular order.
    ///
    /// # Errors
    /// When the text view cannot be read.
    fn lexical(&self, field: LexicalField, terms: &[String]) -> Result<Vec<ScoredChunk>>;

    /// Number of chunks that hold the analysed term.
    ///
    /// # Errors
    /// When the text view cannot be read.
    fn document_frequency(&self, field: LexicalField, term: &str) -> Result<u32>;

    /// Number of chunks whose normalised words hold `words` in this order, next to one another.
    ///
    /// # Errors
    /// When the text view cannot be read.
    fn phrase_frequency(&self, words: &[&str]) -> Result<u32>;

    /// The model that made its vectors; `None` before the first vector.
    fn embedding_model(&self) -> Option<&EmbeddingModelId>;

    /// Cosine of `query` (length 1) with every chunk, by ordinal; empty when chunks have no vectors.
    fn chunk_similarity(&self, query: &[f32]) -> Vec<f32>;

    /// The `limit` nearest vectors of a kind with cosine of at least `least`, best first, as row ids.
    ///
    /// # Errors
    /// When the vector view cannot be read.
    fn nearest(&self, kind: VectorKind, query: &[f32], limit: usize, least: f32) -> Result<Vec<(i64, f32)>>;

    /// Cosine of the vector of `row` with those of `others`; 0 where one of the two has none.
    ///
    /// # Errors
    /// When the vector view cannot be read.
    fn cosines(&self, kind: VectorKind, row: i64, others: &[i64]) -> Result<Vec<f32>>;

    /// The phrase graph over this snapshot's ordinals.
    fn phrases(&self) -> &PhraseGraph;

    /// The ordinals that a filter admits; `None` when it admits all.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn select(&self, filter: &DocumentFilter) -> Result<ChunkFilter>;

    /// The ordinal of a chunk, if the snapshot has it.
    fn ordinal(&self, chunk: ChunkId) -> Option<u32>;

    /// Reads chunks. A chunk deleted since the snapshot was taken is left out, together with every other
    /// chunk of its document. Order follows `ordinals`.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn chunks(&self, ordinals: &[u32]) -> Result<Vec<(u32, StoredChunk)>>;

    /// Reads entities, in the order asked for; unknown ones are left out.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn entities(&self, ids: &[EntityId]) -> Result<Vec<Arc<EntityDetail>>>;

    /// Reads relations, in the order asked for; unknown ones are left out.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn relations(&self, ids: &[RelationId]) -> Result<Vec<Arc<RelationDetail>>>;

    /// Relations that touch one of these entities, most evidence first, at most `limit`.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn relations_of(&self, entities: &[EntityId], limit: usize) -> Result<Vec<Arc<RelationDetail>>>;

    /// The ends and the weight of every relation, by ends.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn relation_ends(&self) -> Result<Vec<(EntityId, EntityId, f32)>>;

    /// The entity with this display name, key or alias.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn entity_named(&self, name: &str) -> Result<Option<EntityDetail>>;

    /// Entity names that match: equal, then prefix, then substring, ties by degree and name.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn search_entities(&self, text: &str, limit: usize) -> Result<Vec<EntityDetail>>;

    /// Entities by falling degree.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn popular_entities(&self, offset: usize, limit: usize) -> Result<Vec<EntityDetail>>;

    /// Breadth-first from an entity (`None`: the best-connected ones), higher degree first.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn neighbourhood(&self, from: Option<EntityId>, depth: u32, limit: usize) -> Result<Neighbourhood>;

    /// A shortest path between two entities of at most `depth` relations; empty when there is none.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn path(&self, from: EntityId, to: EntityId, depth: u32) -> Result<Neighbourhood>;

    /// Size of the graph.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn graph_stats(&self) -> Result<GraphStats>;
}
