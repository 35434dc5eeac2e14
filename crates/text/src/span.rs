//! Names in running text, found by their looks: capitalised spans and quoted strings. All offsets are bytes.

use std::ops::Range;

use crate::fold::is_word_char;
use crate::lists::{CONNECTORS, LEAD, is_stop_word};

/// Connectors a name may bridge in a row.
const MOST_CONNECTORS: usize = 2;

/// Longest number that continues a name, in characters.
const LONGEST_NUMBER: usize = 4;

/// Shortest and longest quoted string, in characters.
const QUOTED: Range<usize> = 3..61;

/// A letter/digit run with inner `.`, `'`, `’` and `-`.
struct Token<'a> {
    span: Range<usize>,
    word: &'a str,
    /// White space without a line break, or nothing, lies between it and the token before it.
    joined: bool,
    /// Its only full stop follows it, and it is longer than an initial or a form of address.
    ends_sentence: bool,
}

impl Token<'_> {
    fn is_capitalised(&self) -> bool {
        self.word.chars().next().is_some_and(char::is_uppercase)
    }

    fn is_short_number(&self) -> bool {
        self.word.len() <= LONGEST_NUMBER && self.word.bytes().all(|byte| byte.is_ascii_digit())
    }

    fn leads_only(&self) -> bool {
        let word = self.word.to_lowercase();
        self.is_short_number()
            || is_stop_word(&word)
            || LEAD.contains(word.as_str())
            || CONNECTORS.contains(word.as_str())
    }
}

/// The names in `text` that show by their capitals, in order and disjoint. A name may bridge two connectors
/// (`University of the Philippines`) and take a short number (`Apollo 11`); words that begin a sentence rather
/// than a name are cut from its front.
#[must_use]
pub fn capitalised_spans(text: &str) -> Vec<Range<usize>> {
    let tokens = tokens(text);
    let mut spans = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if !token.is_capitalised() {
            at += 1;
            continue;
        }
        let end = name_end(&tokens, at);
        spans.extend(trimmed(tokens.get(at..end).unwrap_or_default()));
        at = end;
    }
    spans
}

