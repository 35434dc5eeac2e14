//! What speaks for a sentence, and how much each sign counts. The weights were fitted once, on English questions,
//! and rounded; one set serves where the embedder covers the question, the other everywhere else.

use lorekeep_text::{self as text, AnswerType, WordKind};
use lorekeep_types::{EmbeddingModel, Result};

use super::bridge::{Bridge, covered};
use super::candidates::{Candidates, Sentence};
use super::question::{Meaning, Question};
use super::vocabulary::dot;

/// The signs of one sentence, each 0..1 unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Features {
    /// Weight of the question's terms in sentence and title.
    pub(super) coverage: f32,
    /// The same of the title alone: a question that one passage answers is about the subject of its title.
    pub(super) title: f32,
    /// As `coverage`, with forms of words.
    pub(super) soft_coverage: f32,
    /// Share of the first two terms in the sentence alone.
    pub(super) focus: f32,
    /// 1 for the first sentence of its section, 1/2 for the second …
    pub(super) early: f32,
    /// Score of the passage relative to the best.
    pub(super) passage: f32,
    /// 1 in the best passage.
    pub(super) in_best: f32,
    /// How well it holds the kind of answer expected.
    pub(super) kind: f32,
    /// Words with digits that the question does not hold, ln(1 + n).
    pub(super) numbers: f32,
    /// Names that neither question nor title hold, ln(1 + n).
    pub(super) names: f32,
    /// What a sentence of another passage adds to the coverage.
    pub(super) bridge: f32,
    /// Cosine of question and title with sentence.
    pub(super) cosine: f32,
    /// Coverage by words of like meaning.
    pub(super) meaning: f32,
    /// The same over the first two terms.
    pub(super) meaning_focus: f32,
    /// Cosine of what is asked (the question without its names) and the sentence's content words.
    pub(super) relation: f32,
}

impl Features {
    /// Score for questions in a language that the embedder covers. `breadth` is about 0 for a short question that
    /// one passage covers and about 1 for one that needs several.
    fn with_meaning(&self, breadth: f32) -> f32 {
        self.cosine
            + 1.75 * self.early
            + 2.75 * self.passage
            + self.kind_score()
            + 0.25 * self.numbers
            + 3.5 * self.meaning
            + 1.75 * self.meaning_focus
            + 2.5 * self.relation
            + 2.0 * self.bridge
            + (1.0 - breadth) * 2.5 * self.title
            + breadth * (3.5 * self.relation + 4.5 * self.bridge + self.names - 3.0 * self.in_best - self.early)
    }

    /// Score for all other questions.
    fn by_words(&self, breadth: f32) -> f32 {
        1.75 * self.coverage
            + 3.0 * self.soft_coverage
            + 0.5 * self.focus
            + 1.75 * self.early
            + 2.75 * self.passage
            + self.kind_score()
            + 0.25 * self.numbers
            + 2.25 * self.bridge
            + (1.0 - breadth) * 2.5 * self.title
            + breadth * (2.0 * self.focus + 5.0 * self.bridge + 0.75 * self.names - 2.75 * self.in_best - self.early)
    }

    fn kind_score(&self) -> f32 {
        if self.kind > 0.0 { 1.75 * self.kind } else { -1.25 }
    }
}

/// Signs and scores of all candidate sentences.
pub(super) struct Scored {
    pub(super) features: Vec<Features>,
    pub(super) scores: Vec<f32>,
}

/// Weighs every candidate sentence.
pub(super) fn score(
    question: &Question,
    candidates: &mut Candidates<'_, '_>,
    bridges: &[Bridge],
    embedder: Option<&dyn EmbeddingModel>,
) -> Result<Scored> {
    let breadth = breadth(question, candidates);
    let mut features: Vec<Features> = candidates
        .sentences
        .iter()
        .zip(bridges)
        .map(|(one, bridge)| by_words(question, candidates, one, bridge))
        .collect();
    if let (Some(meaning), Some(model)) = (&question.meaning, embedder) {
        candidates.vocabulary.embed(model)?;
        add_meaning(question, meaning, candidates, model, &mut features)?;
        let scores = features.iter().map(|one| one.with_meaning(breadth)).collect();
        return Ok(Scored { features, scores });
    }
    let scores = features.iter().map(|one| one.by_words(breadth)).collect();
    Ok(Scored { features, scores })
}

/// How much the question asks for more than one passage: many terms, and no passage that covers them.
fn breadth(question: &Question, candidates: &Candidates<'_, '_>) -> f32 {
    let mut sets = vec![0; candidates.passages.len()];
    for sentence in &candidates.sentences {
        if let Some(set) = sets.get_mut(sentence.passage) {
            *set |= covered(candidates, sentence);
        }
    }
    let best = sets.into_iter().map(|set| question.coverage(set)).fold(0.0, f32::max);
    let open = ((1.0 - best) / 0.6).clamp(0.0, 1.0);
    let long = ((question.terms.len() as f32 - 3.0) / 6.0).clamp(0.0, 1.0);
    (open * long).sqrt()
}

