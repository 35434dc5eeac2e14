//! Places in a document's extracted text.
//!
//! Inside the store a span counts UTF-8 bytes; everywhere outside it counts Unicode code points.

use serde::{Deserialize, Serialize};

/// A half-open range of UTF-8 byte offsets that lie on character boundaries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteSpan {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl ByteSpan {
    /// The span `start..end`.
    #[must_use]
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// Number of bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether it covers nothing.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether the two share at least one byte.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// The text covered; empty when the span does not fit `text`.
    #[must_use]
    pub fn of(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

/// A half-open range of Unicode code points; serialized as `[start, end]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "[usize; 2]", into = "[usize; 2]")]
pub struct CharSpan {
    /// First code point.
    pub start: usize,
    /// One past the last code point.
    pub end: usize,
}

impl From<[usize; 2]> for CharSpan {
    fn from([start, end]: [usize; 2]) -> Self {
        Self { start, end }
    }
}

impl From<CharSpan> for [usize; 2] {
    fn from(span: CharSpan) -> Self {
        [span.start, span.end]
    }
}

/// Converts a byte span of `text` to code points. Offsets past the end count to the end.
#[must_use]
pub fn char_span(text: &str, span: ByteSpan) -> CharSpan {
    let chars_before = |offset: usize| text.char_indices().take_while(|(at, _)| *at < offset).count();
    let start = chars_before(span.start);
    let inside = text.get(span.start..span.end).map_or(0, |inner| inner.chars().count());
    CharSpan { start, end: start + inside }
}
