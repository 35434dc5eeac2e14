//! Formats of released versions stay readable; newer ones are refused untouched.

use std::fs;
use std::path::{Path, PathBuf};

use lorekeep_store::Store;
use lorekeep_types::{
    ByteSpan, EntityId, ErrorCode, Extraction, GraphWrite, NewEntity, NewGraphJob, NewMention, Store as _, Verdict,
};

use crate::support::{ALL, NOW, add, assert_sound, default_of, fresh_job, id, item, job, refusal, work};

fn fixture(format: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/format-{format}.sqlite"))
}

/// A data folder whose default workspace is `truth`.
fn folder_with(truth: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let workspace = folder.path().join("workspaces/default");
    fs::create_dir_all(&workspace).unwrap();
    fs::copy(truth, workspace.join("truth.sqlite")).unwrap();
    folder
}

/// Makes the fixture of the present format, when a new format needs one.
fn write_fixture(path: &Path) {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = Store::open(folder.path(), NOW).unwrap();
        let workspace = default_of(&store);
        add(
            &*workspace,
            &[("a.txt", "Ada is a poet. Ada met Bob.\n\nBob (Bo) left Đà Nẵng."), ("b.txt", "Bob is old.")],
        );
        workspace.enqueue(job(vec![item("waits.txt", "Carol met Ada.")]), NOW).unwrap();
        let version = workspace.document_chunks(&id("b.txt"), ALL).unwrap()[0].version_id;
        let bob = NewEntity {
            key: "bob".into(),
            name: "Bob".into(),
            kind: "person".into(),
            aliases: Vec::new(),
            definitions: Vec::new(),
            descriptions: vec![(0, "Bob as a model sees him.".into())],
        };
        let mention = NewMention { entity: 0, chunk: 0, span: ByteSpan::new(0, 3), count: 1, own: false };
        let extraction = Extraction { entities: vec![bob], mentions: vec![mention], relations: Vec::new() };
        let write = GraphWrite { document: id("b.txt"), version, maker: Some("m".into()), extraction };
        assert!(workspace.write_graph(write, NOW).unwrap());
        let same = Verdict { keys: ("bob".into(), "ada".into()), same: false };
        workspace.resolve(&[EntityId(1)], &[same], NOW).unwrap();
        let documents = vec![id("a.txt")];
        let principal = Some("website".to_owned());
        workspace.enqueue_graph(NewGraphJob { id: fresh_job(), documents, limit: Some(7), principal }, NOW).unwrap();
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::copy(folder.path().join("workspaces/default/truth.sqlite"), path).unwrap();
}

#[test]
fn a_truth_of_format_5_opens_and_goes_on() {
    if !fixture(5).exists() {
        write_fixture(&fixture(5));
        panic!("the fixture was missing; it has been made and wants to be committed");
    }
    let folder = folder_with(&fixture(5));
    let store = Store::open(folder.path(), NOW).unwrap();
    let workspace = default_of(&store);
    assert_sound(&*workspace);
    assert_eq!(workspace.claim_graph(NOW).unwrap().unwrap().principal.as_deref(), Some("website"));
    work(&*workspace);
    assert_sound(&*workspace);
}

#[test]
fn a_truth_of_format_4_opens_and_goes_on() {
    let folder = folder_with(&fixture(4));
    let store = Store::open(folder.path(), NOW).unwrap();
    let workspace = default_of(&store);
    assert_sound(&*workspace);
    assert_eq!(workspace.claim_graph(NOW).unwrap().unwrap().principal, None);
    assert_eq!(workspace.verdicts(&[("ada".into(), "bob".into())]).unwrap(), [Some(false)]);
    work(&*workspace);
    workspace.delete(&[id("b.txt")], NOW).unwrap();
    workspace.refresh().unwrap();
    assert_sound(&*workspace);
}

#[test]
fn a_truth_of_format_3_opens_and_goes_on() {
    let folder = folder_with(&fixture(3));
    let store = Store::open(folder.path(), NOW).unwrap();
    let workspace = default_of(&store);
    assert_sound(&*workspace);
    assert_eq!(workspace.snapshot().entity_named("Bob").unwrap().unwrap().description, "Bob as a model sees him.");
    let waiting = workspace.claim_graph(NOW).unwrap().unwrap();
    assert_eq!((waiting.name.as_str(), waiting.spending.limit), ("a.txt", Some(7)));
    work(&*workspace);
    workspace.delete(&[id("b.txt")], NOW).unwrap();
    workspace.refresh().unwrap();
    assert_sound(&*workspace);
}

#[test]
fn a_truth_of_format_1_opens_and_goes_on() {
    let folder = folder_with(&fixture(1));
    let store = Store::open(folder.path(), NOW).unwrap();
    let workspace = default_of(&store);
    assert_sound(&*workspace);
    assert_eq!(workspace.document_chunks(&id("a.txt"), ALL).unwrap()[1].chunk.text, "Bob (Bo) left Đà Nẵng.");
    assert_eq!(workspace.snapshot().entity_named("Ada").unwrap().unwrap().description, "Ada is a poet.");
    work(&*workspace);
    assert_eq!(workspace.snapshot().entity_named("Ada").unwrap().unwrap().degree, 2);
    workspace.delete(&[id("a.txt")], NOW).unwrap();
    workspace.refresh().unwrap();
    assert_sound(&*workspace);
}

#[test]
fn a_newer_format_is_refused_with_both_numbers() {
    let folder = folder_with(&fixture(1));
    let path = folder.path().join("workspaces/default/truth.sqlite");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let store = Store::open(folder.path(), NOW).unwrap();
    let error = store.workspace(&crate::support::name("default")).err().unwrap();
    assert_eq!(error.code(), ErrorCode::Unprocessable);
    assert!(error.message().contains("999") && error.message().contains("up to 5"), "{error}");
}

#[test]
fn a_file_that_is_no_truth_is_refused() {
    let folder = folder_with(&fixture(1));
    let path = folder.path().join("workspaces/default/truth.sqlite");
    fs::write(&path, b"this is not a database, whatever its name says".repeat(100)).unwrap();
    let store = Store::open(folder.path(), NOW).unwrap();
    assert_eq!(refusal(store.workspace(&crate::support::name("default"))), ErrorCode::Storage);
}
