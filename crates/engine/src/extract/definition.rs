//! Whether the words after a name define it (`X is a …`, `X, a …,`), and as what.

use lorekeep_text::norm;

use super::cues::Kind;
use super::words::{COPULAS, FUNCTION_WORDS, NOUN_ENDS, NOUNS};

/// Words looked at for the defining noun.
const NOUN_WITHIN: usize = 14;

/// Most words of a copula's entry.
const COPULA_WORDS: usize = 4;

/// Longest parenthesis between a name and its copula, in bytes.
const LONGEST_ASIDE: usize = 240;

/// Longest opening before a name that still opens its sentence, in bytes: an article, a bullet, a quotation mark.
const LONGEST_OPENING: usize = 8;

/// How a name is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Copula,
    Apposition,
}

/// A definition found after a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Defined {
    pub(super) form: Form,
    pub(super) kind: Option<Kind>,
}

/// Whether a name opens its sentence, given what stands before it.
pub(super) fn is_opening(before: &str) -> bool {
    before.len() <= LONGEST_OPENING
        && before.split_whitespace().all(|word| {
            let word = norm(word);
            word.is_empty() || FUNCTION_WORDS.contains(word.as_str())
        })
}

/// Reads what follows a name in its sentence.
pub(super) fn read(after: &str) -> Option<Defined> {
    let after = without_aside(after);
    if let Some(apposition) = after.strip_prefix(", ") {
        let rest = ["a ", "an ", "the "].iter().find_map(|article| apposition.strip_prefix(article))?;
        let kind = noun(rest)?;
        return Some(Defined { form: Form::Apposition, kind: Some(kind) });
    }
    let rest = after_copula(after.strip_prefix(' ')?)?;
    Some(Defined { form: Form::Copula, kind: noun(rest) })
}

/// Skips a parenthesis right after the name.
fn without_aside(after: &str) -> &str {
    let aside = || {
        let inside = after.strip_prefix(" (")?;
        let close = inside.find(')').filter(|close| *close <= LONGEST_ASIDE)?;
        inside.get(close + 1..)
    };
    aside().unwrap_or(after)
}

/// What follows the longest copula at the start of `text`.
fn after_copula(text: &str) -> Option<&str> {
    let mut form = String::new();
    let mut found = None;
    let mut end = 0;
    for word in text.split_inclusive(' ').take(COPULA_WORDS) {
        end += word.len();
        if !form.is_empty() {
            form.push(' ');
        }
        form.push_str(&norm(word));
        if COPULAS.contains(form.as_str()) {
            found = text.get(end..);
        }
        if word.trim_end().ends_with([',', '.', ';', ':']) {
            break;
        }
    }
    found
}

/// The type that the head noun of a noun phrase says: the last telling noun before the phrase ends.
fn noun(phrase: &str) -> Option<Kind> {
    let mut kind = None;
    for word in phrase.split_whitespace().take(NOUN_WITHIN) {
        let folded = norm(word);
        if NOUN_ENDS.contains(folded.as_str()) {
            break;
        }
        // A hyphenated word is normalised to several, of which the last is the head.
        let head = folded.rsplit(' ').next().unwrap_or_default();
        kind = NOUNS.get(head).copied().or(kind);
        if kind.is_some() && word.ends_with([',', '.', ';', ':', ')']) {
            break;
        }
    }
    kind
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copula(kind: Option<Kind>) -> Option<Defined> {
        Some(Defined { form: Form::Copula, kind })
    }

    #[test]
    fn definitions_and_what_they_say() {
        assert_eq!(read(" is an American film actor and singer."), copula(Some(Kind::Person)));
        assert_eq!(read(" (1900–1980) was a drama film by Jane."), copula(Some(Kind::Work)));
        assert_eq!(read(" is the capital city of France."), copula(Some(Kind::Location)));
        assert_eq!(read(" adalah sebuah kota di Jawa."), copula(Some(Kind::Location)));
        assert_eq!(read(" là một thứ."), copula(None));
        assert_eq!(read(" is a thing of beauty."), copula(None));
        assert_eq!(
            read(", a shipping company in Bergen, sank."),
            Some(Defined { form: Form::Apposition, kind: Some(Kind::Organization) })
        );
    }

    #[test]
    fn other_sentences_define_nothing() {
        for after in ["", " went home.", ", the day after, left.", " is good.", "'s house is a mess."] {
            assert_eq!(read(after), None, "{after}");
        }
    }

    #[test]
    fn openings() {
        assert!(is_opening("") && is_opening("The ") && is_opening("- "));
        assert!(!is_opening("In ") && !is_opening("After the war the "));
    }
}
