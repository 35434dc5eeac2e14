//! Jobs: what was accepted is durable, is worked on once, and ends in one of the named ways.

use lorekeep_store::Store;
use lorekeep_types::{
    DocumentState, ErrorCode, JobCounts, JobId, JobState, NewItem, NewJob, PageRequest, Problem, Workspace,
};

use crate::support::{
    ALL, NOW, add, assert_sound, claim_one, default_of, fresh_job, id, item, job, job_of, memory, work, write_of,
};

fn problem() -> Problem {
    Problem { code: ErrorCode::Unprocessable, message: "it is broken".to_owned(), hint: None }
}

fn state_of(workspace: &dyn Workspace, name: &str) -> DocumentState {
    workspace.document(&id(name)).unwrap().unwrap().state
}

fn counts(workspace: &dyn Workspace, job: &JobId) -> JobCounts {
    workspace.job(job).unwrap().unwrap().counts
}

#[test]
fn a_job_runs_from_queued_to_done() {
    let workspace = memory();
    let job = workspace.enqueue(job(vec![item("a.txt", "Ada."), item("b.txt", "Bob.")]), NOW).unwrap();
    assert_eq!((job.state, job.counts.total, job.counts.open), (JobState::Queued, 2, 2));
    assert_eq!(state_of(&*workspace, "a.txt"), DocumentState::Queued);
    assert_eq!(workspace.document_bytes(&id("a.txt")).unwrap().unwrap(), b"Ada.");

    let claimed = workspace.claim(10, u64::MAX, NOW + 1).unwrap();
    assert_eq!(claimed.iter().map(|item| item.name.as_str()).collect::<Vec<_>>(), ["a.txt", "b.txt"]);
    assert_eq!(claimed[0].source, "/docs/a.txt");
    assert_eq!(state_of(&*workspace, "a.txt"), DocumentState::Processing);
    assert!(workspace.claim(10, u64::MAX, NOW).unwrap().is_empty());
    let running = workspace.job(&job.id).unwrap().unwrap();
    assert_eq!((running.state, running.started_at), (JobState::Running, Some(NOW + 1)));

    let outcomes = workspace.commit(claimed.iter().map(write_of).collect(), NOW + 2).unwrap();
    assert!(outcomes.iter().all(|outcome| outcome.committed && outcome.version == 1));
    let done = workspace.job(&job.id).unwrap().unwrap();
    assert_eq!((done.state, done.ended_at), (JobState::Done, Some(NOW + 2)));
    assert_eq!(done.counts, JobCounts { total: 2, ready: 2, ..JobCounts::default() });
    assert_eq!(workspace.document(&id("a.txt")).unwrap().unwrap().job, Some(job.id.clone()));
    let outcomes: Vec<_> = workspace.job_items(&job.id, ALL).unwrap().into_iter().map(|item| item.outcome).collect();
    assert_eq!(outcomes, ["ready", "ready"]);
    assert_sound(&*workspace);
}

#[test]
fn claims_respect_both_limits_but_always_hand_out_one() {
    let workspace = memory();
    let items = (0..4).map(|n| item(&format!("{n}.txt"), "12345")).collect();
    workspace.enqueue(job(items), NOW).unwrap();
    let first = workspace.claim(10, 1, NOW).unwrap();
    assert_eq!(first.len(), 1);
    assert_eq!(workspace.claim(10, 10, NOW).unwrap().len(), 2);
    workspace.unclaim(&[first[0].item]).unwrap();
    assert_eq!(state_of(&*workspace, "0.txt"), DocumentState::Queued);
    assert_eq!(workspace.claim(1, u64::MAX, NOW).unwrap()[0].name, "0.txt");
}

