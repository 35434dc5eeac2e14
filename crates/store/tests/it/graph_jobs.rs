//! Graphs that are made anew for documents which are there: replaced whole, taken away exactly, by jobs that survive.

use lorekeep_store::Store;
use lorekeep_types::{
    DocumentState, ErrorCode, GraphEnd, GraphWrite, Job, JobState, NewGraphJob, NewRelation, Problem, Spending,
    VersionId, Workspace,
};

use crate::support::{ALL, NOW, add, assert_sound, default_of, extraction_of, fresh_job, id, memory, refusal};

const DOCUMENTS: &[(&str, &str)] =
    &[("1.txt", "Ada is a poet. Ada met Bob."), ("2.txt", "Bob met Ada. Carol is here."), ("3.txt", "Dave left.")];

fn library() -> std::sync::Arc<dyn Workspace> {
    let workspace = memory();
    add(&*workspace, DOCUMENTS);
    workspace
}

fn version(workspace: &dyn Workspace, name: &str) -> VersionId {
    workspace.document_chunks(&id(name), ALL).unwrap()[0].version_id
}

/// What the miniature extractor finds in a document, with a model's words on every entity and relation.
fn told(workspace: &dyn Workspace, name: &str, says: &str) -> GraphWrite {
    let text = DOCUMENTS.iter().find(|(known, _)| *known == name).unwrap().1;
    let mut extraction = extraction_of(text);
    for entity in &mut extraction.entities {
        entity.descriptions = vec![(0, format!("{} {says}", entity.name))];
        entity.definitions.clear();
    }
    for relation in &mut extraction.relations {
        relation.description = format!("They {says}");
        relation.keywords = "acquaintance, poetry".to_owned();
    }
    GraphWrite { document: id(name), version: version(workspace, name), maker: Some("m".to_owned()), extraction }
}

fn description(workspace: &dyn Workspace, name: &str) -> String {
    workspace.refresh().unwrap();
    workspace.snapshot().entity_named(name).unwrap().map(|entity| entity.description).unwrap_or_default()
}

#[test]
fn a_graph_is_replaced_whole_and_the_other_documents_words_stay() {
    let workspace = library();
    let write = told(&*workspace, "1.txt", "told.");
    assert!(workspace.write_graph(write.clone(), NOW).unwrap());
    assert_eq!(description(&*workspace, "Ada"), "Ada told.");
    let ada = workspace.snapshot().entity_named("Ada").unwrap().unwrap();
    let relations = workspace.snapshot().relations_of(&[ada.id], 10).unwrap();
    assert_eq!(relations.len(), 1);
    assert_eq!(relations[0].description, "They told. Bob met Ada.", "a sentence where no model spoke");
    assert_eq!(relations[0].keywords, "acquaintance, poetry, met");
    assert_sound(&*workspace);

    let mut again = told(&*workspace, "1.txt", "said otherwise.");
    again.extraction.relations.clear();
    assert!(workspace.write_graph(again, NOW).unwrap());
    assert_eq!(description(&*workspace, "Ada"), "Ada said otherwise.");
    let relations = workspace.snapshot().relations_of(&[ada.id], 10).unwrap();
    assert_eq!(relations[0].description, "Bob met Ada.");
    assert_sound(&*workspace);

    workspace.write_graph(write, NOW).unwrap();
    workspace.refresh().unwrap();
    let waiting = workspace.embed_tasks(100).unwrap();
    assert!(waiting.iter().any(|task| task.description == "Ada told."), "its vector is made anew");
}

#[test]
fn deleting_documents_takes_a_models_words_on_shared_entities_away_in_one_change() {
    let workspace = library();
    for name in ["1.txt", "2.txt"] {
        workspace.write_graph(told(&*workspace, name, &format!("of {name}.")), NOW).unwrap();
    }
    assert_eq!(description(&*workspace, "Ada"), "Ada of 1.txt. Ada of 2.txt.");
    workspace.delete(&[id("1.txt"), id("3.txt")], NOW).unwrap();
    assert_eq!(description(&*workspace, "Ada"), "Ada of 2.txt.");
    assert_eq!(description(&*workspace, "Dave"), "");
    assert_sound(&*workspace);
    // A new version brings the built-in graph back, and the mark of the model's is gone.
    add(&*workspace, &[("2.txt", "Ada is old.")]);
    assert_eq!(description(&*workspace, "Ada"), "Ada is old.");
    assert_eq!(workspace.graph_sources(&[]).unwrap()[0].maker, None);
    assert_sound(&*workspace);
}

