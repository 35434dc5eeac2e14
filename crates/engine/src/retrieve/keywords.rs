//! Keywords of a question without a model: its entity phrases are the low-level ones, its other content
//! terms the high-level ones.

use lorekeep_text as text;
use lorekeep_types::{Keywords, PhraseGraph};

/// Reads the keywords of `query`. Phrases are those that the graph knows; a capitalised span it does not
/// know counts as one too, because entities are also found by nearness.
pub(super) fn read(query: &str, graph: &PhraseGraph) -> Keywords {
    let known = |key: &str| graph.find(key).is_some();
    let mut low_level = text::query_phrases(query, known, |_| false);
    for span in text::capitalised_spans(query) {
        let key = text::norm(query.get(span).unwrap_or_default());
        let covered = low_level.iter().any(|phrase| phrase.contains(&key) || key.contains(phrase.as_str()));
        if !covered && text::is_phrase_key(&key) {
            low_level.push(key);
        }
    }
    let taken: Vec<&str> = low_level.iter().flat_map(|phrase| phrase.split(' ')).collect();
    let normal = text::norm(query);
    let mut high_level: Vec<String> = Vec::new();
    for word in normal.split(' ') {
        let content = text::is_phrase_key(word) && !taken.contains(&word);
        if content && !high_level.iter().any(|known| known == word) {
            high_level.push(word.to_owned());
        }
    }
    Keywords { high_level, low_level }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lorekeep_types::ChunkPhrases;

    #[test]
    fn phrases_are_low_and_the_rest_is_high() {
        let chunk = ChunkPhrases {
            phrases: vec![("heat pump".to_owned(), 1, false), ("karlsruhe".to_owned(), 1, true)],
            ..ChunkPhrases::default()
        };
        let graph = PhraseGraph::build([chunk], std::iter::empty::<(String, String)>());
        let keywords = read("Which retrofit of the heat pump did Karlsruhe and Basel pay for?", &graph);
        assert_eq!(keywords.low_level, ["heat pump", "karlsruhe", "basel"]);
        assert_eq!(keywords.high_level, ["retrofit", "pay"]);
    }

    #[test]
    fn a_question_of_stop_words_has_none() {
        assert_eq!(read("who was it?", &PhraseGraph::default()), Keywords::default());
    }
}
