//! Folding: the spelling-insensitive form of text, and the normalised words that are the keys of phrases.
//!
//! What a word of the full-text index is (stop words, stems) belongs to [`crate::lexical_tokens`].

use unicode_normalization::char::{canonical_combining_class, is_combining_mark};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Lower case, compatibility forms resolved, accents removed; `đ ø ł ı` lose their strokes and dots, `ß æ œ`
/// are spelt out. Marks that are letters' parts in Indic, Japanese and Korean writing and in `й` stay.
/// Idempotent.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.bytes().position(|byte| !byte.is_ascii()).unwrap_or(rest.len());
        let (plain, after) = rest.split_at(end);
        let from = folded.len();
        folded.push_str(plain);
        folded.get_mut(from..).unwrap_or_default().make_ascii_lowercase();
        let end = after.bytes().position(|byte| byte.is_ascii()).unwrap_or(after.len());
        let (other, after) = after.split_at(end);
        push_other(&mut folded, other);
        rest = after;
    }
    folded
}

/// Folds letters that are not ASCII. They need not be seen with their ASCII neighbours: all that combines with one of those
/// is an accent, which goes.
fn push_other(folded: &mut String, text: &str) {
    let from = folded.len();
    let mut base = '\0';
    for c in text.nfkd() {
        if is_accent(c) && !(c == '\u{306}' && matches!(base, 'и' | 'И')) {
            continue;
        }
        base = c;
        push_folded(folded, c);
    }
    let own = folded.get(from..).unwrap_or_default();
    if is_nfc_quick(own.chars()) != IsNormalized::Yes {
        let composed: String = own.nfc().collect();
        folded.truncate(from);
        folded.push_str(&composed);
    }
}

fn push_folded(folded: &mut String, c: char) {
    for lower in c.to_lowercase() {
        match lower {
            'đ' | 'ð' => folded.push('d'),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'ı' => folded.push('i'),
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            other => folded.push(other),
        }
    }
}

/// Lower case and compatibility forms resolved, accents kept: the spelling-sensitive counterpart of [`fold`].
#[must_use]
pub fn lower(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.nfkc().flat_map(char::to_lowercase).collect()
}

/// Whether `c` is a combining mark that writers of alphabets leave off without changing the letter: Latin,
/// Greek and Cyrillic accents, Hebrew points, Arabic vowel signs.
fn is_accent(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{fe20}'..='\u{fe2f}' | '\u{591}'..='\u{5bd}' | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{670}')
        && (canonical_combining_class(c) != 0 || is_combining_mark(c))
}

/// Whether a word carries a mark that [`fold`] would remove from it.
#[must_use]
pub fn has_diacritic(word: &str) -> bool {
    !word.is_ascii() && (word.nfd().any(is_accent) || word.contains(['đ', 'Đ']))
}

/// Words of `text` that carry a diacritic, and all its words.
#[must_use]
pub fn diacritic_words(text: &str) -> (u32, u32) {
    runs(text).fold((0, 0), |(marked, all), word| (marked + u32::from(has_diacritic(word)), all + 1))
}

/// Part of a word: a letter or digit of any script, or a mark that belongs to the letter before it.
pub(crate) fn is_word_char(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphanumeric() } else { c.is_alphanumeric() || is_combining_mark(c) }
}

/// The letter/digit runs of `text`.
pub(crate) fn runs(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_word_char(c)).filter(|run| !run.is_empty())
}

/// The normal form of a name: folded letter/digit runs joined by one space, without a possessive `'s`.
#[must_use]
pub fn norm(text: &str) -> String {
    norm_folded(&fold(text))
}

/// [`norm`] of text that is folded already.
#[must_use]
pub fn norm_folded(folded: &str) -> String {
    let mut out = String::with_capacity(folded.len());
    let mut chars = folded.chars();
    let mut in_word = false;
    while let Some(c) = chars.next() {
        if is_word_char(c) {
            if !in_word && !out.is_empty() {
                out.push(' ');
            }
            out.push(c);
            in_word = true;
        } else {
            if in_word && matches!(c, '\'' | '\u{2019}') && ends_possessive(chars.as_str()) {
                chars.next();
            }
            in_word = false;
        }
    }
    out
}

