//! A miniature ingest: enough of parsing, chunking and extraction to fill a store with plain text.
//!
//! A text is cut into chunks at blank lines. Every capitalised word is an entity; two that follow one another in
//! a sentence are related by the words between; `X is …` defines X; `X (Y)` makes Y an alias of X.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use lorekeep_store::Store;
use lorekeep_types::{
    ByteSpan, CommitOutcome, DocumentId, DocumentWrite, ErrorCode, Extraction, Heading, JobId, NewChunk, NewEntity,
    NewItem, NewJob, NewMention, NewRelation, PageRequest, PageSpan, ParsedDocument, PendingItem, Result, Store as _,
    Vector, Workspace, WorkspaceName,
};

pub(crate) const NOW: i64 = 1_700_000_000_000;
pub(crate) const ALL: PageRequest = PageRequest { offset: 0, limit: 1_000 };

/// A workspace in memory.
pub(crate) fn memory() -> Arc<dyn Workspace> {
    default_of(&Store::in_memory().unwrap())
}

pub(crate) fn default_of(store: &Store) -> Arc<dyn Workspace> {
    store.workspace(&WorkspaceName::default_workspace()).unwrap()
}

pub(crate) fn name(name: &str) -> WorkspaceName {
    WorkspaceName::parse(name).unwrap()
}

pub(crate) fn id(document: &str) -> DocumentId {
    DocumentId::of_source(&format!("/docs/{document}"))
}

pub(crate) fn item(name: &str, text: &str) -> NewItem {
    NewItem::new(format!("/docs/{name}"), name, text.as_bytes().to_vec())
}

/// A job id that no other call of this process gives.
pub(crate) fn fresh_job() -> JobId {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    JobId::with_suffix(&format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

pub(crate) fn job(items: Vec<NewItem>) -> NewJob {
    job_of(fresh_job(), items)
}

pub(crate) fn job_of(id: JobId, items: Vec<NewItem>) -> NewJob {
    NewJob { id, label: None, principal: None, items }
}

/// Claims one item.
pub(crate) fn claim_one(workspace: &dyn Workspace) -> PendingItem {
    workspace.claim(1, u64::MAX, NOW).unwrap().pop().expect("an item waits")
}

/// Works off whatever waits, a few documents per transaction.
pub(crate) fn work(workspace: &dyn Workspace) -> Vec<CommitOutcome> {
    let mut outcomes = Vec::new();
    loop {
        let claimed = workspace.claim(7, u64::MAX, NOW).unwrap();
        if claimed.is_empty() {
            workspace.refresh().unwrap();
            return outcomes;
        }
        outcomes.extend(workspace.commit(claimed.iter().map(write_of).collect(), NOW).unwrap());
    }
}

/// Adds documents `(name, text)` and waits for them.
pub(crate) fn add(workspace: &dyn Workspace, documents: &[(&str, &str)]) {
    let items = documents.iter().map(|(name, text)| item(name, text)).collect();
    workspace.enqueue(job(items), NOW).unwrap();
    work(workspace);
}

/// What ingest makes of an item.
pub(crate) fn write_of(item: &PendingItem) -> DocumentWrite {
    let text = String::from_utf8(item.bytes.clone()).unwrap();
    let chunks = chunks_of(&text);
    let extraction = extract(&text, &chunks);
    let headings = vec![Heading { title: "Top".to_owned(), level: 1, start: 0, end: text.len() }];
    let pages = vec![PageSpan { number: 1, span: ByteSpan::new(0, text.len()) }];
    DocumentWrite {
        document: item.document.clone(),
        item: item.item,
        hash: item.hash,
        vectors: chunks.iter().map(|chunk| vector_of(&chunk.text)).collect(),
        parsed: ParsedDocument {
            text,
            pages,
            headings,
            metadata: item.metadata.clone(),
            warnings: vec!["read by a toy".to_owned()],
            ..ParsedDocument::default()
        },
        chunks,
        extraction,
    }
}

/// What the miniature extractor finds in a text.
pub(crate) fn extraction_of(text: &str) -> Extraction {
    extract(text, &chunks_of(text))
}

/// A vector that depends on the text alone.
pub(crate) fn vector_of(text: &str) -> Vector {
    let mut values = [1.0_f32; 8];
    for (index, byte) in text.bytes().enumerate() {
        values[index % 8] += f32::from(byte);
    }
    let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    Vector::quantise(&values.map(|value| value / norm))
}

fn chunks_of(text: &str) -> Vec<NewChunk> {
    let mut chunks = Vec::new();
    let mut start = 0;
    for part in text.split("\n\n") {
        if !part.trim().is_empty() {
            chunks.push(NewChunk {
                position: u32::try_from(chunks.len()).unwrap(),
                span: ByteSpan::new(start, start + part.len()),
                text: part.to_owned(),
                heading_path: vec!["Top".to_owned()],
                headings: vec!["Top".to_owned()],
                page: Some(1),
                tokens: u32::try_from(part.split_whitespace().count()).unwrap(),
            });
        }
        start += part.len() + 2;
    }
    chunks
}

/// A word and its place.
fn words(text: &str, from: usize) -> Vec<(ByteSpan, &str)> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, character) in text.char_indices().chain([(text.len(), ' ')]) {
        match (character.is_alphanumeric(), start) {
            (true, None) => start = Some(at),
            (false, Some(begin)) => {
                found.push((ByteSpan::new(from + begin, from + at), &text[begin..at]));
                start = None;
            }
            _ => {}
        }
    }
    found
}

