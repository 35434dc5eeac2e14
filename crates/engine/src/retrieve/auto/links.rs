//! One hop along titles: a chunk whose own topic the best chunks name is likely to hold the next step.

use lorekeep_types::{ChunkFilter, PhraseGraph};

use super::Scores;
use super::fusion::Fusion;

/// The best chunks whose phrases are followed.
const SOURCES: usize = 5;

/// Share of the source's score that a linked chunk may gain.
const GAIN: f32 = 0.4;

/// Titles shared by more chunks than this point nowhere in particular.
const MOST_SHARERS: usize = 3;

/// Share of the gain that a linked chunk has whatever its meaning.
const UNCONDITIONAL: f32 = 0.3;

/// Raises the chunks that the best ones link to.
pub(super) fn follow(graph: &PhraseGraph, fusion: &Fusion, filter: &ChunkFilter, scores: &mut Scores) {
    let mut sources: Vec<(f32, u32)> = scores.members.iter().map(|chunk| (scores.of(*chunk), *chunk)).collect();
    sources.sort_unstable_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
    sources.truncate(SOURCES);
    let mut raised: Vec<(u32, f32)> = Vec::new();
    for (score, source) in sources {
        for (chunk, links) in linked(graph, source) {
            if filter.as_ref().is_none_or(|set| set.contains(chunk)) {
                let meaning = fusion.meaning.get(chunk as usize).copied().unwrap_or_default();
                let gain = GAIN * links * score * (UNCONDITIONAL + (1.0 - UNCONDITIONAL) * meaning);
                raised.push((chunk, scores.of(chunk) + gain));
            }
        }
    }
    for (chunk, score) in raised {
        scores.raise(chunk, score);
    }
}

/// The chunks that own a phrase of `source`, with the sum of 1/sharers over such phrases.
fn linked(graph: &PhraseGraph, source: u32) -> Vec<(u32, f32)> {
    let mut found: Vec<(u32, f32)> = Vec::new();
    for phrase in graph.phrases_of(source) {
        let sharers = graph.sharers(phrase);
        if sharers.is_empty() || sharers.len() > MOST_SHARERS {
            continue;
        }
        for chunk in sharers.iter().filter(|chunk| **chunk != source) {
            let share = 1.0 / sharers.len() as f32;
            match found.iter_mut().find(|(known, _)| known == chunk) {
                Some((_, sum)) => *sum += share,
                None => found.push((*chunk, share)),
            }
        }
    }
    found
}
