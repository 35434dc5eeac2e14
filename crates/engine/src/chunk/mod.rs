//! Cutting a parsed document into chunks, with places, headings and page of each.
//!
//! `units` finds what should stay whole, `structure` and `fixed` are the strategies of the configuration, `asked`
//! does what the sender of a document asks for instead (`recursive` and `meaning` are its own strategies), `places`
//! attaches headings and pages. What a token is, is the token counter's.

mod asked;
mod fixed;
mod meaning;
mod places;
mod recursive;
mod structure;
mod units;

pub(crate) use asked::{Tools, chunk_as_asked};
use lorekeep_types::{ByteSpan, Cancel, Error, ErrorCode, NewChunk, ParsedDocument, Result, TokenCounter};

use crate::settings::{ChunkSettings, ChunkStrategy};

/// Sizes of chunks that may overlap, in tokens.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// No chunk is larger.
    size: usize,
    /// Tokens that neighbours share; less than `size`.
    overlap: usize,
}

/// The chunks of a document in order. Together they hold every character of its text that is not white space;
/// each chunk's text is exactly what lies at its span.
///
/// # Errors
/// `Cancelled`.
pub fn chunk_document(
    document: &ParsedDocument,
    settings: &ChunkSettings,
    tokens: &dyn TokenCounter,
    cancel: &Cancel,
) -> Result<Vec<NewChunk>> {
    let spans = match settings.strategy {
        _ if !document.passages.is_empty() => document.passages.clone(),
        ChunkStrategy::Structure => structure::spans(document, settings, tokens, cancel)?,
        ChunkStrategy::Fixed => {
            fixed::spans(&document.text, Window { size: settings.max_tokens, overlap: settings.overlap_tokens }, tokens)
        }
    };
    check(cancel)?;
    Ok(places::chunks(document, &spans, tokens))
}

fn check(cancel: &Cancel) -> Result<()> {
    if cancel.is_cancelled() { Err(Error::new(ErrorCode::Cancelled, "the work was cancelled")) } else { Ok(()) }
}

/// The span without white space at its ends; `None` when nothing is left.
fn trimmed(text: &str, span: ByteSpan) -> Option<ByteSpan> {
    let inside = span.of(text);
    let start = span.start + (inside.len() - inside.trim_start().len());
    let end = start + inside.trim().len();
    (start < end).then_some(ByteSpan::new(start, end))
}

#[cfg(test)]
mod asked_tests;
#[cfg(test)]
mod tests;
