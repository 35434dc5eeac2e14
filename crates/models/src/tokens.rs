//! Token counters for the vocabularies of OpenAI's models: o200k and cl100k.
//!
//! The vocabulary itself (some 120 ms and tens of MB) is loaded once per process, at the first count.
//!
//! Counting is fast because it rarely tokenises. In both vocabularies' splitting rules a single space between two
//! characters that are not white space always begins a new piece, and so does a letter, a digit or `=` after the end of a
//! line. Text is therefore cut there into lines, and lines into segments (mostly ` word`); the counts of lines and of short
//! segments are remembered in small tables, since a prompt is counted in parts and as a whole, and its passages come again
//! in the next one. The counts stay exact.

use std::hash::BuildHasher;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;
use lorekeep_types::TokenCounter;
use tiktoken_rs::{CoreBPE, cl100k_base_singleton, o200k_base_singleton};

/// Segments up to this many bytes are remembered, and lines that are longer.
const LONGEST_REMEMBERED: usize = 48;

/// Segments that are remembered; 1 MiB.
const SEGMENTS: usize = 1 << 17;

/// Lines that are remembered; 256 KiB.
const LINES: usize = 1 << 15;

/// Longer runs without a cutting point are counted in parts of this many bytes, which bounds the time of
/// merging and may count a few tokens too many.
const LONGEST_SEGMENT: usize = 4_096;

/// The vocabulary of GPT-4o and later models; the product's own unit of length.
#[derive(Clone, Copy, Debug, Default)]
pub struct O200k;

/// The vocabulary of GPT-4 and of the third generation of OpenAI's embedding models.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cl100k;

/// One table for each vocabulary in the whole process: what was cut into chunks is soon counted in a prompt.
static O200K: LazyLock<Counted> = LazyLock::new(|| Counted::new(o200k_base_singleton()));
static CL100K: LazyLock<Counted> = LazyLock::new(|| Counted::new(cl100k_base_singleton()));

impl TokenCounter for O200k {
    fn count(&self, text: &str) -> usize {
        O200K.count(text)
    }

    fn cuts(&self, text: &str, every: usize) -> Vec<usize> {
        O200K.cuts(text, every)
    }
}

impl TokenCounter for Cl100k {
    fn count(&self, text: &str) -> usize {
        CL100K.count(text)
    }

    fn cuts(&self, text: &str, every: usize) -> Vec<usize> {
        CL100K.cuts(text, every)
    }
}

/// An estimate for models whose vocabulary is not at hand: 1.3 tokens a word.
#[derive(Clone, Copy, Debug, Default)]
pub struct WordEstimate;

impl WordEstimate {
    /// Tokens that so many words stand for, rounded up.
    fn of_words(words: usize) -> usize {
        (words * 13).div_ceil(10)
    }
}

impl TokenCounter for WordEstimate {
    fn count(&self, text: &str) -> usize {
        Self::of_words(text.split_whitespace().count())
    }

    fn cuts(&self, text: &str, every: usize) -> Vec<usize> {
        // As many words as `every` tokens are sure to hold.
        let words = (every * 10 / 13).max(1);
        let starts = text.split_whitespace().map(|word| word.as_ptr() as usize - text.as_ptr() as usize);
        starts.step_by(words).skip(1).collect()
    }

    fn is_exact(&self) -> bool {
        false
    }
}

/// Remembered counts of texts. An entry is a hash whose low bits are replaced by the count; 0 is empty.
struct Remembered {
    table: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Remembered {
    /// Bits of a count; those of the hash that are left make one in 10¹⁴ unlike texts look alike.
    const COUNT: u64 = 0xffff;

    fn new(entries: usize) -> Self {
        Self { table: (0..entries).map(|_| AtomicU64::new(0)).collect(), hasher: RandomState::default() }
    }

    /// The count of a text, made by `count` unless it is known.
    fn get(&self, text: &str, count: impl FnOnce() -> usize) -> usize {
        let hash = self.hasher.hash_one(text.as_bytes());
        let tag = hash & !Self::COUNT;
        let place = usize::try_from(hash % self.table.len().max(1) as u64).ok().and_then(|at| self.table.get(at));
        let Some(entry) = place else { return count() };
        let known = entry.load(Ordering::Relaxed);
        if known != 0 && known & !Self::COUNT == tag {
            return (known & Self::COUNT) as usize;
        }
        let count = count();
        if count as u64 <= Self::COUNT {
            entry.store(tag | count as u64, Ordering::Relaxed);
        }
        count
    }
}

/// A vocabulary with counts that are remembered.
struct Counted {
    vocabulary: &'static CoreBPE,
    lines: Remembered,
    segments: Remembered,
}

impl Counted {
    fn new(vocabulary: &'static CoreBPE) -> Self {
        Self { vocabulary, lines: Remembered::new(LINES), segments: Remembered::new(SEGMENTS) }
    }

