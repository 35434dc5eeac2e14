//! The texts of entities and relations, made from sentences of the documents. Pure.

use std::collections::HashSet;

use lorekeep_types::ByteSpan;

/// Most characters of a description.
pub(super) const MOST_CHARACTERS: usize = 1_200;
/// Most verb phrases of a relation.
const MOST_KEYWORDS: usize = 10;

/// The part of `span` (offsets in the document) that lies in a chunk, given the chunk's place and text.
pub(super) fn slice(chunk_start: usize, chunk: &str, span: ByteSpan) -> &str {
    let offset = |at: usize| {
        let mut inside = at.saturating_sub(chunk_start).min(chunk.len());
        while !chunk.is_char_boundary(inside) {
            inside -= 1;
        }
        inside
    };
    chunk.get(offset(span.start)..offset(span.end)).unwrap_or_default()
}

/// Sentences joined by a space, each once, white space made single, as many whole ones as fit; the first is cut
/// when it alone is too long.
pub(super) fn join<'a>(sentences: impl IntoIterator<Item = &'a str>) -> String {
    let mut seen = HashSet::new();
    let mut joined = String::new();
    let mut characters = 0;
    for sentence in sentences {
        let sentence = single_spaced(sentence);
        if sentence.is_empty() || !seen.insert(sentence.clone()) {
            continue;
        }
        let count = sentence.chars().count();
        if joined.is_empty() {
            joined.extend(sentence.chars().take(MOST_CHARACTERS));
            characters = count;
        } else if characters + 1 + count <= MOST_CHARACTERS {
            joined.push(' ');
            joined.push_str(&sentence);
            characters += 1 + count;
        }
    }
    joined
}

/// Verb phrases and keywords, which may come as lists with commas, most frequent first (ties: first met), joined by `, `.
pub(super) fn keywords<'a>(phrases: impl IntoIterator<Item = &'a str>) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    let phrases = phrases.into_iter().flat_map(|phrases| phrases.split(',')).map(str::trim);
    for phrase in phrases.filter(|phrase| !phrase.is_empty()) {
        match counts.iter_mut().find(|(known, _)| *known == phrase) {
            Some((_, count)) => *count += 1,
            None => counts.push((phrase, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts.iter().take(MOST_KEYWORDS).map(|(phrase, _)| *phrase).collect::<Vec<_>>().join(", ")
}

fn single_spaced(text: &str) -> String {
    let mut words = text.split_whitespace();
    let mut spaced = words.next().unwrap_or_default().to_owned();
    for word in words {
        spaced.push(' ');
        spaced.push_str(word);
    }
    spaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_never_leaves_its_chunk_or_splits_a_character() {
        let chunk = "Đà Nẵng is a city.";
        assert_eq!(slice(100, chunk, ByteSpan::new(100, 100 + chunk.len())), chunk);
        assert_eq!(slice(100, chunk, ByteSpan::new(90, 500)), chunk);
        assert_eq!(slice(100, chunk, ByteSpan::new(101, 104)), "Đà");
        assert_eq!(slice(100, chunk, ByteSpan::new(0, 50)), "");
    }

    #[test]
    fn sentences_are_joined_once_each_up_to_the_limit() {
        assert_eq!(join(["A  is\na thing.", "B is.", "A is a thing."]), "A is a thing. B is.");
        let long = "x".repeat(2_000);
        assert_eq!(join([long.as_str()]).chars().count(), MOST_CHARACTERS);
        let most = "y".repeat(1_190);
        assert_eq!(join([most.as_str(), "does not fit at all", "fits."]), format!("{most} fits."));
    }

    #[test]
    fn keywords_put_the_most_frequent_first() {
        assert_eq!(keywords(["founded", "", "led", "led"]), "led, founded");
        assert_eq!(keywords(["led, music", "music"]), "music, led");
        assert_eq!(keywords([""]), "");
    }
}