#[test]
fn an_empty_job_is_done_at_once_and_can_be_extended() {
    let workspace = memory();
    let id = fresh_job();
    let with = |items| NewJob { label: Some("batch".to_owned()), ..job_of(id.clone(), items) };
    assert_eq!(workspace.enqueue(with(vec![]), NOW).unwrap().state, JobState::Done);
    let job = workspace.enqueue(with(vec![item("a.txt", "Ada.")]), NOW).unwrap();
    assert_eq!((job.counts.total, job.ended_at), (1, None));
    assert_ne!(job.state, JobState::Done);
    work(&*workspace);
    assert_eq!(workspace.job_labelled("batch").unwrap().unwrap().state, JobState::Done);
}

#[test]
fn a_label_belongs_to_one_job() {
    let workspace = memory();
    let labelled = |items| NewJob { label: Some("x".to_owned()), ..job(items) };
    workspace.enqueue(labelled(vec![]), NOW).unwrap();
    let error = workspace.enqueue(labelled(vec![item("a.txt", "Ada.")]), NOW).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Conflict);
    assert!(workspace.document(&id("a.txt")).unwrap().is_none(), "a refused job leaves nothing");
    assert!(workspace.job_labelled("y").unwrap().is_none());
}

#[test]
fn bytes_handed_in_again_replace_those_that_wait() {
    let workspace = memory();
    let first = workspace.enqueue(job(vec![item("a.txt", "one"), item("a.txt", "two")]), NOW).unwrap();
    assert_eq!(first.counts.total, 1, "one source is one item of a job");
    assert_eq!(workspace.document_bytes(&id("a.txt")).unwrap().unwrap(), b"two");
    let second = workspace.enqueue(job(vec![item("a.txt", "three")]), NOW).unwrap();
    assert_eq!(counts(&*workspace, &first.id), JobCounts { total: 1, duplicate: 1, ..JobCounts::default() });
    work(&*workspace);
    assert_eq!(counts(&*workspace, &second.id).ready, 1);
    let record = workspace.document(&id("a.txt")).unwrap().unwrap();
    assert_eq!((record.version, record.summary.as_str()), (1, "three"));
    assert_sound(&*workspace);
}

#[test]
fn newer_bytes_wait_until_the_older_ones_are_done() {
    let workspace = memory();
    workspace.enqueue(job(vec![item("a.txt", "one")]), NOW).unwrap();
    let older = claim_one(&*workspace);
    workspace.enqueue(job(vec![item("a.txt", "two")]), NOW).unwrap();
    assert!(workspace.claim(1, u64::MAX, NOW).unwrap().is_empty());
    assert!(workspace.commit(vec![write_of(&older)], NOW).unwrap()[0].committed);
    assert_eq!(state_of(&*workspace, "a.txt"), DocumentState::Queued, "the newer bytes still wait");
    work(&*workspace);
    let record = workspace.document(&id("a.txt")).unwrap().unwrap();
    assert_eq!((record.version, record.summary.as_str(), record.state), (2, "two", DocumentState::Ready));
    assert_sound(&*workspace);
}

#[test]
fn a_duplicate_of_itself_stays_and_a_duplicate_of_another_goes() {
    let workspace = memory();
    add(&*workspace, &[("a.txt", "Ada.")]);
    let job = workspace.enqueue(job(vec![item("a.txt", "Ada."), item("copy.txt", "Ada.")]), NOW).unwrap();
    for pending in workspace.claim(9, u64::MAX, NOW).unwrap() {
        let of = workspace.document_with_hash(&pending.hash).unwrap().unwrap();
        workspace.finish_duplicate(pending.item, &of, NOW).unwrap();
    }
    assert_eq!(state_of(&*workspace, "a.txt"), DocumentState::Ready);
    assert_eq!(workspace.document(&id("a.txt")).unwrap().unwrap().version, 1);
    assert!(workspace.document(&id("copy.txt")).unwrap().is_none());
    assert_eq!(counts(&*workspace, &job.id), JobCounts { total: 2, duplicate: 2, ..JobCounts::default() });
    let items = workspace.job_items(&job.id, ALL).unwrap();
    assert_eq!(items[1].duplicate_of, Some(id("a.txt")));
    assert_eq!(items[1].name, "copy.txt");
    assert_sound(&*workspace);
}

