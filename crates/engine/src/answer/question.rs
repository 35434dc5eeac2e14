//! A question as the quoting reads it: its terms and what each is worth, the kind of answer it expects, and its
//! vectors. How sentences answer it belongs to `features`.

use std::collections::HashSet;

use lorekeep_text::{self as text, AnswerType, Form};
use lorekeep_types::{EmbeddingModel, LexicalField, Result, Snapshot};

/// Terms past this many are left out; a set of terms fits a machine word.
const MOST_TERMS: usize = 64;

/// Rarer titles than this (as ln(1 + N/df)) are met by a single word in lower case.
const TELLING_IDF: f32 = 5.0;

/// A set of terms: bit *i* stands for term *i*.
pub(super) type TermSet = u64;

/// A content word of the question.
#[derive(Clone, Debug)]
pub(super) struct Term {
    /// As the full-text index writes it.
    pub(super) stem: String,
    /// As the question writes it, folded.
    pub(super) word: String,
    /// How much it tells: its BM25 idf.
    pub(super) weight: f32,
}

/// What the embedder says about the question; only where it covers the question's language.
#[derive(Clone, Debug)]
pub(super) struct Meaning {
    /// The whole question.
    pub(super) whole: Vec<f32>,
    /// One vector per term.
    pub(super) terms: Vec<Vec<f32>>,
    /// The terms without the names that the graph knows: what is asked about them. Zero when nothing is left.
    pub(super) relation: Vec<f32>,
}

/// A question, read once.
#[derive(Clone, Debug)]
pub(super) struct Question {
    /// Normalised, with a space at both ends.
    pub(super) normal: String,
    /// Its normalised words.
    pub(super) words: HashSet<String>,
    pub(super) kind: AnswerType,
    /// The language whose stems are compared.
    pub(super) language: Option<String>,
    pub(super) terms: Vec<Term>,
    /// Sum of the terms' weights.
    total: f32,
    pub(super) meaning: Option<Meaning>,
}

impl Question {
    pub(super) fn read(snapshot: &dyn Snapshot, embedder: Option<&dyn EmbeddingModel>, question: &str) -> Result<Self> {
        let english = text::reads_as_english(question);
        let language = language(snapshot, question, english);
        let normal = text::norm(question);
        let terms = terms(snapshot, &normal, language.as_deref(), english)?;
        let meaning = match embedder {
            Some(model) if english && model.covers("en") => Some(meaning(snapshot, model, question, &terms)?),
            _ => None,
        };
        Ok(Self {
            words: normal.split(' ').map(str::to_owned).collect(),
            normal: format!(" {normal} "),
            kind: text::answer_type(question),
            language,
            total: terms.iter().map(|term| term.weight).sum(),
            terms,
            meaning,
        })
    }

    /// Share of the terms' weight that a set of them has, 0..1.
    pub(super) fn coverage(&self, set: TermSet) -> f32 {
        if self.total > 0.0 { self.weight(set) / self.total } else { 0.0 }
    }

    /// The same over the first two terms only.
    pub(super) fn focus(&self, set: TermSet) -> f32 {
        let first = self.weight(0b11);
        if first > 0.0 { self.weight(set & 0b11) / first } else { 0.0 }
    }

    fn weight(&self, set: TermSet) -> f32 {
        self.terms.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1).map(|(_, term)| term.weight).sum()
    }

    /// Whether the question holds normalised words in this order, next to one another.
    pub(super) fn holds(&self, normalised: &str) -> bool {
        holds_words(&self.normal, normalised)
    }
}

/// Whether `padded` (normalised, a space at both ends) holds the words `wanted` next to one another.
pub(super) fn holds_words(padded: &str, wanted: &str) -> bool {
    padded.match_indices(wanted).any(|(at, _)| {
        let before = at.checked_sub(1).and_then(|at| padded.as_bytes().get(at));
        before == Some(&b' ') && padded.as_bytes().get(at + wanted.len()) == Some(&b' ')
    })
}

/// English, or the likeliest language of the corpus.
fn language(snapshot: &dyn Snapshot, question: &str, english: bool) -> Option<String> {
    if english {
        return Some("en".to_owned());
    }
    let languages: Vec<&str> = snapshot.stats().languages.iter().map(|(code, _)| code.as_str()).collect();
    text::language_among(question, &languages).map(str::to_owned)
}

/// A smaller corpus is weighed as if it had this many chunks: in a handful, a word that none of them holds would
/// outweigh all the words that they do hold.
const LEAST_CHUNKS: u32 = 500;

fn terms(snapshot: &dyn Snapshot, normal: &str, language: Option<&str>, english: bool) -> Result<Vec<Term>> {
    let chunks = snapshot.stats().chunks.max(LEAST_CHUNKS) as f32;
    let mut terms: Vec<Term> = Vec::new();
    for word in normal.split(' ').filter(|word| !text::is_question_word(word, english) && !is_letter(word)) {
        let stems = text::lexical_tokens(word, language, Form::Folded);
        let spaceless = stems.len() > 1;
        for stem in stems {
            let known = terms.iter().any(|term| term.stem == stem);
            if known || text::is_question_word(&stem, english) || terms.len() == MOST_TERMS {
                continue;
            }
            let frequency = snapshot.document_frequency(LexicalField::Folded, &stem)? as f32;
            let weight = (1.0 + (chunks - frequency + 0.5).max(0.5) / (frequency + 0.5)).ln();
            terms.push(Term { word: if spaceless { stem.clone() } else { word.to_owned() }, stem, weight });
        }
    }
    Ok(terms)
}

/// A single letter of a script with upper and lower case says nothing.
fn is_letter(word: &str) -> bool {
    let mut chars = word.chars();
    chars.next().is_none_or(char::is_lowercase) && chars.next().is_none()
}

fn meaning(snapshot: &dyn Snapshot, model: &dyn EmbeddingModel, question: &str, terms: &[Term]) -> Result<Meaning> {
    let relation = relation(snapshot, question, terms);
    let mut texts: Vec<&str> = vec![question, &relation];
    texts.extend(terms.iter().map(|term| term.word.as_str()));
    let mut vectors = model.embed(&texts)?.into_iter();
    Ok(Meaning {
        whole: vectors.next().unwrap_or_default(),
        relation: vectors.next().unwrap_or_default(),
        terms: vectors.collect(),
    })
}

/// The terms' words without those of the names that the graph knows.
fn relation(snapshot: &dyn Snapshot, question: &str, terms: &[Term]) -> String {
    let graph = snapshot.phrases();
    let known = |key: &str| graph.find(key).is_some_and(|phrase| !graph.is_common(phrase));
    let telling = |key: &str| {
        let Some(phrase) = graph.find(key).filter(|phrase| !graph.sharers(*phrase).is_empty()) else { return false };
        let idf = (1.0 + graph.chunk_count() as f32 / graph.frequency(phrase).max(1) as f32).ln();
        key.chars().count() > 3 && idf > TELLING_IDF
    };
    let names = text::query_phrases(question, known, telling);
    let named: HashSet<&str> = names.iter().flat_map(|name| name.split(' ')).collect();
    let left: Vec<&str> = terms.iter().map(|term| term.word.as_str()).filter(|word| !named.contains(word)).collect();
    left.join(" ")
}
