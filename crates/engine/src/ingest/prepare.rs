//! From the original of one document to what will be committed: parse, chunk, extract, embed. Pure but for the
//! ports it calls; it ends early when cancelled, and a panic inside it ends only this document.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lorekeep_types::{
    Cancel, ChunkOptions, DocumentState, DocumentWrite, EmbeddingModel, Error, ErrorCode, Metadata, NewChunk,
    ParseInput, ParsedDocument, PendingItem, Problem, Result, Stage, Vector,
};

use super::archive;
use super::worker::Bench;
use crate::chunk::{Tools, chunk_as_asked, chunk_document};
use crate::embed::{Errand, Maker};
use crate::engine::EngineParts;
use crate::extract;

/// How a document ends without a version.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) state: DocumentState,
    pub(super) problem: Problem,
}

impl From<Problem> for Ended {
    fn from(problem: Problem) -> Self {
        let state = match problem.code {
            ErrorCode::Cancelled => DocumentState::Cancelled,
            ErrorCode::CapabilityMissing => DocumentState::NeedsOcr,
            _ => DocumentState::Failed,
        };
        Self { state, problem }
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::from(problem(&error))
    }
}

/// An error as it is kept with a document.
pub(super) fn problem(error: &Error) -> Problem {
    Problem { code: error.code(), message: error.message().to_owned(), hint: error.remedy().map(str::to_owned) }
}

/// Prepares one document; `stage` hears of every step.
pub(super) fn prepare(
    bench: &Bench,
    item: PendingItem,
    cancel: &Cancel,
    stage: &dyn Fn(Stage),
) -> Result<DocumentWrite, Box<Ended>> {
    let name = item.name.clone();
    let work = AssertUnwindSafe(|| steps(bench, item, cancel, stage));
    catch_unwind(work).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
        tracing::error!(document = name, panic = said, "reading a document ended in a panic");
        let problem = Problem {
            code: ErrorCode::Internal,
            message: format!("reading `{name}` ended in a fault of this program"),
            hint: Some("the other documents are not affected; please report the file".to_owned()),
        };
        Err(Box::new(Ended::from(problem)))
    })
}

fn steps(
    bench: &Bench,
    item: PendingItem,
    cancel: &Cancel,
    stage: &dyn Fn(Stage),
) -> Result<DocumentWrite, Box<Ended>> {
    let ended = |error: Error| Box::new(Ended::from(error));
    let parts = bench.parts.as_ref();
    stage(Stage::Parse);
    let input = ParseInput { name: &item.name, bytes: &item.bytes, cancel };
    let members = parts.parser.parse(input).map_err(|problem| Box::new(Ended::from(problem)))?;
    let mut parsed = archive::joined(members);
    override_metadata(&mut parsed.metadata, item.metadata);
    if parsed.text.trim().is_empty() {
        return Err(ended(no_text(&item.name)));
    }
    if parsed.metadata.language.is_none() {
        parsed.metadata.language = lorekeep_text::language_of(&parsed.text).map(str::to_owned);
    }
    stage(Stage::Chunk);
    let chunks = chunks(parts, &mut parsed, item.chunking.as_ref(), cancel).map_err(ended)?;
    stage(Stage::Extract);
    let title = title(&parsed.metadata, &item.name);
    let extraction = extract::extract(&title, &chunks, cancel).map_err(ended)?;
    stage(Stage::Embed);
    let errand = Errand::in_background(bench.workspace.as_ref(), &bench.runtime, cancel);
    let errand = errand.on_behalf_of(item.principal.as_deref(), item.document.as_str());
    let vectors = vectors(bench, errand, &parsed, (&title, &chunks), cancel).map_err(ended)?;
    Ok(DocumentWrite { document: item.document, item: item.item, hash: item.hash, parsed, chunks, vectors, extraction })
}

fn no_text(name: &str) -> Error {
    Error::new(ErrorCode::Unprocessable, format!("`{name}` holds no text"))
        .hint("check that the file is not empty; a scanned document needs text recognition first")
}

fn override_metadata(found: &mut Metadata, given: Metadata) {
    let over = |found: &mut Option<String>, given: Option<String>| {
        if given.is_some() {
            *found = given;
        }
    };
    over(&mut found.title, given.title);
    over(&mut found.author, given.author);
    over(&mut found.date, given.date);
    over(&mut found.language, given.language);
}

/// The document's own title, else its name without folder and extension.
fn title(metadata: &Metadata, name: &str) -> String {
    if let Some(title) = metadata.title.as_deref().map(str::trim).filter(|title| !title.is_empty()) {
        return title.to_owned();
    }
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    match file.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem.to_owned(),
        _ => file.to_owned(),
    }
}

/// Cut as the sender asks, else as the configuration says.
fn chunks(
    parts: &EngineParts,
    parsed: &mut ParsedDocument,
    asked: Option<&ChunkOptions>,
    cancel: &Cancel,
) -> Result<Vec<NewChunk>> {
    let tokens = parts.tokens.as_ref();
    let Some(options) = asked else { return chunk_document(parsed, &parts.settings.chunking, tokens, cancel) };
    let embedder = embedder_of(parts, &parsed.metadata);
    chunk_as_asked(parsed, options, &Tools { tokens, embedder, cancel })
}

/// The built-in embedding model, where it knows the document's language: passages cut by meaning need many vectors that
/// nobody keeps.
fn embedder_of<'a>(parts: &'a EngineParts, metadata: &Metadata) -> Option<&'a dyn EmbeddingModel> {
    parts.embedder.as_deref().filter(|model| metadata.language.as_ref().is_none_or(|code| model.covers(code)))
}

/// One vector per chunk, or none where the model does not know the document's language.
fn vectors(
    bench: &Bench,
    errand: Errand,
    parsed: &ParsedDocument,
    (title, chunks): (&str, &[NewChunk]),
    cancel: &Cancel,
) -> Result<Vec<Vector>> {
    // It may have to be asked how long its vectors are.
    let maker = bench.turns.aside(|| bench.parts.writing_embedder(bench.workspace.as_ref(), errand))?;
    let Some(Maker { model, batch, is_elsewhere }) = maker else { return Ok(Vec::new()) };
    if parsed.metadata.language.as_ref().is_some_and(|code| !model.covers(code)) {
        return Ok(Vec::new());
    }
    let mut vectors = Vec::with_capacity(chunks.len());
    for batch in chunks.chunks(batch) {
        if cancel.is_cancelled() {
            return Err(Error::new(ErrorCode::Cancelled, "the work was cancelled"));
        }
        let texts: Vec<String> = batch.iter().map(|chunk| embedded_text(title, chunk)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let embed = || model.embed(&texts);
        let embedded = if is_elsewhere { bench.turns.aside(embed) } else { embed() };
        vectors.extend(embedded?.iter().map(|values| Vector::quantise(values)));
    }
    Ok(vectors)
}

/// What a chunk's vector stands for.
fn embedded_text(title: &str, chunk: &NewChunk) -> String {
    lorekeep_text::passage_text(title, chunk.heading_path.last().map(String::as_str), &chunk.text)
}
