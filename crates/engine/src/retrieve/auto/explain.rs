//! Why a chunk was found: the way through the graph, and the question's words that it holds.

use std::collections::HashSet;

use lorekeep_text::{self as text, Form};
use lorekeep_types::PhraseGraph;

use super::query::Query;
use super::walk::Walk;

/// The keys along the shortest way from the question to `chunk`: a phrase of both, or a phrase of the question and
/// one that the chunk shares with a chunk that holds it. Empty when the graph knows no such way.
pub(super) fn path(graph: &PhraseGraph, query: &Query, walk: &Walk, chunk: u32) -> Vec<String> {
    let own: HashSet<u32> = graph.phrases_of(chunk).collect();
    let holds = |phrase: u32| own.contains(&phrase) || graph.sole_chunk(phrase) == Some(chunk);
    if let Some(known) = query.phrases.iter().find(|known| holds(known.phrase)) {
        return vec![graph.key(known.phrase).to_owned()];
    }
    if walk.mass(chunk) == 0.0 || query.phrases.is_empty() {
        return Vec::new();
    }
    let (nodes, shares) = graph.edges(chunk);
    let mut bridges: Vec<(f32, u32)> = nodes
        .iter()
        .zip(shares)
        .filter_map(|(node, share)| graph.phrase_at(*node).map(|phrase| (walk.mass(*node) * share, phrase)))
        .collect();
    bridges.sort_unstable_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
    let start = |bridge: u32| {
        query.phrases.iter().find(|known| share_a_chunk(graph, known.phrase, bridge)).map(|known| known.phrase)
    };
    bridges
        .iter()
        .find_map(|(_, bridge)| start(*bridge).map(|phrase| [phrase, *bridge]))
        .map_or_else(Vec::new, |way| way.map(|phrase| graph.key(phrase).to_owned()).to_vec())
}

/// Whether some chunk has both phrases; both lists of chunks are ascending.
fn share_a_chunk(graph: &PhraseGraph, one: u32, other: u32) -> bool {
    let sole = graph.sole_chunk(one);
    let chunks = match (graph.node_of(one), &sole) {
        (Some(node), _) => graph.edges(node).0,
        (None, Some(chunk)) => std::slice::from_ref(chunk),
        (None, None) => &[],
    };
    let others = graph.node_of(other).map_or(&[][..], |node| graph.edges(node).0);
    chunks.iter().any(|chunk| others.binary_search(chunk).is_ok())
}

/// The words of `question`, in order and as written there, whose analysed form `passage` holds. `language` is the
/// passage's (ISO 639-1).
pub(in crate::retrieve) fn matched_terms(question: &str, passage: &str, language: Option<&str>) -> Vec<String> {
    let held: HashSet<String> = text::lexical_tokens(passage, language, Form::Folded).into_iter().collect();
    let mut matched: Vec<String> = Vec::new();
    for word in question.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let terms = text::lexical_tokens(word, language, Form::Folded);
        if !terms.is_empty()
            && terms.iter().all(|term| held.contains(term))
            && !matched.iter().any(|known| known == word)
        {
            matched.push(word.to_owned());
        }
    }
    matched
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matched_words_are_the_question_s() {
        let matched = matched_terms("Which ships ran to Málaga, ships?", "A ship runs. malaga", Some("en"));
        assert_eq!(matched, ["ships", "Málaga"]);
        assert!(matched_terms("", "x", None).is_empty());
    }
}
