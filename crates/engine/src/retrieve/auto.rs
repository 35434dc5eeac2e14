//! The embedded default: fused scores of words and meaning, a walk over the graph of shared phrases, and one hop
//! along titles. One set of constants serves every corpus; no model is called but the embedder.
//!
//! Steps: understand the question ([`query`]), fuse ([`fusion`]), walk from its phrases and the best chunks
//! ([`walk`]), combine, follow titles ([`links`]), keep the best fused chunks near the front, and prefer chunks that
//! answer the question together ([`chains`]).

mod chains;
mod coverage;
mod explain;
mod fusion;
mod links;
mod query;
mod walk;

use lorekeep_types::{ChunkFilter, EmbeddingModel, Result, Snapshot};

pub(super) use explain::matched_terms;
use fusion::Fusion;
use query::Query;
use walk::Walk;

/// Chunks that seed the walk beside the question's phrases.
const SEEDS: usize = 30;

/// Mass of the best seed; others have less by the fourth power of their score.
const SEED_MASS: f32 = 0.1;

/// Weight of a chunk's rank in the walk that does not depend on its fused score.
const WALK_ALONE: f32 = 0.1;

/// What the three best fused chunks are given, so that the walk cannot bury a plain match.
const ANCHORS: [f32; 3] = [0.30, 0.125, 0.05];

/// A chunk with its score and what led to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// Ordinal in the snapshot.
    pub ordinal: u32,
    /// Score, about 1 for the best; comparable within one ranking only.
    pub score: f32,
    /// Cosine with the question, where dense is on.
    pub cosine: Option<f32>,
    /// Names along the graph from the question to the chunk; empty when the graph did not lead to it.
    pub path: Vec<String>,
}

/// The chunks that fit a question, best first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ranking {
    /// At most as many as asked for.
    pub passages: Vec<Ranked>,
    /// Keys of the question's phrases that the graph knows, in the order of the question.
    pub phrases: Vec<String>,
    /// Analysed terms of the question.
    pub terms: Vec<String>,
    /// Whether meaning counted: the embedder covers the question and most of the corpus.
    pub dense: bool,
}

/// Ranks the chunks of `snapshot` that `filter` admits, and returns the best `limit`.
///
/// # Errors
/// When the views cannot be read or the embedder fails.
pub fn rank(
    snapshot: &dyn Snapshot,
    embedder: Option<&dyn EmbeddingModel>,
    question: &str,
    filter: &ChunkFilter,
    limit: usize,
) -> Result<Ranking> {
    let query = Query::read(snapshot, embedder, question)?;
    let fusion = fusion::fuse(snapshot, &query, filter, SEEDS.max(limit))?;
    let graph = snapshot.phrases();
    let walk = Walk::run(graph, &reset(snapshot, &query, &fusion));
    let mut scores = Scores::combine(graph.chunk_count(), &walk, &fusion, filter);
    if scores.members.is_empty() {
        scores = Scores::of_fusion(&fusion);
    } else {
        links::follow(graph, &fusion, filter, &mut scores);
        scores.scale();
        scores.anchor(&fusion.head);
        chains::follow(graph, &query, &fusion, &mut scores);
    }
    let best = scores.best(&fusion, limit);
    let passages = best
        .into_iter()
        .map(|(ordinal, score)| Ranked {
            ordinal,
            score,
            cosine: fusion.cosines.get(ordinal as usize).copied(),
            path: explain::path(graph, &query, &walk, ordinal),
        })
        .collect();
    let phrases = query.phrases.iter().map(|known| graph.key(known.phrase).to_owned()).collect();
    Ok(Ranking { passages, phrases, dense: !fusion.cosines.is_empty(), terms: query.terms })
}

