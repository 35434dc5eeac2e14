//! The port of document parsing.

use crate::context::Cancel;
use crate::document::{ParsedDocument, Problem};

/// One readable format: a row of the table that the upload filter, `--help` and the API list from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Short name, e.g. `pdf`.
    pub name: &'static str,
    /// Extensions without dot, lower case; the first is the usual one.
    pub extensions: &'static [&'static str],
    /// Media type used when the original is sent back.
    pub media_type: &'static str,
}

/// What a parser is given.
#[derive(Clone, Copy, Debug)]
pub struct ParseInput<'a> {
    /// File name or path; its extension is a hint, the bytes decide.
    pub name: &'a str,
    /// The original.
    pub bytes: &'a [u8],
    /// Checked between pages and parts.
    pub cancel: &'a Cancel,
}

/// Reads documents. Pure: no files, no network, bounded in time and memory.
pub trait DocumentParser: Send + Sync {
    /// The formats that can be read.
    fn formats(&self) -> &'static [Format];

    /// Extracts text with places. What is broken is left out and named in `warnings`. Most inputs give one
    /// document; an archive gives one per member, each with its path inside the archive (empty otherwise).
    ///
    /// # Errors
    /// The one reason why nothing could be read: unknown format, encrypted, over a limit, cancelled …
    fn parse(&self, input: ParseInput<'_>) -> Result<Vec<(String, ParsedDocument)>, Problem>;
}
