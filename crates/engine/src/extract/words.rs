//! The extractor's word lists. They are data files: one entry per line, `#` begins a comment line, everything
//! folded and lower case.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::cues::{Kind, Place};

pub(super) type Words = LazyLock<HashSet<&'static str>>;

pub(super) static COPULAS: Words = LazyLock::new(|| lines(include_str!("../../data/copulas.txt")).collect());
pub(super) static ALIAS_CUES: Words = LazyLock::new(|| lines(include_str!("../../data/alias-cues.txt")).collect());
pub(super) static GIVEN_NAMES: Words = LazyLock::new(|| words(include_str!("../../data/given-names.txt")).collect());
pub(super) static FUNCTION_WORDS: Words =
    LazyLock::new(|| words(include_str!("../../data/function-words.txt")).collect());
pub(super) static VERBS: Words = LazyLock::new(|| words(include_str!("../../data/verb-words.txt")).collect());
pub(super) static PRONOUNS: Words = LazyLock::new(|| words(include_str!("../../data/pronouns.txt")).collect());
pub(super) static NOUN_ENDS: Words = LazyLock::new(|| words(include_str!("../../data/noun-ends.txt")).collect());
pub(super) static MONTHS: Words = LazyLock::new(|| words(include_str!("../../data/months.txt")).collect());

/// What a word of a name says, and where it must stand.
pub(super) static NAME_CUES: LazyLock<HashMap<&'static str, (Kind, Place)>> = LazyLock::new(|| {
    let line = |line: &'static str| {
        let (word, rest) = line.split_once(' ')?;
        let (kind, place) = rest.split_once(' ')?;
        Some((word, (Kind::parse(kind)?, Place::parse(place)?)))
    };
    lines(include_str!("../../data/name-cues.txt")).filter_map(line).collect()
});

/// What the word before a name says.
pub(super) static BEFORE_CUES: LazyLock<HashMap<&'static str, Kind>> =
    LazyLock::new(|| kinds(include_str!("../../data/before-cues.txt")));

/// What a defining noun says.
pub(super) static NOUNS: LazyLock<HashMap<&'static str, Kind>> =
    LazyLock::new(|| kinds(include_str!("../../data/nouns.txt")));

fn kinds(file: &'static str) -> HashMap<&'static str, Kind> {
    let line = |line: &'static str| {
        let (word, kind) = line.split_once(' ')?;
        Some((word, Kind::parse(kind)?))
    };
    lines(file).filter_map(line).collect()
}

fn lines(file: &'static str) -> impl Iterator<Item = &'static str> {
    file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn words(file: &'static str) -> impl Iterator<Item = &'static str> {
    lines(file).flat_map(str::split_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_understood() {
        let files = [
            (include_str!("../../data/name-cues.txt"), NAME_CUES.len()),
            (include_str!("../../data/before-cues.txt"), BEFORE_CUES.len()),
            (include_str!("../../data/nouns.txt"), NOUNS.len()),
        ];
        for (file, read) in files {
            assert_eq!(lines(file).count(), read, "an entry is malformed or doubled");
        }
    }

    #[test]
    fn entries_are_folded() {
        let lists = [&COPULAS, &ALIAS_CUES, &GIVEN_NAMES, &FUNCTION_WORDS, &VERBS, &PRONOUNS, &NOUN_ENDS, &MONTHS];
        for entry in lists.iter().flat_map(|list| list.iter()) {
            assert_eq!(lorekeep_text::norm(entry), *entry);
        }
    }
}