#[test]
fn a_failed_document_keeps_its_earlier_version_and_can_be_retried() {
    let workspace = memory();
    add(&*workspace, &[("a.txt", "Ada.")]);
    workspace.enqueue(job(vec![item("a.txt", "new"), item("scan.pdf", "…")]), NOW).unwrap();
    let claimed = workspace.claim(9, u64::MAX, NOW).unwrap();
    workspace.fail(claimed[0].item, DocumentState::Failed, &problem(), NOW).unwrap();
    workspace.fail(claimed[1].item, DocumentState::NeedsOcr, &problem(), NOW).unwrap();
    workspace.fail(claimed[1].item, DocumentState::Failed, &problem(), NOW).unwrap();

    let record = workspace.document(&id("a.txt")).unwrap().unwrap();
    assert_eq!((record.state, record.version, record.problem), (DocumentState::Failed, 1, Some(problem())));
    assert_eq!(workspace.document_text(&id("a.txt")).unwrap().unwrap().text, "Ada.");
    assert_eq!(state_of(&*workspace, "scan.pdf"), DocumentState::NeedsOcr, "an item ends once");

    let again = workspace.retry(fresh_job(), &[id("a.txt"), id("none")], None, NOW).unwrap().unwrap();
    assert_eq!(again.counts.total, 1);
    assert_eq!(workspace.document(&id("a.txt")).unwrap().unwrap().problem, None);
    work(&*workspace);
    assert_eq!(workspace.document_text(&id("a.txt")).unwrap().unwrap().text, "new");
    let all = workspace.retry(fresh_job(), &[], None, NOW).unwrap().unwrap();
    assert_eq!(workspace.job_items(&all.id, ALL).unwrap()[0].name, "scan.pdf");
    work(&*workspace);
    assert_eq!(workspace.retry(fresh_job(), &[], None, NOW).unwrap(), None);
    assert_sound(&*workspace);
}

#[test]
fn cancelling_ends_what_waits_and_refuses_what_is_under_way() {
    let workspace = memory();
    let job = workspace.enqueue(job(vec![item("a.txt", "Ada."), item("b.txt", "Bob.")]), NOW).unwrap();
    let under_way = claim_one(&*workspace);
    assert!(workspace.cancel_job(&job.id, NOW).unwrap());
    assert!(!workspace.cancel_job(&job.id, NOW).unwrap());
    assert_eq!(state_of(&*workspace, "b.txt"), DocumentState::Cancelled);

    let outcome = &workspace.commit(vec![write_of(&under_way)], NOW).unwrap()[0];
    assert!(!outcome.committed);
    let cancelled = workspace.job(&job.id).unwrap().unwrap();
    assert_eq!(cancelled.state, JobState::Cancelled);
    assert_eq!(cancelled.counts, JobCounts { total: 2, cancelled: 2, ..JobCounts::default() });
    assert_eq!(workspace.document_chunks(&id("a.txt"), ALL).unwrap().len(), 0);
    assert!(workspace.enqueue(job_of(job.id, vec![]), NOW).is_err());
    assert_eq!(workspace.cancel_job(&fresh_job(), NOW).unwrap_err().code(), ErrorCode::NotFound);

    workspace.retry(fresh_job(), &[], None, NOW).unwrap().unwrap();
    work(&*workspace);
    assert_eq!(state_of(&*workspace, "a.txt"), DocumentState::Ready);
    assert_sound(&*workspace);
}

