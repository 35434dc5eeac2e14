//! Cutting text into sentences, for any language, with the offsets kept.
//!
//! Errs on the side of sentences that are too long: a quotation may hold a sentence more, never half of one. What
//! to do with overlong sentences (tables, scripts without end marks) belongs to the callers.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use crate::lists::{WordList, words};

/// Fewer characters than this are no sentence of their own.
const SHORTEST: usize = 15;

/// The same for scripts without upper and lower case, which say more in a character.
const SHORTEST_CASELESS: usize = 5;

/// Longest number that may label an item of a list, in digits.
const LONGEST_LABEL: usize = 3;

/// Longest content of a citation mark such as `[note 3]`, in bytes.
const LONGEST_CITATION: usize = 40;

static NEVER_FINAL: WordList = LazyLock::new(|| words(include_str!("../data/abbreviations.txt")).collect());
static MAYBE_FINAL: WordList = LazyLock::new(|| words(include_str!("../data/abbreviations-final.txt")).collect());
static NUMBERED: WordList = LazyLock::new(|| words(include_str!("../data/abbreviations-numbered.txt")).collect());
static STARTERS: WordList = LazyLock::new(|| words(include_str!("../data/sentence-starters.txt")).collect());

/// The sentences of `text` as byte ranges: in order, disjoint, without surrounding white space, together covering
/// everything but white space.
///
/// Full stops of abbreviations, initials, list labels and decimals end nothing; closing quotes, brackets and
/// citation marks belong to the sentence before them; an empty line, a list item or a table row ends a sentence,
/// any other line break is a space. A fragment of a few characters joins the sentence before it on the same line.
#[must_use]
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Found { text, spans: Vec::new() };
    let mut start = skip_space(text, 0);
    let mut at = start;
    while let Some(c) = char_at(text, at) {
        let (end, resume) = if is_hard(c) {
            let after = after_marks(text, at);
            (Some(after), after)
        } else if is_soft(c) {
            let after = after_marks(text, at);
            (ends_sentence(text, start, at..after).then_some(after), after)
        } else {
            ((c == '\n' && ends_block(text, at)).then_some(at), at + c.len_utf8())
        };
        at = resume;
        if let Some(end) = end {
            found.push(start..end);
            start = skip_space(text, end);
            at = start;
        }
    }
    found.push(start..text.len());
    found.spans
}

/// `text` without citation marks such as `[12]` and `[note 3]`, which are no part of what it says.
#[must_use]
pub fn without_citations(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find('[') else { return Cow::Borrowed(text) };
    let mut kept = String::with_capacity(text.len());
    let mut start = 0;
    let mut at = first;
    while let Some(open) = text.get(at..).and_then(|rest| rest.find('[')).map(|found| at + found) {
        at = open + 1;
        if let Some(end) = citation(text, open) {
            kept.push_str(text.get(start..open).unwrap_or_default());
            (start, at) = (end, end);
        }
    }
    kept.push_str(text.get(start..).unwrap_or_default());
    Cow::Owned(kept)
}

struct Found<'a> {
    text: &'a str,
    spans: Vec<Range<usize>>,
}

impl Found<'_> {
    /// Keeps a sentence, or lengthens the last one by a fragment.
    fn push(&mut self, span: Range<usize>) {
        let sentence = self.text.get(span.clone()).unwrap_or_default().trim_end();
        if sentence.is_empty() {
            return;
        }
        let end = span.start + sentence.len();
        if let Some(last) = self.spans.last_mut() {
            let between = self.text.get(last.end..span.start).unwrap_or_default();
            if !between.contains('\n') && is_fragment(sentence) {
                last.end = end;
                return;
            }
        }
        self.spans.push(span.start..end);
    }
}

/// Marks that always end a sentence; no space follows them in the scripts that use them.
fn is_hard(c: char) -> bool {
    matches!(c, '。' | '！' | '？' | '｡' | '।' | '॥' | '።' | '។' | '၊' | '။')
}

