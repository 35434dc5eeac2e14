//! The modes that LightRAG's users know: `naive local global hybrid mix`.
//!
//! *local*: entities near the low-level keywords, their relations; *global*: relations near the high-level
//! keywords, their entities; *hybrid*: both in turn; *mix*: hybrid and the chunks near the question; *naive*:
//! those chunks alone. Chunks of entities and relations are chosen by nearness to the question.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use lorekeep_types::{
    ChunkFilter, EmbeddingModel, EntityDetail, EntityId, Keywords, Mode, Reason, RelationDetail, RelationId, Result,
    SearchRequest, Snapshot, VectorKind,
};

/// Cosine below which an entity, a relation or a chunk is not near.
const LEAST_COSINE: f32 = 0.2;
/// Chunks taken per entity or relation, before halving.
const CHUNKS_PER_OWNER: usize = 5;
/// Most relations read around the entities of one question: hubs have thousands.
const MOST_RELATIONS: usize = 400;

/// A chunk of the snapshot on its way to becoming evidence.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    /// Ordinal.
    pub(super) ordinal: u32,
    /// Score within its source.
    pub(super) score: f32,
    /// Why.
    pub(super) reason: Reason,
}

/// What a mode found, untruncated.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Found {
    /// Entities, best first.
    pub(super) entities: Vec<Arc<EntityDetail>>,
    /// Relations, best first.
    pub(super) relations: Vec<Arc<RelationDetail>>,
    /// Chunks near the question, best first.
    pub(super) near: Vec<Candidate>,
}

/// One question against one snapshot.
pub(super) struct Modes<'a> {
    /// The views.
    pub(super) snapshot: &'a dyn Snapshot,
    /// The embedder, if the workspace has vectors.
    pub(super) embedder: Option<&'a dyn EmbeddingModel>,
    /// The question.
    pub(super) request: &'a SearchRequest,
    /// Its keywords.
    pub(super) keywords: &'a Keywords,
    /// What it may see.
    pub(super) admitted: &'a ChunkFilter,
    /// Cosine of every chunk with the question, by ordinal; empty without vectors.
    pub(super) similarity: &'a [f32],
}

impl Modes<'_> {
    /// Runs the mode.
    ///
    /// # Errors
    /// When the views cannot be read.
    pub(super) fn run(&self) -> Result<Found> {
        let mut found = match self.request.mode {
            Mode::Local => self.local()?,
            Mode::Global => self.global()?,
            Mode::Hybrid | Mode::Mix => interleave(self.local()?, self.global()?),
            Mode::Naive | Mode::Auto | Mode::Bypass => Found::default(),
        };
        if matches!(self.request.mode, Mode::Naive | Mode::Mix) {
            found.near = self.near()?;
        }
        Ok(found)
    }

    fn local(&self) -> Result<Found> {
        let mut ids: Vec<EntityId> = Vec::new();
        for phrase in &self.keywords.low_level {
            ids.extend(self.snapshot.entity_named(phrase)?.map(|entity| entity.id));
        }
        let text = joined(&self.keywords.low_level, &self.request.query);
        ids.extend(self.nearest(VectorKind::Entity, &text)?.into_iter().map(|(row, _)| EntityId(row)));
        keep_first(&mut ids);
        ids.truncate(self.request.top_k);
        let entities = self.admitted_entities(self.snapshot.entities(&ids)?);
        let mut relations = self.admitted_relations(self.snapshot.relations_of(&ids, MOST_RELATIONS)?);
        let degrees: HashMap<EntityId, u32> = entities.iter().map(|entity| (entity.id, entity.degree)).collect();
        let degree = |relation: &RelationDetail| {
            [relation.source.0, relation.target.0].iter().filter_map(|id| degrees.get(id)).sum::<u32>()
        };
        relations.sort_by(|one, other| {
            degree(other).cmp(&degree(one)).then(other.weight.total_cmp(&one.weight)).then(one.id.cmp(&other.id))
        });
        Ok(Found { entities, relations, near: Vec::new() })
    }

    fn global(&self) -> Result<Found> {
        let text = joined(&self.keywords.high_level, &self.request.query);
        let rows = self.nearest(VectorKind::Relation, &text)?;
        let ids: Vec<RelationId> = rows.into_iter().map(|(row, _)| RelationId(row)).collect();
        let relations = self.admitted_relations(self.snapshot.relations(&ids)?);
        let mut ends: Vec<EntityId> =
            relations.iter().flat_map(|relation| [relation.source.0, relation.target.0]).collect();
        keep_first(&mut ends);
        let entities = self.admitted_entities(self.snapshot.entities(&ends)?);
        Ok(Found { entities, relations, near: Vec::new() })
    }

    /// Chunks near the question; by words where vectors say nothing.
    fn near(&self) -> Result<Vec<Candidate>> {
        let admitted = |ordinal: u32| self.admitted.as_ref().is_none_or(|set| set.contains(ordinal));
        let mut near: Vec<Candidate> = Vec::new();
        for (ordinal, cosine) in (0_u32..).zip(self.similarity).filter(|(_, cosine)| **cosine >= LEAST_COSINE) {
            if admitted(ordinal) {
                near.push(Candidate { ordinal, score: *cosine, reason: Reason::Similar { cosine: *cosine } });
            }
        }
        if near.is_empty() {
            near = super::lexical_candidates(self.snapshot, &self.request.query)?;
            near.retain(|candidate| admitted(candidate.ordinal));
        }
        near.sort_by(|one, other| other.score.total_cmp(&one.score).then(one.ordinal.cmp(&other.ordinal)));
        near.truncate(self.request.limit);
        Ok(near)
    }

    fn nearest(&self, kind: VectorKind, text: &str) -> Result<Vec<(i64, f32)>> {
        let Some(embedder) = self.embedder.filter(|_| !text.is_empty()) else { return Ok(Vec::new()) };
        let vector = embedder.embed_query(text)?;
        if vector.iter().all(|value| *value == 0.0) {
            return Ok(Vec::new());
        }
        self.snapshot.nearest(kind, &vector, self.request.top_k, LEAST_COSINE)
    }

    /// Under a filter, only what admitted chunks mention is seen, and only those chunks count as its sources.
    fn admitted_entities(&self, mut entities: Vec<Arc<EntityDetail>>) -> Vec<Arc<EntityDetail>> {
        if let Some(set) = self.admitted {
            let seen =
                |chunk: &lorekeep_types::ChunkId| self.snapshot.ordinal(*chunk).is_some_and(|at| set.contains(at));
            entities.iter_mut().for_each(|entity| Arc::make_mut(entity).chunks.retain(seen));
            entities.retain(|entity| !entity.chunks.is_empty());
        }
        entities
    }

    fn admitted_relations(&self, mut relations: Vec<Arc<RelationDetail>>) -> Vec<Arc<RelationDetail>> {
        if let Some(set) = self.admitted {
            let seen =
                |chunk: &lorekeep_types::ChunkId| self.snapshot.ordinal(*chunk).is_some_and(|at| set.contains(at));
            relations.iter_mut().for_each(|relation| Arc::make_mut(relation).chunks.retain(seen));
            relations.retain(|relation| !relation.chunks.is_empty());
        }
        relations
    }
}

