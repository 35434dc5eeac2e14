//! Many threads on one workspace.

use std::sync::atomic::{AtomicBool, Ordering};

use lorekeep_store::Store;
use lorekeep_types::{DocumentFilter, DocumentOrder, DocumentState, Store as _};

use crate::support::{ALL, NOW, assert_sound, default_of, id, item, job, name, work, write_of};

#[test]
fn one_document_added_and_deleted_by_many_threads_is_whole_or_absent() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), NOW).unwrap();
    let workspace = default_of(&store);
    let running = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let adders: Vec<_> = (0..2)
            .map(|thread| {
                let workspace = &workspace;
                scope.spawn(move || {
                    for n in 0..25 {
                        let text = format!("Ada met Bob{thread} {n}.\n\nBob left.\n\nAda is {n}.");
                        workspace.enqueue(job(vec![item("a.txt", &text)]), NOW).unwrap();
                        let claimed = workspace.claim(3, u64::MAX, NOW).unwrap();
                        workspace.commit(claimed.iter().map(write_of).collect(), NOW).unwrap();
                    }
                })
            })
            .collect();
        let deleter = scope.spawn(|| {
            while running.load(Ordering::Acquire) {
                workspace.delete(&[id("a.txt")], NOW).unwrap();
                workspace.refresh().unwrap();
            }
        });
        let reader = scope.spawn(|| {
            while running.load(Ordering::Acquire) {
                let record = workspace.document(&id("a.txt")).unwrap();
                if let Some(record) = record.filter(|record| record.state == DocumentState::Ready) {
                    assert_eq!(record.chunks, 3);
                }
                let snapshot = workspace.snapshot();
                let ordinals: Vec<u32> = (0..snapshot.stats().chunks).collect();
                let seen = snapshot.chunks(&ordinals).unwrap().len();
                assert!(seen == 0 || seen == 3, "{seen} of 3 chunks are seen");
            }
        });
        for adder in adders {
            adder.join().unwrap();
        }
        running.store(false, Ordering::Release);
        deleter.join().unwrap();
        reader.join().unwrap();
    });
    work(&*workspace);
    assert_sound(&*workspace);
    workspace.delete(&[id("a.txt")], NOW).unwrap();
    let left = workspace.documents(&DocumentFilter::default(), DocumentOrder::default(), ALL).unwrap();
    assert_eq!(left.total, 0);
    workspace.refresh().unwrap();
    assert_sound(&*workspace);
}

#[test]
fn items_are_handed_out_once_among_threads() {
    let store = Store::in_memory().unwrap();
    let workspace = default_of(&store);
    let items = (0..60).map(|n| item(&format!("{n}.txt"), "Ada.")).collect();
    workspace.enqueue(job(items), NOW).unwrap();
    let claim = || {
        let mut mine = Vec::new();
        loop {
            let claimed = workspace.claim(2, u64::MAX, NOW).unwrap();
            if claimed.is_empty() {
                return mine;
            }
            mine.extend(claimed.iter().map(|item| item.item));
            workspace.commit(claimed.iter().map(write_of).collect(), NOW).unwrap();
        }
    };
    let mut all = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(claim)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 60);
}

#[test]
fn a_workspace_is_made_once_however_many_ask() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), NOW).unwrap();
    let made = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| store.create_workspace(&name("w")).is_ok())).collect();
        threads.into_iter().filter(|_| true).map(|thread| thread.join().unwrap()).filter(|made| *made).count()
    });
    assert_eq!(made, 1);
    assert_sound(&*store.workspace(&name("w")).unwrap());
}
