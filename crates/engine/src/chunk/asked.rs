//! Cutting as the sender of a document asks, with LightRAG's strategies.

use lorekeep_types::{ByteSpan, Cancel, ChunkOptions, EmbeddingModel, NewChunk, ParsedDocument, Result, TokenCounter};

use super::{Window, check, fixed, meaning, places, recursive, structure, trimmed};
use crate::settings::{ChunkSettings, ChunkStrategy};

/// Sizes that hold where a sender names none: LightRAG's `CHUNK_SIZE`, `CHUNK_OVERLAP_SIZE` and `CHUNK_P_SIZE`.
const SIZE: usize = 1_200;
const OVERLAP: usize = 100;
const PARAGRAPH_SIZE: usize = 2_000;

/// A chunk that is cut at its sender's text alone is still no larger than this: models refuse longer texts.
const HARD_SIZE: usize = 8_000;

/// What cutting works with.
pub(crate) struct Tools<'a> {
    /// Counts tokens.
    pub(crate) tokens: &'a dyn TokenCounter,
    /// Compares sentences; `None` when no model knows the document's language.
    pub(crate) embedder: Option<&'a dyn EmbeddingModel>,
    /// Ends the work early.
    pub(crate) cancel: &'a Cancel,
}

/// The chunks of a document as `options` ask; its own passages win over them. What could not be done as asked is
/// told in the document's warnings.
///
/// # Errors
/// `Cancelled`, or the embedding model's.
pub(crate) fn chunk_as_asked(
    document: &mut ParsedDocument,
    options: &ChunkOptions,
    tools: &Tools<'_>,
) -> Result<Vec<NewChunk>> {
    let spans = if document.passages.is_empty() { spans(document, options, tools)? } else { document.passages.clone() };
    check(tools.cancel)?;
    Ok(places::chunks(document, &spans, tools.tokens))
}

fn spans(document: &mut ParsedDocument, options: &ChunkOptions, tools: &Tools<'_>) -> Result<Vec<ByteSpan>> {
    match options {
        ChunkOptions::FixedToken { size, overlap, split_by, split_only } => {
            let sizes = if *split_only { Window { size: HARD_SIZE, overlap: 0 } } else { window(*size, *overlap) };
            Ok(pieces(&document.text, split_by.as_deref())
                .into_iter()
                .flat_map(|piece| windows(&document.text, piece, sizes, tools.tokens))
                .collect())
        }
        ChunkOptions::RecursiveCharacter { size, overlap, separators } => {
            let sizes = window(*size, *overlap);
            recursive::spans(&document.text, separators.as_deref(), sizes, tools)
        }
        ChunkOptions::ParagraphSemantic { size, drop_references } => {
            let spans = paragraphs(document, size.unwrap_or(PARAGRAPH_SIZE), tools)?;
            Ok(if *drop_references { without_references(document, spans) } else { spans })
        }
        ChunkOptions::SemanticVector { size, breakpoint, amount_milli, buffer } => {
            let most = size.unwrap_or(SIZE);
            let Some(model) = tools.embedder else {
                document.warnings.push(
                    "cut along its structure instead of by meaning: no embedding model knows its language".to_owned(),
                );
                return paragraphs(document, most, tools);
            };
            let rule = meaning::Rule::new(*breakpoint, *amount_milli, buffer.unwrap_or(1));
            meaning::spans(&document.text, rule, most, model, tools)
        }
    }
}

fn window(size: Option<usize>, overlap: Option<usize>) -> Window {
    let size = size.unwrap_or(SIZE);
    Window { size, overlap: overlap.unwrap_or(OVERLAP.min(size / 2)) }
}

fn paragraphs(document: &ParsedDocument, most: usize, tools: &Tools<'_>) -> Result<Vec<ByteSpan>> {
    let settings =
        ChunkSettings { strategy: ChunkStrategy::Structure, target_tokens: most, max_tokens: most, overlap_tokens: 0 };
    structure::spans(document, &settings, tools.tokens, tools.cancel)
}

/// The text between the places where `separator` stands; all of it without one.
fn pieces(text: &str, separator: Option<&str>) -> Vec<ByteSpan> {
    let Some(separator) = separator.filter(|separator| !separator.is_empty()) else {
        return vec![ByteSpan::new(0, text.len())];
    };
    let mut start = 0;
    let mut pieces = Vec::new();
    for (at, found) in text.match_indices(separator) {
        pieces.push(ByteSpan::new(start, at));
        start = at + found.len();
    }
    pieces.push(ByteSpan::new(start, text.len()));
    pieces
}

/// A piece, in windows where it is larger than one.
pub(super) fn windows(text: &str, piece: ByteSpan, sizes: Window, tokens: &dyn TokenCounter) -> Vec<ByteSpan> {
    let Some(piece) = trimmed(text, piece) else { return Vec::new() };
    let inside = fixed::spans(piece.of(text), sizes, tokens).into_iter();
    inside.map(|span| ByteSpan::new(piece.start + span.start, piece.start + span.end)).collect()
}

/// The spans without what lies in sections that list references.
fn without_references(document: &ParsedDocument, spans: Vec<ByteSpan>) -> Vec<ByteSpan> {
    let mut left = spans;
    for section in document.headings.iter().filter(|heading| lists_references(&heading.title)) {
        left = left
            .into_iter()
            .flat_map(|span| {
                let before = ByteSpan::new(span.start, span.end.min(section.start).max(span.start));
                let after = ByteSpan::new(span.start.max(section.end).min(span.end), span.end);
                [before, after]
            })
            .filter_map(|span| trimmed(&document.text, span))
            .collect();
    }
    left
}

fn lists_references(title: &str) -> bool {
    let words = title.trim().trim_start_matches(|c: char| c.is_ascii_digit() || ". #".contains(c)).to_lowercase();
    matches!(
        words.trim_end_matches(':').trim(),
        "references"
            | "bibliography"
            | "works cited"
            | "literature cited"
            | "daftar pustaka"
            | "tài liệu tham khảo"
            | "literatur"
            | "literaturverzeichnis"
            | "références"
            | "referencias"
            | "参考文献"
    )
}
