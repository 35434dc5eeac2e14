//! Workspaces: isolated, named, made and removed whole.

use std::fs;

use lorekeep_store::Store;
use lorekeep_types::{ErrorCode, Store as _};

use crate::support::{ALL, NOW, add, assert_sound, default_of, id, item, job, name, refusal};

fn both(test: impl Fn(&Store)) {
    let folder = tempfile::tempdir().unwrap();
    test(&Store::open(folder.path(), NOW).unwrap());
    test(&Store::in_memory().unwrap());
}

#[test]
fn workspaces_share_nothing() {
    both(|store| {
        let one = default_of(store);
        let two = store.create_workspace(&name("two")).unwrap();
        add(&*one, &[("a.txt", "Ada met Bob.")]);
        add(&*two, &[("b.txt", "Carol.")]);
        assert!(two.document(&id("a.txt")).unwrap().is_none());
        assert!(two.snapshot().entity_named("Ada").unwrap().is_none());
        assert_eq!(two.snapshot().stats().chunks, 1);
        one.set_setting("k", Some("v")).unwrap();
        assert_eq!(two.setting("k").unwrap(), None);
        let listed = store.workspaces().unwrap();
        let listed: Vec<_> = listed.iter().map(|w| (w.name.as_str(), w.documents, w.chunks)).collect();
        assert_eq!(listed, [("default", 1, 1), ("two", 1, 1)]);
        assert!(std::ptr::addr_eq(&raw const *store.workspace(&name("two")).unwrap(), &raw const *two));
    });
}

#[test]
fn an_unknown_workspace_is_not_found_and_not_made() {
    both(|store| {
        assert_eq!(refusal(store.workspace(&name("nope"))), ErrorCode::NotFound);
        assert_eq!(refusal(store.remove_workspace(&name("nope"))), ErrorCode::NotFound);
        assert_eq!(refusal(store.create_workspace(&name("default"))), ErrorCode::Conflict);
        assert_eq!(store.workspaces().unwrap().len(), 1);
    });
}

#[test]
fn a_removed_workspace_is_gone_for_those_who_hold_it() {
    both(|store| {
        let two = store.create_workspace(&name("two")).unwrap();
        add(&*two, &[("a.txt", "Ada.")]);
        store.remove_workspace(&name("two")).unwrap();
        assert_eq!(refusal(two.document(&id("a.txt"))), ErrorCode::NotFound);
        assert_eq!(two.enqueue(job(vec![item("b.txt", "B")]), NOW).unwrap_err().code(), ErrorCode::NotFound);
        assert_eq!(refusal(store.workspace(&name("two"))), ErrorCode::NotFound);
        let again = store.create_workspace(&name("two")).unwrap();
        assert!(again.document(&id("a.txt")).unwrap().is_none());
    });
}

#[test]
fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let seq = {
        let store = Store::open(folder.path(), NOW).unwrap();
        assert_eq!(store.folder(), Some(folder.path()));
        let workspace = default_of(&store);
        add(&*workspace, &[("a.txt", "Ada met Bob."), ("b.txt", "Bob is old.")]);
        workspace.set_setting("theme", Some("dark")).unwrap();
        workspace.set_setting("theme", Some("light")).unwrap();
        workspace.set_setting("other", Some("x")).unwrap();
        workspace.set_setting("other", None).unwrap();
        workspace.truth_seq().unwrap()
    };
    let store = Store::open(folder.path(), NOW).unwrap();
    let workspace = default_of(&store);
    assert_eq!(workspace.truth_seq().unwrap(), seq);
    assert_eq!(workspace.setting("theme").unwrap().as_deref(), Some("light"));
    assert_eq!(workspace.setting("other").unwrap(), None);
    assert_eq!(workspace.document_chunks(&id("b.txt"), ALL).unwrap().len(), 1);
    assert_eq!(workspace.snapshot().entity_named("bob").unwrap().unwrap().description, "Bob is old.");
    assert_sound(&*workspace);
}

#[test]
fn what_an_interrupted_process_left_is_cleared() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path(), NOW).unwrap());
    let leftover = folder.path().join("workspaces/.0");
    fs::create_dir(&leftover).unwrap();
    fs::write(leftover.join("truth.sqlite"), b"half a workspace").unwrap();
    fs::write(folder.path().join("workspaces/.1"), b"half an archive").unwrap();
    let store = Store::open(folder.path(), NOW).unwrap();
    assert!(!leftover.exists());
    assert_eq!(store.workspaces().unwrap().len(), 1);
    assert_eq!(fs::read_dir(folder.path().join("workspaces")).unwrap().count(), 1);
}

#[test]
fn vectors_of_two_models_do_not_mix() {
    let store = Store::in_memory().unwrap();
    let workspace = default_of(&store);
    let model = |name: &str| lorekeep_types::EmbeddingModelId { name: name.to_owned(), dimensions: 8 };
    assert_eq!(workspace.embedding_model().unwrap(), None);
    workspace.set_embedding_model(&model("a")).unwrap();
    workspace.set_embedding_model(&model("b")).unwrap();
    add(&*workspace, &[("a.txt", "Ada.")]);
    workspace.set_embedding_model(&model("b")).unwrap();
    let error = workspace.set_embedding_model(&model("a")).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict);
    assert!(error.message().contains("`a`") && error.message().contains("`b`"));
    assert_eq!(workspace.embedding_model().unwrap(), Some(model("b")));
}