fn by_words(question: &Question, candidates: &Candidates<'_, '_>, sentence: &Sentence, bridge: &Bridge) -> Features {
    let title = candidates.title_of(sentence);
    let soft = sentence.soft | title.map_or(0, |title| title.soft);
    let passage = candidates.passages.get(sentence.passage).map_or(0.0, |passage| passage.score);
    let names = new_names(question, candidates, sentence);
    let has_digits = |kind: WordKind| matches!(kind, WordKind::Year | WordKind::Digits);
    let new = candidates.vocabulary.words(&sentence.words).filter(|word| word.is_new);
    let numbers = new.filter(|word| has_digits(word.kind)).count();
    Features {
        coverage: question.coverage(covered(candidates, sentence)),
        title: title.map_or(0.0, |title| question.coverage(title.exact)),
        soft_coverage: question.coverage(soft),
        focus: question.focus(sentence.exact),
        early: 1.0 / (1.0 + sentence.place as f32),
        passage,
        in_best: f32::from(u8::from(sentence.passage == 0)),
        kind: kind(question.kind, candidates, sentence, &names),
        numbers: (numbers as f32).ln_1p(),
        names: (names.len() as f32).ln_1p(),
        bridge: bridge.gain,
        ..Features::default()
    }
}

/// Names in the sentence that the question and the title do not say, normalised.
fn new_names(question: &Question, candidates: &Candidates<'_, '_>, sentence: &Sentence) -> Vec<String> {
    let text = candidates.text_of(sentence);
    let title = candidates.title_of(sentence).map(|title| title.key.as_str());
    let is_new = |name: &String| {
        let digits = name.chars().all(char::is_numeric);
        let asked = name.split(' ').all(|word| question.words.contains(word));
        !digits && !asked && Some(name.as_str()) != title
    };
    let spans = text::capitalised_spans(text).into_iter();
    spans.map(|span| text::norm(text.get(span).unwrap_or_default())).filter(is_new).collect()
}

/// How well a sentence holds the kind of answer expected; .5 where any sentence may.
fn kind(kind: AnswerType, candidates: &Candidates<'_, '_>, sentence: &Sentence, names: &[String]) -> f32 {
    let has = |wanted: &dyn Fn(WordKind) -> bool| {
        candidates.vocabulary.words(&sentence.words).any(|word| word.is_new && wanted(word.kind))
    };
    let number = |kind| matches!(kind, WordKind::Year | WordKind::Digits);
    match kind {
        AnswerType::Time if has(&|kind| kind == WordKind::Year) => 1.0,
        AnswerType::Time if has(&|kind| kind == WordKind::Month) && has(&number) => 0.6,
        AnswerType::Time if has(&|kind| kind == WordKind::Era) => 0.6,
        AnswerType::Number if has(&number) => 1.0,
        AnswerType::Number if has(&|kind| kind == WordKind::NumberWord) => 0.7,
        AnswerType::Person if names.iter().any(|name| name.contains(' ')) => 1.0,
        AnswerType::Person | AnswerType::Place if !names.is_empty() => 0.7,
        AnswerType::Time | AnswerType::Number | AnswerType::Person | AnswerType::Place => 0.0,
        AnswerType::Reason | AnswerType::Thing | AnswerType::Other => 0.5,
    }
}

fn add_meaning(
    question: &Question,
    meaning: &Meaning,
    candidates: &Candidates<'_, '_>,
    model: &dyn EmbeddingModel,
    features: &mut [Features],
) -> Result<()> {
    let titled = |one: &Sentence| {
        format!("{} {}", candidates.title_of(one).map_or("", |title| title.text.as_str()), candidates.text_of(one))
    };
    let mut texts: Vec<String> = candidates.sentences.iter().map(titled).collect();
    texts.extend(candidates.sentences.iter().map(|one| candidates.vocabulary.content(&one.words)));
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = model.embed(&texts)?;
    let (whole, content) = vectors.split_at(features.len().min(vectors.len()));
    for (((one, sentence), whole), content) in features.iter_mut().zip(&candidates.sentences).zip(whole).zip(content) {
        one.cosine = dot(&meaning.whole, whole);
        one.relation = dot(&meaning.relation, content);
        (one.meaning, one.meaning_focus) = likeness(question, candidates, sentence);
    }
    Ok(())
}

/// Coverage of the question by words of like meaning: over all terms, and over the first two.
fn likeness(question: &Question, candidates: &Candidates<'_, '_>, sentence: &Sentence) -> (f32, f32) {
    let held = covered(candidates, sentence);
    let near = candidates.vocabulary.nearest(&sentence.words);
    let mut sums = [(0.0, 0.0); 2];
    for (at, (term, near)) in question.terms.iter().zip(near).enumerate() {
        let value = if held >> at & 1 == 1 { 1.0 } else { near };
        for sum in sums.iter_mut().take(if at < 2 { 2 } else { 1 }) {
            sum.0 += term.weight * value;
            sum.1 += term.weight;
        }
    }
    let [all, first] = sums.map(|(sum, weight)| if weight > 0.0 { sum / weight } else { 0.0 });
    (all, first)
}
