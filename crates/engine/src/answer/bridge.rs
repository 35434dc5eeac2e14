//! Bridges: two sentences of different passages that share a name which the question does not say, and together
//! cover more of the question than either.

use std::collections::HashMap;

use lorekeep_types::PhraseGraph;

use super::candidates::{Candidates, Sentence};
use super::question::{Question, TermSet, holds_words};

/// Shorter names link too many things.
const SHORTEST_NAME: usize = 4;

/// What a sentence gains from the best sentence it is linked to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bridge {
    /// Coverage of the pair; the sentence's own coverage when no pair covers more.
    pub(super) coverage: f32,
    /// `coverage` less the sentence's own.
    pub(super) gain: f32,
    /// Index of the other sentence and normal form of the shared name.
    pub(super) partner: Option<(usize, String)>,
}

/// The bridge of every candidate sentence.
pub(super) fn bridges(graph: &PhraseGraph, question: &Question, candidates: &Candidates<'_, '_>) -> Vec<Bridge> {
    let names = shared_names(graph, question, candidates);
    let mut said: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut by_sentence: Vec<Vec<&str>> = Vec::with_capacity(candidates.sentences.len());
    for (at, sentence) in candidates.sentences.iter().enumerate() {
        let of_passage = names.get(sentence.passage).map(Vec::as_slice).unwrap_or_default();
        let own: Vec<&str> = of_passage.iter().copied().filter(|name| holds_words(&sentence.normal, name)).collect();
        own.iter().for_each(|name| said.entry(name).or_default().push(at));
        by_sentence.push(own);
    }
    let linked = candidates.sentences.iter().zip(&by_sentence);
    linked.map(|(sentence, own)| best_partner(question, candidates, sentence, own, &said)).collect()
}

fn best_partner(
    question: &Question,
    candidates: &Candidates<'_, '_>,
    sentence: &Sentence,
    own: &[&str],
    said: &HashMap<&str, Vec<usize>>,
) -> Bridge {
    let alone = covered(candidates, sentence);
    let coverage = question.coverage(alone);
    let mut bridge = Bridge { coverage, ..Bridge::default() };
    let title = candidates.title_of(sentence).map(|title| title.key.as_str());
    let title = title.filter(|key| is_long_enough(key) && !question.holds(key));
    for name in own.iter().copied().chain(title) {
        for other in said.get(name).map(Vec::as_slice).unwrap_or_default() {
            let Some(partner) = candidates.sentences.get(*other).filter(|one| one.passage != sentence.passage) else {
                continue;
            };
            let together = question.coverage(alone | covered(candidates, partner));
            if together > bridge.coverage {
                bridge.coverage = together;
                bridge.partner = Some((*other, name.to_owned()));
            }
        }
    }
    bridge.gain = bridge.coverage - coverage;
    bridge
}

/// Terms of the question in a sentence and its title.
pub(super) fn covered(candidates: &Candidates<'_, '_>, sentence: &Sentence) -> TermSet {
    sentence.exact | candidates.title_of(sentence).map_or(0, |title| title.exact)
}

/// For each passage the names that it shares with another candidate and the question does not say.
fn shared_names<'g>(graph: &'g PhraseGraph, question: &Question, candidates: &Candidates<'_, '_>) -> Vec<Vec<&'g str>> {
    let of_passage = |ordinal: Option<u32>| -> Vec<u32> {
        ordinal
            .map(|ordinal| graph.phrases_of(ordinal).filter(|phrase| !graph.is_common(*phrase)).collect())
            .unwrap_or_default()
    };
    let phrases: Vec<Vec<u32>> = candidates.passages.iter().map(|passage| of_passage(passage.ordinal)).collect();
    let mut counts: HashMap<u32, u32> = HashMap::new();
    for phrase in phrases.iter().flatten() {
        *counts.entry(*phrase).or_default() += 1;
    }
    let links = |phrase: &u32| counts.get(phrase).is_some_and(|count| *count > 1);
    let named = |phrases: Vec<u32>| {
        let keys = phrases.into_iter().filter(links).map(|phrase| graph.key(phrase));
        keys.filter(|key| is_long_enough(key) && !question.holds(key)).collect()
    };
    phrases.into_iter().map(named).collect()
}

fn is_long_enough(name: &str) -> bool {
    name.chars().nth(SHORTEST_NAME - 1).is_some()
}