fn is_name(word: &str) -> bool {
    word.chars().next().is_some_and(char::is_uppercase)
}

fn extract(text: &str, chunks: &[NewChunk]) -> Extraction {
    let mut extraction = Extraction::default();
    for chunk in chunks {
        let mut at = chunk.span.start;
        for sentence in chunk.text.split_inclusive('.') {
            let start = at + sentence.len() - sentence.trim_start().len();
            let span = ByteSpan::new(start, start + sentence.trim().len());
            at += sentence.len();
            extract_sentence(&mut extraction, text, chunk.position, span);
        }
    }
    extraction
}

fn extract_sentence(extraction: &mut Extraction, text: &str, chunk: u32, sentence: ByteSpan) {
    let words = words(sentence.of(text), sentence.start);
    let mut last: Option<(u32, usize)> = None;
    for (index, (span, word)) in words.iter().enumerate() {
        if !is_name(word) {
            continue;
        }
        let entity = entity_of(extraction, word);
        mention(extraction, entity, chunk, *span);
        if words.get(index + 1).is_some_and(|(_, next)| *next == "is") {
            extraction.entities[entity as usize].definitions.push((sentence, 5));
        }
        if let Some((source, before)) = last {
            let between: Vec<_> = words[before + 1..index].iter().map(|(_, word)| *word).collect();
            let keywords = between.join(" ");
            if text[..span.start].ends_with('(') {
                let alias = word.to_lowercase();
                extraction.entities[source as usize].aliases.push(alias);
            }
            extraction.relations.push(NewRelation {
                source,
                target: entity,
                keywords,
                evidence: sentence,
                chunk,
                description: String::new(),
            });
        }
        last = Some((entity, index));
    }
}

fn entity_of(extraction: &mut Extraction, word: &str) -> u32 {
    let key = word.to_lowercase();
    let known = extraction.entities.iter().position(|entity| entity.key == key);
    let index = known.unwrap_or_else(|| {
        extraction.entities.push(NewEntity {
            key,
            name: word.to_owned(),
            kind: if word.ends_with('a') { "person" } else { "unknown" }.to_owned(),
            aliases: Vec::new(),
            definitions: Vec::new(),
            descriptions: Vec::new(),
        });
        extraction.entities.len() - 1
    });
    u32::try_from(index).unwrap()
}

fn mention(extraction: &mut Extraction, entity: u32, chunk: u32, span: ByteSpan) {
    let known = extraction.mentions.iter_mut().find(|mention| (mention.entity, mention.chunk) == (entity, chunk));
    match known {
        Some(mention) => mention.count += 1,
        None => extraction.mentions.push(NewMention { entity, chunk, span, count: 1, own: chunk == 0 }),
    }
}

/// The code of a refusal.
pub(crate) fn refusal<T>(result: Result<T>) -> ErrorCode {
    result.err().expect("this is refused").code()
}

/// Fails with every problem that the store's own check finds.
pub(crate) fn assert_sound(workspace: &dyn Workspace) {
    let report = workspace.check().unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert_eq!(report.truth_seq, report.view_seq);
}
