//! The published state of all views: [`Snapshot`] over immutable parts. What is not in memory (texts, entities,
//! relations, filters) is read from the truth, each call in one transaction.

use std::collections::HashMap;
use std::sync::Arc;

use lorekeep_types::{
    ChunkFilter, ChunkId, ChunkSet, CorpusStats, DocumentFilter, EmbeddingModelId, EntityDetail, EntityId, Error,
    GraphStats, LexicalField, Neighbourhood, PhraseGraph, RelationDetail, RelationId, Result, ScoredChunk, Snapshot,
    StoredChunk, VectorKind,
};

use super::details::Details;
use super::generation::Generation;
use super::graph;
use super::lazy::LazyVectors;
use super::passages::Passages;
use super::text::TextSearch;
use super::vectors::VectorSet;
use crate::error::Result as StoreResult;
use crate::truth::Truth;
use crate::truth::reader::Reader;

/// Marks a slot of the vectors whose chunk is not in the snapshot.
const NO_CHUNK: u32 = u32::MAX;

/// See the module's text.
pub(super) struct Published {
    truth: Arc<Truth>,
    seq: u64,
    stats: CorpusStats,
    /// Chunk ids, ascending.
    chunks: Vec<i64>,
    /// Versions, ascending, each with the ordinals of its chunks.
    versions: Vec<(i64, u32, u32)>,
    text: TextSearch,
    vectors: VectorSet,
    /// The model of all vectors.
    model: Option<EmbeddingModelId>,
    /// Ordinal by slot of `vectors`.
    slots: Vec<u32>,
    entities: Arc<LazyVectors>,
    relations: Arc<LazyVectors>,
    graph: Arc<PhraseGraph>,
    details: Details,
}

impl Published {
    /// The present state of a generation.
    pub(super) fn of(generation: &mut Generation, truth: &Arc<Truth>, details: &Details) -> StoreResult<Self> {
        let graph = generation.graph();
        let passages = &generation.passages;
        let each = || passages.versions().flat_map(|version| &version.passages);
        let chunks: Vec<i64> = each().map(|passage| passage.chunk).collect();
        let lengths: Vec<(u32, u32)> = each().map(|passage| (passage.exact, passage.folded)).collect();
        let vectors = generation.vectors.clone();
        let ordinal = |row: &i64| chunks.binary_search(row).ok().and_then(|place| u32::try_from(place).ok());
        Ok(Self {
            truth: Arc::clone(truth),
            seq: passages.seq,
            stats: stats(passages, chunks.len(), generation.counts),
            versions: versions(passages),
            text: generation.text().number(&chunks, &lengths)?,
            slots: vectors.rows().iter().map(|row| ordinal(row).unwrap_or(NO_CHUNK)).collect(),
            vectors,
            model: generation.model.clone(),
            entities: Arc::clone(&generation.entities),
            relations: Arc::clone(&generation.relations),
            graph,
            details: details.clone(),
            chunks,
        })
    }

    /// Whether this is what the generation holds.
    pub(super) fn is_current(&self, generation: &Generation) -> bool {
        self.seq == generation.passages.seq
            && generation.graph.as_ref().is_some_and(|graph| Arc::ptr_eq(graph, &self.graph))
            && Arc::ptr_eq(&self.entities, &generation.entities)
            && Arc::ptr_eq(&self.relations, &generation.relations)
    }

