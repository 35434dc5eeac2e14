//! BM25 by the book over analysed terms.

use std::collections::HashMap;

use lorekeep_types::ScoredChunk;

const K1: f32 = 1.2;
const B: f32 = 0.75;

/// Terms of chunks with their counts.
#[derive(Clone, Debug, Default)]
pub struct Lexicon {
    postings: HashMap<String, Vec<(u32, u32)>>,
    lengths: Vec<u32>,
    length: u64,
}

impl Lexicon {
    /// Adds the next chunk.
    pub fn push(&mut self, terms: &[String]) {
        let chunk = self.lengths.len() as u32;
        for term in terms {
            let postings = self.postings.entry(term.clone()).or_default();
            match postings.last_mut().filter(|(last, _)| *last == chunk) {
                Some((_, count)) => *count += 1,
                None => postings.push((chunk, 1)),
            }
        }
        self.lengths.push(terms.len() as u32);
        self.length += terms.len() as u64;
    }

    /// Number of chunks that hold the term.
    #[must_use]
    pub fn frequency(&self, term: &str) -> u32 {
        self.postings.get(term).map_or(0, |postings| postings.len() as u32)
    }

    /// Chunks that hold the term, ascending.
    pub fn chunks(&self, term: &str) -> impl Iterator<Item = u32> {
        self.postings.get(term).into_iter().flatten().map(|(chunk, _)| *chunk)
    }

    /// BM25 with ln(1 + (N − df + .5)/(df + .5)) of every chunk that holds one of `terms`; a repeated term
    /// counts repeatedly.
    #[must_use]
    pub fn score(&self, terms: &[String]) -> Vec<ScoredChunk> {
        let total = self.lengths.len() as f32;
        let mean = self.length as f32 / total.max(1.0);
        let mut scores = vec![0.0_f32; self.lengths.len()];
        for postings in terms.iter().filter_map(|term| self.postings.get(term)) {
            let frequency = postings.len() as f32;
            let idf = (1.0 + (total - frequency + 0.5) / (frequency + 0.5)).ln();
            for (chunk, count) in postings {
                let at = *chunk as usize;
                let (Some(length), Some(score)) = (self.lengths.get(at), scores.get_mut(at)) else { continue };
                let norm = K1 * (1.0 - B + B * *length as f32 / mean);
                *score += idf * (K1 + 1.0) * *count as f32 / (*count as f32 + norm);
            }
        }
        let scored = (0_u32..).zip(scores).filter(|(_, score)| *score > 0.0);
        scored.map(|(ordinal, score)| ScoredChunk { ordinal, score }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_terms_in_short_chunks_win() {
        let mut lexicon = Lexicon::default();
        let terms = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for text in ["a b c", "a c", "c c c c d"] {
            lexicon.push(&terms(text));
        }
        let scored = lexicon.score(&terms("a d"));
        let best = scored.iter().max_by(|one, other| one.score.total_cmp(&other.score)).map(|best| best.ordinal);
        assert_eq!((scored.len(), best), (3, Some(2)));
        assert_eq!(lexicon.frequency("c"), 3);
        assert!(lexicon.score(&terms("x")).is_empty());
    }
}
