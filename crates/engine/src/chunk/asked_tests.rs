//! What a sender's strategies promise.
#![allow(clippy::unwrap_used, reason = "tests")]

use lorekeep_types::{
    Breakpoint, Cancel, ChunkOptions, EmbeddingModel, EmbeddingModelId, ParsedDocument, Result, TokenCounter,
};
use proptest::prelude::*;

use super::tests::{Words, document};
use super::{Tools, chunk_as_asked};

/// Two dimensions: how much a text is about ships, and about bread.
struct Topics;

impl EmbeddingModel for Topics {
    fn id(&self) -> EmbeddingModelId {
        EmbeddingModelId { name: "topics".to_owned(), dimensions: 2 }
    }

    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let vector = |text: &&str| {
            let (ships, bread) = (text.matches("ship").count() as f32, text.matches("bread").count() as f32);
            let length = ships.hypot(bread).max(f32::MIN_POSITIVE);
            vec![ships / length, bread / length]
        };
        Ok(texts.iter().map(vector).collect())
    }

    fn covers(&self, _language: &str) -> bool {
        true
    }
}

fn cut(document: &mut ParsedDocument, options: &ChunkOptions, model: bool) -> Vec<String> {
    let embedder = model.then_some(&Topics as &dyn EmbeddingModel);
    let tools = Tools { tokens: &Words, embedder, cancel: &Cancel::default() };
    let chunks = chunk_as_asked(document, options, &tools).unwrap();
    chunks.into_iter().map(|chunk| chunk.text).collect()
}

fn fixed(size: usize, overlap: usize, split_by: Option<&str>, split_only: bool) -> ChunkOptions {
    let split_by = split_by.map(str::to_owned);
    ChunkOptions::FixedToken { size: Some(size), overlap: Some(overlap), split_by, split_only }
}

#[test]
fn windows_do_not_cross_the_text_to_cut_at() {
    let text = "a b c d##e f##g";
    assert_eq!(cut(&mut document(text), &fixed(3, 1, Some("##"), false), false), ["a b c", "c d", "e f", "g"]);
    assert_eq!(cut(&mut document(text), &fixed(1, 0, Some("##"), true), false), ["a b c d", "e f", "g"]);
    assert_eq!(cut(&mut document("####"), &fixed(3, 0, Some("##"), false), false), Vec::<String>::new());
    assert_eq!(cut(&mut document(text), &fixed(99, 0, Some(""), false), false), [text]);
}

#[test]
fn separators_are_tried_from_coarse_to_fine() {
    let text = "one two three\n\nfour five\nsix seven eight nine ten";
    let options =
        |overlap, separators| ChunkOptions::RecursiveCharacter { size: Some(4), overlap: Some(overlap), separators };
    let found = cut(&mut document(text), &options(0, None), false);
    assert_eq!(found, ["one two three", "four five", "six seven eight nine", "ten"]);
    let found = cut(&mut document("a b c d e f"), &options(2, Some(vec![" ".to_owned()])), false);
    assert_eq!(found, ["a b c d", "c d e f"]);
    let found = cut(&mut document("a b c d e f"), &options(0, Some(vec!["|".to_owned()])), false);
    assert_eq!(found, ["a b c d", "e f"]);
}

#[test]
fn lists_of_references_can_be_left_out() {
    let text = "# Paper\n\nIt works.\n\n## 5. References\n\n[1] A book.\n\n# Appendix\n\nMore of it.";
    let options = |drop_references| ChunkOptions::ParagraphSemantic { size: Some(100), drop_references };
    let whole = cut(&mut document(text), &options(false), false).join("\n");
    assert!(whole.contains("[1] A book."));
    let kept = cut(&mut document(text), &options(true), false).join("\n");
    assert!(!kept.contains("References") && !kept.contains("A book"), "{kept}");
    assert!(kept.contains("It works.") && kept.contains("More of it."), "{kept}");
}

#[test]
fn meaning_decides_where_to_cut() {
    let text = "The ship left the ship yard. A ship met another ship. The ship sank by a ship. \
                Then bread was baked with bread. Warm bread is good bread. Old bread is dry bread.";
    for breakpoint in
        [Breakpoint::Percentile, Breakpoint::StandardDeviation, Breakpoint::Interquartile, Breakpoint::Gradient]
    {
        let amount_milli = (breakpoint == Breakpoint::StandardDeviation).then_some(1_500);
        let options = ChunkOptions::SemanticVector { size: Some(50), breakpoint, amount_milli, buffer: Some(0) };
        let found = cut(&mut document(text), &options, true);
        if breakpoint == Breakpoint::Gradient {
            assert!(found.len() <= 2, "{found:?}");
        } else {
            assert_eq!(found.len(), 2, "{breakpoint:?}: {found:?}");
            assert!(found[0].ends_with("by a ship.") && found[1].starts_with("Then bread"), "{found:?}");
        }
    }
    let options = ChunkOptions::SemanticVector {
        size: None,
        breakpoint: Breakpoint::default(),
        amount_milli: None,
        buffer: None,
    };
    let mut unknown = document(text);
    assert_eq!(cut(&mut unknown, &options, false).len(), 1);
    assert_eq!(unknown.warnings.len(), 1);
}

proptest! {
    #[test]
    fn every_strategy_holds_every_word_in_chunks_of_the_size(
        lines in proptest::collection::vec("([a-zé中]{1,6}[.]?[ ]){0,20}", 0..12),
        size in 1_usize..30,
    ) {
        let text = lines.join("\n\n");
        for options in [
            fixed(size, size / 2, None, false),
            ChunkOptions::RecursiveCharacter { size: Some(size), overlap: Some(size / 2), separators: None },
            ChunkOptions::SemanticVector {
                size: Some(size), breakpoint: Breakpoint::default(), amount_milli: None, buffer: None,
            },
        ] {
            let found = cut(&mut document(&text), &options, true);
            for word in text.split_whitespace() {
                prop_assert!(found.iter().any(|chunk| chunk.contains(word)), "{word} is lost by {options:?}");
            }
            for chunk in &found {
                prop_assert!(Words.count(chunk) <= size, "{chunk} is larger than {size} for {options:?}");
            }
        }
    }
}
