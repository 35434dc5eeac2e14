//! Which sentence of a passage supports a statement, and which statements no passage supports.
//!
//! A statement is supported when its words stand close together in a passage, and the sentence nearest to it does not
//! deny it. That tells plainly unsupported statements from supported ones and no more: a statement in other words than its
//! source is saved by the embedder only. So marks say "no support found", never "wrong".

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use lorekeep_text::{self as text, Form};
use lorekeep_types::{ByteSpan, CharSpan, Citation, EmbeddingModel, Evidence, Result, StoredChunk, char_span};

use super::places::Places;
use super::sentences::{Passage, ReadPassages, Sentence, Terms};
use super::stance::Stance;

/// Statements with fewer different words are not judged.
const LEAST_WORDS: usize = 3;

/// Sentences of a passage read together.
const WINDOW: usize = 3;

/// Share of a statement's words that must stand in one window of a passage it cites.
const LEAST_SHARE: f32 = 0.5;

/// The same for a passage that it does not cite.
const LEAST_SHARE_UNCITED: f32 = 0.6;

/// Share of a statement's words from which on a sentence is about the same, and may deny it.
const LEAST_SHARE_DENIAL: f32 = 0.6;

/// Cosine of a statement with a sentence from which on it counts as supported whatever its words.
const LEAST_COSINE: f32 = 0.72;

/// Factor for a number that the window does not hold: with it, no statement reaches the least share.
const NUMBER_MISSING: f32 = 0.5;

/// A statement of an answer.
struct Claim {
    /// Bytes of the answer.
    span: Range<usize>,
    terms: Terms,
    /// Those of the words that are numbers of two digits or more.
    numbers: Terms,
    cites: Vec<u32>,
    /// Whether it says enough to be judged.
    judged: bool,
}

/// A passage that an answer may cite by its number.
type Numbered = (u32, Arc<Passage>);

/// What was found out about an answer.
pub(super) struct Judged {
    claims: Vec<Claim>,
    sources: Vec<Numbered>,
    pub(super) unsupported: Vec<CharSpan>,
    /// Whether the answer's language is not that of its sources, so that words cannot be compared.
    foreign: bool,
}

impl Judged {
    pub(super) fn notice(&self) -> Option<String> {
        if self.foreign {
            return Some("support was not checked: the answer is in another language than its passages".to_owned());
        }
        match self.unsupported.len() {
            0 => None,
            1 => Some("no support was found in the passages for 1 sentence of the answer; it is marked".to_owned()),
            many => Some(format!(
                "no support was found in the passages for {many} sentences of the answer; they are marked"
            )),
        }
    }
}

/// Judges every statement of an answer against the passages.
///
/// # Errors
/// When the embedder fails.
pub(super) fn judge(
    answer: &str,
    passages: &[(u32, Evidence)],
    embedder: Option<&dyn EmbeddingModel>,
    kept: &ReadPassages,
) -> Result<Judged> {
    let language = text::language_of(answer);
    let foreign = is_foreign(language, passages);
    let claims = claims(answer, language);
    let sources: Vec<Numbered> = passages.iter().map(|(n, one)| (*n, kept.read(&one.chunk, language))).collect();
    let mut unsupported: Vec<Range<usize>> = Vec::new();
    if !foreign {
        // What denies a passage is near to it in words and in meaning, so that neither can save it.
        let denies = |claim: &&Claim| is_denied(claim, answer, language, passages, &sources);
        let (denying, others): (Vec<&Claim>, Vec<&Claim>) =
            claims.iter().filter(|claim| claim.judged).partition(denies);
        let doubted: Vec<&Claim> = others.into_iter().filter(|claim| !by_words(claim, &sources)).collect();
        unsupported = by_nearness(answer, &doubted, &sources, embedder)?;
        unsupported.extend(denying.iter().map(|claim| claim.span.clone()));
        unsupported.sort_by_key(|span| span.start);
    }
    let unsupported =
        unsupported.into_iter().map(|span| char_span(answer, ByteSpan::new(span.start, span.end))).collect();
    Ok(Judged { claims, sources, unsupported, foreign })
}

fn is_foreign(language: Option<&str>, passages: &[(u32, Evidence)]) -> bool {
    let of_passages = || passages.iter().filter_map(|(_, one)| one.chunk.metadata.language.as_deref());
    language.is_some_and(|language| of_passages().next().is_some() && !of_passages().any(|other| other == language))
}

fn claims(answer: &str, language: Option<&str>) -> Vec<Claim> {
    let spans = text::sentences(answer).into_iter();
    spans
        .filter_map(|span| Some((answer.get(span.clone())?, span)))
        .map(|(said, span)| {
            let own = text::without_citations(said);
            let own = own.trim();
            let words = text::lexical_tokens(own, language, Form::Folded);
            let terms = Terms::of(words.iter().map(String::as_str));
            let is_number = |word: &&str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_digit());
            let digits = Terms::of(words.iter().map(String::as_str).filter(is_number));
            let is_statement = !own.ends_with(['?', ':', '？', '：']) && !own.starts_with('#');
            let judged = is_statement && terms.len() >= LEAST_WORDS;
            Claim { span, terms, numbers: digits, cites: numbers(said), judged }
        })
        .collect()
}