#[test]
fn a_version_that_has_passed_is_not_written_to() {
    let workspace = library();
    let write = told(&*workspace, "1.txt", "told.");
    add(&*workspace, &[("1.txt", "Ada is a painter.")]);
    assert!(!workspace.write_graph(write.clone(), NOW).unwrap());
    assert_eq!(description(&*workspace, "Ada"), "Ada is a painter.");
    workspace.delete(&[id("1.txt")], NOW).unwrap();
    assert!(!workspace.write_graph(write, NOW).unwrap());
    assert_sound(&*workspace);
}

#[test]
fn words_follow_a_merge_and_users_words_win() {
    use lorekeep_types::{EntityEdit, GraphEdit};
    let workspace = library();
    workspace.write_graph(told(&*workspace, "1.txt", "told."), NOW).unwrap();
    workspace.edit_graph(&GraphEdit::MergeEntities(vec!["Bob".into()], "Ada".into()), NOW).unwrap();
    assert_eq!(description(&*workspace, "Ada"), "Ada told. Bob told.");
    assert_sound(&*workspace);
    // The key of the merged entity means the other one in what is written later as well.
    workspace.write_graph(told(&*workspace, "1.txt", "spoke."), NOW).unwrap();
    assert_eq!(description(&*workspace, "Ada"), "Ada spoke. Bob spoke.");
    let edit = EntityEdit { description: Some("Mine.".into()), ..EntityEdit::default() };
    workspace.edit_graph(&GraphEdit::EditEntity("Ada".into(), edit), NOW).unwrap();
    workspace.write_graph(told(&*workspace, "1.txt", "told."), NOW).unwrap();
    assert_eq!(description(&*workspace, "Ada"), "Mine.");
    assert_sound(&*workspace);
}

fn graph_job(workspace: &dyn Workspace, documents: &[&str], limit: Option<i64>) -> Job {
    let documents = documents.iter().map(|name| id(name)).collect();
    workspace.enqueue_graph(NewGraphJob { id: fresh_job(), documents, limit, principal: None }, NOW).unwrap()
}

fn job(workspace: &dyn Workspace, job: &Job) -> Job {
    workspace.job(&job.id).unwrap().unwrap()
}

fn end(workspace: &dyn Workspace, item: i64, state: DocumentState) {
    workspace.end_graph(&[GraphEnd { item, state, problem: None }], NOW).unwrap();
}

#[test]
fn a_job_hands_out_its_documents_and_ends_with_the_last() {
    let workspace = library();
    let new = graph_job(&*workspace, &["1.txt", "2.txt", "nowhere.txt"], Some(9));
    assert_eq!((new.counts.total, new.counts.open, new.state), (2, 2, JobState::Queued));
    // The same document in another job waits until its first turn is over.
    let other = graph_job(&*workspace, &["1.txt"], None);
    let first = workspace.claim_graph(NOW).unwrap().unwrap();
    assert_eq!((first.name.as_str(), first.spending.limit), ("1.txt", Some(9)));
    let second = workspace.claim_graph(NOW).unwrap().unwrap();
    assert_eq!(second.name, "2.txt");
    assert!(workspace.claim_graph(NOW).unwrap().is_none());
    assert_eq!(workspace.document(&id("1.txt")).unwrap().unwrap().state, DocumentState::Ready, "it can be asked about");

    workspace.spend(&new.id, &Spending { spent: 7, calls: 2, ..Spending::default() }).unwrap();
    end(&*workspace, first.item, DocumentState::Ready);
    end(&*workspace, first.item, DocumentState::Failed);
    end(&*workspace, second.item, DocumentState::Failed);
    let done = job(&*workspace, &new);
    assert_eq!((done.state, done.counts.ready, done.counts.failed), (JobState::Done, 1, 1));
    assert_eq!(done.spending, Some(Spending { limit: Some(9), spent: 7, calls: 2, ..Spending::default() }));
    let items = workspace.job_items(&new.id, ALL).unwrap();
    assert_eq!(items.iter().map(|item| item.outcome.as_str()).collect::<Vec<_>>(), ["ready", "failed"]);
    assert_eq!(workspace.claim_graph(NOW).unwrap().unwrap().job, other.id);
    assert_sound(&*workspace);
    assert_eq!(refusal(workspace.graph_sources(&[id("nowhere.txt")])), ErrorCode::NotFound);
    assert_eq!(graph_job(&*workspace, &[], None).state, JobState::Done);
    let more =
        |job: &Job| NewGraphJob { id: job.id.clone(), documents: vec![id("3.txt")], limit: None, principal: None };
    let extended = workspace.enqueue_graph(more(&new), NOW).unwrap();
    assert_eq!((extended.state, extended.counts.total, extended.counts.open), (JobState::Running, 3, 1));
    assert_eq!(extended.spending.unwrap().limit, Some(9));
    workspace.cancel_job(&new.id, NOW).unwrap();
    assert_eq!(refusal(workspace.enqueue_graph(more(&new), NOW)), ErrorCode::Conflict);
    assert_sound(&*workspace);
}