    fn count(&self, text: &str) -> usize {
        let of_segments = |line: &str| segments(line).map(|segment| self.count_segment(segment)).sum();
        let of_line = |line: &str| match line.len() {
            0..=LONGEST_REMEMBERED => of_segments(line),
            _ => self.lines.get(line, || of_segments(line)),
        };
        lines(text).map(of_line).sum()
    }

    fn count_segment(&self, segment: &str) -> usize {
        if segment.len() > LONGEST_REMEMBERED {
            return self.vocabulary.count_ordinary(segment);
        }
        self.segments.get(segment, || match before_marks(segment) {
            Some((word, marks)) => self.count_segment(word) + self.count_segment(marks),
            None => self.vocabulary.count_ordinary(segment),
        })
    }

    fn cuts(&self, text: &str, every: usize) -> Vec<usize> {
        let every = every.max(1);
        let mut cuts = Vec::new();
        let mut tokens = 0;
        let mut start = 0;
        for segment in segments(text) {
            let count = self.count_segment(segment);
            if tokens + count < every {
                tokens += count;
            } else {
                let cut = |at| push_cut(&mut cuts, text, start + at);
                tokens = inner_cuts(self.vocabulary, segment, (tokens, every), cut);
            }
            start += segment.len();
        }
        if cuts.last() == Some(&text.len()) {
            cuts.pop();
        }
        cuts
    }
}

/// A segment parted before the marks that end it, where a letter or digit stands before them: both splitting rules part it
/// there, since nothing of such a mark belongs to a word.
fn before_marks(segment: &str) -> Option<(&str, &str)> {
    let word = segment.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '"']);
    let parts = segment.split_at_checked(word.len())?;
    (parts.0.ends_with(|last: char| last.is_ascii_alphanumeric()) && !parts.1.is_empty()).then_some(parts)
}

/// Reports the cuts inside a segment, given the tokens since the last cut; returns the tokens since the last
/// cut at its end.
fn inner_cuts(
    vocabulary: &CoreBPE,
    segment: &str,
    (mut tokens, every): (usize, usize),
    mut cut: impl FnMut(usize),
) -> usize {
    let mut at = 0;
    for token in vocabulary.encode_ordinary(segment) {
        at += vocabulary.decode_bytes(&[token]).map_or(0, |bytes| bytes.len());
        tokens += 1;
        if tokens == every {
            cut(at);
            tokens = 0;
        }
    }
    tokens
}

/// A token may end inside a character; the cut then lies before that character.
fn push_cut(cuts: &mut Vec<usize>, text: &str, at: usize) {
    let at = text.floor_char_boundary(at);
    if at > cuts.last().copied().unwrap_or(0) {
        cuts.push(at);
    }
}

/// Parts of a text, of which each goes as far as `end` says of what is left.
fn parts(mut text: &str, end: impl Fn(&str) -> usize) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let (part, rest) = text.split_at_checked(end(text)).filter(|_| !text.is_empty())?;
        text = rest;
        Some(part)
    })
}

/// Lines that can be tokenised on their own.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    parts(text, |text| {
        let bytes = text.as_bytes();
        let begins = |at: &usize| bytes.get(at + 1).is_some_and(|next| next.is_ascii_alphanumeric() || *next == b'=');
        let mut ends = text.match_indices('\n').map(|(at, _)| at);
        ends.find(begins).map_or(bytes.len(), |at| at + 1)
    })
}

