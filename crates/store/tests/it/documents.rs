//! Documents: what is written is read back, replaced and deleted whole.

use lorekeep_types::{
    ByteSpan, ContentHash, DocumentFilter, DocumentOrder, DocumentState, ErrorCode, Metadata, NewItem, OrderField,
    PageRequest, StateCounts,
};

use crate::support::{ALL, NOW, add, assert_sound, claim_one, id, item, job, memory, work, write_of};

#[test]
fn a_document_reads_back_as_it_was_written() {
    let workspace = memory();
    let text = "Ada is a poet. Ada met Bob.\n\nBob left Đà Nẵng for Carol. 东京 is far.";
    let metadata = Metadata { title: Some("Lives".to_owned()), language: Some("en".to_owned()), ..Metadata::default() };
    let new = NewItem { tags: vec!["old".to_owned(), "old".to_owned()], metadata, ..item("lives/ada.txt", text) };
    workspace.enqueue(job(vec![new]), NOW).unwrap();
    work(&*workspace);

    let record = workspace.document(&id("lives/ada.txt")).unwrap().unwrap();
    assert_eq!((record.state, record.version, record.chunks, record.pages), (DocumentState::Ready, 1, 2, 1));
    assert_eq!(record.metadata.title.as_deref(), Some("Lives"));
    assert_eq!(record.tags, ["old"]);
    assert_eq!(record.characters, text.chars().count() as u64);
    assert_eq!(record.bytes, text.len() as u64);
    assert_eq!(record.summary, text);
    assert_eq!(record.content_hash, Some(ContentHash::of(text.as_bytes()).to_hex()));
    assert_eq!(record.warnings, ["read by a toy"]);
    assert_eq!(record.entities, 5);

    let read = workspace.document_text(&record.id).unwrap().unwrap();
    assert_eq!((read.version, read.text.as_str()), (1, text));
    assert_eq!(read.pages[0].span, ByteSpan::new(0, text.len()));
    assert_eq!(read.headings[0].title, "Top");
    assert_eq!(workspace.document_bytes(&record.id).unwrap().unwrap(), text.as_bytes());

    let chunks = workspace.document_chunks(&record.id, ALL).unwrap();
    assert_eq!(chunks.len(), 2);
    for chunk in &chunks {
        assert_eq!(chunk.chunk.span.of(text), chunk.chunk.text);
        assert_eq!(chunk.char_start, text[..chunk.chunk.span.start].chars().count());
        assert_eq!((chunk.document_title.as_str(), chunk.version), ("Lives", 1));
        assert_eq!(chunk.chunk.heading_path, ["Top"]);
    }
    let second = workspace.document_chunks(&record.id, PageRequest { offset: 1, limit: 5 }).unwrap();
    assert_eq!(second, chunks[1..]);
    assert_eq!(workspace.document_with_hash(&ContentHash::of(text.as_bytes())).unwrap(), Some(record.id));
    assert_sound(&*workspace);
}

#[test]
fn a_changed_document_becomes_a_new_version_and_the_old_one_leaves_nothing() {
    let workspace = memory();
    add(&*workspace, &[("a.txt", "Ada met Bob.\n\nBob met Carol.")]);
    add(&*workspace, &[("a.txt", "Ada met Dora.")]);

    let record = workspace.document(&id("a.txt")).unwrap().unwrap();
    assert_eq!((record.version, record.chunks), (2, 1));
    assert_eq!(workspace.document_text(&record.id).unwrap().unwrap().text, "Ada met Dora.");
    assert_eq!(workspace.document_chunks(&record.id, ALL).unwrap().len(), 1);
    let snapshot = workspace.snapshot();
    assert!(snapshot.entity_named("Bob").unwrap().is_none());
    assert!(snapshot.entity_named("Dora").unwrap().is_some());
    assert_eq!(workspace.document_with_hash(&ContentHash::of(b"Ada met Bob.\n\nBob met Carol.")).unwrap(), None);
    assert_sound(&*workspace);
}

#[test]
fn deleting_returns_what_existed_and_leaves_an_empty_workspace_behind() {
    let workspace = memory();
    add(&*workspace, &[("a.txt", "Ada met Bob."), ("b.txt", "Bob met Carol.")]);
    let deleted = workspace.delete(&[id("a.txt"), id("none"), id("b.txt"), id("a.txt")], NOW).unwrap();
    assert_eq!(deleted, [id("a.txt"), id("b.txt")]);
    workspace.refresh().unwrap();
    assert_eq!(workspace.documents(&DocumentFilter::default(), DocumentOrder::default(), ALL).unwrap().total, 0);
    assert_eq!(workspace.document_text(&id("a.txt")).unwrap(), None);
    assert_eq!(workspace.document_bytes(&id("a.txt")).unwrap(), None);
    assert!(workspace.document_chunks(&id("a.txt"), ALL).unwrap().is_empty());
    let stats = workspace.snapshot().graph_stats().unwrap();
    assert_eq!((stats.entities, stats.relations, stats.mentions), (0, 0, 0));
    assert_sound(&*workspace);
}

