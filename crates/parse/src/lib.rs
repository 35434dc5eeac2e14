//! Bytes to text with pages, headings and spans; pure, synchronous and bounded.
//!
//! [`Parser`] implements the port [`DocumentParser`]. One module per format below `formats`' table; all of them
//! write through one `Draft`, which keeps the promises of [`ParsedDocument`] whatever a broken file contains.
//! Chunking, indexing and storing are other crates' work.

mod clean;
mod dates;
mod detect;
mod draft;
mod encoding;
mod error;
mod formats;
mod language;
mod limits;
mod package;
mod readers;
mod xml;

use lorekeep_types::{DocumentParser, Format, ParseInput, ParsedDocument, Problem};

pub use formats::FORMATS;
pub use limits::Limits;

use limits::Watch;

/// Reads every format of [`FORMATS`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Parser {
    limits: Limits,
}

impl Parser {
    /// A parser with these bounds.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits }
    }
}

impl DocumentParser for Parser {
    fn formats(&self) -> &'static [Format] {
        &FORMATS
    }

    fn parse(&self, input: ParseInput<'_>) -> Result<Vec<(String, ParsedDocument)>, Problem> {
        let watch = Watch::new(self.limits, input.cancel);
        readers::read_any(&readers::Source { name: input.name, bytes: input.bytes, watch: &watch }, 0)
            .map_err(Problem::from)
    }
}
