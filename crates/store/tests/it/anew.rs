//! Vectors made anew beside those in use: nothing of them is seen before all of them are.

use lorekeep_store::Store;
use lorekeep_types::{
    EmbeddingModelId, ErrorCode, FreshVector, JobId, JobState, Problem, Vector, VectorKind, VectorWrite, VectorsStage,
    Workspace,
};

use crate::support::{
    ALL, NOW, add, assert_sound, claim_one, default_of, fresh_job, id, item, job, memory, refusal, vector_of, work,
};

const TEXTS: [(&str, &str); 2] = [("a.txt", "Ada is a poet.\n\nAda met Bob."), ("b.txt", "Bob is old. Bob met Carla.")];

fn model(name: &str, dimensions: usize) -> EmbeddingModelId {
    EmbeddingModelId { name: name.to_owned(), dimensions }
}

/// A vector of the new model: of another length, and pointing elsewhere.
fn fresh_of(text: &str) -> Vector {
    let mut values = [0.0_f32; 5];
    values[text.len() % 5] = 1.0;
    Vector::quantise(&values)
}

fn unquantised(vector: &Vector) -> Vec<f32> {
    vector.bytes.iter().map(|byte| f32::from(*byte) * vector.scale).collect()
}

/// Two documents whose chunks, entities and relations have vectors of eight numbers.
fn fill(workspace: &dyn Workspace) {
    workspace.set_embedding_model(&model("old", 8)).unwrap();
    add(workspace, &TEXTS);
    embed_waiting(workspace);
}

fn embed_waiting(workspace: &dyn Workspace) {
    let write = |task: lorekeep_types::EmbedTask| VectorWrite {
        kind: task.kind,
        row: task.row,
        revision: task.revision,
        vector: vector_of(&task.text),
        description_tokens: 1,
    };
    workspace.put_vectors(workspace.embed_tasks(1_000).unwrap().into_iter().map(write).collect()).unwrap();
    workspace.refresh().unwrap();
}

/// Makes the vectors of at most `most` texts, two at a time; how many there were.
fn stage(workspace: &dyn Workspace, job: &JobId, most: usize) -> usize {
    let (mut after, mut made) = (None, 0);
    while made < most {
        let tasks = workspace.vector_tasks(after, 2).unwrap();
        let Some(last) = tasks.last() else { break };
        after = Some((last.kind, last.row));
        let fresh =
            tasks.iter().map(|task| FreshVector { kind: task.kind, row: task.row, vector: fresh_of(&task.text) });
        assert!(workspace.stage_vectors(job, &fresh.collect::<Vec<_>>(), tasks.len() as u64).unwrap());
        made += tasks.len();
    }
    made
}

fn begin(workspace: &dyn Workspace) -> JobId {
    let job = workspace.enqueue_vectors(fresh_job(), None, NOW).unwrap().id;
    assert_eq!(workspace.begin_vectors(&job, &model("new", 5), NOW).unwrap(), VectorsStage::Making);
    job
}

fn finish(workspace: &dyn Workspace, job: &JobId) {
    assert!(workspace.swap_vectors(job).unwrap());
    assert_eq!(workspace.begin_vectors(job, &model("new", 5), NOW).unwrap(), VectorsStage::Swapped);
    workspace.refresh().unwrap();
    workspace.end_vectors(job, None, NOW).unwrap();
    assert_eq!(workspace.begin_vectors(job, &model("new", 5), NOW).unwrap(), VectorsStage::Ended);
}

#[test]
fn new_vectors_take_the_place_of_the_old_ones_at_once() {
    let workspace = memory();
    fill(&*workspace);
    let before = workspace.snapshot();
    let job = begin(&*workspace);
    let total = workspace.job(&job).unwrap().unwrap().counts.total;
    let made = stage(&*workspace, &job, usize::MAX);
    assert_eq!(made as u64, total);
    workspace.refresh().unwrap();
    let old = unquantised(&vector_of("Ada met Bob."));
    let serving = workspace.snapshot();
    assert_eq!(serving.embedding_model(), Some(&model("old", 8)));
    assert_eq!(serving.chunk_similarity(&old).len(), 3);

    finish(&*workspace, &job);
    let (now, new) = (workspace.snapshot(), unquantised(&fresh_of("12345")));
    assert_eq!(now.embedding_model(), Some(&model("new", 5)));
    assert!(now.chunk_similarity(&old).is_empty(), "vectors of another length are not compared");
    assert_eq!(now.chunk_similarity(&new).len(), 3);
    for kind in [VectorKind::Chunk, VectorKind::Entity, VectorKind::Relation] {
        assert!(!now.nearest(kind, &new, 10, -1.0).unwrap().is_empty(), "{kind:?}");
    }
    // Whoever holds the former state still sees it.
    assert_eq!(before.chunk_similarity(&old).len(), 3);
    let ended = workspace.job(&job).unwrap().unwrap();
    assert_eq!((ended.state, ended.counts.ready, ended.counts.open, ended.problem), (JobState::Done, total, 0, None));
    assert_eq!(workspace.embedding_model().unwrap(), Some(model("new", 5)));
    assert_sound(&*workspace);
    // And once more: the tables have traded places.
    let again = begin(&*workspace);
    assert_eq!(stage(&*workspace, &again, usize::MAX) as u64, total);
    finish(&*workspace, &again);
    assert_sound(&*workspace);
}