#[test]
fn lists_are_filtered_ordered_and_windowed() {
    let workspace = memory();
    let dated = |name: &str, language: &str, date: &str, tags: &[&str]| NewItem {
        metadata: Metadata { language: Some(language.to_owned()), date: Some(date.to_owned()), ..Metadata::default() },
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        ..item(name, name)
    };
    let items = vec![
        dated("reports/2023/a.pdf", "en", "2023-05-01", &["x", "y"]),
        dated("reports/2024/b.pdf", "de", "2024-05-01", &["x"]),
        dated("notes/c[1].md", "en", "2024-09-30", &[]),
    ];
    let first = workspace.enqueue(job(items), NOW).unwrap();
    work(&*workspace);
    workspace.enqueue(job(vec![item("waiting.txt", "w")]), NOW + 5).unwrap();

    let by_name = DocumentOrder { field: OrderField::Name, descending: false };
    let names = |filter: DocumentFilter| -> Vec<String> {
        let page = workspace.documents(&filter, by_name, ALL).unwrap();
        assert_eq!(page.total, page.documents.len() as u64);
        page.documents.into_iter().map(|document| document.name).collect()
    };
    let [a, b, c, w] = ["reports/2023/a.pdf", "reports/2024/b.pdf", "notes/c[1].md", "waiting.txt"];
    let strings = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
    let filter = DocumentFilter::default;
    assert_eq!(names(filter()), [c, a, b, w]);
    assert_eq!(names(DocumentFilter { documents: strings(&["*.pdf"]), ..filter() }), [a, b]);
    assert_eq!(names(DocumentFilter { documents: strings(&["notes/c[1].m?", "x"]), ..filter() }), [c]);
    assert_eq!(names(DocumentFilter { documents: vec![id(b).to_string()], ..filter() }), [b]);
    assert_eq!(names(DocumentFilter { folders: strings(&["./reports/"]), ..filter() }), [a, b]);
    assert_eq!(names(DocumentFilter { folders: strings(&["rep"]), ..filter() }), strings(&[]));
    assert_eq!(names(DocumentFilter { tags: strings(&["x", "y"]), ..filter() }), [a]);
    assert_eq!(names(DocumentFilter { languages: strings(&["en"]), ..filter() }), [c, a]);
    let dates =
        DocumentFilter { since: Some("2024-01-01".to_owned()), until: Some("2024-06-01".to_owned()), ..filter() };
    assert_eq!(names(dates), [b]);
    assert_eq!(names(DocumentFilter { states: vec![DocumentState::Queued], ..filter() }), [w]);
    assert_eq!(names(DocumentFilter { jobs: vec![first.id], ..filter() }), [c, a, b]);

    let newest = workspace.documents(&filter(), DocumentOrder::default(), PageRequest { offset: 0, limit: 1 }).unwrap();
    assert_eq!((newest.documents[0].name.as_str(), newest.total), (w, 4));
    assert_eq!(newest.counts, StateCounts { queued: 1, ready: 3, ..StateCounts::default() });
    let beyond = workspace.documents(&filter(), by_name, PageRequest { offset: 9, limit: 5 }).unwrap();
    assert_eq!((beyond.documents.len(), beyond.total), (0, 4));
}

#[test]
fn names_need_not_be_unique_and_tags_are_replaced() {
    let workspace = memory();
    let other = NewItem { source: "/elsewhere/a.txt".to_owned(), ..item("a.txt", "two") };
    workspace.enqueue(job(vec![item("a.txt", "one"), other]), NOW).unwrap();
    work(&*workspace);
    assert_eq!(workspace.documents_named("a.txt").unwrap().len(), 2);
    assert!(workspace.documents_named("A.txt").unwrap().is_empty());

    workspace.set_tags(&id("a.txt"), &["k".to_owned()], NOW + 1).unwrap();
    let record = workspace.document(&id("a.txt")).unwrap().unwrap();
    assert_eq!((record.tags, record.updated_at), (vec!["k".to_owned()], NOW + 1));
    let error = workspace.set_tags(&id("none"), &[], NOW).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
}

#[test]
fn a_document_without_text_or_chunks_is_a_document_all_the_same() {
    let workspace = memory();
    add(&*workspace, &[("empty.txt", ""), ("after.txt", "Ada met Bob.")]);
    let record = workspace.document(&id("empty.txt")).unwrap().unwrap();
    assert_eq!((record.state, record.chunks, record.version), (DocumentState::Ready, 0, 1));
    add(&*workspace, &[("empty.txt", "Carol."), ("after.txt", "")]);
    assert_eq!(workspace.document(&id("empty.txt")).unwrap().unwrap().chunks, 1);
    assert_sound(&*workspace);
}

#[test]
fn ten_thousand_chunks_are_one_document() {
    let workspace = memory();
    let text: Vec<String> = (0..10_000).map(|n| format!("Ada wrote letter {n} to Bob.")).collect();
    let text = text.join("\n\n");
    workspace.enqueue(job(vec![item("long.txt", &text)]), NOW).unwrap();
    let pending = claim_one(&*workspace);
    assert!(workspace.commit(vec![write_of(&pending)], NOW).unwrap()[0].committed);
    let page = workspace.document_chunks(&id("long.txt"), PageRequest { offset: 9_990, limit: 1_000 }).unwrap();
    assert_eq!(page.len(), 10);
    assert_eq!(page[9].chunk.span.of(&text), "Ada wrote letter 9999 to Bob.");
    let changed = workspace.truth_seq().unwrap();
    assert!(changed < 20, "one long document is few changes, not {changed}");
    assert_eq!(workspace.delete(&[id("long.txt")], NOW).unwrap().len(), 1);
}