fn numbers(said: &str) -> Vec<u32> {
    said.split('[').skip(1).filter_map(|part| part.split_once(']')?.0.parse().ok()).collect()
}

fn by_words(claim: &Claim, sources: &[Numbered]) -> bool {
    sources.iter().any(|(n, source)| {
        let least = if claim.cites.contains(n) { LEAST_SHARE } else { LEAST_SHARE_UNCITED };
        (0..source.sentences().len()).any(|at| share(claim, source, at) >= least)
    })
}

/// Whether the sentence that is nearest in words to a statement says that it is not so.
fn is_denied(
    claim: &Claim,
    answer: &str,
    language: Option<&str>,
    passages: &[(u32, Evidence)],
    sources: &[Numbered],
) -> bool {
    let said = answer.get(claim.span.clone()).unwrap_or_default();
    let said = text::without_citations(said);
    let (mut denied, mut affirmed) = (0.0_f32, 0.0_f32);
    for ((_, source), (_, one)) in sources.iter().zip(passages) {
        let language = language.or(one.chunk.metadata.language.as_deref());
        let mut stance = None;
        for Sentence { span, terms } in source.sentences() {
            let shared = claim.terms.shared(terms) as f32 / claim.terms.len().max(1) as f32;
            if shared < LEAST_SHARE_DENIAL || shared < denied.max(affirmed) {
                continue;
            }
            let own = stance.get_or_insert_with(|| Stance::read(&said, language));
            let sentence = one.chunk.chunk.text.get(span.clone()).unwrap_or_default();
            let best = if own.denies(&Stance::read(sentence, language)) { &mut denied } else { &mut affirmed };
            *best = best.max(shared);
        }
    }
    denied > affirmed
}

/// Share of the statement's words in the window from a sentence on; each number that it lacks lowers it.
fn share(claim: &Claim, source: &Passage, at: usize) -> f32 {
    let sentences = source.sentences();
    let window = sentences.get(at..sentences.len().min(at + WINDOW)).unwrap_or_default();
    let holds = |term: u64| window.iter().any(|one| one.terms.holds(term));
    let found = claim.terms.iter().filter(|term| holds(*term)).count();
    let share = found as f32 / claim.terms.len().max(1) as f32;
    if claim.numbers.iter().all(holds) { share } else { share * NUMBER_MISSING }
}

/// Of statements whose words stand in no passage, those that no sentence is near to in meaning either.
fn by_nearness(
    answer: &str,
    doubted: &[&Claim],
    sources: &[Numbered],
    embedder: Option<&dyn EmbeddingModel>,
) -> Result<Vec<Range<usize>>> {
    let english = |embedder: &&dyn EmbeddingModel| text::language_of(answer).is_none_or(|code| embedder.covers(code));
    let Some(embedder) = embedder.filter(|_| !doubted.is_empty()).filter(english) else {
        return Ok(doubted.iter().map(|claim| claim.span.clone()).collect());
    };
    let said: Vec<&str> = doubted.iter().map(|claim| answer.get(claim.span.clone()).unwrap_or_default()).collect();
    let said = embedder.embed(&said)?;
    let vectors = sources.iter().map(|(_, source)| source.vectors(embedder)).collect::<Result<Vec<_>>>()?;
    let near = |one: &[f32]| vectors.iter().copied().flatten().any(|other| other.dot(one) >= LEAST_COSINE);
    // A number that no passage holds is not made true by nearness.
    let holds_number = |claim: &Claim| {
        let known = |term| sources.iter().any(|(_, source)| source.sentences().iter().any(|one| one.terms.holds(term)));
        claim.numbers.iter().all(known)
    };
    let rows = doubted.iter().zip(&said);
    let unsupported = rows.filter(|(claim, vector)| !near(vector) || !holds_number(claim));
    Ok(unsupported.map(|(claim, _)| claim.span.clone()).collect())
}

/// The sentences that support what is cited: for each number the one nearest in words to the first statement citing it.
///
/// # Errors
/// When a document cannot be read.
pub(super) fn cite(
    places: &mut Places<'_>,
    judged: &Judged,
    numbers: &BTreeSet<u32>,
    passages: &[(u32, Evidence)],
) -> Result<Vec<Citation>> {
    let mut citations = Vec::with_capacity(numbers.len());
    for n in numbers {
        let Some((_, evidence)) = passages.iter().find(|(known, _)| known == n) else { continue };
        let Some((_, source)) = judged.sources.iter().find(|(known, _)| known == n) else { continue };
        let none = Terms::default();
        let claim = judged.claims.iter().find(|claim| claim.cites.contains(n));
        let span = best(claim.map_or(&none, |claim| &claim.terms), source, &evidence.chunk);
        citations.push(citation(places, *n, evidence, &span)?);
    }
    Ok(citations)
}

