//! Documents whose titles are phrases of other documents, and the comparison of a snapshot with the reference.

use lorekeep_store::Store;
use lorekeep_testkit::{MemoryDocument, MemoryIndex};
use lorekeep_text::{own_keys, phrases};
use lorekeep_types::{
    ByteSpan, DocumentFilter, DocumentOrder, DocumentState, DocumentWrite, Extraction, LexicalField, NewChunk,
    NewEntity, NewMention, OrderField, ParsedDocument, PendingItem, Snapshot, Workspace,
};
use proptest::prelude::*;

use crate::support::{ALL, NOW, default_of, item, job, vector_of};

/// Words of every test document; titles are made of them too.
pub(crate) const WORDS: [&str; 8] = ["river", "seine", "Paris", "bridge", "Old", "été", "flows", "under"];

/// A store on disk; dropping and opening it again is a restart.
pub(crate) fn open(folder: &std::path::Path) -> (Store, std::sync::Arc<dyn Workspace>) {
    let store = Store::open(folder, NOW).unwrap();
    let workspace = default_of(&store);
    (store, workspace)
}

/// Some sentences.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let chunk =
        proptest::collection::vec(proptest::sample::select(&WORDS[..]), 1..12).prop_map(|words| words.join(" "));
    proptest::collection::vec(chunk, 1..4).prop_map(|chunks| chunks.join("\n\n"))
}

/// A title of one to three words, as the name of a file.
pub(crate) fn title() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(&WORDS[..5]), 1..4).prop_map(|words| words.join(" ") + ".txt")
}

/// Adds or replaces a document without refreshing.
pub(crate) fn put(workspace: &dyn Workspace, name: &str, text: &str) {
    workspace.enqueue(job(vec![item(name, text)]), NOW).unwrap();
    let claimed = workspace.claim(1, u64::MAX, NOW).unwrap();
    workspace.commit(claimed.iter().map(write_of).collect(), NOW).unwrap();
}

/// What the recipe's extractor makes of an item: phrases as entities, a chunk per paragraph.
fn write_of(item: &PendingItem) -> DocumentWrite {
    let text = String::from_utf8(item.bytes.clone()).unwrap();
    let title = item.name.trim_end_matches(".txt");
    let mut chunks = Vec::new();
    let mut start = 0;
    for part in text.split("\n\n") {
        let span = ByteSpan::new(start, start + part.len());
        let position = u32::try_from(chunks.len()).unwrap();
        chunks.push(NewChunk { position, span, text: part.to_owned(), ..NewChunk::default() });
        start += part.len() + 2;
    }
    DocumentWrite {
        document: item.document.clone(),
        item: item.item,
        hash: item.hash,
        vectors: chunks.iter().map(|chunk| vector_of(&chunk.text)).collect(),
        extraction: extract(title, &chunks),
        parsed: ParsedDocument { text, metadata: item.metadata.clone(), ..ParsedDocument::default() },
        chunks,
    }
}

fn extract(title: &str, chunks: &[NewChunk]) -> Extraction {
    let mut extraction = Extraction::default();
    for chunk in chunks {
        for phrase in phrases(&chunk.text, &own_keys(&[], title)) {
            let known = extraction.entities.iter().position(|entity| entity.key == phrase.key);
            let entity = known.unwrap_or(extraction.entities.len());
            if known.is_none() {
                extraction.entities.push(NewEntity {
                    key: phrase.key.clone(),
                    name: phrase.key.clone(),
                    kind: "unknown".to_owned(),
                    aliases: Vec::new(),
                    definitions: Vec::new(),
                    descriptions: Vec::new(),
                });
            }
            let place = phrase.span.unwrap_or(0..0);
            extraction.mentions.push(NewMention {
                entity: u32::try_from(entity).unwrap(),
                chunk: chunk.position,
                span: ByteSpan::new(chunk.span.start + place.start, chunk.span.start + place.end),
                count: phrase.count,
                own: phrase.own,
            });
        }
    }
    extraction
}

