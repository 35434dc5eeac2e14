//! Understanding a question: its language, its terms, its vector and the phrases that the graph knows.

use lorekeep_text::{self as text, Form};
use lorekeep_types::{CorpusStats, EmbeddingModel, LexicalField, PhraseGraph, Result, Snapshot};

/// From this share of marked words on, diacritics tell words apart and writers type them.
const MARKED_CORPUS: f32 = 0.2;

/// A language of the corpus counts from this share of its chunks on.
const LANGUAGE_SHARE: f32 = 0.05;

/// Words that only English questions hold.
const ENGLISH: [&str; 17] = [
    "the", "of", "is", "are", "was", "were", "did", "does", "what", "who", "whom", "when", "where", "which", "how",
    "why", "whose",
];

/// Rarer titles than this (as ln(1 + N/df)) are met by a single word in lower case.
const TELLING_IDF: f32 = 5.0;

/// A question as retrieval sees it.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) field: LexicalField,
    /// Analysed terms, repetitions removed.
    pub(super) terms: Vec<String>,
    /// Its vector, where the embedder covers the question and most of the corpus.
    pub(super) vector: Option<Vec<f32>>,
    pub(super) phrases: Vec<QueryPhrase>,
}

/// The code of a language that is not known (ISO 639-2): only models that know every language cover it.
const UNDETERMINED: &str = "und";

/// More terms and phrases than this are those of a pasted text, not of a question.
const MOST_TERMS: usize = 128;
const MOST_PHRASES: usize = 32;

/// A phrase of the question that the graph knows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct QueryPhrase {
    pub(super) phrase: u32,
    /// Chunks that hold it in any case, at least its frequency in the graph.
    pub(super) frequency: u32,
}

impl Query {
    pub(super) fn read(snapshot: &dyn Snapshot, embedder: Option<&dyn EmbeddingModel>, question: &str) -> Result<Self> {
        let stats = snapshot.stats();
        let field = if stats.diacritic_share >= MARKED_CORPUS && text::has_diacritic(question) {
            LexicalField::Exact
        } else {
            LexicalField::Folded
        };
        let language = language(stats, question);
        let vector = match embedder {
            Some(model) if model.covers(language.unwrap_or(UNDETERMINED)) && covered(stats, model) => {
                Some(model.embed_query(question)?).filter(|vector| !vector.is_empty())
            }
            _ => None,
        };
        Ok(Self {
            field,
            terms: terms(stats, language, question, field),
            vector,
            phrases: phrases(snapshot, question)?,
        })
    }
}

/// The language of the question, as far as it matters: one of the corpus, or English.
fn language<'a>(stats: &'a CorpusStats, question: &str) -> Option<&'a str> {
    if is_english(question) {
        return Some("en");
    }
    let languages: Vec<&str> = stats.languages.iter().map(|(code, _)| code.as_str()).collect();
    match languages.as_slice() {
        [] => Some("en").filter(|_| question.is_ascii()),
        [only] if *only != "en" => Some(only),
        several => text::language_among(question, several),
    }
}

/// Whether the question holds an English function word and hardly any word that English does not spell.
fn is_english(question: &str) -> bool {
    let (marked, all) = text::diacritic_words(question);
    let words = text::norm_words(question);
    marked * 4 <= all && words.iter().any(|word| ENGLISH.contains(&word.as_str()))
}

/// Whether at least half of the chunks whose language is known have vectors that mean anything.
fn covered(stats: &CorpusStats, model: &dyn EmbeddingModel) -> bool {
    let (inside, all) = stats.languages.iter().fold((0, 0), |(inside, all), (code, chunks)| {
        (inside + if model.covers(code) { *chunks } else { 0 }, all + chunks)
    });
    inside * 2 >= all
}

