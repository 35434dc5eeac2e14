//! The embedded default over a small corpus held in memory: what a caller of retrieval relies on.

#![allow(unreachable_pub, clippy::disallowed_methods, clippy::unwrap_used, reason = "tests")]

mod fuzz;

use lorekeep_engine::retrieve::auto;
use lorekeep_models::StaticEmbedder;
use lorekeep_testkit::{MemoryDocument, MemoryIndex};
use lorekeep_types::{ChunkSet, NewChunk};

const PASSAGES: [(&str, &str); 6] = [
    ("Marchetti Bridge", "The Marchetti Bridge was designed by the engineer Alda Ferroni and opened in 1931."),
    ("Alda Ferroni", "Alda Ferroni grew up in a fishing village and studied mathematics in Trieste."),
    ("Bridges", "A bridge carries a road over a river. Many were opened by engineers of the state."),
    ("Trieste", "Trieste is a port on the Adriatic sea with an old university."),
    ("Fishing", "Fishing feeds the villages of the coast. Nets are mended in the winter."),
    ("Mathematics", "Numbers, shapes and proofs are what mathematics is about."),
];

fn index() -> MemoryIndex {
    let document = |(title, text): &(&str, &str)| MemoryDocument {
        title: (*title).to_owned(),
        language: Some("en".to_owned()),
        chunks: vec![NewChunk { text: (*text).to_owned(), ..NewChunk::default() }],
    };
    MemoryIndex::build(PASSAGES.iter().map(document).collect(), Some(&StaticEmbedder)).unwrap()
}

fn ordinals(ranking: &auto::Ranking) -> Vec<u32> {
    ranking.passages.iter().map(|passage| passage.ordinal).collect()
}

#[test]
fn a_question_in_two_steps_finds_both() {
    let question = "Where did the designer of the Marchetti Bridge study?";
    let ranking = auto::rank(&index(), Some(&StaticEmbedder), question, &None, 3).unwrap();
    let mut first = ordinals(&ranking)[..2].to_vec();
    first.sort_unstable();
    assert_eq!(first, [0, 1]);
    assert_eq!(ranking.phrases, ["marchetti bridge"]);
    let second = ranking.passages.iter().find(|passage| passage.ordinal == 1).unwrap();
    assert_eq!(second.path, ["marchetti bridge", "alda ferroni"]);
    assert!(ranking.dense && second.cosine.is_some());
}

#[test]
fn rankings_repeat_and_do_not_depend_on_the_limit() {
    let index = index();
    let rank = |limit| auto::rank(&index, Some(&StaticEmbedder), "Who mends nets in winter?", &None, limit).unwrap();
    assert_eq!(rank(6), rank(6));
    assert_eq!(ordinals(&rank(6))[..2], ordinals(&rank(2)));
    assert_eq!(rank(6).passages[0].ordinal, 4);
}

#[test]
fn a_filter_hides_the_rest() {
    let mut admitted = ChunkSet::with_capacity(PASSAGES.len());
    [2, 5].into_iter().for_each(|ordinal| admitted.insert(ordinal));
    let ranking =
        auto::rank(&index(), Some(&StaticEmbedder), "Who designed the Marchetti Bridge?", &Some(admitted), 6).unwrap();
    assert!(!ranking.passages.is_empty() && ordinals(&ranking).iter().all(|ordinal| [2, 5].contains(ordinal)));
}

#[test]
fn without_an_embedder_words_alone_count() {
    let ranking = auto::rank(&index(), None, "What feeds the villages?", &None, 1).unwrap();
    assert_eq!(ordinals(&ranking), [4]);
    assert!(!ranking.dense && ranking.passages[0].cosine.is_none());
}

#[test]
fn nothing_to_find_is_no_error() {
    let empty = MemoryIndex::build(Vec::new(), Some(&StaticEmbedder)).unwrap();
    assert_eq!(auto::rank(&empty, Some(&StaticEmbedder), "Who?", &None, 5).unwrap().passages, []);
    assert!(auto::rank(&index(), None, "…", &None, 5).unwrap().passages.is_empty());
    assert!(auto::rank(&index(), Some(&StaticEmbedder), &"Marchetti bridge ".repeat(4_000), &None, 5).is_ok());
}
