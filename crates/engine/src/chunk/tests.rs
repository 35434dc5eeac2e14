//! What chunks promise, for both strategies.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use lorekeep_types::{ByteSpan, Cancel, Heading, NewChunk, PageSpan, ParsedDocument, TokenCounter};
use proptest::prelude::*;

use super::chunk_document;
use crate::settings::{ChunkSettings, ChunkStrategy};

/// One token per word with the white space before it.
pub(super) struct Words;

impl TokenCounter for Words {
    fn count(&self, text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn cuts(&self, text: &str, every: usize) -> Vec<usize> {
        let mut words = 0;
        let mut cuts = Vec::new();
        let mut inside = false;
        for (at, c) in text.char_indices() {
            if !c.is_whitespace() && !inside {
                if words == every {
                    cuts.push(at);
                    words = 0;
                }
                words += 1;
            }
            inside = !c.is_whitespace();
        }
        cuts
    }
}

fn structure(target: usize, most: usize) -> ChunkSettings {
    ChunkSettings { target_tokens: target, max_tokens: most, ..ChunkSettings::default() }
}

fn chunks(document: &ParsedDocument, settings: &ChunkSettings) -> Vec<NewChunk> {
    chunk_document(document, settings, &Words, &Cancel::default()).unwrap()
}

fn texts(chunks: &[NewChunk]) -> Vec<&str> {
    chunks.iter().map(|chunk| chunk.text.as_str()).collect()
}

/// A document from Markdown-like text: `#` lines are headings, lines that begin with `|` are one block.
pub(super) fn document(text: &str) -> ParsedDocument {
    let mut document = ParsedDocument { text: text.to_owned(), ..ParsedDocument::default() };
    let mut at = 0;
    let mut block: Option<ByteSpan> = None;
    for line in text.split_inclusive('\n') {
        let marks = line.bytes().take_while(|byte| *byte == b'#').count();
        if marks > 0 {
            let level = u8::try_from(marks).unwrap();
            for open in document.headings.iter_mut().filter(|h| h.end == text.len() && h.level >= level) {
                open.end = at;
            }
            let title = line.trim_start_matches('#').trim().to_owned();
            document.headings.push(Heading { title, level, start: at, end: text.len() });
        }
        at += line.len();
        if line.starts_with('|') {
            block = Some(ByteSpan::new(block.map_or(at - line.len(), |b| b.start), at));
        } else {
            document.blocks.extend(block.take());
        }
    }
    document.blocks.extend(block);
    document
}

#[test]
fn a_short_document_is_one_chunk() {
    let found = chunks(&document("\n  One paragraph.\n\nAnother one.  \n"), &structure(400, 1_200));
    assert_eq!(texts(&found), ["One paragraph.\n\nAnother one."]);
    assert_eq!(found[0].span, ByteSpan::new(3, 31));
    assert!(chunks(&document(" \n\n"), &structure(400, 1_200)).is_empty());
}

#[test]
fn headings_begin_chunks_and_stay_with_their_text() {
    let section = "word ".repeat(30);
    let text = format!("# Title\n\n## One\n\n{section}\n\n## Two\n\n{section}\n\n### Deep\n\nshort end.\n");
    let found = chunks(&document(&text), &structure(50, 100));
    assert_eq!(found.len(), 2);
    assert!(found[0].text.starts_with("# Title\n\n## One\n\nword"));
    assert!(found[1].text.starts_with("## Two\n\nword") && found[1].text.ends_with("### Deep\n\nshort end."));
    assert_eq!(found[1].heading_path, ["Title", "Two"]);
    assert_eq!(found[1].headings, ["Title", "Two", "Deep"]);
}

#[test]
fn a_block_is_kept_whole_up_to_the_maximum() {
    let rows = "| a b c\n".repeat(15);
    let text = format!("Some words before.\n\n{rows}\nSome words after.");
    let found = chunks(&document(&text), &structure(20, 100));
    assert!(found.iter().any(|chunk| chunk.text.contains(rows.trim())), "{:?}", texts(&found));
    let found = chunks(&document(&text), &structure(20, 30));
    assert!(found.iter().all(|chunk| chunk.tokens <= 30));
    assert!(found.iter().all(|chunk| chunk.text.lines().all(|line| !line.starts_with('|') || line == "| a b c")));
}

#[test]
fn long_paragraphs_are_cut_between_sentences() {
    let text = "Here is a sentence of eight words okay. ".repeat(10);
    let found = chunks(&document(&text), &structure(20, 100));
    assert!(found.len() >= 4);
    assert!(found.iter().all(|chunk| chunk.text.starts_with("Here") && chunk.text.ends_with("okay.")));
}

#[test]
fn pages_are_those_of_the_first_character() {
    let mut document = document("first page text\n\nsecond page text");
    document.pages =
        vec![PageSpan { number: 1, span: ByteSpan::new(0, 17) }, PageSpan { number: 2, span: ByteSpan::new(17, 33) }];
    let found = chunks(&document, &structure(8, 16));
    assert_eq!(found.iter().map(|chunk| chunk.page).collect::<Vec<_>>(), [Some(1)]);
    document.pages.remove(0);
    assert_eq!(chunks(&document, &structure(8, 16))[0].page, Some(2));
}

#[test]
fn fixed_windows_overlap() {
    let text = (0..25).map(|n| format!("w{n}")).collect::<Vec<_>>().join(" ");
    let settings =
        ChunkSettings { strategy: ChunkStrategy::Fixed, max_tokens: 10, overlap_tokens: 2, target_tokens: 10 };
    let found = chunks(&document(&text), &settings);
    let ends: Vec<_> = found
        .iter()
        .map(|chunk| (chunk.text.split(' ').next().unwrap(), chunk.text.split(' ').next_back().unwrap()))
        .collect();
    assert_eq!(ends, [("w0", "w9"), ("w8", "w17"), ("w16", "w24")]);
}

#[test]
fn cancelling_stops() {
    let cancel = Cancel::default();
    cancel.cancel();
    let result = chunk_document(&document("text"), &structure(8, 16), &Words, &cancel);
    assert_eq!(result.unwrap_err().code(), lorekeep_types::ErrorCode::Cancelled);
}

fn hold_everything(document: &ParsedDocument, settings: &ChunkSettings) -> Result<(), TestCaseError> {
    let found = chunks(document, settings);
    let mut covered = vec![false; document.text.len()];
    let mut last = 0;
    for (position, chunk) in (0..).zip(&found) {
        prop_assert_eq!(chunk.position, position);
        prop_assert_eq!(document.text.get(chunk.span.start..chunk.span.end), Some(chunk.text.as_str()));
        prop_assert!(chunk.span.start >= last && !chunk.text.trim().is_empty());
        prop_assert!(chunk.tokens as usize <= settings.max_tokens.max(16));
        last = chunk.span.start;
        covered[chunk.span.start..chunk.span.end].fill(true);
    }
    for (at, c) in document.text.char_indices() {
        prop_assert!(c.is_whitespace() || covered[at], "byte {} of {:?} is in no chunk", at, document.text);
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_character_is_in_a_chunk(
        lines in proptest::collection::vec("(#{1,3} [a-zé]{1,5}|\\| [a-z] [a-z]|([a-z中]{1,6}[.]?[ ]){0,30}|)", 0..30),
        target in 8_usize..60,
        most in 16_usize..80,
    ) {
        let document = document(&lines.join("\n"));
        hold_everything(&document, &structure(target, most))?;
        let fixed = ChunkSettings {
            strategy: ChunkStrategy::Fixed, max_tokens: most, overlap_tokens: target.min(most) / 2, target_tokens: target,
        };
        hold_everything(&document, &fixed)?;
    }
}