/// Whether what follows an apostrophe is an `s` that ends the word.
fn ends_possessive(rest: &str) -> bool {
    let mut rest = rest.chars();
    rest.next() == Some('s') && !rest.next().is_some_and(is_word_char)
}

/// The words of [`norm`].
#[must_use]
pub fn norm_words(text: &str) -> Vec<String> {
    norm(text).split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// A title without a trailing parenthesis: `Safe (2012 film)` → `Safe`.
#[must_use]
pub fn base_title(title: &str) -> &str {
    let title = title.trim();
    let base = title
        .strip_suffix(')')
        .and_then(|open| open.rfind('('))
        .and_then(|at| title.get(..at))
        .map_or(title, str::trim_end);
    if base.is_empty() { title } else { base }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn folding_removes_accents_and_keeps_letters() {
        assert_eq!(fold("Đà Nẵng"), "da nang");
        assert_eq!(fold("Łódź, Ærø"), "lodz, aero");
        assert_eq!(fold("İstanbul ISPARTA ısı"), "istanbul isparta isi");
        assert_eq!(fold("Straße"), "strasse");
        assert_eq!(fold("Йод ёлка"), "йод елка");
        assert_eq!(fold("한국 がく हिन्दी"), "한국 がく हिन्दी");
        assert_eq!(fold("ＡＢＣ ﬁ"), "abc fi");
        assert_eq!(lower("É E\u{301}"), "é é");
    }

    #[test]
    fn normal_form_of_names() {
        assert_eq!(norm("Hello, Love's  performer"), "hello love performer");
        assert_eq!(norm("O\u{2019}Brien\u{2019}s U.S.-based"), "o brien u s based");
        assert_eq!(norm("the '60s"), "the 60s");
        assert_eq!(norm(" \u{2014} "), "");
        assert_eq!(norm_words("São Paulo"), ["sao", "paulo"]);
    }

    #[test]
    fn base_of_a_title() {
        assert_eq!(base_title("Safe (2012 film)"), "Safe");
        assert_eq!(base_title("A (b) c"), "A (b) c");
        assert_eq!(base_title("(untitled)"), "(untitled)");
        assert_eq!(base_title("x)"), "x)");
    }

    #[test]
    fn diacritics_are_counted_by_word() {
        assert_eq!(diacritic_words("Thành phố đẹp lam"), (3, 4));
        assert!(!has_diacritic("naive"));
        assert!(has_diacritic("naïve"));
        assert!(!has_diacritic("がく"));
        assert_eq!(diacritic_words(""), (0, 0));
    }

    proptest! {
        /// Around every letter: what is folded in pieces is folded as a whole would be.
        #[test]
        fn neighbours_are_folded_apart(before in "[a-zA-Z<=> ]{0,2}", other in "[^\\x00-\\x7f]{0,4}", after in "[a-zA-Z ]{0,2}") {
            let text = format!("{before}{other}{after}");
            let whole: String = text.nfkd().scan('\0', |base, c| {
                let goes = is_accent(c) && !(c == '\u{306}' && matches!(*base, 'и' | 'И'));
                *base = if goes { *base } else { c };
                Some((!goes).then_some(c))
            }).flatten().collect();
            let mut letters = String::new();
            whole.chars().for_each(|c| push_folded(&mut letters, c));
            prop_assert_eq!(fold(&text), letters.nfc().collect::<String>());
        }

        #[test]
        fn folding_twice_changes_nothing(text in "\\PC{0,40}") {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }

        #[test]
        fn normal_forms_are_single_spaced_words(text in "\\PC{0,40}") {
            let key = norm(&text);
            prop_assert!(!key.starts_with(' ') && !key.ends_with(' ') && !key.contains("  "));
            prop_assert_eq!(norm(&key), key);
        }
    }
}
