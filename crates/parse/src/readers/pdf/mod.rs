//! PDF: text in reading order with page numbers. `lines` takes a page apart, `furniture` drops running
//! headers and footers, `compose` joins lines into headings, paragraphs and tables.

mod compose;
mod furniture;
mod lines;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use lorekeep_types::{Metadata, ParsedDocument};
use pdf_oxide::PdfDocument;
use pdf_oxide::error::Error as PdfError;
use pdf_oxide::extractors::warnings::{Warning, WarningCategory};
use pdf_oxide::object::Object;

use crate::dates;
use crate::draft::Draft;
use crate::error::{ParseError, Result};
use crate::limits::{Limits, Watch};
use crate::readers::Source;

use lines::PageLines;

/// The library follows references by recursion; a large stack keeps hostile files from ending the process.
const STACK_BYTES: usize = 64 << 20;
/// Fewer letters and digits per page than this are page stamps on scans.
const MIN_CHARS_PER_PAGE: usize = 5;

/// What the library yields, before it is put together.
struct Raw {
    pages: Vec<PageLines>,
    metadata: Metadata,
    warnings: Vec<String>,
}

pub(crate) fn read(source: &Source<'_>) -> Result<ParsedDocument> {
    let limits = Limits { time: source.watch.time_left(), ..source.watch.limits };
    let (bytes, cancel) = (source.bytes, source.watch.cancel());
    let raw = thread::scope(|scope| {
        let worker = thread::Builder::new()
            .name("pdf".to_owned())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || extract(bytes, &Watch::new(limits, cancel)));
        worker.ok().and_then(|worker| worker.join().ok())
    });
    let raw = raw.unwrap_or(Err(ParseError::Panicked { format: "pdf" }));
    let raw = raw.map_err(|error| match error {
        ParseError::Timeout { .. } => ParseError::Timeout { seconds: source.watch.limits.time.as_secs() },
        other => other,
    })?;
    assemble(raw, source.watch)
}

fn extract(bytes: &[u8], watch: &Watch<'_>) -> Result<Raw> {
    let document = PdfDocument::from_bytes(bytes.to_vec()).map_err(refusal)?;
    if document.is_encrypted() && !document.is_authenticated() {
        return Err(ParseError::Encrypted { what: "the PDF" });
    }
    let count = document.page_count().map_err(refusal)?;
    watch.page_limit(count)?;
    let mut raw = Raw { pages: Vec::new(), metadata: metadata(&document), warnings: Vec::new() };
    let mut characters = 0_usize;
    for index in 0..count {
        watch.check()?;
        // A panic on one page costs that page only.
        let page = catch_unwind(AssertUnwindSafe(|| lines::page(&document, index)));
        let page = page.unwrap_or_else(|_| Err("the page is damaged".to_owned())).unwrap_or_else(|reason| {
            raw.warnings.push(format!("page {} cannot be read: {reason}", index + 1));
            PageLines::default()
        });
        characters += page.characters();
        if characters > watch.limits.characters {
            return Err(watch.too_much_text());
        }
        raw.pages.push(page);
    }
    let broken =
        |warning: &Warning| matches!(warning.category, WarningCategory::XrefRecovery | WarningCategory::EofPremature);
    if document.take_structured_warnings().iter().any(broken) {
        raw.warnings.insert(0, "the file is damaged; what could be read was kept".to_owned());
    }
    Ok(raw)
}

fn refusal(error: PdfError) -> ParseError {
    match error {
        PdfError::EncryptedPdf => ParseError::Encrypted { what: "the PDF" },
        other => ParseError::broken("pdf", other),
    }
}

fn assemble(raw: Raw, watch: &Watch<'_>) -> Result<ParsedDocument> {
    let Raw { mut pages, metadata, warnings } = raw;
    let written: usize = pages.iter().map(PageLines::alphanumeric).sum();
    if pages.is_empty() {
        return Err(ParseError::broken("pdf", "it holds no pages"));
    }
    if written == 0 && !warnings.is_empty() {
        return Err(ParseError::broken("pdf", &warnings[0]));
    }
    if written == 0 || (pages.len() > 1 && written < pages.len() * MIN_CHARS_PER_PAGE) {
        return Err(ParseError::NeedsOcr);
    }
    let mut draft = Draft::new(watch);
    draft.metadata = metadata;
    for warning in warnings {
        draft.warn(warning);
    }
    let blank: Vec<String> = (1..)
        .zip(&pages)
        .filter(|(_, page)| page.alphanumeric() == 0)
        .map(|(number, _): (usize, _)| number.to_string())
        .collect();
    if !blank.is_empty() {
        draft.warn(format!("pages without text (blank, or pictures that need OCR): {}", shorten(&blank)));
    }
    if furniture::remove(&mut pages) {
        draft.warn("headers and footers that repeat from page to page were left out");
    }
    compose::write(&pages, &mut draft);
    draft.finish("the PDF holds no text")
}

fn shorten(numbers: &[String]) -> String {
    const SHOWN: usize = 10;
    if numbers.len() <= SHOWN {
        return numbers.join(", ");
    }
    format!("{} and {} more", numbers[..SHOWN].join(", "), numbers.len() - SHOWN)
}

/// The information dictionary and the catalog's language.
fn metadata(document: &PdfDocument) -> Metadata {
    let read = || {
        let info = document.trailer().as_dict()?.get("Info")?;
        let info = document.resolve_object(info).ok()?;
        let field = |name: &str| string(document, info.as_dict()?.get(name)?);
        Some(Metadata {
            title: field("Title").filter(|title| is_title(title)),
            author: field("Author").filter(|author| !author.eq_ignore_ascii_case("anonymous")),
            date: field("CreationDate").and_then(|date| dates::iso_date(&date)),
            language: None,
        })
    };
    let guarded = catch_unwind(AssertUnwindSafe(|| {
        let mut metadata = read().unwrap_or_default();
        let catalog = document.catalog().ok();
        metadata.language = catalog.and_then(|catalog| string(document, catalog.as_dict()?.get("Lang")?));
        metadata
    }));
    guarded.unwrap_or_default()
}

/// A text string: UTF-16 with a byte order mark, UTF-8 with one, else nearly Latin-1.
fn string(document: &PdfDocument, object: &Object) -> Option<String> {
    let object = document.resolve_object(object).ok()?;
    let bytes = object.as_string()?;
    let text = encoding_rs::WINDOWS_1252.decode(bytes).0;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Word processors leave file names and placeholders where a title belongs.
fn is_title(title: &str) -> bool {
    let lower = title.to_lowercase();
    let placeholder = lower.starts_with("microsoft word") || lower.starts_with("untitled") || lower == "(anonymous)";
    let file = [".doc", ".docx", ".tex", ".dvi", ".indd", ".pdf", ".qxd"].iter().any(|end| lower.ends_with(end));
    !placeholder && !file && title.chars().filter(|c| c.is_alphabetic()).count() >= 3
}