/// Marks that end a sentence if what follows looks like the start of another.
fn is_soft(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '…' | '؟' | '۔')
}

fn is_closing(c: char) -> bool {
    matches!(c, '"' | '\'' | '”' | '’' | '»' | ')' | ']' | '}' | '」' | '』' | '）' | '】' | '》' | '›')
}

fn is_opening(c: char) -> bool {
    matches!(
        c,
        '"' | '\''
            | '`'
            | '“'
            | '‘'
            | '«'
            | '('
            | '['
            | '{'
            | '「'
            | '『'
            | '（'
            | '【'
            | '《'
            | '‹'
            | '¿'
            | '¡'
            | '*'
            | '•'
            | '–'
            | '—'
            | '-'
    )
}

fn char_at(text: &str, at: usize) -> Option<char> {
    text.get(at..)?.chars().next()
}

/// The end of the characters from `at` on that satisfy `is`.
fn run(text: &str, at: usize, is: impl Fn(char) -> bool) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.find(|c| !is(c)).unwrap_or(rest.len())
}

fn skip_space(text: &str, at: usize) -> usize {
    run(text, at, char::is_whitespace)
}

/// The end of the run of end marks at `at`, with the closing marks and citations that belong to the sentence.
fn after_marks(text: &str, at: usize) -> usize {
    let closed = run(text, run(text, at, |c| is_soft(c) || is_hard(c)), is_closing);
    let mut end = closed;
    while let Some(after) = citation(text, end) {
        end = after;
    }
    match text.get(end..).and_then(|rest| rest.strip_prefix(' ')) {
        Some(rest) if end == closed && rest.starts_with('[') && is_numbered(rest) => {
            citation(text, end + 1).unwrap_or(end)
        }
        _ => end,
    }
}

fn is_numbered(citation: &str) -> bool {
    citation.chars().nth(1).is_some_and(|c| c.is_ascii_digit())
}

/// The end of the citation mark at `at`: `[12]`, `[note 3]`, `[2]:15–17`.
fn citation(text: &str, at: usize) -> Option<usize> {
    let inside = text.get(at..)?.strip_prefix('[')?;
    let length = inside.find([']', '[', '\n'])?;
    if length == 0 || length > LONGEST_CITATION || !inside.get(length..)?.starts_with(']') {
        return None;
    }
    if inside.starts_with(char::is_whitespace) {
        return None;
    }
    let end = at + length + 2;
    let page = text.get(end..)?.strip_prefix(':').map_or(end, |_| end + 1);
    let first = run(text, page, |c| c == ' ').min(page + 1);
    let digits = run(text, first, |c| c.is_ascii_digit() || matches!(c, '–' | '-'));
    Some(if page > end && digits > first { digits } else { end })
}

/// Whether the line break at `at` ends a block: an empty line, a list item, a table row or a heading follows.
fn ends_block(text: &str, at: usize) -> bool {
    let line = run(text, at + 1, |c| c.is_whitespace() && c != '\n');
    let Some(first) = char_at(text, line) else {
        return true;
    };
    let after = run(text, line, |c| c.is_ascii_digit());
    let label = after > line && after - line <= LONGEST_LABEL && matches!(char_at(text, after), Some('.' | ')'));
    let bullet = matches!(first, '-' | '*' | '•' | '–' | '—' | '+') && spaced(text, line + first.len_utf8());
    first == '\n' || bullet || matches!(first, '#' | '|') || (label && spaced(text, after + 1))
}

fn spaced(text: &str, at: usize) -> bool {
    char_at(text, at).is_some_and(char::is_whitespace)
}

