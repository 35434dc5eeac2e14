//! Dispatch: from a file to the reader of its format, each guarded against panics of the libraries beneath.

mod archive;
mod code;
mod csv;
mod docx;
mod eml;
mod epub;
mod html;
mod json;
mod markdown;
mod odt;
mod office;
mod pdf;
mod pptx;
mod rst;
mod rtf;
mod table;
mod text;
mod xlsx;
mod xml_data;

use std::panic::{AssertUnwindSafe, catch_unwind};

use lorekeep_types::ParsedDocument;

use crate::detect::{self, Detected};
use crate::encoding::{self, Decoded};
use crate::error::{ParseError, Result};
use crate::formats::Kind;
use crate::limits::Watch;

/// What a reader is given.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) name: &'a str,
    pub(crate) bytes: &'a [u8],
    pub(crate) watch: &'a Watch<'a>,
}

impl<'a> Source<'a> {
    /// The content of a text file.
    pub(crate) fn decode(&self) -> Decoded<'a> {
        encoding::decode(self.bytes, None)
    }

    /// Lower-case extension.
    pub(crate) fn extension(&self) -> String {
        detect::extension(self.name)
    }
}

/// What messages say when a text file holds nothing.
const NO_TEXT: &str = "the file holds no text";

/// Reads a file; `depth` counts the archives around it.
pub(crate) fn read_any(source: &Source<'_>, depth: usize) -> Result<Vec<(String, ParsedDocument)>> {
    source.watch.check()?;
    if source.bytes.is_empty() {
        return Err(ParseError::Empty { what: "the file is empty" });
    }
    let limit = source.watch.limits.input_bytes;
    if source.bytes.len() as u64 > limit {
        return Err(ParseError::Limit {
            what: "the file size",
            limit: format!("{} MiB", limit >> 20),
            hint: "split the file into smaller ones",
        });
    }
    let Detected { kind, warning } = detect::detect(source.name, source.bytes, source.watch)?;
    if kind == Kind::Zip {
        return archive::read(source, depth);
    }
    let mut document = guarded(kind.name(), || read_one(kind, source))?;
    document.warnings.splice(0..0, warning);
    Ok(vec![(String::new(), document)])
}

/// Runs `read`; a panic inside becomes an error of this one file.
fn guarded<T>(format: &'static str, read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or(Err(ParseError::Panicked { format }))
}

fn read_one(kind: Kind, source: &Source<'_>) -> Result<ParsedDocument> {
    match kind {
        Kind::Text | Kind::Zip => text::read(source),
        Kind::Markdown => markdown::read(source),
        Kind::Rst => rst::read(source),
        Kind::Html => html::read(source),
        Kind::Pdf => pdf::read(source),
        Kind::Docx => docx::read(source),
        Kind::Pptx => pptx::read(source),
        Kind::Xlsx => xlsx::read(source),
        Kind::Csv => csv::read(source),
        Kind::Json => json::read(source),
        Kind::Odt => odt::read(source),
        Kind::Epub => epub::read(source),
        Kind::Eml => eml::read(source),
        Kind::Rtf => rtf::read(source),
        Kind::Xml => xml_data::read(source),
        Kind::Tex => code::read_tex(source),
        Kind::Textpack => archive::read_textpack(source),
        Kind::Code => code::read(source),
    }
}