/// Pieces of a line that can be tokenised on their own.
fn segments(line: &str) -> impl Iterator<Item = &str> {
    parts(line, |text| {
        let end = segment_end(text).unwrap_or(text.len());
        if end > LONGEST_SEGMENT { text.floor_char_boundary(LONGEST_SEGMENT) } else { end }
    })
}

/// The first place after the start where a lone space stands between characters that are not white space.
fn segment_end(text: &str) -> Option<usize> {
    let window = text.as_bytes().get(..LONGEST_SEGMENT + 8).unwrap_or(text.as_bytes());
    let mut from = 1;
    loop {
        let at = from + window.get(from..)?.iter().position(|byte| *byte == b' ')?;
        // Nearly always the neighbours are ASCII, which needs no decoding.
        let is_plain = match (window.get(at - 1)?, window.get(at + 1)?) {
            (before, after) if before.is_ascii() && after.is_ascii() => {
                before.is_ascii_graphic() && after.is_ascii_graphic()
            }
            _ => {
                let (before, after) = (text.get(..at)?.chars().next_back()?, text.get(at + 1..)?.chars().next()?);
                !before.is_whitespace() && !after.is_whitespace()
            }
        };
        if is_plain {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_counts() {
        let o200k = O200k;
        assert_eq!(o200k.count(""), 0);
        assert_eq!(o200k.count("hello world"), 2);
        assert_eq!(o200k.count("hello world"), 2);
        assert_eq!(Cl100k.count("tiktoken is great!"), 6);
    }

    /// Words of the vocabularies and others, twice: made anew and remembered.
    #[test]
    fn counts_of_prose_are_exact() {
        for text in [
            include_str!("../../../samples/library/handbook.md"),
            include_str!("../../../samples/library/laporan-lamun-senggigi.txt"),
            include_str!("../../../samples/library/giam-sat-san-ho-hon-sen.md"),
        ] {
            for _ in 0..2 {
                assert_eq!(O200k.count(text), o200k_base_singleton().count_ordinary(text));
                assert_eq!(Cl100k.count(text), cl100k_base_singleton().count_ordinary(text));
            }
        }
    }

    #[test]
    fn words_are_an_estimate_that_says_so() {
        assert_eq!(WordEstimate.count("one two three"), 4);
        assert_eq!(WordEstimate.count(" "), 0);
        assert!(!WordEstimate.is_exact() && O200k.is_exact());
        let text = "one two three four five";
        let cut = WordEstimate.cuts(text, 4)[0];
        assert!(WordEstimate.count(&text[..cut]) <= 4 && cut > 0);
    }

    #[test]
    fn cuts_of_a_sentence() {
        let text = "one two three four five six seven";
        assert_eq!(O200k.cuts(text, 3), [13, 27]);
        assert!(O200k.cuts(text, 7).is_empty());
        assert!(O200k.cuts("", 3).is_empty());
    }

    #[test]
    fn a_huge_run_is_counted_in_bounded_time() {
        let o200k = O200k;
        assert!(o200k.count(&"a".repeat(300_000)) > 10_000);
        assert!(o200k.count(&" ".repeat(300_000)) > 100);
        assert!(!o200k.cuts(&"é".repeat(100_000), 100).is_empty());
    }

    proptest! {
        #[test]
        fn counts_are_exact(text in "([a-zA-Z'éß中🦀0-9.,;:!?)\"\\]/(=]{0,30}[ \n\r\t\u{a0}]{0,2}){0,20}") {
            prop_assert_eq!(O200k.count(&text), o200k_base_singleton().count_ordinary(&text));
            prop_assert_eq!(Cl100k.count(&text), cl100k_base_singleton().count_ordinary(&text));
        }

        #[test]
        fn pieces_between_cuts_are_full(text in "([a-z]{1,9}[ .,\n]{1,2}){0,60}", every in 1_usize..20) {
            let o200k = O200k;
            let tokens = o200k_base_singleton().encode_ordinary(&text);
            let cuts = o200k.cuts(&text, every);
            let expected: Vec<usize> = (1..).map(|n| n * every).take_while(|n| *n < tokens.len())
                .map(|n| o200k_base_singleton().decode_bytes(&tokens[..n]).unwrap().len()).collect();
            prop_assert_eq!(cuts, expected);
        }
    }
}
