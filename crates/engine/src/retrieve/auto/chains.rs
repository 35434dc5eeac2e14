//! What two linked chunks answer together: a question whose words no single chunk holds is often covered by a
//! pair that shares a name which the question does not mention. Both chunks of such a pair move up.

use lorekeep_types::PhraseGraph;

use super::fusion::Fusion;
use super::query::Query;
use super::{Scores, coverage::Coverage};

/// The best chunks among which pairs are looked for; a set of them fits a `u32`.
const CANDIDATES: usize = 20;

/// What covering every word of the question is worth.
const WORTH: f32 = 0.5;

/// Adds to each of the best chunks the share of the question that it covers, alone or with the linked chunk that
/// adds most.
pub(super) fn follow(graph: &PhraseGraph, query: &Query, fusion: &Fusion, scores: &mut Scores) {
    let best = scores.best(fusion, CANDIDATES);
    let chunks: Vec<u32> = best.iter().map(|(chunk, _)| *chunk).collect();
    let linked = linked(graph, query, &chunks);
    for ((chunk, score), partners) in best.iter().zip(linked) {
        let covered = covered(&fusion.coverage, *chunk, partners, &chunks);
        scores.raise(*chunk, score + WORTH * covered);
    }
}

fn covered(coverage: &Coverage, chunk: u32, partners: u32, chunks: &[u32]) -> f32 {
    let own = coverage.terms_of(chunk);
    let together = chunks
        .iter()
        .enumerate()
        .filter(|(at, _)| partners & (1 << at) != 0)
        .map(|(_, partner)| coverage.share(own | coverage.terms_of(*partner)));
    together.fold(coverage.share(own), f32::max)
}

/// For each of `chunks` the places of those that share a phrase with it, as bits. The question's own phrases link
/// nothing: every candidate may hold them.
fn linked(graph: &PhraseGraph, query: &Query, chunks: &[u32]) -> Vec<u32> {
    let asked = |phrase: &u32| query.phrases.iter().any(|known| known.phrase == *phrase);
    let mut held: Vec<(u32, usize)> = Vec::new();
    for (at, chunk) in chunks.iter().enumerate() {
        held.extend(graph.phrases_of(*chunk).filter(|phrase| !asked(phrase)).map(|phrase| (phrase, at)));
    }
    held.sort_unstable();
    let mut linked = vec![0_u32; chunks.len()];
    for group in held.chunk_by(|one, other| one.0 == other.0) {
        let members = group.iter().fold(0, |members, (_, at)| members | 1 << at);
        for (_, at) in group {
            if let Some(partners) = linked.get_mut(*at) {
                *partners |= members;
            }
        }
    }
    linked
}

#[cfg(test)]
mod tests {
    use super::*;
    use lorekeep_types::ChunkPhrases;

    #[test]
    fn chunks_are_linked_by_phrases_that_the_question_lacks() {
        let chunk = |version, keys: &[&str]| ChunkPhrases {
            version,
            position: 0,
            phrases: keys.iter().map(|key| ((*key).to_owned(), 1, false)).collect(),
        };
        let graph = PhraseGraph::build(
            [chunk(1, &["asked", "bridge"]), chunk(2, &["bridge"]), chunk(3, &["asked"])],
            std::iter::empty::<(&str, &str)>(),
        );
        let query = Query::with_phrases(graph.find("asked").into_iter().collect());
        let linked = linked(&graph, &query, &[2, 1, 0]);
        assert_eq!(linked, [0b000, 0b110, 0b110]);
    }
}