/// The terms of the question as the index of each language of the corpus would analyse them.
fn terms(stats: &CorpusStats, language: Option<&str>, question: &str, field: LexicalField) -> Vec<String> {
    let form = match field {
        LexicalField::Exact => Form::Exact,
        LexicalField::Folded => Form::Folded,
    };
    let least = stats.chunks as f32 * LANGUAGE_SHARE;
    let known: u32 = stats.languages.iter().map(|(_, chunks)| chunks).sum();
    let others =
        stats.languages.iter().filter(|(_, chunks)| *chunks as f32 >= least).map(|(code, _)| Some(code.as_str()));
    let unknown = (stats.chunks.saturating_sub(known) as f32 >= least && stats.chunks > 0).then_some(None);
    let mut analyses: Vec<Option<&str>> = Vec::new();
    for analysis in [language].into_iter().chain(others).chain(unknown) {
        if !analyses.contains(&analysis) {
            analyses.push(analysis);
        }
    }
    let mut terms: Vec<String> = Vec::new();
    for analysis in analyses {
        for term in text::lexical_tokens(question, analysis, form) {
            if terms.len() < MOST_TERMS && !terms.contains(&term) {
                terms.push(term);
            }
        }
    }
    terms
}

/// The question's phrases with the number of chunks that hold them.
fn phrases(snapshot: &dyn Snapshot, question: &str) -> Result<Vec<QueryPhrase>> {
    let graph = snapshot.phrases();
    let known = |key: &str| graph.find(key).is_some_and(|phrase| !graph.is_common(phrase));
    let keys = text::query_phrases(question, known, |key| is_telling(graph, key));
    let mut found: Vec<QueryPhrase> = Vec::new();
    for key in keys.into_iter().take(MOST_PHRASES) {
        let Some(phrase) = graph.find(&key).filter(|phrase| found.iter().all(|known| known.phrase != *phrase)) else {
            continue;
        };
        let words: Vec<&str> = key.split(' ').collect();
        let frequency = snapshot.phrase_frequency(&words)?.max(graph.frequency(phrase));
        found.push(QueryPhrase { phrase, frequency });
    }
    Ok(found)
}

/// Whether a single word in lower case names something: a rare title of more than three characters.
fn is_telling(graph: &PhraseGraph, key: &str) -> bool {
    let Some(phrase) = graph.find(key) else { return false };
    let idf = (1.0 + graph.chunk_count() as f32 / graph.frequency(phrase).max(1) as f32).ln();
    key.chars().count() > 3 && !graph.sharers(phrase).is_empty() && idf > TELLING_IDF
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Query {
        /// A question of phrases alone.
        pub(in super::super) fn with_phrases(phrases: Vec<u32>) -> Self {
            let phrases = phrases.into_iter().map(|phrase| QueryPhrase { phrase, frequency: 1 }).collect();
            Self { field: LexicalField::Folded, terms: Vec::new(), vector: None, phrases }
        }
    }

    fn stats(languages: &[(&str, u32)]) -> CorpusStats {
        CorpusStats {
            chunks: languages.iter().map(|(_, chunks)| chunks).sum(),
            languages: languages.iter().map(|(code, chunks)| ((*code).to_owned(), *chunks)).collect(),
            ..CorpusStats::default()
        }
    }

    #[test]
    fn language_of_a_question() {
        let mixed = stats(&[("en", 50), ("id", 50)]);
        assert_eq!(language(&mixed, "Who discovered America?"), Some("en"));
        assert_eq!(language(&mixed, "Siapakah yang menemukan benua Amerika?"), Some("id"));
        assert_eq!(language(&stats(&[("id", 9)]), "Dimanakah letak Donggala?"), Some("id"));
        assert_eq!(language(&stats(&[]), "privacy policy"), Some("en"));
        assert!(!is_english("Ai là the người đẹp nhất?"));
    }

    #[test]
    fn terms_follow_the_languages_of_the_corpus() {
        let english = terms(&stats(&[("en", 99), ("de", 1)]), Some("en"), "running runs", LexicalField::Folded);
        assert_eq!(english, ["run"]);
        let mixed = terms(&stats(&[("en", 50), ("de", 50)]), Some("en"), "running", LexicalField::Folded);
        assert_eq!(mixed, ["run", "running"]);
    }
}
