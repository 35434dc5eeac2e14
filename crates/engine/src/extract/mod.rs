//! Entities and relations of documents. The built-in extractor needs no model: names are found by their looks, types
//! by cues, definitions by their form, and two names of one sentence are related by the words between them.
//!
//! Which strings are names is decided by `lorekeep_text`, because questions must agree; how documents add up to
//! one graph is the store's. `draft` gathers what is found, `cues` reads types, `definition` and `keywords` read
//! sentences, `alias` finds names that a document equates, `words` holds the word lists. `model` joins to this what a
//! model finds.

mod alias;
mod cues;
mod definition;
mod draft;
mod keywords;
pub(crate) mod likeness;
pub(crate) mod model;
mod words;

use std::ops::Range;

use lorekeep_text::{base_title, capitalised_spans, is_phrase_key, norm, own_keys, quoted_spans, sentences};
use lorekeep_types::{ByteSpan, Cancel, Error, ErrorCode, Extraction, NewChunk, Result};

use draft::Draft;

/// Relations read from one sentence at most.
const MOST_RELATIONS: usize = 12;

/// Longer sentences (tables, lists) are not read for relations, in bytes.
const LONGEST_RELATING: usize = 2_000;

/// Longer sentences define nothing, in bytes.
const LONGEST_DEFINING: usize = 600;

/// Shorter sentences do not introduce a section, in bytes.
const SHORTEST_INTRODUCTION: usize = 25;

/// Qualities of definitions.
mod quality {
    /// The name opens the sentence and a copula follows: `X is a …`.
    pub(super) const OPENING: u8 = 9;
    /// An apposition: `X, a …,`.
    pub(super) const APPOSITION: u8 = 6;
    /// A copula follows within the sentence.
    pub(super) const INNER: u8 = 5;
    /// The first sentence of the section that the name heads.
    pub(super) const INTRODUCTION: u8 = 4;
    /// The sentence begins with the name.
    pub(super) const SUBJECT: u8 = 1;
}

/// A name in a chunk; bytes of the chunk's text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Occurrence {
    entity: u32,
    span: Range<usize>,
}

/// Reads the entities, mentions and relations of a document's chunks. `title` is the document's own title or its
/// name. A chunk's mentions are the phrases that `lorekeep_text::phrases` finds in it, except that a name and
/// the abbreviation which the document gives it are one entity.
///
/// # Errors
/// `Cancelled`.
pub(crate) fn extract(title: &str, chunks: &[NewChunk], cancel: &Cancel) -> Result<Extraction> {
    let mut draft = Draft::default();
    for chunk in chunks {
        if cancel.is_cancelled() {
            return Err(Error::new(ErrorCode::Cancelled, "the work was cancelled"));
        }
        read_chunk(&mut draft, title, chunk);
    }
    Ok(draft.finish())
}

fn read_chunk<'a>(draft: &mut Draft<'a>, title: &'a str, chunk: &'a NewChunk) {
    let own = own_keys(&chunk.headings, title);
    let occurrences = occurrences(draft, &chunk.text);
    for occurrence in &occurrences {
        let is_own = own.iter().any(|key| draft.is(occurrence.entity, key));
        draft.mention(occurrence.entity, chunk, placed(chunk, &occurrence.span), is_own);
        cues::read_context(draft, &chunk.text, occurrence);
    }
    for key in &own {
        let name =
            || chunk.headings.iter().map(String::as_str).chain([title]).map(base_title).find(|h| norm(h) == *key);
        let entity = draft.entity(key, || name().unwrap_or_default());
        draft.mention_unspoken(entity, chunk);
    }
    let topic = topic(draft, title, chunk);
    alias::read(draft, &chunk.text, &occurrences);
    read_sentences(draft, chunk, &occurrences, topic);
}

/// The names in a text in order; of two that begin together the longer comes first.
fn occurrences<'a>(draft: &mut Draft<'a>, text: &'a str) -> Vec<Occurrence> {
    let mut spans = capitalised_spans(text);
    spans.extend(quoted_spans(text));
    spans.sort_by_key(|span| (span.start, usize::MAX - span.end));
    let mut found = Vec::with_capacity(spans.len());
    for span in spans {
        let name = text.get(span.clone()).unwrap_or_default();
        let key = norm(name);
        if is_phrase_key(&key) {
            found.push(Occurrence { entity: draft.named(key, name), span });
        }
    }
    found
}