/// Whether soft marks at `marks` end the sentence that began at `start`.
fn ends_sentence(text: &str, start: usize, marks: Range<usize>) -> bool {
    let after = skip_space(text, marks.end);
    let Some(first) = char_at(text, after) else {
        return true;
    };
    let begins = first.is_uppercase()
        || first.is_numeric()
        || is_opening(first)
        || (first.is_alphabetic() && !first.is_lowercase());
    if after == marks.end || !begins {
        return false;
    }
    let cited = text.get(marks.clone()).is_some_and(|run| run.contains('['));
    let single = text.get(marks.clone()).is_some_and(|run| run.starts_with('.') && !run.starts_with(".."));
    !single
        || cited
        || stop_ends(text.get(start..marks.start).unwrap_or_default(), text.get(after..).unwrap_or_default())
}

/// Whether a single full stop between `before` (the sentence so far) and `after` ends the sentence.
fn stop_ends(before: &str, after: &str) -> bool {
    let whole = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    let word = whole.trim_start_matches(|c: char| !c.is_alphanumeric());
    let lower = word.to_lowercase();
    if is_single_letter(word) {
        return word.chars().all(char::is_lowercase) && begins_with_starter(after);
    }
    if is_dotted(word) || MAYBE_FINAL.contains(lower.as_str()) {
        return begins_with_starter(after);
    }
    let at_start = whole.len() == before.len();
    if NEVER_FINAL.contains(lower.as_str()) || (at_start && is_label(word)) {
        return false;
    }
    !(NUMBERED.contains(lower.as_str()) && after.starts_with(|c: char| c.is_numeric()))
}

/// One letter of a script with upper and lower case.
fn is_single_letter(word: &str) -> bool {
    let mut chars = word.chars();
    let letter = chars.next().is_some_and(|c| c.is_uppercase() || c.is_lowercase());
    letter && chars.next().is_none()
}

/// Single letters joined by full stops or hyphens: `U.S`, `J.-P`.
fn is_dotted(word: &str) -> bool {
    let mut parts = word.split(['.', '-']).filter(|part| !part.is_empty());
    word.contains('.') && parts.all(|part| part.chars().count() == 1 && part.chars().all(char::is_alphabetic))
}

/// The label of a list item or section: `1`, `2.3`, `iv`.
fn is_label(word: &str) -> bool {
    let mut parts = word.split('.');
    parts.all(|part| (1..=LONGEST_LABEL).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit()))
        || (!word.is_empty() && word.bytes().all(|byte| matches!(byte.to_ascii_lowercase(), b'i' | b'v' | b'x')))
}

fn begins_with_starter(text: &str) -> bool {
    let text = text.trim_start_matches(is_opening);
    let word = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    STARTERS.contains(word.to_lowercase().as_str())
}