#[test]
fn a_restart_goes_on_with_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (job, total) = {
        let store = Store::open(folder.path(), NOW).unwrap();
        let workspace = default_of(&store);
        fill(&*workspace);
        let job = begin(&*workspace);
        stage(&*workspace, &job, 4);
        let open = workspace.vectors_job().unwrap().unwrap();
        assert_eq!((open.id.clone(), open.state, open.counts.ready), (job, JobState::Running, 4));
        (open.id, open.counts.total)
    };
    let store = Store::open(folder.path(), NOW).unwrap();
    let workspace = default_of(&store);
    assert_sound(&*workspace);
    assert_eq!(workspace.begin_vectors(&job, &model("new", 5), NOW).unwrap(), VectorsStage::Making);
    assert_eq!(stage(&*workspace, &job, usize::MAX) as u64, total - 4);
    finish(&*workspace, &job);
    drop((workspace, store));
    let store = Store::open(folder.path(), NOW).unwrap();
    let workspace = default_of(&store);
    assert_eq!(workspace.snapshot().embedding_model(), Some(&model("new", 5)));
    assert_sound(&*workspace);
}

#[test]
fn another_model_begins_from_nothing() {
    let workspace = memory();
    fill(&*workspace);
    let job = begin(&*workspace);
    let total = stage(&*workspace, &job, usize::MAX);
    assert_eq!(workspace.begin_vectors(&job, &model("other", 5), NOW).unwrap(), VectorsStage::Making);
    assert_eq!(workspace.job(&job).unwrap().unwrap().counts.ready, 0);
    assert_eq!(stage(&*workspace, &job, usize::MAX), total);
}

#[test]
fn what_changes_meanwhile_is_neither_lost_nor_stale() {
    let workspace = memory();
    fill(&*workspace);
    workspace.enqueue(job(vec![item("c.txt", "Dora met Ada.")]), NOW).unwrap();
    let anew = begin(&*workspace);
    assert_eq!(refusal(workspace.enqueue_vectors(fresh_job(), None, NOW)), ErrorCode::Conflict);
    assert!(workspace.claim(7, u64::MAX, NOW).unwrap().is_empty(), "documents wait");
    stage(&*workspace, &anew, usize::MAX);
    workspace.delete(&[id("b.txt")], NOW).unwrap();
    finish(&*workspace, &anew);
    assert_sound(&*workspace);
    // Ada's neighbours changed with the document: whatever waits is embedded by the new model from now on.
    let rows: Vec<i64> = workspace.embed_tasks(100).unwrap().iter().map(|task| task.row).collect();
    let new = unquantised(&fresh_of("12345"));
    let near = workspace.snapshot().nearest(VectorKind::Entity, &new, 100, -1.0).unwrap();
    assert!(near.iter().all(|(row, _)| !rows.contains(row)), "{near:?} {rows:?}");
    assert_eq!(claim_one(&*workspace).name, "c.txt");
}

#[test]
fn a_cancelled_or_failed_job_leaves_everything_as_it_was() {
    let workspace = memory();
    fill(&*workspace);
    let problem = Problem { code: ErrorCode::Upstream, message: "no such model".to_owned(), hint: None };
    for cancelled in [true, false] {
        let anew = begin(&*workspace);
        workspace.delay_vectors(&anew, Some(&problem)).unwrap();
        assert_eq!(workspace.job(&anew).unwrap().unwrap().problem.as_ref(), Some(&problem));
        stage(&*workspace, &anew, 3);
        if cancelled {
            assert!(workspace.cancel_job(&anew, NOW).unwrap());
        } else {
            workspace.end_vectors(&anew, Some(&problem), NOW).unwrap();
        }
        let ended = workspace.job(&anew).unwrap().unwrap();
        let lost = if cancelled { ended.counts.cancelled } else { ended.counts.failed };
        assert!(lost > 0 && ended.counts.open == 0, "{ended:?}");
        assert!(!workspace.stage_vectors(&anew, &[], 1).unwrap() && !workspace.swap_vectors(&anew).unwrap());
        assert_eq!(workspace.vectors_job().unwrap(), None);
        assert_eq!(workspace.embedding_model().unwrap(), Some(model("old", 8)));
    }
    workspace.refresh().unwrap();
    assert_eq!(workspace.snapshot().chunk_similarity(&unquantised(&vector_of("x"))).len(), 3);
    add(&*workspace, &[("c.txt", "Dora met Ada.")]);
    work(&*workspace);
    assert_eq!(workspace.documents_named("c.txt").unwrap().len(), 1);
    assert_eq!(workspace.jobs(None, ALL).unwrap().len(), 4);
    assert_sound(&*workspace);
}