/// One past the last token of the name that starts at `start`.
fn name_end(tokens: &[Token<'_>], start: usize) -> usize {
    let mut end = start + 1;
    let mut bridged = 0;
    let mut at = start;
    while let (Some(before), Some(token)) = (tokens.get(at), tokens.get(at + 1)) {
        if before.ends_sentence || !token.joined {
            break;
        }
        at += 1;
        if token.is_capitalised() || (bridged == 0 && before.is_capitalised() && token.is_short_number()) {
            bridged = 0;
            end = at + 1;
        } else if bridged < MOST_CONNECTORS && CONNECTORS.contains(token.word) {
            bridged += 1;
        } else {
            break;
        }
    }
    end
}

/// Cuts leading words that are not part of the name; `None` when too little is left.
fn trimmed(tokens: &[Token<'_>]) -> Option<Range<usize>> {
    let first = tokens.iter().position(|token| !token.leads_only())?;
    let name = tokens.get(first..)?;
    let (head, tail) = (name.first()?, name.last()?);
    let too_little = head.word.chars().count() < 3 || head.word.chars().all(|c| c.is_ascii_digit());
    if name.len() == 1 && too_little {
        return None;
    }
    Some(head.span.start..tail.span.end)
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut last_end = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((start, c)) = chars.next() {
        if !is_word_char(c) && c != '&' {
            continue;
        }
        let mut end = start + c.len_utf8();
        if c != '&' {
            while let Some(next) = continued(text, end) {
                end = next;
            }
        }
        while chars.next_if(|(at, _)| *at < end).is_some() {}
        let word = text.get(start..end).unwrap_or_default();
        let between = text.get(last_end..start).unwrap_or_default();
        let stopped = text.get(end..).is_some_and(|rest| rest.starts_with('.'));
        tokens.push(Token {
            span: start..end,
            word,
            joined: between.chars().all(|c| c.is_whitespace() && c != '\n'),
            ends_sentence: stopped && !word.contains('.') && word.chars().count() > 2,
        });
        last_end = end + usize::from(stopped);
    }
    tokens
}

/// Where the token that reaches to `end` goes on to: over a word character, or over an inner mark and the word
/// character after it.
fn continued(text: &str, end: usize) -> Option<usize> {
    let mut rest = text.get(end..)?.chars();
    let next = rest.next()?;
    if is_word_char(next) {
        return Some(end + next.len_utf8());
    }
    let after = rest.next()?;
    (matches!(next, '.' | '\'' | '\u{2019}' | '-') && is_word_char(after))
        .then(|| end + next.len_utf8() + after.len_utf8())
}

/// The strings in double quotes (`"…" “…” „…“ «…» 「…」 《…》`) of 3 to 60 characters, without the marks, in
/// order. A quotation does not cross a line.
#[must_use]
pub fn quoted_spans(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut at = 0;
    while let Some((start, closing)) = opening(text, at) {
        let inside = text.get(start..).unwrap_or_default();
        let close = inside.char_indices().take(QUOTED.end + 1).find(|(_, c)| *c == '\n' || closing.contains(c));
        at = start;
        if let Some((length, found)) = close
            && found != '\n'
        {
            let quoted = inside.get(..length).unwrap_or_default();
            if QUOTED.contains(&quoted.chars().count()) {
                spans.push(start..start + length);
            }
            at = start + length + found.len_utf8();
        }
    }
    spans
}

/// The next opening mark from `from` on: where the quotation begins and what may close it. A straight mark after
/// a letter or digit opens nothing (`6"`).
fn opening(text: &str, from: usize) -> Option<(usize, &'static [char])> {
    let mut before = text.get(..from)?.chars().next_back();
    for (at, c) in text.get(from..)?.char_indices() {
        let closing = closers(c);
        let inches = c == '"' && before.is_some_and(is_word_char);
        if !closing.is_empty() && !inches {
            return Some((from + at + c.len_utf8(), closing));
        }
        before = Some(c);
    }
    None
}

fn closers(open: char) -> &'static [char] {
    match open {
        '"' => &['"'],
        '\u{201c}' => &['\u{201d}'],
        '\u{201e}' => &['\u{201c}', '\u{201d}'],
        '«' => &['»'],
        '「' => &['」'],
        '『' => &['』'],
        '《' => &['》'],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(text: &str) -> Vec<&str> {
        capitalised_spans(text).into_iter().map(|span| &text[span]).collect()
    }

    #[test]
    fn names_of_several_words() {
        assert_eq!(
            names("He left the University of the Philippines in Manila."),
            ["University of the Philippines", "Manila"]
        );
        assert_eq!(names("flights of Apollo 11 and Marks & Spencer"), ["Apollo 11", "Marks & Spencer"]);
        assert_eq!(names("Ludwig van der Rohe met J. R. R. Tolkien"), ["Ludwig van der Rohe", "J. R. R. Tolkien"]);
        assert_eq!(names("Élodie de la Tour"), ["Élodie de la Tour"]);
        assert_eq!(names("Institute of technology"), ["Institute"]);
    }

    #[test]
    fn sentence_starts_and_stops() {
        assert_eq!(
            names("However, the mayor spoke. In March 1960 Dr Smith left Paris. London slept."),
            ["Smith", "Paris", "London"]
        );
        assert_eq!(names("The Beatles"), ["Beatles"]);
        assert_eq!(names("Stoney Creek\nThe Battle of Stoney Creek"), ["Stoney Creek", "Battle of Stoney Creek"]);
        assert_eq!(names("Paris, France; Dr. No"), ["Paris", "France"]);
        assert!(names("It was in May 1999. 42 of us.").is_empty());
    }

    #[test]
    fn quoted_strings() {
        let quoted =
            |text: &'static str| -> Vec<&str> { quoted_spans(text).into_iter().map(|span| &text[span]).collect() };
        assert_eq!(quoted("the song \"hello love\" and “so long”"), ["hello love", "so long"]);
        assert_eq!(quoted("„guten Tag“ «bon jour» 《红楼梦》"), ["guten Tag", "bon jour", "红楼梦"]);
        assert!(quoted("5\" wide\n and 6\" high, \"x\"").is_empty());
    }

    proptest! {
        #[test]
        fn spans_are_ordered_and_fit(text in "[A-Za-z0-9 .,'&\"“”\n\u{00c9}\u{4e2d}-]{0,60}") {
            for spans in [capitalised_spans(&text), quoted_spans(&text)] {
                let mut last = 0;
                for span in spans {
                    prop_assert!(span.start >= last && span.start < span.end);
                    prop_assert!(text.get(span.clone()).is_some());
                    last = span.end;
                }
            }
        }
    }
}
