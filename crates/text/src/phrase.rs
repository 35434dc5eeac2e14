//! Phrases: the normalised names that link passages to one another and questions to passages.
//!
//! Which passages share a phrase, and what that is worth, belongs to `lorekeep_types::PhraseGraph`.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::fold::{base_title, norm};
use crate::lexical::is_spaceless;
use crate::lists::is_stop_word;
use crate::span::{capitalised_spans, quoted_spans};

/// Longest run of words that is matched against the titles of a workspace.
const LONGEST_TITLE: usize = 8;

/// Longest run of words of a question that is matched against phrases.
const LONGEST_QUERY_PHRASE: usize = 9;

/// A phrase of a passage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phrase {
    /// Normal form; one key is one phrase.
    pub key: String,
    /// Bytes of its first occurrence; `None` for an own key that the passage does not spell out.
    pub span: Option<Range<usize>>,
    /// Occurrences, at least 1.
    pub count: u32,
    /// Whether it names the passage's own topic.
    pub own: bool,
}

/// Whether a normal form may be a phrase: more than two characters (two in scripts without spaces), not a stop
/// word, not a number.
#[must_use]
pub fn is_phrase_key(key: &str) -> bool {
    let characters = key.chars().count();
    let long_enough = characters > 2 || (characters == 2 && key.chars().all(is_spaceless));
    long_enough && !is_stop_word(key) && !key.chars().all(|c| c.is_numeric())
}

/// The keys that name a passage's own topic: its headings, or without any the title of its document.
#[must_use]
pub fn own_keys(headings: &[String], document_title: &str) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    let mut add = |title: &str| {
        let key = norm(base_title(title));
        if is_phrase_key(&key) && !keys.contains(&key) {
            keys.push(key);
        }
    };
    headings.iter().for_each(|heading| add(heading));
    if headings.is_empty() {
        add(document_title);
    }
    keys
}

/// Whether an own key belongs into the dictionary of titles: two words or more, or more than three characters.
#[must_use]
pub fn is_title_key(key: &str) -> bool {
    key.contains(' ') || key.chars().count() > 3
}

/// The phrases of a passage, one per key in order of first occurrence: capitalised spans, quoted strings and its
/// [`own_keys`]. Occurrences of other passages' titles in lower case come from [`TitleDictionary::matches`].
#[must_use]
pub fn phrases(text: &str, own: &[String]) -> Vec<Phrase> {
    let mut spans = capitalised_spans(text);
    spans.extend(quoted_spans(text));
    spans.sort_by_key(|span| span.start);
    let mut found: Vec<Phrase> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for span in spans {
        let key = norm(text.get(span.clone()).unwrap_or_default());
        if !is_phrase_key(&key) {
            continue;
        }
        if let Some(phrase) = places.get(&key).and_then(|place| found.get_mut(*place)) {
            phrase.count += 1;
        } else {
            places.insert(key.clone(), found.len());
            found.push(Phrase { own: own.contains(&key), key, span: Some(span), count: 1 });
        }
    }
    let missing = own.iter().filter(|key| !places.contains_key(*key));
    found.extend(missing.map(|key| Phrase { key: key.clone(), span: None, count: 1, own: true }));
    found
}

/// The titles of a workspace, for finding them in running text whatever the case.
#[derive(Clone, Debug, Default)]
pub struct TitleDictionary {
    titles: HashSet<String>,
    /// Words of the longest title that begins with a word. Removals leave it too large, which costs time only.
    longest: HashMap<String, usize>,
}

impl TitleDictionary {
    /// Adds an own key; keys that are no titles ([`is_title_key`]) are passed over. `false` when nothing changed.
    pub fn insert(&mut self, key: &str) -> bool {
        if !is_title_key(key) || !self.titles.insert(key.to_owned()) {
            return false;
        }
        let words = key.split(' ').count();
        let first = key.split(' ').next().unwrap_or_default();
        if words <= LONGEST_TITLE {
            let longest = self.longest.entry(first.to_owned()).or_default();
            *longest = words.max(*longest);
        }
        true
    }

    /// Removes a key. `false` when it was not there.
    pub fn remove(&mut self, key: &str) -> bool {
        self.titles.remove(key)
    }

    /// Whether the key is a title.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.titles.contains(key)
    }

    /// At each word of normalised text the longest title of two to eight words that starts there: keys with their
    /// occurrences, in order of first occurrence.
    #[must_use]
    pub fn matches<'a>(&self, normalised: &'a str) -> Vec<(&'a str, u32)> {
        let mut found: Vec<(&str, u32)> = Vec::new();
        let words: Vec<(usize, usize)> = word_bounds(normalised);
        for (at, (start, end)) in words.iter().enumerate() {
            let first = normalised.get(*start..*end).unwrap_or_default();
            let Some(longest) = self.longest.get(first) else {
                continue;
            };
            let Some(title) = self.longest_from(normalised, words.get(at..).unwrap_or_default(), *longest) else {
                continue;
            };
            match found.iter_mut().find(|(key, _)| *key == title) {
                Some((_, count)) => *count += 1,
                None => found.push((title, 1)),
            }
        }
        found
    }

    fn longest_from<'a>(&self, text: &'a str, words: &[(usize, usize)], longest: usize) -> Option<&'a str> {
        let (start, _) = *words.first()?;
        let candidates = words.iter().take(longest).skip(1).rev();
        candidates.filter_map(|(_, end)| text.get(start..*end)).find(|candidate| self.titles.contains(*candidate))
    }
}

