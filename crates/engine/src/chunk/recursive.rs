//! Cutting at the coarsest separator that makes pieces small enough, then joining neighbours up to the size: the
//! recursive character splitter that LangChain made usual.

use lorekeep_types::{ByteSpan, Result, TokenCounter};

use super::asked::{Tools, windows};
use super::{Window, check, trimmed};

/// Paragraph, line, word, token.
const SEPARATORS: [&str; 4] = ["\n\n", "\n", " ", ""];

/// A piece and its tokens.
#[derive(Clone, Copy)]
struct Piece {
    span: ByteSpan,
    tokens: usize,
}

/// The spans of the chunks.
pub(super) fn spans(
    text: &str,
    separators: Option<&[String]>,
    sizes: Window,
    tools: &Tools<'_>,
) -> Result<Vec<ByteSpan>> {
    let separators: Vec<&str> = match separators {
        Some(own) => own.iter().map(String::as_str).collect(),
        None => SEPARATORS.to_vec(),
    };
    let cutter = Cutter { text, sizes: Window { size: sizes.size.max(1), ..sizes }, tokens: tools.tokens };
    let mut found = Vec::new();
    cutter.cut(ByteSpan::new(0, text.len()), &separators, &mut found);
    check(tools.cancel)?;
    Ok(found.into_iter().filter_map(|span| trimmed(text, span)).collect())
}

struct Cutter<'a> {
    text: &'a str,
    sizes: Window,
    tokens: &'a dyn TokenCounter,
}

impl Cutter<'_> {
    /// Adds the chunks of `span`: pieces between the first separator that occurs are joined while they fit; one that
    /// is too large alone is cut by the finer separators and not joined to its neighbours.
    fn cut(&self, span: ByteSpan, separators: &[&str], found: &mut Vec<ByteSpan>) {
        let inside = span.of(self.text);
        if inside.trim().is_empty() {
            return;
        }
        if self.tokens.count(inside) <= self.sizes.size {
            return found.push(span);
        }
        let usable = separators.iter().position(|separator| inside.contains(separator));
        let (separator, finer) = match usable.map(|at| separators.split_at(at).1) {
            Some([separator, finer @ ..]) if !separator.is_empty() => (*separator, finer),
            _ => return found.extend(windows(self.text, span, self.sizes, self.tokens)),
        };
        let mut small = Vec::new();
        let mut start = span.start;
        let ends = inside.match_indices(separator).map(|(at, _)| span.start + at).chain([span.end]);
        for end in ends.filter(|end| *end > span.start) {
            let piece = ByteSpan::new(start, end);
            let tokens = self.tokens.count(piece.of(self.text));
            if tokens <= self.sizes.size {
                small.push(Piece { span: piece, tokens });
            } else {
                found.extend(joined(&small, self.sizes));
                small.clear();
                self.cut(piece, finer, found);
            }
            start = end;
        }
        found.extend(joined(&small, self.sizes));
    }
}

/// Neighbours joined while they fit; each next chunk begins with the last pieces of the one before that fit the
/// overlap.
fn joined(pieces: &[Piece], sizes: Window) -> Vec<ByteSpan> {
    let mut spans = Vec::new();
    let (mut first, mut total) = (0, 0);
    for (index, piece) in pieces.iter().enumerate() {
        if total + piece.tokens > sizes.size && first < index {
            spans.extend(around(pieces.get(first..index)));
            while first < index && (total > sizes.overlap || total + piece.tokens > sizes.size) {
                total -= pieces.get(first).map_or(0, |piece| piece.tokens);
                first += 1;
            }
        }
        total += piece.tokens;
    }
    spans.extend(around(pieces.get(first..)));
    spans
}

fn around(pieces: Option<&[Piece]>) -> Option<ByteSpan> {
    let (first, last) = pieces.and_then(|pieces| Some((pieces.first()?, pieces.last()?)))?;
    Some(ByteSpan::new(first.span.start, last.span.end))
}