/// The sentences nearest in words to a question, one a passage, numbered from 1: what is shown beside an abstention.
///
/// # Errors
/// When a document cannot be read.
pub(super) fn closest(
    places: &mut Places<'_>,
    question: &str,
    passages: &[(u32, Evidence)],
    most: usize,
    kept: &ReadPassages,
) -> Result<Vec<Citation>> {
    let language = text::language_of(question);
    let words = text::lexical_tokens(question, language, Form::Folded);
    let terms = Terms::of(words.iter().map(String::as_str));
    let numbered = (1..).zip(passages.iter().take(most));
    numbered
        .map(|(n, (_, evidence))| {
            let span = best(&terms, &kept.read(&evidence.chunk, language), &evidence.chunk);
            citation(places, n, evidence, &span)
        })
        .collect()
}

/// The sentence that shares most words, the earlier of equals.
fn best(terms: &Terms, source: &Passage, chunk: &StoredChunk) -> Range<usize> {
    let sentences = source.sentences();
    let shared = |at: &usize| sentences.get(*at).map_or(0, |own| own.terms.shared(terms));
    let found = (0..sentences.len()).rev().max_by_key(shared);
    found.and_then(|at| sentences.get(at).map(|own| own.span.clone())).unwrap_or(0..chunk.chunk.text.len())
}

fn citation(places: &mut Places<'_>, n: u32, evidence: &Evidence, span: &Range<usize>) -> Result<Citation> {
    let chunk = &evidence.chunk;
    let place = places.find(chunk, span, true)?;
    Ok(Citation {
        n,
        document_id: chunk.document.clone(),
        name: chunk.document_name.clone(),
        version: chunk.version,
        page: place.page,
        span: place.span,
        quote: place.quote,
        score: evidence.score,
        bridge: None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::super::places::tests::{TEXT, chunk};
    use super::*;

    fn unsupported(answer: &str) -> Vec<String> {
        let chunk = chunk(ByteSpan::new(0, TEXT.len()), 0, None);
        let evidence = Evidence { chunk, score: 1.0, reasons: Vec::new() };
        let judged = judge(answer, &[(1, evidence)], None, &ReadPassages::default()).unwrap();
        let letters: Vec<char> = answer.chars().collect();
        judged.unsupported.iter().map(|span| letters[span.start..span.end].iter().collect()).collect()
    }

    #[test]
    fn words_and_numbers_of_one_place_support_a_statement() {
        assert!(unsupported("Zoë Lind sold the mill to Åke in 1923 [1]. It burned down in 1931 [1].").is_empty());
        let wrong = "Zoë Lind sold the mill to Åke in 1887 [1].";
        assert_eq!(unsupported(wrong), [wrong]);
        let strange = "Its owner kept forty purple elephants there.";
        assert_eq!(unsupported(&format!("The mill burned down in 1931 [1]. {strange}")), [strange]);
        assert!(unsupported("Do you want to know more about its elephants?").is_empty());
    }

    #[test]
    fn what_a_passage_denies_is_unsupported_whatever_its_words() {
        for denial in [
            "The mill did not burn down in 1931 [1].",
            "The mill never burned down in 1931 [1].",
            "It is not true that the mill burned down in 1931 [1].",
            "Zoë Lind never ran the mill [1].",
        ] {
            assert_eq!(unsupported(denial), [denial]);
        }
        assert!(unsupported("The mill burned down in 1931, not earlier [1].").is_empty());
    }

    /// Sentences of the sample library: each one, and its beginning, is said of a passage that holds it. A denial is seen
    /// where there is none in none of them.
    #[test]
    fn sentences_of_the_samples_are_not_taken_for_denials() {
        let samples = [
            include_str!("../../../../samples/library/handbook.md"),
            include_str!("../../../../samples/library/seagrass-survey-2024.md"),
            include_str!("../../../../samples/library/board-minutes-2024-03-14.txt"),
            include_str!("../../../../samples/library/press-release-new-director.md"),
            include_str!("../../../../samples/library/larkfield-grant.eml"),
            include_str!("../../../../samples/library/laporan-lamun-senggigi.txt"),
            include_str!("../../../../samples/library/giam-sat-san-ho-hon-sen.md"),
        ];
        let mut said = 0;
        for sample in samples {
            let mut chunk = chunk(ByteSpan::new(0, TEXT.len()), 0, None);
            chunk.chunk.text = sample.to_owned();
            chunk.metadata.language = text::language_of(sample).map(str::to_owned);
            let passages = [(1, Evidence { chunk, score: 1.0, reasons: Vec::new() })];
            for span in text::sentences(sample) {
                let words: Vec<&str> = sample[span].split_whitespace().collect();
                for part in [&words[..], &words[..words.len() * 3 / 4]] {
                    let sentence = format!("{}.", part.join(" ").trim_end_matches('.'));
                    let language = text::language_of(sample);
                    let claims = claims(&sentence, language);
                    let sources = [(1, ReadPassages::default().read(&passages[0].1.chunk, language))];
                    let wrong: Vec<_> = claims
                        .iter()
                        .filter(|claim| is_denied(claim, &sentence, language, &passages, &sources))
                        .collect();
                    assert!(wrong.is_empty(), "{sentence}");
                    said += claims.len();
                }
            }
        }
        assert!(said > 150, "{said}");
    }
}
