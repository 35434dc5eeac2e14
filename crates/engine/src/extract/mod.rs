//! The built-in extractor of entities and relations.

use lorekeep_types::{Cancel, Extraction, NewChunk, ParsedDocument, Result};

pub(crate) fn extract(_: &ParsedDocument, _: &str, _: &[NewChunk], _: &Cancel) -> Result<Extraction> {
    Ok(Extraction::default())
}