/// Where the walk starts: the question's phrases, each with its share of information spread over the chunks that
/// hold it, and the best fused chunks.
fn reset(snapshot: &dyn Snapshot, query: &Query, fusion: &Fusion) -> Vec<(u32, f32)> {
    let graph = snapshot.phrases();
    let idf = |frequency: u32| (1.0 + graph.chunk_count() as f32 / frequency.max(1) as f32).ln();
    let sum: f32 = query.phrases.iter().map(|known| idf(known.frequency)).sum();
    let phrases = query.phrases.iter().filter_map(|known| {
        let node = graph.node_of(known.phrase).or_else(|| graph.sole_chunk(known.phrase))?;
        Some((node, idf(known.frequency) / sum / known.frequency.max(1) as f32))
    });
    let seeds = fusion.head.iter().take(SEEDS).map(|chunk| (*chunk, SEED_MASS * fusion.scaled(*chunk).powi(4)));
    phrases.chain(seeds).collect()
}

/// Scores by ordinal, and the chunks that may have one.
struct Scores {
    values: Vec<f32>,
    members: Vec<u32>,
}

impl Scores {
    /// √(x / max x)·(.1 + F) of the admitted chunks that the walk reached, divided by its maximum.
    fn combine(chunks: u32, walk: &Walk, fusion: &Fusion, filter: &ChunkFilter) -> Self {
        let admitted = |chunk: &u32| *chunk < chunks && filter.as_ref().is_none_or(|set| set.contains(*chunk));
        let members: Vec<u32> = walk.touched().iter().copied().filter(admitted).collect();
        let most = members.iter().map(|chunk| walk.mass(*chunk)).fold(0.0, f32::max);
        let mut scores = Self { values: vec![0.0; chunks as usize], members };
        for chunk in &scores.members {
            if let Some(value) = scores.values.get_mut(*chunk as usize) {
                *value = (walk.mass(*chunk) / most).sqrt() * (WALK_ALONE + fusion.fused_of(*chunk));
            }
        }
        scores.scale();
        scores
    }

    /// The fused scores alone, for questions from which no walk starts.
    fn of_fusion(fusion: &Fusion) -> Self {
        Self { values: fusion.fused.clone(), members: fusion.head.clone() }
    }

    fn of(&self, chunk: u32) -> f32 {
        self.values.get(chunk as usize).copied().unwrap_or_default()
    }

    fn raise(&mut self, chunk: u32, score: f32) {
        if let Some(value) = self.values.get_mut(chunk as usize) {
            if *value == 0.0 {
                self.members.push(chunk);
            }
            *value = value.max(score);
        }
    }

    /// Divides by the largest.
    fn scale(&mut self) {
        let most = self.members.iter().map(|chunk| self.of(*chunk)).fold(0.0, f32::max);
        for chunk in &self.members {
            if let Some(value) = self.values.get_mut(*chunk as usize).filter(|_| most > 0.0) {
                *value /= most;
            }
        }
    }

    fn anchor(&mut self, head: &[u32]) {
        for (chunk, bonus) in head.iter().zip(ANCHORS) {
            let score = self.of(*chunk);
            self.raise(*chunk, score + bonus);
        }
    }

    /// The best `limit` chunks: by score, then by fused score. The best fused chunks follow those with a score.
    fn best(&self, fusion: &Fusion, limit: usize) -> Vec<(u32, f32)> {
        let scored = |chunk: &u32| (self.of(*chunk), fusion.fused_of(*chunk), *chunk);
        let unscored = fusion.head.iter().filter(|chunk| self.of(**chunk) == 0.0);
        let mut all: Vec<(f32, f32, u32)> =
            self.members.iter().filter(|chunk| self.of(**chunk) > 0.0).chain(unscored).map(scored).collect();
        all.sort_unstable_by(|one, other| {
            other.0.total_cmp(&one.0).then(other.1.total_cmp(&one.1)).then(one.2.cmp(&other.2))
        });
        all.truncate(limit);
        all.into_iter().map(|(score, _, chunk)| (chunk, score)).collect()
    }
}
