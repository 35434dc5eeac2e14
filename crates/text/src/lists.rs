//! The word lists under `data/`, each read once into a set. The lists themselves are data, not code.

use std::collections::HashSet;
use std::sync::LazyLock;

/// A set of words of a data file.
pub(crate) type WordList = LazyLock<HashSet<&'static str>>;

/// Words without a topic, never indexed.
pub(crate) static STOP: WordList = LazyLock::new(|| words(include_str!("../data/stop.txt")).collect());

/// Words that do not begin a name, besides stop words and connectors.
pub(crate) static LEAD: WordList = LazyLock::new(|| words(include_str!("../data/lead.txt")).collect());

/// Lower-case words that may stand inside a name.
pub(crate) static CONNECTORS: WordList = LazyLock::new(|| words(include_str!("../data/connectors.txt")).collect());

/// The words of a list file: separated by white space, lines that start with `#` are remarks.
pub(crate) fn words(file: &'static str) -> impl Iterator<Item = &'static str> {
    file.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace)
}

/// Whether a folded, lower-cased word is a stop word.
#[must_use]
pub fn is_stop_word(word: &str) -> bool {
    STOP.contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_are_not_words() {
        assert!(is_stop_word("which"));
        assert!(!is_stop_word("topic"));
        assert!(!STOP.contains("#"));
        assert!(CONNECTORS.contains("&"));
    }
}