#[test]
fn a_document_deleted_meanwhile_is_not_brought_back() {
    let workspace = memory();
    let job = workspace.enqueue(job(vec![item("a.txt", "Ada.")]), NOW).unwrap();
    let pending = claim_one(&*workspace);
    workspace.delete(&[id("a.txt")], NOW).unwrap();
    assert!(!workspace.commit(vec![write_of(&pending)], NOW).unwrap()[0].committed);
    workspace.fail(pending.item, DocumentState::Failed, &problem(), NOW).unwrap();
    assert!(workspace.document(&id("a.txt")).unwrap().is_none());
    assert_eq!(counts(&*workspace, &job.id), JobCounts { total: 1, cancelled: 1, ..JobCounts::default() });
    assert_sound(&*workspace);
}

#[test]
fn one_batch_may_hold_two_versions_of_a_document() {
    let workspace = memory();
    workspace.enqueue(job(vec![item("a.txt", "Ada met Bob."), item("b.txt", "Bob.")]), NOW).unwrap();
    let first = workspace.claim(9, u64::MAX, NOW).unwrap();
    workspace.enqueue(job(vec![item("a.txt", "Ada met Carol.")]), NOW).unwrap();
    let mut writes: Vec<_> = first.iter().map(write_of).collect();
    // Only the first may be written: the second's item was never handed out.
    let mut early = write_of(&first[0]);
    early.item += 2;
    writes.push(early);
    let outcomes = workspace.commit(writes, NOW).unwrap();
    assert_eq!(outcomes.iter().map(|outcome| outcome.committed).collect::<Vec<_>>(), [true, true, false]);
    work(&*workspace);
    assert_sound(&*workspace);
}

#[test]
fn jobs_are_listed_newest_first() {
    let workspace = memory();
    let first = workspace.enqueue(job(vec![item("a.txt", "Ada.")]), NOW).unwrap();
    let second = workspace.enqueue(job(vec![item("b.txt", "Bob.")]), NOW).unwrap();
    workspace.cancel_job(&first.id, NOW).unwrap();
    let ids = |state, page| workspace.jobs(state, page).unwrap().into_iter().map(|job| job.id).collect::<Vec<_>>();
    assert_eq!(ids(None, ALL), [second.id.clone(), first.id.clone()]);
    assert_eq!(ids(None, PageRequest { offset: 1, limit: 1 }), std::slice::from_ref(&first.id));
    assert_eq!(ids(Some(JobState::Cancelled), ALL), [first.id]);
    assert_eq!(ids(Some(JobState::Queued), ALL), [second.id]);
}

#[test]
fn a_restart_queues_again_what_was_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let items = vec![item("a.txt", "Ada."), NewItem { tags: vec!["t".to_owned()], ..item("b.txt", "Bob.") }];
    let (first, second) = {
        let store = Store::open(folder.path(), NOW).unwrap();
        let workspace = default_of(&store);
        let first = workspace.enqueue(job(items), NOW).unwrap();
        let second = workspace.enqueue(job(vec![item("c.txt", "Carol.")]), NOW).unwrap();
        assert_eq!(workspace.claim(9, u64::MAX, NOW).unwrap().len(), 3);
        workspace.cancel_job(&second.id, NOW).unwrap();
        (first.id, second.id)
    };
    let store = Store::open(folder.path(), NOW).unwrap();
    let workspace = default_of(&store);
    assert_eq!(state_of(&*workspace, "a.txt"), DocumentState::Queued);
    assert_eq!(state_of(&*workspace, "c.txt"), DocumentState::Cancelled);
    assert_eq!(counts(&*workspace, &second), JobCounts { total: 1, cancelled: 1, ..JobCounts::default() });
    let claimed = workspace.claim(9, u64::MAX, NOW).unwrap();
    assert_eq!((claimed.len(), claimed[1].tags.as_slice()), (2, &["t".to_owned()][..]));
    workspace.commit(claimed.iter().map(write_of).collect(), NOW).unwrap();
    assert_eq!(counts(&*workspace, &first).ready, 2);
    assert_sound(&*workspace);
}
