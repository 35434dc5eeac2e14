//! The terms of the full-text index: the same function analyses passages and questions.

use frostem::Stemmer;

use crate::fold::{fold, is_word_char, lower};
use crate::lists::is_stop_word;

/// Longer runs (encoded bytes, long numbers) are cut to this many characters.
const LONGEST_TERM: usize = 64;

/// Whether terms keep their diacritics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// Diacritics kept.
    Exact,
    /// Diacritics removed.
    Folded,
}

/// The terms of `text` in order, repetitions included: letter/digit runs without stop words, stemmed by the
/// Snowball algorithm of `language` (ISO 639-1) if there is one. Scripts written without spaces yield pairs of
/// neighbouring characters.
#[must_use]
pub fn lexical_tokens(text: &str, language: Option<&str>, form: Form) -> Vec<String> {
    let analysed = match form {
        Form::Exact => lower(text),
        Form::Folded => fold(text),
    };
    let stemmer = language.and_then(stemmer);
    let mut terms = Vec::new();
    for_each_word(&analysed, |word| {
        if !is_stop_word(word) {
            terms.push(stemmer.map_or_else(|| word.to_owned(), |stemmer| stemmer.stem(word).into_owned()));
        }
    });
    terms
}

/// What stands for a passage in the full-text index and before the embedder: the title of its document, the
/// heading that governs it and its text, one below the other.
#[must_use]
pub fn passage_text(document_title: &str, governing_heading: Option<&str>, text: &str) -> String {
    let lines = [document_title, governing_heading.unwrap_or_default(), text];
    lines.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The term that [`lexical_tokens`] makes of one lower-case word.
#[must_use]
pub fn stem(word: &str, language: Option<&str>) -> String {
    language.and_then(stemmer).map_or_else(|| word.to_owned(), |stemmer| stemmer.stem(word).into_owned())
}

fn stemmer(language: &str) -> Option<Stemmer> {
    let name = match language {
        "nb" | "nn" => "no",
        other => other,
    };
    Stemmer::try_from_name(name).ok()
}

/// Calls `found` with every word of analysed text; spaceless scripts yield character pairs.
fn for_each_word(text: &str, mut found: impl FnMut(&str)) {
    let mut rest = text;
    while let Some(start) = rest.find(is_word_char) {
        rest = rest.get(start..).unwrap_or_default();
        let spaceless = rest.chars().next().is_some_and(is_spaceless);
        let end = rest.find(|c| !is_word_char(c) || is_spaceless(c) != spaceless).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        if spaceless {
            pairs(run, &mut found);
        } else {
            found(cut(run));
        }
        rest = after;
    }
}

fn cut(run: &str) -> &str {
    run.char_indices().nth(LONGEST_TERM).map_or(run, |(at, _)| run.get(..at).unwrap_or(run))
}

/// Neighbouring characters of a run two by two; a lone character stands for itself.
fn pairs(run: &str, found: &mut impl FnMut(&str)) {
    let starts: Vec<usize> = run.char_indices().map(|(at, _)| at).chain([run.len()]).collect();
    if starts.len() == 2 {
        found(run);
    }
    for window in starts.windows(3) {
        if let [start, _, end] = window {
            found(run.get(*start..*end).unwrap_or_default());
        }
    }
}

/// Scripts without spaces between words: Chinese, Japanese, Korean (whose particles cling to the word), Thai,
/// Lao, Myanmar, Khmer.
pub(crate) fn is_spaceless(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1100}'..='\u{11ff}' | '\u{1780}'..='\u{17ff}'
        | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3134f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use frostem::Algorithm;
    use proptest::prelude::*;

    #[test]
    fn stop_words_go_and_stems_meet() {
        let passage = lexical_tokens("The ships were running", Some("en"), Form::Folded);
        let question = lexical_tokens("Which ship runs?", Some("en"), Form::Folded);
        assert_eq!(passage, ["ship", "run"]);
        assert_eq!(question, passage);
    }

    #[test]
    fn forms_differ_in_diacritics() {
        assert_eq!(lexical_tokens("phố Đà", Some("vi"), Form::Exact), ["phố", "đà"]);
        assert_eq!(lexical_tokens("phố Đà", Some("vi"), Form::Folded), ["pho", "da"]);
        assert_eq!(lexical_tokens("pembangunan", Some("id"), Form::Folded), ["bangun"]);
    }

    #[test]
    fn spaceless_scripts_yield_pairs() {
        assert_eq!(lexical_tokens("iPhone手机价 3月", None, Form::Folded), ["iphone", "手机", "机价", "3", "月"]);
    }

    #[test]
    fn passages_stand_below_their_title() {
        assert_eq!(passage_text("T", Some("H"), "x"), "T\nH\nx");
        assert_eq!(passage_text("", None, "x"), "x");
    }

    #[test]
    fn long_runs_are_cut() {
        let term = "ab".repeat(500);
        assert_eq!(lexical_tokens(&term, None, Form::Exact).first().map(String::len), Some(LONGEST_TERM));
    }

    proptest! {
        #[test]
        fn no_stemmer_fails(text in "\\PC{0,30}", which in 0usize..40) {
            let algorithms = Algorithm::all();
            let algorithm = algorithms[which % algorithms.len()];
            for term in lexical_tokens(&text, None, Form::Exact) {
                let _ = Stemmer::new(algorithm).stem(&term);
            }
        }

        #[test]
        fn terms_hold_word_characters_only(text in "\\PC{0,40}") {
            for term in lexical_tokens(&text, None, Form::Folded) {
                prop_assert!(!term.is_empty() && term.chars().all(is_word_char));
            }
        }
    }
}
