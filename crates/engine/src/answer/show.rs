//! How quotes look in the text of an answer. Citations keep every byte; here white space is one space and overlong
//! sentences are cut.

use std::borrow::Cow;

/// A sentence of at most this many characters is shown whole.
const SHOWN_WHOLE: usize = 600;

/// A longer one is cut to at most this many.
const SHOWN_CUT: usize = 400;

/// Marks a cut.
const CUT: char = '…';

/// A quote as one line: the sentence before and the chosen one, each with white space collapsed and cut.
pub(super) fn shown(quote: &str, lead: usize) -> String {
    let (before, chosen) = quote.split_at_checked(lead).unwrap_or(("", quote));
    let parts = [before, chosen].map(one_line);
    let parts: Vec<Cow<'_, str>> = parts.iter().filter(|part| !part.is_empty()).map(|part| cut(part)).collect();
    parts.join(" ")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Cuts an overlong sentence behind the last `;` or `,` of its last 40 %, else at a space.
fn cut(sentence: &str) -> Cow<'_, str> {
    if sentence.chars().nth(SHOWN_WHOLE).is_none() {
        return Cow::Borrowed(sentence);
    }
    let offset = |characters: usize| sentence.char_indices().nth(characters).map_or(sentence.len(), |(at, _)| at);
    let most = sentence.get(..offset(SHOWN_CUT)).unwrap_or(sentence);
    let least = offset(SHOWN_CUT * 3 / 5);
    let clause = most.rfind("; ").or_else(|| most.rfind(", ")).filter(|at| *at >= least).map(|at| at + 1);
    let end = clause.or_else(|| most.rfind(' ')).unwrap_or(most.len());
    let kept = most.get(..end).unwrap_or(most);
    Cow::Owned(format!("{kept} {CUT}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_one_line() {
        assert_eq!(shown("It stood\n  there. ", 0), "It stood there.");
        assert_eq!(shown("It stood.\nShe left.", 10), "It stood. She left.");
        assert_eq!(shown("été", 1), "été");
    }

    #[test]
    fn long_sentences_are_cut_at_a_clause() {
        let long = format!("{}, {}", "word ".repeat(60).trim_end(), "more ".repeat(100));
        let cut = shown(&long, 0);
        assert!(cut.ends_with("word, …"), "{cut}");
        let words = shown(&"word ".repeat(200), 0);
        assert!(words.ends_with("word …") && words.chars().count() <= SHOWN_CUT + 2);
        assert_eq!(shown(&"字".repeat(700), 0).chars().count(), SHOWN_CUT + 2);
    }
}
