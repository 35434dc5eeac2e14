//! The units of a document that should stay whole: headings, blocks (tables, code), paragraphs; and how to cut
//! those that are too large.

use lorekeep_types::{ByteSpan, Cancel, ParsedDocument, Result, TokenCounter};

use super::{check, trimmed};

/// What a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A heading line of a level.
    Heading(u8),
    /// A table or a piece of code.
    Block,
    /// A paragraph.
    Prose,
}

/// A piece of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    /// Without white space at its ends.
    pub(super) span: ByteSpan,
    /// Its tokens and the white space after it.
    pub(super) tokens: usize,
    /// What it is.
    pub(super) kind: Kind,
}

/// The units in order; only white space lies between them.
pub(super) fn units(document: &ParsedDocument, tokens: &dyn TokenCounter, cancel: &Cancel) -> Result<Vec<Unit>> {
    let text = &document.text;
    let mut units = Vec::new();
    let mut add = |span: ByteSpan, kind: Kind| {
        if let Some(span) = trimmed(text, span) {
            units.push(Unit { span, tokens: tokens.count(span.of(text)) + 1, kind });
        }
    };
    let mut at = 0;
    for (span, kind) in marks(document) {
        check(cancel)?;
        if span.start < at {
            continue;
        }
        paragraphs(text, ByteSpan::new(at, span.start), |paragraph| add(paragraph, Kind::Prose));
        add(span, kind);
        at = span.end;
    }
    paragraphs(text, ByteSpan::new(at, text.len()), |paragraph| add(paragraph, Kind::Prose));
    Ok(units)
}

/// Heading lines and blocks by place, moved onto character boundaries.
fn marks(document: &ParsedDocument) -> Vec<(ByteSpan, Kind)> {
    let text = &document.text;
    let headings = document.headings.iter().map(|heading| {
        let start = text.floor_char_boundary(heading.start);
        let line = text.get(start..).and_then(|rest| rest.find('\n')).map_or(text.len(), |length| start + length);
        (ByteSpan::new(start, line), Kind::Heading(heading.level))
    });
    let blocks = document.blocks.iter().map(|block| {
        let span = ByteSpan::new(text.floor_char_boundary(block.start), text.floor_char_boundary(block.end));
        (span, Kind::Block)
    });
    let mut marks: Vec<_> = blocks.chain(headings).filter(|(span, _)| !span.is_empty()).collect();
    marks.sort_by_key(|(span, _)| span.start);
    marks
}

/// Paragraphs end at lines without anything but white space.
fn paragraphs(text: &str, region: ByteSpan, mut found: impl FnMut(ByteSpan)) {
    let mut start = region.start;
    let mut at = region.start;
    for line in region.of(text).split_inclusive('\n') {
        if line.trim().is_empty() {
            found(ByteSpan::new(start, at));
            start = at;
        }
        at += line.len();
    }
    found(ByteSpan::new(start, region.end));
}

/// The parts of a unit that is too large as a whole: sentences of prose, lines of blocks; parts of more than
/// `most` tokens are cut at words.
pub(super) fn parts(text: &str, unit: Unit, most: usize, tokens: &dyn TokenCounter) -> Vec<Unit> {
    let pieces: Vec<ByteSpan> = match unit.kind {
        Kind::Block => lines(text, unit.span),
        Kind::Heading(_) | Kind::Prose => sentences(text, unit.span),
    };
    let mut parts = Vec::with_capacity(pieces.len());
    for span in pieces.into_iter().filter_map(|piece| trimmed(text, piece)) {
        let count = tokens.count(span.of(text)) + 1;
        if count <= most {
            parts.push(Unit { span, tokens: count, kind: unit.kind });
        } else {
            cut(text, span, most, tokens, |span, tokens| parts.push(Unit { span, tokens, kind: unit.kind }));
        }
    }
    parts
}

fn lines(text: &str, span: ByteSpan) -> Vec<ByteSpan> {
    let mut at = span.start;
    span.of(text)
        .split_inclusive('\n')
        .map(|line| {
            at += line.len();
            ByteSpan::new(at - line.len(), at)
        })
        .collect()
}

fn sentences(text: &str, span: ByteSpan) -> Vec<ByteSpan> {
    let sentences = lorekeep_text::sentences(span.of(text)).into_iter();
    sentences.map(|sentence| ByteSpan::new(span.start + sentence.start, span.start + sentence.end)).collect()
}

/// Cuts a span into pieces of at most `most` tokens, before a word where one begins near the end.
fn cut(text: &str, span: ByteSpan, most: usize, tokens: &dyn TokenCounter, mut found: impl FnMut(ByteSpan, usize)) {
    // A piece may begin up to a quarter of `most` earlier than its cut, to keep a word whole.
    let every = (most * 3 / 4).max(1);
    let mut start = span.start;
    for limit in tokens.cuts(span.of(text), every).into_iter().map(|cut| span.start + cut).chain([span.end]) {
        let end = if limit == span.end { limit } else { word_before(text, start, limit, most / 4) };
        if let Some(piece) = trimmed(text, ByteSpan::new(start, end)) {
            found(piece, tokens.count(piece.of(text)) + 1);
        }
        start = end;
    }
}

/// The start of the word that a cut at `limit` would split, if it lies at most `reach` bytes before; else `limit`.
fn word_before(text: &str, start: usize, limit: usize, reach: usize) -> usize {
    let from = text.ceil_char_boundary(limit.saturating_sub(reach)).max(start);
    let tail = ByteSpan::new(from, limit).of(text);
    tail.rfind(char::is_whitespace).map_or(limit, |space| from + space).max(start + 1)
}