/// Chunks of the surviving entities and relations, nearest to the question first: at most half of
/// `CHUNKS_PER_OWNER` per owner. A chunk belongs to its first owner.
pub(super) fn chunks_of_graph(modes: &Modes<'_>, found: &Found) -> (Vec<Candidate>, Vec<Candidate>) {
    let mut taken = HashSet::new();
    let of_entities = owned(
        modes,
        &mut taken,
        found.entities.iter().map(|entity| (vec![entity.name.clone()], entity.chunks.as_slice())),
    );
    let of_relations = owned(
        modes,
        &mut taken,
        found
            .relations
            .iter()
            .map(|relation| (vec![relation.source.1.clone(), relation.target.1.clone()], relation.chunks.as_slice())),
    );
    (of_entities, of_relations)
}

fn owned<'a>(
    modes: &Modes<'_>,
    taken: &mut HashSet<u32>,
    owners: impl Iterator<Item = (Vec<String>, &'a [lorekeep_types::ChunkId])>,
) -> Vec<Candidate> {
    let mut count = 0;
    let mut candidates = Vec::new();
    for (names, chunks) in owners {
        count += 1;
        for ordinal in chunks.iter().filter_map(|chunk| modes.snapshot.ordinal(*chunk)) {
            if taken.insert(ordinal) {
                let score = modes.similarity.get(ordinal as usize).copied().unwrap_or_default();
                let reason = Reason::Graph { entities: names.clone() };
                candidates.push(Candidate { ordinal, score, reason });
            }
        }
    }
    // Stable: without vectors the order of owners and their mention counts decides.
    candidates.sort_by(|one, other| other.score.total_cmp(&one.score));
    candidates.truncate((CHUNKS_PER_OWNER * count).div_ceil(2));
    candidates
}

/// Takes from each list in turn; a chunk that several lists hold counts once, at its first place.
pub(super) fn merge(lists: [Vec<Candidate>; 3]) -> Vec<Candidate> {
    let longest = lists.iter().map(Vec::len).max().unwrap_or_default();
    let mut seen = HashSet::new();
    let mut merged = Vec::new();
    for at in 0..longest {
        for candidate in lists.iter().filter_map(|list| list.get(at)) {
            if seen.insert(candidate.ordinal) {
                merged.push(candidate.clone());
            }
        }
    }
    merged
}

/// Entities and relations of two results in turn, each once.
fn interleave(one: Found, other: Found) -> Found {
    let entities = alternate(one.entities, other.entities, |entity| entity.id.0);
    let relations = alternate(one.relations, other.relations, |relation| relation.id.0);
    Found { entities, relations, near: Vec::new() }
}

fn alternate<T>(one: Vec<T>, other: Vec<T>, key: impl Fn(&T) -> i64) -> Vec<T> {
    let mut seen = HashSet::new();
    let (mut left, mut right) = (one.into_iter(), other.into_iter());
    let mut merged = Vec::new();
    loop {
        let pair = (left.next(), right.next());
        if matches!(pair, (None, None)) {
            return merged;
        }
        merged.extend([pair.0, pair.1].into_iter().flatten().filter(|item| seen.insert(key(item))));
    }
}

fn keep_first<T: Copy + Eq + std::hash::Hash>(ids: &mut Vec<T>) {
    let mut seen = HashSet::new();
    ids.retain(|id| seen.insert(*id));
}

fn joined(keywords: &[String], query: &str) -> String {
    if keywords.is_empty() { query.to_owned() } else { keywords.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(ordinal: u32) -> Candidate {
        Candidate { ordinal, score: 1.0, reason: Reason::Neighbour }
    }

    #[test]
    fn merging_takes_turns_and_drops_repeats() {
        let merged = merge([
            vec![candidate(1), candidate(2)],
            vec![candidate(3), candidate(1)],
            vec![candidate(4), candidate(5), candidate(6)],
        ]);
        let ordinals: Vec<u32> = merged.iter().map(|candidate| candidate.ordinal).collect();
        assert_eq!(ordinals, [1, 3, 4, 2, 5, 6]);
    }

    #[test]
    fn alternating_keeps_the_first_of_equals() {
        assert_eq!(alternate(vec![1, 2, 3], vec![2, 4], |item| i64::from(*item)), [1, 2, 4, 3]);
    }
}