fn word_bounds(normalised: &str) -> Vec<(usize, usize)> {
    let mut bounds = Vec::new();
    let mut start = 0;
    for word in normalised.split(' ') {
        if !word.is_empty() {
            bounds.push((start, start + word.len()));
        }
        start += word.len() + 1;
    }
    bounds
}

/// The phrases of a question: exact matches of its normalised words (nine to one) that `known` confirms, longest
/// first, without overlap, in order of place. A single word counts only if the question capitalises it, or if
/// `telling` says that it is a rare title.
#[must_use]
pub fn query_phrases(query: &str, known: impl Fn(&str) -> bool, telling: impl Fn(&str) -> bool) -> Vec<String> {
    let normalised = norm(query);
    let words = word_bounds(&normalised);
    let capitalised: HashSet<String> =
        capitalised_spans(query).into_iter().map(|span| norm(query.get(span).unwrap_or_default())).collect();
    let mut taken = vec![false; words.len()];
    let mut found: Vec<(usize, &str)> = Vec::new();
    for length in (1..=LONGEST_QUERY_PHRASE.min(words.len())).rev() {
        for at in 0..=words.len() - length {
            let (Some((start, _)), Some((_, end))) = (words.get(at), words.get(at + length - 1)) else {
                continue;
            };
            let candidate = normalised.get(*start..*end).unwrap_or_default();
            let free = taken.get(at..at + length).is_some_and(|range| !range.contains(&true));
            if free && known(candidate) && (length > 1 || capitalised.contains(candidate) || telling(candidate)) {
                taken.iter_mut().skip(at).take(length).for_each(|word| *word = true);
                found.push((at, candidate));
            }
        }
    }
    found.sort_unstable();
    let mut keys: Vec<String> = Vec::with_capacity(found.len());
    for (_, key) in found {
        if !keys.iter().any(|known| known == key) {
            keys.push(key.to_owned());
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_that_say_something() {
        assert!(is_phrase_key("manila"));
        assert!(is_phrase_key("北京"));
        for poor in ["", "ab", "the", "1999"] {
            assert!(!is_phrase_key(poor), "{poor}");
        }
    }

    #[test]
    fn headings_come_before_the_title() {
        let headings = ["Safe (2012 film)".to_owned(), "Safe".to_owned(), "1999".to_owned()];
        assert_eq!(own_keys(&headings, "Films"), ["safe"]);
        assert_eq!(own_keys(&[], "Volume 1"), ["volume 1"]);
        assert!(own_keys(&["7".to_owned()], "Films").is_empty());
    }

    #[test]
    fn phrases_count_and_know_their_own() {
        let own = ["hello love".to_owned(), "not spelt".to_owned()];
        let found = phrases("Manila's \"hello love\" plays in Manila.", &own);
        let brief: Vec<_> = found.iter().map(|p| (p.key.as_str(), p.count, p.own, p.span.is_some())).collect();
        assert_eq!(brief, [("manila", 2, false, true), ("hello love", 1, true, true), ("not spelt", 1, true, false)]);
    }

    #[test]
    fn titles_in_running_text() {
        let mut titles = TitleDictionary::default();
        for key in ["wound healing", "wound", "healing of the sick", "abc"] {
            titles.insert(key);
        }
        let text = "wound healing of the sick and wound healing";
        assert_eq!(titles.matches(text), [("wound healing", 2), ("healing of the sick", 1)]);
        assert!(titles.remove("wound healing"));
        assert_eq!(titles.matches(text), [("healing of the sick", 1)]);
        assert!(titles.contains("wound") && !titles.contains("abc"));
        assert!(titles.matches("").is_empty());
    }

    #[test]
    fn the_longest_query_phrase_wins() {
        let known = ["journal of psychotherapy", "journal", "psychotherapy", "president"];
        let found = query_phrases(
            "Who was the president of Journal of Psychotherapy, the journal?",
            |key| known.contains(&key),
            |key| key == "president",
        );
        assert_eq!(found, ["president", "journal of psychotherapy"]);
        assert!(query_phrases("", |_| true, |_| true).is_empty());
    }

    proptest! {
        #[test]
        fn matches_are_titles_of_the_text(words in proptest::collection::vec("[ab]{1,2}", 0..12)) {
            let text = words.join(" ");
            let mut titles = TitleDictionary::default();
            for pair in words.windows(2).step_by(3) {
                titles.insert(&pair.join(" "));
            }
            let total: u32 = titles.matches(&text).iter().map(|(_, count)| count).sum();
            let expected = words.windows(2).filter(|pair| titles.contains(&pair.join(" "))).count();
            prop_assert_eq!(total as usize, expected);
        }
    }
}