fn is_fragment(sentence: &str) -> bool {
    let caseless = |c: char| c.is_alphabetic() && !c.is_uppercase() && !c.is_lowercase();
    let shortest = if sentence.chars().any(caseless) { SHORTEST_CASELESS } else { SHORTEST };
    sentence.chars().nth(shortest - 1).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(text: &str) -> Vec<&str> {
        sentences(text).into_iter().map(|span| &text[span]).collect()
    }

    fn assert_whole(text: &str) {
        assert_eq!(split(text), [text]);
    }

    #[test]
    fn sentences_end_at_marks_before_a_beginning() {
        assert_eq!(
            split("The harbour froze over.  Was it in 1963? Nobody recalls! The archive\ndoes."),
            ["The harbour froze over.", "Was it in 1963?", "Nobody recalls!", "The archive\ndoes."]
        );
        assert_eq!(split("It opened late... 40 guests had left."), ["It opened late...", "40 guests had left."]);
        assert_whole("Sales rose at Yahoo! and elsewhere");
        assert_whole("The version 2.5 was faster than 2.4");
    }

    #[test]
    fn abbreviations_and_initials_go_on() {
        assert_whole("She met Dr. Brown and Prof. Okoye on Jan. 5 at St. Mary's.");
        assert_whole("J. R. R. Tolkien and J.R.R. Martin wrote it, cf. Fig. 3 and vol. 2 of it.");
        assert_whole("Hän syntyi n. 6. joulukuuta 1917 esim. Turussa.");
        assert_whole("Ir. H. Soekarno tinggal di Jl. Merdeka.");
        assert_eq!(
            split("He moved to the U.S. The war had begun there."),
            ["He moved to the U.S.", "The war had begun there."]
        );
        assert_whole("He served in the U.S. Navy at 6 a.m. Eastern time.");
        assert_eq!(split("The answer was no. Nobody spoke again."), ["The answer was no.", "Nobody spoke again."]);
        assert_eq!(
            split("They named it vitamin c. The name stayed."),
            ["They named it vitamin c.", "The name stayed."]
        );
    }

    #[test]
    fn closing_marks_and_citations_stay() {
        assert_eq!(
            split(
                "He said \"it will rain today.\" (It did rain.) Then it froze.[12][note 3] Spring came.[2]:15–17 All was well again."
            ),
            [
                "He said \"it will rain today.\" (It did rain.)",
                "Then it froze.[12][note 3]",
                "Spring came.[2]:15–17",
                "All was well again."
            ]
        );
        assert_eq!(split("The tower stands. [3] It leans a little."), ["The tower stands. [3]", "It leans a little."]);
        assert_whole("He joined Acme Corp. (Later Acme Ltd.)");
    }

    #[test]
    fn citations_are_left_out() {
        assert_eq!(without_citations("It froze[12][note 3] in 1963 [a b."), "It froze in 1963 [a b.");
        assert_eq!(without_citations("[2]:15 Spring"), " Spring");
        assert_eq!(without_citations("plain"), "plain");
    }

    #[test]
    fn scripts_without_spaces() {
        assert_eq!(
            split("他出生在北京。他在上海工作！「好吗？」是的"),
            ["他出生在北京。", "他在上海工作！", "「好吗？」是的"]
        );
        assert_eq!(split("राम घर गया था। सीता वन में थी।"), ["राम घर गया था।", "सीता वन में थी।"]);
        assert_eq!(split("أين ولد الكاتب؟ ولد في القاهرة."), ["أين ولد الكاتب؟", "ولد في القاهرة."]);
    }

    #[test]
    fn blocks_end_sentences() {
        assert_eq!(
            split(
                "Needed items:\n- a long rope\n- two lamps\n\n1. Open the valve slowly\n2. Wait a while. Close it then."
            ),
            [
                "Needed items:",
                "- a long rope",
                "- two lamps",
                "1. Open the valve slowly",
                "2. Wait a while. Close it then."
            ]
        );
        assert_eq!(split("| name | year |\n| Ada | 1843 |"), ["| name | year |", "| Ada | 1843 |"]);
        assert_eq!(split("one line\nwrapped here\n# Title"), ["one line\nwrapped here", "# Title"]);
    }

    #[test]
    fn fragments_join_the_sentence_before() {
        assert_whole("It was over by noon. Really. So!");
        assert_eq!(split("Hm? That was the question of the day."), ["Hm?", "That was the question of the day."]);
        assert!(split(" \n\n ").is_empty());
    }

    proptest! {
        #[test]
        fn nothing_is_lost(text in "[A-Za-z0-9 .!?…。\"'()\\[\\]:\n#|*•-]{0,80}") {
            let mut last = 0;
            for span in sentences(&text) {
                prop_assert!(span.start >= last && span.start < span.end);
                prop_assert!(text[last..span.start].trim().is_empty());
                prop_assert_eq!(text[span.clone()].trim(), &text[span.clone()]);
                last = span.end;
            }
            prop_assert!(text[last..].trim().is_empty());
        }

        #[test]
        fn no_text_fails(text in "\\PC{0,60}") {
            let kept: usize = sentences(&text).iter().map(|span| span.len()).sum();
            prop_assert!(kept <= text.len());
        }
    }
}
