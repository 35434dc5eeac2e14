//! From a chunk's text to what the views keep of it. What a word, a term and a title is belongs to
//! `lorekeep-text`; this file only says which text is fed to which field.

use lorekeep_text::{Form, TitleDictionary, diacritic_words, lexical_tokens, norm, passage_text};

use super::text::IndexedWords;
use crate::truth::reader::follow::{ChunkRow, VersionRow};

/// What is kept of one chunk.
#[derive(Debug)]
pub(super) struct Analysis {
    /// What is indexed.
    pub(super) words: IndexedWords,
    /// Terms in the exact and in the folded field.
    pub(super) lengths: (u32, u32),
    /// Words that carry a diacritic, and all words.
    pub(super) diacritics: (u32, u32),
    /// Titles that the text spells out, with their occurrences.
    pub(super) links: Vec<(String, u32)>,
}

/// Analyses a chunk. Terms come from title, governing heading and text; phrases are looked for in the text alone.
pub(super) fn analyse(version: &VersionRow, chunk: &ChunkRow, titles: &TitleDictionary) -> Analysis {
    let lexical = passage_text(&version.title, chunk.governing_heading.as_deref(), &chunk.text);
    let language = version.language.as_deref();
    let folded = lexical_tokens(&lexical, language, Form::Folded);
    // Folding changes no letter of ASCII text, so both fields hold the same.
    let exact = if lexical.is_ascii() { None } else { Some(lexical_tokens(&lexical, language, Form::Exact)) };
    let exact = exact.as_ref().unwrap_or(&folded);
    let words = norm(&chunk.text);
    Analysis {
        lengths: (length(exact), length(&folded)),
        diacritics: diacritic_words(&chunk.text),
        links: links(&words, titles),
        words: IndexedWords { exact: exact.join(" "), folded: folded.join(" "), words },
    }
}

/// Titles that normalised words spell out, with their occurrences.
pub(super) fn links(words: &str, titles: &TitleDictionary) -> Vec<(String, u32)> {
    titles.matches(words).into_iter().map(|(key, count)| (key.to_owned(), count)).collect()
}

fn length(terms: &[String]) -> u32 {
    u32::try_from(terms.len()).unwrap_or(u32::MAX)
}
