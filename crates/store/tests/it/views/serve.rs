//! Serving while writing: snapshots stay what they were, rebuilding disturbs nobody, filters and vectors.

use std::sync::atomic::{AtomicBool, Ordering};

use lorekeep_types::{Cancel, DocumentFilter, ErrorCode, LexicalField, VectorKind, VectorWrite};

use super::corpus::{assert_equal, open, put};
use crate::support::{NOW, id, memory, vector_of};

#[test]
fn a_snapshot_stays_what_it_was_and_never_shows_a_part() {
    let workspace = memory();
    put(&*workspace, "a.txt", "river one\n\nriver two");
    put(&*workspace, "b.txt", "bridge");
    workspace.refresh().unwrap();
    let old = workspace.snapshot();
    put(&*workspace, "a.txt", "river three");
    workspace.refresh().unwrap();
    let terms = ["river".to_owned()];
    assert_eq!(old.lexical(LexicalField::Folded, &terms).unwrap().len(), 2);
    let texts: Vec<String> = old.chunks(&[0, 1, 2]).unwrap().into_iter().map(|(_, chunk)| chunk.chunk.text).collect();
    assert_eq!(texts, ["bridge"]);
    assert_eq!(workspace.snapshot().lexical(LexicalField::Folded, &terms).unwrap().len(), 1);
    assert!(old.seq() < workspace.snapshot().seq());
}

#[test]
fn queries_and_writes_go_on_while_the_views_are_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let (_store, workspace) = open(folder.path());
    for number in 0..20 {
        put(&*workspace, &format!("river {number}.txt"), "the river seine\n\nOld Paris bridge");
    }
    workspace.refresh().unwrap();
    let running = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut asked = 0;
            let mut last = 0;
            while running.load(Ordering::Acquire) || asked == 0 {
                let snapshot = workspace.snapshot();
                let found = snapshot.lexical(LexicalField::Folded, &["river".to_owned()]).unwrap();
                assert!(found.len() >= 20 && snapshot.seq() >= last);
                assert_eq!(snapshot.phrase_frequency(&["river", "seine"]).unwrap() * 2, snapshot.stats().chunks);
                last = snapshot.seq();
                asked += 1;
            }
        });
        let writer = scope.spawn(|| {
            for number in 20..26 {
                put(&*workspace, &format!("river {number}.txt"), "the river seine\n\nOld Paris bridge");
                workspace.refresh().unwrap();
            }
        });
        for _ in 0..3 {
            workspace.reindex(&Cancel::default(), &|_, _| ()).unwrap();
        }
        writer.join().unwrap();
        running.store(false, Ordering::Release);
        reader.join().unwrap();
    });
    workspace.refresh().unwrap();
    assert_equal(&*workspace);
    let views = folder.path().join("workspaces/default/views");
    assert_eq!(std::fs::read_dir(views).unwrap().count(), 2, "one generation and the file that names it");
}

#[test]
fn a_cancelled_rebuild_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (_store, workspace) = open(folder.path());
    put(&*workspace, "a.txt", "river");
    workspace.refresh().unwrap();
    let cancel = Cancel::default();
    cancel.cancel();
    assert_eq!(workspace.reindex(&cancel, &|_, _| ()).unwrap_err().code(), ErrorCode::Cancelled);
    assert_equal(&*workspace);
    let totals = std::sync::Mutex::new(Vec::new());
    workspace.reindex(&Cancel::default(), &|done, total| totals.lock().unwrap().push((done, total))).unwrap();
    assert_eq!(totals.lock().unwrap().last(), Some(&(1, 1)));
}

#[test]
fn filters_select_chunks_of_documents() {
    let workspace = memory();
    put(&*workspace, "reports/a.txt", "river one\n\nriver two");
    put(&*workspace, "notes/b.txt", "river three");
    workspace.set_tags(&id("notes/b.txt"), &["draft".to_owned()], NOW).unwrap();
    workspace.refresh().unwrap();
    let snapshot = workspace.snapshot();
    let selected = |filter: DocumentFilter| {
        let set = snapshot.select(&filter).unwrap()?;
        Some((0..3).filter(|ordinal| set.contains(*ordinal)).collect::<Vec<u32>>())
    };
    let documents = |name: &str| DocumentFilter { documents: vec![name.to_owned()], ..DocumentFilter::default() };
    assert_eq!(selected(DocumentFilter::default()), None);
    assert_eq!(selected(documents("reports/*")), Some(vec![0, 1]));
    assert_eq!(selected(documents("nothing")), Some(Vec::new()));
    let tagged = DocumentFilter { tags: vec!["draft".to_owned()], ..DocumentFilter::default() };
    assert_eq!(selected(tagged), Some(vec![2]));
}

#[test]
fn entity_vectors_are_found_and_follow_their_entities() {
    let workspace = memory();
    put(&*workspace, "a.txt", "we saw Paris");
    put(&*workspace, "b.txt", "Old bridge");
    workspace.refresh().unwrap();
    let nearest = |text: &str| {
        let vector = vector_of(text);
        let query: Vec<f32> = vector.bytes.iter().map(|byte| f32::from(*byte) * vector.scale).collect();
        let snapshot = workspace.snapshot();
        let rows = snapshot.nearest(VectorKind::Entity, &query, 10, 0.0).unwrap();
        let ids: Vec<_> = rows.iter().map(|(row, _)| lorekeep_types::EntityId(*row)).collect();
        snapshot.entities(&ids).unwrap().into_iter().map(|entity| entity.key.clone()).collect::<Vec<_>>()
    };
    assert!(nearest("paris").is_empty());
    let tasks = workspace.embed_tasks(100).unwrap();
    let vectors = tasks.iter().filter(|task| task.kind == VectorKind::Entity).map(|task| VectorWrite {
        kind: task.kind,
        row: task.row,
        revision: task.revision,
        vector: vector_of(&task.text),
        description_tokens: 1,
    });
    workspace.put_vectors(vectors.collect()).unwrap();
    workspace.refresh().unwrap();
    let text = &tasks.iter().find(|task| task.text.starts_with("paris")).expect("a task for it").text;
    assert_eq!(nearest(text).first().map(String::as_str), Some("paris"));
    let paris = workspace.snapshot().entity_named("paris").unwrap().unwrap().id.0;
    let old = workspace.snapshot().entity_named("Old").unwrap().unwrap().id.0;
    let cosines = workspace.snapshot().cosines(VectorKind::Entity, paris, &[paris, old, 999]).unwrap();
    assert!((cosines[0] - 1.0).abs() < 0.02 && cosines[1] > 0.0 && cosines[1] < cosines[0], "{cosines:?}");
    assert_eq!(cosines[2], 0.0, "no such row");
    assert_eq!(workspace.snapshot().cosines(VectorKind::Entity, 999, &[paris]).unwrap(), [0.0]);
    workspace.delete(&[id("a.txt")], NOW).unwrap();
    workspace.refresh().unwrap();
    assert!(!nearest(text).contains(&"paris".to_owned()) && !nearest(text).is_empty());
}