    fn read<T>(&self, work: impl FnOnce(&Reader<'_>) -> StoreResult<T>) -> Result<T> {
        self.truth.read().and_then(|reader| work(&reader)).map_err(Error::from)
    }

    fn nearest_chunks(&self, query: &[f32], limit: usize, least: f32) -> Vec<(i64, f32)> {
        let mut near = self.vectors.nearest(query, limit, least);
        // A vector whose chunk came after the snapshot, or whose commit failed, is not part of it.
        near.retain(|(row, _)| self.chunks.binary_search(row).is_ok());
        near
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share; the last digits do not matter")]
fn stats(passages: &Passages, chunks: usize, (entities, relations): (u64, u64)) -> CorpusStats {
    let mut languages: HashMap<&str, u32> = HashMap::new();
    let (mut documents, mut marked, mut words) = (0, 0_u64, 0_u64);
    for version in passages.versions().filter(|version| !version.passages.is_empty()) {
        documents += 1;
        if let Some(language) = &version.language {
            *languages.entry(language).or_default() += u32::try_from(version.passages.len()).unwrap_or(u32::MAX);
        }
        for passage in &version.passages {
            marked += u64::from(passage.diacritics.0);
            words += u64::from(passage.diacritics.1);
        }
    }
    let mut languages: Vec<_> = languages.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
    languages.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    CorpusStats {
        documents,
        chunks: u32::try_from(chunks).unwrap_or(u32::MAX),
        entities,
        relations,
        diacritic_share: marked as f32 / words.max(1) as f32,
        languages,
    }
}

fn versions(passages: &Passages) -> Vec<(i64, u32, u32)> {
    let mut next = 0;
    let numbered = passages.versions().map(|version| {
        let first = next;
        next += u32::try_from(version.passages.len()).unwrap_or(u32::MAX);
        (version.version, first, next)
    });
    numbered.collect()
}

impl Snapshot for Published {
    fn seq(&self) -> u64 {
        self.seq
    }

    fn stats(&self) -> &CorpusStats {
        &self.stats
    }

    fn lexical(&self, field: LexicalField, terms: &[String]) -> Result<Vec<ScoredChunk>> {
        Ok(self.text.lexical(field, terms)?)
    }

    fn document_frequency(&self, field: LexicalField, term: &str) -> Result<u32> {
        Ok(self.text.document_frequency(field, term)?)
    }

    fn phrase_frequency(&self, words: &[&str]) -> Result<u32> {
        Ok(self.text.phrase_frequency(words)?)
    }

    fn embedding_model(&self) -> Option<&EmbeddingModelId> {
        self.model.as_ref()
    }

    fn chunk_similarity(&self, query: &[f32]) -> Vec<f32> {
        if !self.vectors.compares_with(query) {
            return Vec::new();
        }
        let mut similarity = vec![0.0; self.chunks.len()];
        self.vectors.scan(query, |slot, cosine| {
            let ordinal = self.slots.get(slot).copied().unwrap_or(NO_CHUNK);
            if let Some(entry) = similarity.get_mut(ordinal as usize) {
                *entry = cosine;
            }
        });
        similarity
    }

    fn nearest(&self, kind: VectorKind, query: &[f32], limit: usize, least: f32) -> Result<Vec<(i64, f32)>> {
        let set = match kind {
            VectorKind::Chunk => return Ok(self.nearest_chunks(query, limit, least)),
            VectorKind::Entity => self.entities.get(&self.truth)?,
            VectorKind::Relation => self.relations.get(&self.truth)?,
        };
        Ok(set.nearest(query, limit, least))
    }

    fn cosines(&self, kind: VectorKind, row: i64, others: &[i64]) -> Result<Vec<f32>> {
        Ok(match kind {
            VectorKind::Chunk => self.vectors.cosines(row, others),
            VectorKind::Entity => self.entities.get(&self.truth)?.cosines(row, others),
            VectorKind::Relation => self.relations.get(&self.truth)?.cosines(row, others),
        })
    }

    fn phrases(&self) -> &PhraseGraph {
        &self.graph
    }

    fn select(&self, filter: &DocumentFilter) -> Result<ChunkFilter> {
        if *filter == DocumentFilter::default() {
            return Ok(None);
        }
        let admitted = self.read(|reader| reader.select_versions(filter))?;
        let mut selected = ChunkSet::with_capacity(self.chunks.len());
        for version in admitted {
            if let Ok(place) = self.versions.binary_search_by_key(&version.0, |entry| entry.0) {
                let (_, first, end) = self.versions.get(place).copied().unwrap_or_default();
                (first..end).for_each(|ordinal| selected.insert(ordinal));
            }
        }
        Ok(Some(selected))
    }

    fn ordinal(&self, chunk: ChunkId) -> Option<u32> {
        self.chunks.binary_search(&chunk.0).ok().and_then(|place| u32::try_from(place).ok())
    }

    fn chunks(&self, ordinals: &[u32]) -> Result<Vec<(u32, StoredChunk)>> {
        let ids: Vec<ChunkId> =
            ordinals.iter().filter_map(|ordinal| self.chunks.get(*ordinal as usize).copied().map(ChunkId)).collect();
        // A version goes with all its chunks in one transaction, so one reader never sees a part of one.
        let found = self.read(|reader| reader.chunks(&ids))?;
        Ok(found.into_iter().filter_map(|chunk| Some((self.ordinal(chunk.id)?, chunk))).collect())
    }

    fn entities(&self, ids: &[EntityId]) -> Result<Vec<Arc<EntityDetail>>> {
        Ok(self.details.entities(&self.truth, ids)?)
    }

    fn relations(&self, ids: &[RelationId]) -> Result<Vec<Arc<RelationDetail>>> {
        Ok(self.details.relations(&self.truth, ids)?)
    }

    fn relations_of(&self, entities: &[EntityId], limit: usize) -> Result<Vec<Arc<RelationDetail>>> {
        Ok(self.details.relations_of(&self.truth, entities, limit)?)
    }

    fn relation_ends(&self) -> Result<Vec<(EntityId, EntityId, f32)>> {
        self.read(|reader| reader.relation_ends())
    }

    fn entity_named(&self, name: &str) -> Result<Option<EntityDetail>> {
        self.read(|reader| reader.entity_named(name))
    }

    fn search_entities(&self, text: &str, limit: usize) -> Result<Vec<EntityDetail>> {
        self.read(|reader| reader.search_entities(text, limit))
    }

    fn popular_entities(&self, offset: usize, limit: usize) -> Result<Vec<EntityDetail>> {
        self.read(|reader| reader.entities(&reader.popular_entities(offset, limit)?))
    }

    fn neighbourhood(&self, from: Option<EntityId>, depth: u32, limit: usize) -> Result<Neighbourhood> {
        self.read(|reader| graph::neighbourhood(reader, from, depth, limit))
    }

    fn path(&self, from: EntityId, to: EntityId, depth: u32) -> Result<Neighbourhood> {
        self.read(|reader| graph::path(reader, from, to, depth))
    }

    fn graph_stats(&self) -> Result<GraphStats> {
        self.read(|reader| reader.graph_stats())
    }
}
