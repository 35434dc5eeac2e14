//! Windows of a fixed number of tokens with overlap, as LightRAG cuts.

use lorekeep_types::{ByteSpan, TokenCounter};

use super::{Window, trimmed};

/// The windows of `text`: the first begins at its start, each next one `size - overlap` later, the last ends at its
/// end.
pub(super) fn spans(text: &str, sizes: Window, tokens: &dyn TokenCounter) -> Vec<ByteSpan> {
    let window = sizes.size.max(1);
    let step = window - sizes.overlap.min(window - 1);
    let grid = greatest_common_divisor(window, step);
    let mut places = vec![0];
    places.extend(tokens.cuts(text, grid));
    places.push(text.len());
    let place = |at: usize| places.get(at).copied().unwrap_or(text.len());
    let mut spans = Vec::new();
    for first in (0..places.len()).step_by(step / grid) {
        let span = ByteSpan::new(place(first), place(first + window / grid));
        spans.extend(trimmed(text, span));
        if span.end == text.len() {
            break;
        }
    }
    spans
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}