/// The reference of what the truth holds now.
fn reference(workspace: &dyn Workspace) -> (MemoryIndex, Vec<i64>, Vec<String>) {
    let order = DocumentOrder { field: OrderField::Id, descending: false };
    let ready = DocumentFilter { states: vec![DocumentState::Ready], ..DocumentFilter::default() };
    let page = workspace.documents(&ready, order, ALL).unwrap();
    let mut documents: Vec<_> =
        page.documents.iter().map(|record| workspace.document_chunks(&record.id, ALL).unwrap()).collect();
    documents.sort_by_key(|chunks| chunks.first().map(|chunk| chunk.version_id));
    let ids = documents.iter().flatten().map(|chunk| chunk.id.0).collect();
    let texts = documents.iter().flatten().map(|chunk| chunk.chunk.text.clone()).collect();
    let documents = documents.into_iter().map(|chunks| MemoryDocument {
        title: chunks.first().unwrap().document_title.clone(),
        language: chunks.first().unwrap().metadata.language.clone(),
        chunks: chunks.into_iter().map(|chunk| chunk.chunk).collect(),
    });
    (MemoryIndex::build(documents.collect(), None).unwrap(), ids, texts)
}

/// Fails unless the latest snapshot shows exactly what the truth holds.
pub(crate) fn assert_equal(workspace: &dyn Workspace) {
    let snapshot = workspace.snapshot();
    let (expected, ids, texts) = reference(workspace);
    assert_eq!(snapshot.seq(), workspace.truth_seq().unwrap());
    assert_eq!(snapshot.stats().chunks, expected.stats().chunks);
    assert_eq!(snapshot.stats().documents, expected.stats().documents);
    assert!((snapshot.stats().diacritic_share - expected.stats().diacritic_share).abs() < 1e-6);
    for (ordinal, id) in (0..).zip(&ids) {
        assert_eq!(snapshot.ordinal(lorekeep_types::ChunkId(*id)), Some(ordinal));
    }
    let all: Vec<u32> = (0..snapshot.stats().chunks).collect();
    let shown: Vec<String> = snapshot.chunks(&all).unwrap().into_iter().map(|(_, chunk)| chunk.chunk.text).collect();
    assert_eq!(shown, texts);
    assert_lexical(&*snapshot, &expected);
    assert_phrases(&*snapshot, &expected);
    assert_vectors(&*snapshot, &texts);
}

fn assert_lexical(snapshot: &dyn Snapshot, expected: &dyn Snapshot) {
    let terms: Vec<String> = WORDS.iter().map(|word| lorekeep_text::lower(word)).chain(["ete".to_owned()]).collect();
    for field in [LexicalField::Exact, LexicalField::Folded] {
        for term in &terms {
            let counts = [snapshot, expected].map(|index| index.document_frequency(field, term).unwrap());
            assert_eq!(counts[0], counts[1], "{term}");
        }
        let (found, wanted) = (snapshot.lexical(field, &terms).unwrap(), expected.lexical(field, &terms).unwrap());
        assert_eq!(found.len(), wanted.len());
        for (found, wanted) in found.iter().zip(&wanted) {
            assert_eq!(found.ordinal, wanted.ordinal);
            assert!((found.score - wanted.score).abs() < 1e-4, "{found:?} {wanted:?}");
        }
    }
    let words: Vec<String> = WORDS.iter().map(|word| lorekeep_text::norm(word)).collect();
    for one in &words {
        for other in &words {
            for phrase in [&[one.as_str()][..], &[one, other], &[one, other, "river"]] {
                let counts = [snapshot, expected].map(|index| index.phrase_frequency(phrase).unwrap());
                assert_eq!(counts[0], counts[1], "{phrase:?}");
            }
        }
    }
}

fn assert_phrases(snapshot: &dyn Snapshot, expected: &dyn Snapshot) {
    let (found, wanted) = (snapshot.phrases(), expected.phrases());
    assert_eq!(found.chunk_count(), wanted.chunk_count());
    assert_eq!(found.phrase_count(), wanted.phrase_count());
    for phrase in 0..wanted.phrase_count() {
        let key = wanted.key(phrase);
        let same = found.find(key).unwrap_or_else(|| panic!("`{key}` is missing"));
        assert_eq!(found.frequency(same), wanted.frequency(phrase), "{key}");
        assert_eq!(found.sharers(same), wanted.sharers(phrase), "{key}");
    }
}

fn assert_vectors(snapshot: &dyn Snapshot, texts: &[String]) {
    let query = [0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0];
    let similar = snapshot.chunk_similarity(&query);
    assert_eq!(similar.len(), texts.len());
    for (cosine, text) in similar.iter().zip(texts) {
        assert!((cosine - vector_of(text).dot(&query)).abs() < 1e-3, "{text}");
    }
}
