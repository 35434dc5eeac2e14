//! Fused scores: how well each chunk fits the question's words and, where the embedder covers the language, its
//! meaning. F = a·mm(BM25) + (1 − a)·mm(cosine), mm(x) = (x − min)/(max − min).

use lorekeep_types::{ChunkFilter, Result, ScoredChunk, Snapshot};

use super::coverage::Coverage;
use super::query::Query;

/// Share of the lexical score where there is a dense one.
const LEXICAL_SHARE: f32 = 0.6;

/// Scores of all chunks by ordinal; chunks that the filter hides have none of either kind.
pub(super) struct Fusion {
    /// Fused score, 0..1.
    pub(super) fused: Vec<f32>,
    /// Nearness in meaning, 0..1: cosine, or BM25 where dense is off; both rescaled.
    pub(super) meaning: Vec<f32>,
    /// Cosine by ordinal, empty where dense is off.
    pub(super) cosines: Vec<f32>,
    /// Least and largest fused score.
    least: f32,
    most: f32,
    /// Terms of the question by chunk.
    pub(super) coverage: Coverage,
    /// Ordinals of the best fused scores above 0, best first.
    pub(super) head: Vec<u32>,
}

impl Fusion {
    /// The fused score of a chunk.
    pub(super) fn fused_of(&self, chunk: u32) -> f32 {
        self.fused.get(chunk as usize).copied().unwrap_or_default()
    }

    /// The fused score of a chunk among the admitted ones, 1 for the best.
    pub(super) fn scaled(&self, chunk: u32) -> f32 {
        (self.fused_of(chunk) - self.least) / (self.most - self.least).max(f32::MIN_POSITIVE)
    }
}

/// Scores the chunks of `snapshot` that `filter` admits; `head` best ones are sorted out.
pub(super) fn fuse(snapshot: &dyn Snapshot, query: &Query, filter: &ChunkFilter, head: usize) -> Result<Fusion> {
    let chunks = snapshot.stats().chunks as usize;
    let (mut lexical, coverage) = lexical(snapshot, query, chunks)?;
    hide(&mut lexical, filter, 0.0);
    rescale(&mut lexical);
    let mut cosines = query.vector.as_deref().map_or_else(Vec::new, |vector| snapshot.chunk_similarity(vector));
    if cosines.len() != chunks {
        cosines.clear();
    }
    let (fused, meaning): (Vec<f32>, Vec<f32>) = if cosines.is_empty() {
        (lexical.clone(), lexical)
    } else {
        let mut meaning = cosines.clone();
        let least = meaning.iter().copied().fold(f32::INFINITY, f32::min);
        hide(&mut meaning, filter, least);
        rescale(&mut meaning);
        let fused = lexical.iter().zip(&meaning).map(|(l, m)| LEXICAL_SHARE * l + (1.0 - LEXICAL_SHARE) * m);
        (fused.collect(), meaning)
    };
    let head = best(&fused, filter, head);
    let (least, most) = extent(&fused);
    Ok(Fusion { fused, meaning, cosines, least, most, coverage, head })
}

/// BM25 by ordinal, and which terms made it: term by term, because BM25 is a sum over them.
fn lexical(snapshot: &dyn Snapshot, query: &Query, chunks: usize) -> Result<(Vec<f32>, Coverage)> {
    let mut scores = vec![0.0_f32; chunks];
    let mut coverage = Coverage::with_chunks(chunks);
    for term in &query.terms {
        let scored = snapshot.lexical(query.field, std::slice::from_ref(term))?;
        for ScoredChunk { ordinal, score } in &scored {
            if let Some(place) = scores.get_mut(*ordinal as usize) {
                *place += score;
            }
        }
        coverage.push(scored.iter().map(|scored| scored.ordinal));
    }
    Ok((scores, coverage))
}

/// Gives the chunks that the filter does not admit the score `hidden`.
fn hide(scores: &mut [f32], filter: &ChunkFilter, hidden: f32) {
    let Some(admitted) = filter else { return };
    for (ordinal, score) in (0_u32..).zip(scores.iter_mut()) {
        if !admitted.contains(ordinal) {
            *score = hidden;
        }
    }
}

/// Moves the scores to 0..1. The least counts as 0 at most: in a corpus so small that every chunk fits the question,
/// the worst of them still fits it.
pub(super) fn rescale(scores: &mut [f32]) {
    let (least, most) = extent(scores);
    let least = least.min(0.0);
    let width = most - least;
    for score in scores {
        *score = if width > 0.0 { (*score - least) / width } else { 0.0 };
    }
}

fn extent(scores: &[f32]) -> (f32, f32) {
    scores.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(least, most), score| (least.min(*score), most.max(*score)))
}

/// The `count` best admitted ordinals with a score above 0; ties go to the smaller ordinal.
fn best(scores: &[f32], filter: &ChunkFilter, count: usize) -> Vec<u32> {
    let admitted = |ordinal: u32| filter.as_ref().is_none_or(|set| set.contains(ordinal));
    let mut found: Vec<(f32, u32)> =
        scores.iter().zip(0..).filter(|(score, _)| **score > 0.0).map(|(score, ordinal)| (*score, ordinal)).collect();
    found.retain(|(_, ordinal)| admitted(*ordinal));
    let order = |one: &(f32, u32), other: &(f32, u32)| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1));
    if found.len() > count {
        found.select_nth_unstable_by(count, order);
        found.truncate(count);
    }
    found.sort_unstable_by(order);
    found.into_iter().map(|(_, ordinal)| ordinal).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lorekeep_types::ChunkSet;

    #[test]
    fn rescaled_scores_span_zero_to_one() {
        let mut scores = [-1.0, 3.0, 1.0];
        rescale(&mut scores);
        assert_eq!(scores, [0.0, 1.0, 0.5]);
        let mut equal = [3.0, 3.0];
        rescale(&mut equal);
        assert_eq!(equal, [1.0, 1.0]);
        let mut nothing = [0.0, 0.0];
        rescale(&mut nothing);
        assert_eq!(nothing, [0.0, 0.0]);
        rescale(&mut []);
    }

    #[test]
    fn the_best_are_sorted_and_admitted() {
        let scores = [0.1, 0.9, 0.0, 0.9, 0.5];
        assert_eq!(best(&scores, &None, 3), [1, 3, 4]);
        let mut set = ChunkSet::with_capacity(5);
        [0, 2, 3].into_iter().for_each(|ordinal| set.insert(ordinal));
        assert_eq!(best(&scores, &Some(set), 3), [3, 0]);
    }
}