/// The entity that the chunk is about: its governing heading, or the document.
fn topic(draft: &Draft<'_>, title: &str, chunk: &NewChunk) -> Option<u32> {
    let heading = chunk.heading_path.last().or_else(|| chunk.headings.first());
    draft.known(&norm(base_title(heading.map_or(title, String::as_str))))
}

fn placed(chunk: &NewChunk, span: &Range<usize>) -> ByteSpan {
    ByteSpan::new(chunk.span.start + span.start, chunk.span.start + span.end)
}

fn read_sentences(draft: &mut Draft<'_>, chunk: &NewChunk, occurrences: &[Occurrence], topic: Option<u32>) {
    let mut ahead = occurrences;
    let mut introduced = topic.is_none_or(|topic| draft.is_introduced(topic));
    for sentence in sentences(&chunk.text) {
        let skipped = ahead.partition_point(|occurrence| occurrence.span.start < sentence.start);
        ahead = ahead.get(skipped..).unwrap_or_default();
        let count = ahead.partition_point(|occurrence| occurrence.span.start < sentence.end);
        let (inside, rest) = ahead.split_at_checked(count).unwrap_or((ahead, &[]));
        ahead = rest;
        let place = placed(chunk, &sentence);
        // Chunks may overlap; a sentence is read once.
        if place.start < draft.read_to {
            continue;
        }
        draft.read_to = place.end;
        let words = chunk.text.get(sentence.clone()).unwrap_or_default();
        if let (false, Some(topic)) = (introduced, topic)
            && words.len() >= SHORTEST_INTRODUCTION
            && !chunk.headings.iter().any(|heading| words.ends_with(heading.as_str()))
        {
            introduced = true;
            draft.define(topic, place, quality::INTRODUCTION);
            draft.set_introduced(topic);
        }
        read_sentence(draft, chunk, &sentence, inside, topic);
    }
}

fn read_sentence(
    draft: &mut Draft<'_>,
    chunk: &NewChunk,
    sentence: &Range<usize>,
    inside: &[Occurrence],
    topic: Option<u32>,
) {
    let place = placed(chunk, sentence);
    if place.len() <= LONGEST_DEFINING {
        define(draft, &chunk.text, sentence, inside, place);
    }
    if place.len() <= LONGEST_RELATING {
        relate(draft, chunk, sentence, inside, topic);
    }
}

fn define(draft: &mut Draft<'_>, text: &str, sentence: &Range<usize>, inside: &[Occurrence], place: ByteSpan) {
    for (at, occurrence) in inside.iter().enumerate() {
        let before = text.get(sentence.start..occurrence.span.start).unwrap_or_default();
        let after = text.get(occurrence.span.end..sentence.end).unwrap_or_default();
        let opens = definition::is_opening(before);
        if let Some(defined) = definition::read(after) {
            let quality = match defined.form {
                definition::Form::Apposition => quality::APPOSITION,
                definition::Form::Copula if opens => quality::OPENING,
                definition::Form::Copula => quality::INNER,
            };
            draft.define(occurrence.entity, place, quality);
            if let Some(kind) = defined.kind {
                draft.vote(occurrence.entity, kind, cues::DEFINED);
            }
        } else if at == 0 && opens {
            draft.define(occurrence.entity, place, quality::SUBJECT);
        }
    }
}

fn relate(draft: &mut Draft<'_>, chunk: &NewChunk, sentence: &Range<usize>, inside: &[Occurrence], topic: Option<u32>) {
    let evidence = placed(chunk, sentence);
    let text = |range: Range<usize>| chunk.text.get(range).unwrap_or_default();
    let mut before: Option<&Occurrence> = None;
    let mut pairs: Vec<(u32, u32)> = Vec::new();
    let mut relate = |a: u32, b: u32, between: &str| {
        let pair = (a.min(b), a.max(b));
        if a != b && pairs.len() < MOST_RELATIONS && !pairs.contains(&pair) {
            pairs.push(pair);
            draft.relate((a, b), keywords::read(between), evidence, chunk.position);
        }
    };
    for occurrence in inside {
        match before {
            Some(before) if occurrence.span.start < before.span.end => continue,
            Some(before) => {
                relate(before.entity, occurrence.entity, text(before.span.end..occurrence.span.start));
            }
            None => {
                let opening = text(sentence.start..occurrence.span.start);
                let about = topic.filter(|topic| inside.iter().all(|other| other.entity != *topic));
                if let (Some(topic), true) = (about, keywords::points_back(opening)) {
                    relate(topic, occurrence.entity, opening);
                }
            }
        }
        before = Some(occurrence);
    }
}

#[cfg(test)]
mod tests;
