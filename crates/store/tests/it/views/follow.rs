//! Following the change log: whatever the interleaving, the views equal the reference.

use lorekeep_types::{Cancel, GraphEdit};
use proptest::prelude::*;

use super::corpus::{assert_equal, open, put, text, title};
use crate::support::{NOW, assert_sound, id, memory};

#[derive(Clone, Debug)]
enum Step {
    Put(String, String),
    Delete(prop::sample::Index),
    Refresh,
    Restart,
    Rebuild,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (title(), text()).prop_map(|(title, text)| Step::Put(title, text)),
        2 => any::<prop::sample::Index>().prop_map(Step::Delete),
        2 => Just(Step::Refresh),
        1 => Just(Step::Restart),
        1 => Just(Step::Rebuild),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn views_equal_the_truth_after_any_interleaving(steps in prop::collection::vec(step(), 1..24)) {
        let folder = tempfile::tempdir().unwrap();
        let mut handle = Some(open(folder.path()));
        let mut names: Vec<String> = Vec::new();
        for step in steps {
            let (_, workspace) = handle.as_ref().unwrap();
            match step {
                Step::Put(name, text) => {
                    put(&**workspace, &name, &text);
                    names.push(name);
                }
                Step::Delete(which) if !names.is_empty() => {
                    workspace.delete(&[id(&names[which.index(names.len())])], NOW).unwrap();
                }
                Step::Delete(_) | Step::Refresh => {
                    workspace.refresh().unwrap();
                    assert_equal(&**workspace);
                }
                Step::Rebuild => {
                    workspace.reindex(&Cancel::default(), &|_, _| ()).unwrap();
                    assert_equal(&**workspace);
                }
                Step::Restart => {
                    handle = None;
                    assert!(handle.is_none());
                    let reopened = open(folder.path());
                    assert_equal(&*reopened.1);
                    handle = Some(reopened);
                }
            }
        }
        let (_, workspace) = handle.unwrap();
        workspace.refresh().unwrap();
        assert_equal(&*workspace);
        assert_sound(&*workspace);
    }
}

#[test]
fn a_copy_of_any_moment_catches_up() {
    let folder = tempfile::tempdir().unwrap();
    let (store, workspace) = open(folder.path());
    let views = folder.path().join("workspaces/default/views");
    let copies = tempfile::tempdir().unwrap();
    let documents = ["river seine.txt", "Paris bridge.txt", "seine.txt", "river seine.txt"];
    for (number, name) in documents.iter().enumerate() {
        put(&*workspace, name, &format!("the river seine {number}\n\nOld Paris bridge flows"));
        workspace.refresh().unwrap();
        copy(&views, &copies.path().join(number.to_string()));
    }
    workspace.delete(&[id("Paris bridge.txt")], NOW).unwrap();
    drop((workspace, store));
    for number in 0..documents.len() {
        std::fs::remove_dir_all(&views).unwrap();
        copy(&copies.path().join(number.to_string()), &views);
        let (_store, workspace) = open(folder.path());
        assert_equal(&*workspace);
        assert_sound(&*workspace);
    }
}

/// The text index may be ahead of the passage table, or behind it, when a crash or a lost write came between.
#[test]
fn views_of_two_moments_are_brought_together() {
    let folder = tempfile::tempdir().unwrap();
    let (store, workspace) = open(folder.path());
    let views = folder.path().join("workspaces/default/views");
    let copies = tempfile::tempdir().unwrap();
    for (number, name) in ["river seine.txt", "Paris.txt", "river seine.txt"].iter().enumerate() {
        put(&*workspace, name, &format!("Old river seine {number}"));
        workspace.refresh().unwrap();
        copy(&views, &copies.path().join(number.to_string()));
    }
    drop((workspace, store));
    for (text, table) in [(2, 0), (2, 1), (0, 2), (1, 2), (1, 0)] {
        std::fs::remove_dir_all(&views).unwrap();
        copy(&copies.path().join(text.to_string()), &views);
        let generation = std::fs::read_to_string(views.join("CURRENT")).unwrap();
        let other = copies.path().join(table.to_string()).join(&generation).join("passages");
        std::fs::copy(other, views.join(&generation).join("passages")).unwrap();
        let (_store, workspace) = open(folder.path());
        assert_equal(&*workspace);
        assert_sound(&*workspace);
    }
}

pub(super) fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn merging_entities_moves_their_chunks_and_keeps_the_old_name() {
    let workspace = memory();
    put(&*workspace, "a.txt", "we saw Paris");
    put(&*workspace, "b.txt", "the Bridge stood");
    workspace.refresh().unwrap();
    let before = workspace.snapshot();
    let merge = GraphEdit::MergeEntities(vec!["paris".to_owned()], "bridge".to_owned());
    workspace.edit_graph(&merge, NOW).unwrap();
    workspace.refresh().unwrap();
    let after = workspace.snapshot();
    let frequency = |key| after.phrases().find(key).map(|phrase| after.phrases().frequency(phrase));
    assert_eq!((frequency("bridge"), frequency("paris")), (Some(2), Some(2)));
    assert_eq!(before.phrases().find("paris").map(|phrase| before.phrases().frequency(phrase)), Some(1));
    assert_sound(&*workspace);
}
