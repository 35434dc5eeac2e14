//! WordPiece as uncased BERT models use it: text to the numbers of vocabulary pieces. Special tokens are not
//! recognised in text; what a piece means is [`crate::StaticEmbedder`]'s matter.

use std::sync::LazyLock;

use foldhash::HashMap;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// One piece a line, in the order of their numbers; pieces that continue a word begin with `##`.
static VOCABULARY: LazyLock<Vocabulary> =
    LazyLock::new(|| Vocabulary::read(include_str!("../data/static-en-256-vocabulary.txt")));

/// Longer words are unknown.
const LONGEST_WORD: usize = 100;

#[derive(Default)]
struct Vocabulary {
    starts: HashMap<&'static str, u32>,
    continuations: HashMap<&'static str, u32>,
}

impl Vocabulary {
    fn read(file: &'static str) -> Self {
        let mut vocabulary = Self::default();
        for (number, piece) in (0..).zip(file.lines()) {
            match piece.strip_prefix("##").filter(|rest| !rest.is_empty()) {
                Some(rest) => vocabulary.continuations.insert(rest, number),
                None => vocabulary.starts.insert(piece, number),
            };
        }
        vocabulary
    }

    /// Appends the pieces of a word, the longest first at each place; nothing when a part of it is unknown.
    fn split(&self, word: &str, pieces: &mut Vec<u32>) {
        if word.chars().count() > LONGEST_WORD {
            return;
        }
        let known = pieces.len();
        let mut rest = word;
        while !rest.is_empty() {
            let table = if rest.len() == word.len() { &self.starts } else { &self.continuations };
            let Some((number, length)) = longest(table, rest) else {
                pieces.truncate(known);
                return;
            };
            pieces.push(number);
            rest = rest.get(length..).unwrap_or_default();
        }
    }
}

/// The longest piece that `rest` starts with, and its length.
fn longest(table: &HashMap<&'static str, u32>, rest: &str) -> Option<(u32, usize)> {
    let mut length = rest.len();
    while length > 0 {
        if let Some(number) = rest.get(..length).and_then(|piece| table.get(piece)) {
            return Some((*number, length));
        }
        length = rest.floor_char_boundary(length - 1);
    }
    None
}

/// The numbers of the pieces of `text`; words that the vocabulary cannot spell are left out.
pub(crate) fn pieces(text: &str) -> Vec<u32> {
    let vocabulary = &*VOCABULARY;
    let mut pieces = Vec::with_capacity(text.len() / 4);
    if text.is_ascii() {
        split_words(&text.to_ascii_lowercase(), |word| vocabulary.split(word, &mut pieces));
    } else {
        split_words(&normalise(text), |word| vocabulary.split(word, &mut pieces));
    }
    pieces
}

/// Lower case without accents.
fn normalise(text: &str) -> String {
    text.nfd().filter(|c| !is_nonspacing(*c)).flat_map(char::to_lowercase).collect()
}

/// Close to Unicode's category Mn: the marks of the vocabulary's languages take no room of their own.
fn is_nonspacing(c: char) -> bool {
    is_combining_mark(c) && unicode_normalization::char::canonical_combining_class(c) != 0
}

/// Words, single marks of punctuation and single ideographs of normalised text. Control characters vanish.
fn split_words(text: &str, mut found: impl FnMut(&str)) {
    let mut start = None;
    for (at, c) in text.char_indices() {
        let alone = is_punctuation(c) || is_ideograph(c);
        if alone || c.is_whitespace() || is_ignored(c) {
            if let Some(word) = start.take().and_then(|start| text.get(start..at)) {
                found(word);
            }
            if alone {
                found(text.get(at..at + c.len_utf8()).unwrap_or_default());
            }
        } else if start.is_none() {
            start = Some(at);
        }
    }
    if let Some(word) = start.and_then(|start| text.get(start..)) {
        found(word);
    }
}

fn is_ignored(c: char) -> bool {
    c.is_control() || matches!(c, '\u{fffd}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{feff}')
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(c,
            '\u{a1}' | '\u{a7}' | '\u{ab}' | '\u{b6}' | '\u{b7}' | '\u{bb}' | '\u{bf}' | '\u{2010}'..='\u{2027}'
            | '\u{2030}'..='\u{205e}' | '\u{2e00}'..='\u{2e5d}' | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}'
            | '\u{3014}'..='\u{301f}' | '\u{30fb}' | '\u{ff01}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}'
            | '\u{ff3b}'..='\u{ff40}' | '\u{ff5b}'..='\u{ff65}')
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2fa1f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Expected numbers are those of the reference tokenizer of the same vocabulary.
    #[test]
    fn pieces_equal_the_reference() {
        let expected: [(&str, &[u32]); 8] = [
            ("Hello, world!", &[7592, 1010, 2088, 999]),
            ("unaffable Éclair naïve", &[14477, 20961, 3468, 14925, 19771, 2099, 15743]),
            ("日本語 text", &[1864, 1876, 1950, 3793]),
            (
                "don't e-mail a@b.co $3.50",
                &[2123, 1005, 1056, 1041, 1011, 5653, 1037, 1030, 1038, 1012, 2522, 1002, 1017, 1012, 2753],
            ),
            ("antidisestablishmentarianism", &[3424, 10521, 4355, 7875, 13602, 3672, 12199, 2964]),
            (" \t\n", &[]),
            ("Straße ﬁ", &[2358, 27807, 1984]),
            ("C++ & AT&T “so”", &[1039, 1009, 1009, 1004, 2012, 1004, 1056, 1523, 2061, 1524]),
        ];
        for (text, numbers) in expected {
            assert_eq!(pieces(text), numbers, "{text}");
        }
    }

    #[test]
    fn unknown_words_are_left_out() {
        assert_eq!(pieces("😀 smile"), [2868]);
        assert!(pieces(&"ab".repeat(60)).is_empty());
    }

    #[test]
    fn the_vocabulary_is_complete() {
        assert_eq!(VOCABULARY.starts.len() + VOCABULARY.continuations.len(), 30_522);
    }

    proptest! {
        #[test]
        fn any_text_is_split(text in "\\PC{0,60}") {
            prop_assert!(pieces(&text).iter().all(|number| *number < 30_522));
        }
    }
}
