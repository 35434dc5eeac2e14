//! Choosing the sentences that answer a question, and deciding whether they do.

use std::collections::HashSet;
use std::ops::Range;

use lorekeep_text as text;
use lorekeep_types::{EmbeddingModel, Evidence, Result, Snapshot, StoredChunk};

use super::bridge::{Bridge, bridges};
use super::candidates::{Candidates, Sentence};
use super::features::{Scored, score};
use super::question::Question;

/// A bridge that adds less to the coverage of the question is not shown.
const LEAST_BRIDGE: f32 = 0.15;

/// Where the embedder covers the question: mean of the best pair's coverage and the best cosine.
const LEAST_SUPPORT: f32 = 0.45;

/// Elsewhere: coverage of the question by the first sentence, forms of words included.
const LEAST_COVERAGE: f32 = 0.30;

/// The first sentence is likely right if it is this far ahead of the fourth.
const CLEAR_MARGIN: f32 = 2.0;

/// A sentence chosen to be quoted.
#[derive(Clone, Debug, PartialEq)]
pub struct Quote<'a> {
    /// The passage.
    pub chunk: &'a StoredChunk,
    /// Bytes of the passage's text.
    pub span: Range<usize>,
    /// Higher is better; comparable within one question only.
    pub score: f32,
    /// The sentence of another passage that leads from the question to this one.
    pub bridge: Option<BridgeQuote<'a>>,
}

impl Quote<'_> {
    /// The sentence.
    #[must_use]
    pub fn text(&self) -> &str {
        self.chunk.chunk.text.get(self.span.clone()).unwrap_or_default()
    }
}

/// The other end of a bridge.
#[derive(Clone, Debug, PartialEq)]
pub struct BridgeQuote<'a> {
    /// The passage.
    pub chunk: &'a StoredChunk,
    /// Bytes of the passage's text.
    pub span: Range<usize>,
    /// Normal form of the name that both sentences share.
    pub through: String,
}

/// What the documents say about a question.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quotes<'a> {
    /// The best sentences, best first, no two alike.
    pub sentences: Vec<Quote<'a>>,
    /// How far the evidence supports an answer, 0..1.
    pub support: f32,
    /// What `support` must reach.
    pub least_support: f32,
    /// Lead of the first sentence over the fourth.
    pub margin: f32,
}

impl Quotes<'_> {
    /// Whether the documents answer the question.
    #[must_use]
    pub fn answers(&self) -> bool {
        !self.sentences.is_empty() && self.support >= self.least_support
    }

    /// `likely` or `possibly`: how sure it is that the first sentence is right.
    #[must_use]
    pub fn confidence(&self) -> &'static str {
        if self.margin >= CLEAR_MARGIN { "likely" } else { "possibly" }
    }
}

/// Chooses at most `most` sentences of `evidence` (best first) that answer `question`.
///
/// # Errors
/// When the views cannot be read or the embedder fails.
pub fn choose<'a>(
    snapshot: &dyn Snapshot,
    embedder: Option<&dyn EmbeddingModel>,
    question: &str,
    evidence: &'a [Evidence],
    most: usize,
) -> Result<Quotes<'a>> {
    let question = Question::read(snapshot, embedder, question)?;
    let mut candidates = Candidates::read(snapshot, &question, evidence);
    let bridges = bridges(snapshot.phrases(), &question, &candidates);
    let scored = score(&question, &mut candidates, &bridges, embedder)?;
    let order = ranking(&candidates, &scored);
    let (support, least_support) = support(&question, &scored, &bridges, &order);
    let at = |place: usize| order.get(place).and_then(|at| scored.scores.get(*at)).copied().unwrap_or_default();
    let margin = at(0) - at(3.min(order.len().saturating_sub(1)));
    let sentences = order.iter().take(most).filter_map(|at| quote(&candidates, &scored, &bridges, *at)).collect();
    Ok(Quotes { sentences, support, least_support, margin })
}

/// Whether `text` says one of `answers`, as whole normalised words: how evaluation judges a quoted sentence.
#[must_use]
pub fn says_one_of(text: &str, answers: &[String]) -> bool {
    let said = format!(" {} ", text::norm(text));
    answers
        .iter()
        .map(|answer| text::norm(answer))
        .any(|answer| !answer.is_empty() && said.contains(&format!(" {answer} ")))
}

/// Candidates by falling score, ties in order of retrieval. Of sentences with the same words, and of parts of one
/// stretch of a document (chunks may overlap), only the best stays.
fn ranking(candidates: &Candidates<'_, '_>, scored: &Scored) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.sentences.len()).collect();
    let score = |at: &usize| scored.scores.get(*at).copied().unwrap_or_default();
    order.sort_by(|one, other| score(other).total_cmp(&score(one)));
    let mut said = HashSet::new();
    let mut places: Vec<(i64, Range<usize>)> = Vec::new();
    order.retain(|at| {
        let Some(sentence) = candidates.sentences.get(*at) else { return false };
        let place = place(candidates, sentence);
        let overlaps = |other: &(i64, Range<usize>)| {
            other.0 == place.0 && other.1.start < place.1.end && place.1.start < other.1.end
        };
        let fresh = said.insert(sentence.normal.as_str()) && !places.iter().any(overlaps);
        if fresh {
            places.push(place);
        }
        fresh
    });
    order
}

/// The version and the bytes of its text where a sentence stands.
fn place(candidates: &Candidates<'_, '_>, sentence: &Sentence) -> (i64, Range<usize>) {
    let chunk = candidates.passages.get(sentence.passage).map(|passage| passage.chunk);
    let (version, start) = chunk.map_or((0, 0), |chunk| (chunk.version_id.0, chunk.chunk.span.start));
    (version, start + sentence.span.start..start + sentence.span.end)
}

/// How far the evidence supports an answer, and how far it must.
fn support(question: &Question, scored: &Scored, bridges: &[Bridge], order: &[usize]) -> (f32, f32) {
    if question.meaning.is_some() {
        let pair = bridges.iter().map(|bridge| bridge.coverage).fold(0.0, f32::max);
        let cosine = scored.features.iter().map(|one| one.cosine).fold(0.0, f32::max);
        return (0.5 * (pair + cosine), LEAST_SUPPORT);
    }
    let first = order.first().and_then(|at| scored.features.get(*at));
    (first.map_or(0.0, |one| one.soft_coverage), LEAST_COVERAGE)
}

fn quote<'a>(candidates: &Candidates<'a, '_>, scored: &Scored, bridges: &[Bridge], at: usize) -> Option<Quote<'a>> {
    let sentence = candidates.sentences.get(at)?;
    let bridge = bridges.get(at).filter(|bridge| bridge.gain > LEAST_BRIDGE).and_then(|bridge| bridge.partner.as_ref());
    let bridge = bridge.and_then(|(partner, through)| {
        let partner = candidates.sentences.get(*partner)?;
        Some(BridgeQuote {
            chunk: candidates.passages.get(partner.passage)?.chunk,
            span: partner.span.clone(),
            through: through.clone(),
        })
    });
    Some(Quote {
        chunk: candidates.passages.get(sentence.passage)?.chunk,
        span: sentence.span.clone(),
        score: scored.scores.get(at).copied()?,
        bridge,
    })
}
