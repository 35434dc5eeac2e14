//! Joining what a model found in the passages of a document with what the built-in rules find there.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use lorekeep_text::{is_phrase_key, norm, sentences};
use lorekeep_types::{ByteSpan, Cancel, Error, ErrorCode, Extraction, NewChunk, NewRelation, Result};
use serde::{Deserialize, Serialize};

use super::super::draft::Draft;
use super::super::{placed, read_chunk};
use super::Found;

/// Punctuation beside that of ASCII which stands between words.
const APART: &str = "«»“”„–—…，。、；：？！（）";

/// What the graph of a passage that a model has read is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Combine {
    /// What the model found, and what the built-in rules find besides: the model's word counts where both speak.
    #[default]
    Both,
    /// What the model found alone.
    Model,
}

/// Reads a document's graph from its chunks and from what a model found in them; a chunk without such a finding (`None`)
/// is read by the built-in rules alone. Types other than `types` are taken for unknown.
///
/// # Errors
/// `Cancelled`.
pub(crate) fn combine(
    title: &str,
    chunks: &[NewChunk],
    found: &[Option<Found>],
    (types, how): (&[String], Combine),
    cancel: &Cancel,
) -> Result<Extraction> {
    let mut draft = Draft::default();
    for (place, chunk) in chunks.iter().enumerate() {
        if cancel.is_cancelled() {
            return Err(Error::new(ErrorCode::Cancelled, "the work was cancelled"));
        }
        let told = found.get(place).and_then(Option::as_ref);
        if told.is_none() || how == Combine::Both {
            read_chunk(&mut draft, title, chunk);
        }
        if let Some(told) = told {
            read_told(&mut draft, chunk, told, types);
        }
    }
    Ok(draft.finish())
}

fn read_told<'a>(draft: &mut Draft<'a>, chunk: &'a NewChunk, found: &'a Found, types: &[String]) {
    let words = Words::of(&chunk.text);
    let mut known: Vec<(String, u32)> = Vec::with_capacity(found.entities.len());
    let mut entity = |draft: &mut Draft<'a>, name: &'a str| -> Option<u32> {
        let key = norm(name);
        if !is_phrase_key(&key) {
            return None;
        }
        if let Some((_, number)) = known.iter().find(|(one, _)| *one == key) {
            return Some(*number);
        }
        // Writing without spaces is looked through letter by letter.
        let place = words.find(&key).or_else(|| chunk.text.find(name).map(|at| at..at + name.len()));
        // The passage's own spelling is preferred, as the built-in rules take it.
        let spelt = place.clone().and_then(|place| chunk.text.get(place)).unwrap_or(name);
        let number = draft.named(key.clone(), spelt);
        draft.mention_told(number, chunk, place.map(|place| placed(chunk, &place)));
        known.push((key, number));
        Some(number)
    };
    for one in &found.entities {
        if let Some(number) = entity(draft, &one.name) {
            let is_known = types.contains(&one.kind);
            draft.describe(number, chunk.position, if is_known { &one.kind } else { "" }, &one.description);
        }
    }
    // What the model relates without having named it as an entity is mostly a clause: a link to nowhere.
    let listed: HashSet<String> = found.entities.iter().map(|one| norm(&one.name)).collect();
    let mut end = |draft: &mut Draft<'a>, name: &'a str| {
        let key = norm(name);
        if listed.contains(&key) || draft.known(&key).is_some() { entity(draft, name) } else { None }
    };
    let ends: Vec<_> = found.relations.iter().map(|one| (end(draft, &one.source), end(draft, &one.target))).collect();
    let told: Vec<u32> = known.iter().map(|(_, number)| *number).collect();
    draft.forget_relations(chunk.position, &told);
    let places = sentences(&chunk.text);
    for (one, ends) in found.relations.iter().zip(ends) {
        let (Some(source), Some(target)) = ends else { continue };
        if source == target {
            continue;
        }
        let evidence = evidence(chunk, &places, &words, (&one.source, &one.target));
        draft.relate_told(NewRelation {
            source,
            target,
            keywords: one.keywords.clone(),
            evidence,
            chunk: chunk.position,
            description: one.description.clone(),
        });
    }
}

/// The sentence that names both ends, else the first that names one of them, else the chunk.
fn evidence(chunk: &NewChunk, sentences: &[Range<usize>], words: &Words, (a, b): (&str, &str)) -> ByteSpan {
    let (key_a, key_b) = (norm(a), norm(b));
    let names = |sentence: &Range<usize>, name: &str, key: &str| {
        words.stands_in(key, sentence) || chunk.text.get(sentence.clone()).is_some_and(|text| text.contains(name))
    };
    let both = sentences.iter().find(|sentence| names(sentence, a, &key_a) && names(sentence, b, &key_b));
    let one = || sentences.iter().find(|sentence| names(sentence, a, &key_a) || names(sentence, b, &key_b));
    both.or_else(one).map_or(chunk.span, |sentence| placed(chunk, sentence))
}

/// The normalised words of a text and their places, and where each word stands among them.
struct Words {
    words: Vec<(String, Range<usize>)>,
    at: HashMap<String, Vec<usize>>,
}

impl Words {
    fn of(text: &str) -> Self {
        let mut words = Vec::new();
        let mut start = None;
        for (at, letter) in text.char_indices().chain([(text.len(), ' ')]) {
            let apart =
                letter.is_whitespace() || (letter.is_ascii_punctuation() && letter != '\'') || APART.contains(letter);
            match (apart, start) {
                (false, None) => start = Some(at),
                (true, Some(begin)) => {
                    // What an apostrophe joins is one word of the text and may be two of its normal form.
                    let words_of = norm(text.get(begin..at).unwrap_or_default());
                    let parts = words_of.split(' ').filter(|word| !word.is_empty());
                    words.extend(parts.map(|word| (word.to_owned(), begin..at)));
                    start = None;
                }
                _ => {}
            }
        }
        let mut at: HashMap<String, Vec<usize>> = HashMap::new();
        for (number, (word, _)) in words.iter().enumerate() {
            at.entry(word.clone()).or_default().push(number);
        }
        Self { words, at }
    }

    /// Where a key is first spelt out.
    fn find(&self, key: &str) -> Option<Range<usize>> {
        self.places(key).next()
    }

    fn stands_in(&self, key: &str, sentence: &Range<usize>) -> bool {
        self.places(key).any(|place| sentence.start <= place.start && place.end <= sentence.end)
    }

    fn places<'a>(&'a self, key: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
        let parts: Vec<&str> = key.split(' ').collect();
        let starts = parts.first().and_then(|first| self.at.get(*first));
        starts.into_iter().flatten().filter_map(move |start| {
            let window = self.words.get(*start..start + parts.len())?;
            let same = window.iter().map(|(word, _)| word.as_str()).eq(parts.iter().copied());
            let (first, last) = (window.first()?, window.last()?);
            same.then_some(first.1.start..last.1.end)
        })
    }
}