#[test]
fn cancelling_stopping_and_deleting_end_what_waits() {
    let workspace = library();
    let cancelled = graph_job(&*workspace, &["1.txt", "2.txt"], None);
    let item = workspace.claim_graph(NOW).unwrap().unwrap();
    assert!(workspace.cancel_job(&cancelled.id, NOW).unwrap());
    assert_eq!(job(&*workspace, &cancelled).counts.open, 1, "the one in work ends by itself");
    end(&*workspace, item.item, DocumentState::Cancelled);
    assert_eq!(job(&*workspace, &cancelled).counts.cancelled, 2);

    let stopped = graph_job(&*workspace, &["1.txt", "2.txt"], None);
    let problem = Problem { code: ErrorCode::BudgetExceeded, message: "enough".to_owned(), hint: None };
    workspace.stop_graph(&stopped.id, &problem, NOW).unwrap();
    assert_eq!(job(&*workspace, &stopped).state, JobState::Done);
    assert!(workspace.job_items(&stopped.id, ALL).unwrap().iter().all(|item| item.problem == Some(problem.clone())));

    let gone = graph_job(&*workspace, &["1.txt"], None);
    workspace.delete(&[id("1.txt")], NOW).unwrap();
    assert_eq!(job(&*workspace, &gone).counts.cancelled, 1);
    assert!(workspace.claim_graph(NOW).unwrap().is_none());
    assert_sound(&*workspace);
}

#[test]
fn what_was_in_work_is_queued_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (open, cancelled) = {
        let store = Store::open(folder.path(), NOW).unwrap();
        let workspace = default_of(&store);
        add(&*workspace, DOCUMENTS);
        let open = graph_job(&*workspace, &["1.txt"], Some(5));
        let cancelled = graph_job(&*workspace, &["2.txt"], None);
        workspace.claim_graph(NOW).unwrap().unwrap();
        workspace.claim_graph(NOW).unwrap().unwrap();
        workspace.spend(&open.id, &Spending { spent: 3, ..Spending::default() }).unwrap();
        workspace.cancel_job(&cancelled.id, NOW).unwrap();
        (open, cancelled)
    };
    let store = Store::open(folder.path(), NOW).unwrap();
    let workspace = default_of(&store);
    let item = workspace.claim_graph(NOW).unwrap().unwrap();
    assert_eq!((item.job, item.spending.spent, item.spending.limit), (open.id, 3, Some(5)));
    assert!(workspace.claim_graph(NOW).unwrap().is_none());
    assert_eq!(job(&*workspace, &cancelled).counts.cancelled, 1);
    assert_sound(&*workspace);
}

#[test]
fn a_relation_told_twice_in_one_sentence_counts_once() {
    let workspace = library();
    let mut write = told(&*workspace, "1.txt", "told.");
    let relation: NewRelation = write.extraction.relations[0].clone();
    write.extraction.relations.push(relation);
    workspace.write_graph(write, NOW).unwrap();
    workspace.refresh().unwrap();
    let ada = workspace.snapshot().entity_named("Ada").unwrap().unwrap();
    let relations = workspace.snapshot().relations_of(&[ada.id], 10).unwrap();
    assert!((relations[0].weight - 2.0).abs() < f32::EPSILON, "one sentence of each document");
    assert_sound(&*workspace);
}
