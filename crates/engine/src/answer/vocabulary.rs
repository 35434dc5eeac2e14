//! The distinct words of all candidate sentences, each compared with the question once.

use std::collections::HashMap;

use lorekeep_text::{self as text, Form, WordKind};
use lorekeep_types::{EmbeddingModel, Result};

use super::question::{Question, TermSet};

/// Fewer common first letters than this do not relate two words.
const SHORTEST_PREFIX: usize = 4;

/// From this length of the shorter word on, its last three letters may differ.
const LONG_WORD: usize = 8;

/// What a word has to do with the question.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    /// Terms it is.
    pub(super) exact: TermSet,
    /// Terms it is or shares its beginning with.
    pub(super) soft: TermSet,
    pub(super) kind: WordKind,
    /// The question does not hold it.
    pub(super) is_new: bool,
    /// A word without topic.
    pub(super) is_stop: bool,
}

/// Words by number.
pub(super) struct Vocabulary<'q> {
    question: &'q Question,
    numbers: HashMap<String, u32>,
    words: Vec<Word>,
    spellings: Vec<String>,
    /// Nearness of word *w* to term *t* at `w · terms + t`; empty without a model.
    near: Vec<f32>,
}

impl<'q> Vocabulary<'q> {
    pub(super) fn new(question: &'q Question) -> Self {
        Self { question, numbers: HashMap::new(), words: Vec::new(), spellings: Vec::new(), near: Vec::new() }
    }

    /// The distinct words of normalised text, in order of first occurrence.
    pub(super) fn read(&mut self, normal: &str) -> Vec<u32> {
        let mut found = Vec::new();
        for word in normal.split(' ').filter(|word| !word.is_empty()) {
            let number = self.number(word);
            if !found.contains(&number) {
                found.push(number);
            }
        }
        found
    }

    fn number(&mut self, word: &str) -> u32 {
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        let number = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        self.words.push(compare(self.question, word));
        self.spellings.push(word.to_owned());
        self.numbers.insert(word.to_owned(), number);
        number
    }

    pub(super) fn word(&self, number: u32) -> Option<&Word> {
        self.words.get(number as usize)
    }

    pub(super) fn words<'a>(&'a self, numbers: &'a [u32]) -> impl Iterator<Item = &'a Word> {
        numbers.iter().filter_map(|number| self.word(*number))
    }

    /// The content words of a sentence, as text.
    pub(super) fn content(&self, numbers: &[u32]) -> String {
        let content = numbers.iter().filter(|number| self.word(**number).is_some_and(|word| !word.is_stop));
        let spellings: Vec<&str> =
            content.filter_map(|number| self.spellings.get(*number as usize)).map(String::as_str).collect();
        spellings.join(" ")
    }

    /// Compares every word read so far with every term by meaning.
    pub(super) fn embed(&mut self, model: &dyn EmbeddingModel) -> Result<()> {
        let Some(meaning) = &self.question.meaning else { return Ok(()) };
        let content =
            |(word, spelling): (&Word, &'_ String)| if word.is_stop { String::new() } else { spelling.clone() };
        let texts: Vec<String> = self.words.iter().zip(&self.spellings).map(content).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let vectors = model.embed(&texts)?;
        self.near = vectors
            .iter()
            .flat_map(|vector| meaning.terms.iter().map(move |term| dot(vector, term).max(0.0)))
            .collect();
        Ok(())
    }

    /// For every term the nearness of the nearest of these words, 0..1.
    pub(super) fn nearest(&self, numbers: &[u32]) -> Vec<f32> {
        let terms = self.question.terms.len();
        let mut best = vec![0.0_f32; terms];
        for number in numbers {
            let row = self.near.get(*number as usize * terms..).unwrap_or_default();
            for (most, value) in best.iter_mut().zip(row) {
                *most = most.max(*value);
            }
        }
        best
    }
}

/// Cosine of two vectors of length 1.
pub(super) fn dot(one: &[f32], other: &[f32]) -> f32 {
    let (one, one_rest) = one.as_chunks::<8>();
    let (other, other_rest) = other.as_chunks::<8>();
    let mut sums = [0.0_f32; 8];
    for (a, b) in one.iter().zip(other) {
        for (sum, (x, y)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += x * y;
        }
    }
    let rest: f32 = one_rest.iter().zip(other_rest).map(|(x, y)| x * y).sum();
    sums.iter().sum::<f32>() + rest
}

fn compare(question: &Question, word: &str) -> Word {
    let stems = text::lexical_tokens(word, question.language.as_deref(), Form::Folded);
    let is_stop = stems.is_empty();
    let mut compared =
        Word { exact: 0, soft: 0, kind: text::word_kind(word), is_new: !question.words.contains(word), is_stop };
    for (at, term) in question.terms.iter().enumerate() {
        if stems.contains(&term.stem) {
            compared.exact |= 1 << at;
        }
        if !is_stop && shares_beginning(word, &term.word) {
            compared.soft |= 1 << at;
        }
    }
    compared.soft |= compared.exact;
    compared
}

/// Whether two words look like forms of one word: they share all but their ends.
fn shares_beginning(one: &str, other: &str) -> bool {
    if one.as_bytes().first() != other.as_bytes().first() {
        return false;
    }
    let shorter = one.chars().count().min(other.chars().count());
    let common = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let needed = if shorter < LONG_WORD { SHORTEST_PREFIX.max((3 * shorter).div_ceil(4)) } else { shorter - 3 };
    shorter >= SHORTEST_PREFIX && common >= needed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_word_share_their_beginning() {
        for (one, other) in [("kirjan", "kirja"), ("produksi", "produk"), ("independence", "independent")] {
            assert!(shares_beginning(one, other), "{one} {other}");
        }
        for (one, other) in [("cat", "cats"), ("station", "statute"), ("", "x"), ("ship", "shop")] {
            assert!(!shares_beginning(one, other), "{one} {other}");
        }
    }

    #[test]
    fn dot_of_any_length() {
        let long: Vec<f32> = (0_u8..19).map(f32::from).collect();
        assert!((dot(&long, &long) - 2109.0).abs() < 1e-3);
        assert!(dot(&[], &[]).abs() < f32::EPSILON);
    }
}
