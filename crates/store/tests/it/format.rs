//! Formats of released versions stay readable; newer ones are refused untouched.

use std::fs;
use std::path::{Path, PathBuf};

use lorekeep_store::Store;
use lorekeep_types::{ErrorCode, Store as _};

use crate::support::{ALL, NOW, add, assert_sound, default_of, id, item, job, refusal, work};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1.sqlite")
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
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::copy(folder.path().join("workspaces/default/truth.sqlite"), path).unwrap();
}

#[test]
fn a_truth_of_format_1_opens_and_goes_on() {
    if !fixture().exists() {
        write_fixture(&fixture());
        panic!("the fixture was missing; it has been made and wants to be committed");
    }
    let folder = folder_with(&fixture());
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
    let folder = folder_with(&fixture());
    let path = folder.path().join("workspaces/default/truth.sqlite");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let store = Store::open(folder.path(), NOW).unwrap();
    let error = store.workspace(&crate::support::name("default")).err().unwrap();
    assert_eq!(error.code(), ErrorCode::Unprocessable);
    assert!(error.message().contains("999") && error.message().contains("up to 2"), "{error}");
}

#[test]
fn a_file_that_is_no_truth_is_refused() {
    let folder = folder_with(&fixture());
    let path = folder.path().join("workspaces/default/truth.sqlite");
    fs::write(&path, b"this is not a database, whatever its name says".repeat(100)).unwrap();
    let store = Store::open(folder.path(), NOW).unwrap();
    assert_eq!(refusal(store.workspace(&crate::support::name("default"))), ErrorCode::Storage);
}
