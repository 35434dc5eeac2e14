//! Telling the language of a text, as ISO 639-1 codes. Sure answers only; what to do without one is the caller's.

use std::collections::{HashMap, VecDeque};
use std::sync::{LazyLock, Mutex, PoisonError};

use whatlang::{Detector, Lang};

use crate::lists::words;

/// Fewer letters than this say too little.
const LEAST_LETTERS: usize = 20;

/// The detector reads no more than this many bytes: a sample says as much as a book.
const SAMPLE_BYTES: usize = 4_096;

/// Texts of up to so many bytes are remembered with their language, the last so many of them: on the way of a question its
/// language and that of its answer are asked for several times, and the detector takes longer than most of that way's steps.
const REMEMBERED_BYTES: usize = 2_048;
const REMEMBERED: usize = 32;

static TOLD: Mutex<VecDeque<(Box<str>, Option<&'static str>)>> = Mutex::new(VecDeque::new());

static CODES: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    let mut fields = words(include_str!("../data/languages.txt"));
    let mut codes = HashMap::new();
    while let (Some(long), Some(short)) = (fields.next(), fields.next()) {
        codes.insert(long, short);
    }
    codes
});

fn short_code(language: Lang) -> Option<&'static str> {
    CODES.get(language.code()).copied()
}

/// The language of `text` (ISO 639-1); `None` when it is short or the detector is unsure.
#[must_use]
pub fn language_of(text: &str) -> Option<&'static str> {
    if text.len() > REMEMBERED_BYTES {
        return detected(text);
    }
    let told = || TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let known = told().iter().find(|(known, _)| **known == *text).map(|(_, language)| *language);
    known.unwrap_or_else(|| {
        let language = detected(text);
        let mut told = told();
        told.truncate(REMEMBERED - 1);
        told.push_front((text.into(), language));
        language
    })
}

fn detected(text: &str) -> Option<&'static str> {
    let sample = sample(text);
    if sample.chars().filter(|c| c.is_alphabetic()).take(LEAST_LETTERS).count() < LEAST_LETTERS {
        return None;
    }
    let found = whatlang::detect(sample).filter(whatlang::Info::is_reliable)?;
    short_code(found.lang())
}

/// The likeliest of `languages` (ISO 639-1) for a text of any length; `None` when none of them is possible.
#[must_use]
pub fn language_among<'a>(text: &str, languages: &[&'a str]) -> Option<&'a str> {
    let allowed =
        Lang::all().iter().copied().filter(|lang| short_code(*lang).is_some_and(|code| languages.contains(&code)));
    let found = Detector::with_allowlist(allowed.collect()).detect_lang(sample(text)).and_then(short_code)?;
    languages.iter().copied().find(|code| *code == found)
}

fn sample(text: &str) -> &str {
    text.get(..text.floor_char_boundary(SAMPLE_BYTES)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_detectable_language_has_a_short_code() {
        assert!(Lang::all().iter().all(|lang| short_code(*lang).is_some()));
    }

    #[test]
    fn sure_answers_only() {
        let english = "The committee decided that the bridge would be repaired before the winter, whatever it cost.";
        let indonesian = "Kabupaten ini mempunyai luas yang sangat besar dan terletak di bagian utara pulau, \
                          sedangkan penduduk yang tinggal di sana telah bertambah sejak tahun lalu.";
        assert_eq!(language_of(english), Some("en"));
        assert_eq!(language_of(indonesian), Some("id"));
        assert_eq!(language_of("1918 3.5 kg"), None);
        assert_eq!(language_of(""), None);
        let many = (0..100).map(|number| format!("{number} {english}"));
        assert!(many.chain([english.to_owned()]).all(|text| language_of(&text) == Some("en")));
        assert_eq!(language_of(indonesian), Some("id"));
    }

    #[test]
    fn among_given_languages() {
        assert_eq!(language_among("Siapa yang menemukan benua itu?", &["en", "id"]), Some("id"));
        assert_eq!(language_among("Who discovered it?", &["en", "id"]), Some("en"));
        assert_eq!(language_among("who", &[]), None);
    }
}
