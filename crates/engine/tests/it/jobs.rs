//! Jobs: what followers hear, retry, extension, and that work goes on after a stop.

use std::sync::Arc;
use std::time::Duration;

use lorekeep_engine::AddRequest;
use lorekeep_types::{DocumentState, ErrorCode, JobEvent, JobState, Stage};

use crate::ports::{ALL, Bench, item};

#[tokio::test(flavor = "multi_thread")]
async fn followers_hear_every_step() {
    let mut bench = Bench::new().await;
    let mut events = bench.engine.watch_jobs(&bench.ctx).await.unwrap();
    bench.take_in(&[("a.txt", "Oslo is a city.")]).await;
    let (mut stages, mut outcomes, mut last) = (Vec::new(), Vec::new(), None);
    while let Ok(event) = events.try_recv() {
        match event {
            JobEvent::Stage { stage, .. } => stages.push(stage),
            JobEvent::Item { name, outcome, .. } => outcomes.push((name, outcome)),
            JobEvent::Passages { .. } => unreachable!("no model reads here"),
            JobEvent::Progress { state, counts, .. } => last = Some((state, counts.ready)),
        }
    }
    let all = [Stage::Parse, Stage::Chunk, Stage::Extract, Stage::Embed, Stage::Commit, Stage::Index];
    assert_eq!(stages, all);
    assert_eq!(outcomes, [("a.txt".to_owned(), "ready".to_owned())]);
    assert_eq!(last, Some((JobState::Done, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ready_document_is_seen_by_queries() {
    let mut bench = Bench::new().await;
    let names: Vec<String> = (0..40).map(|n| format!("{n}.txt")).collect();
    let texts: Vec<String> = (0..40).map(|n| format!("Town{n}x is a city.")).collect();
    let documents: Vec<(&str, &str)> = names.iter().zip(&texts).map(|(n, t)| (n.as_str(), t.as_str())).collect();
    let mut events = bench.engine.watch_jobs(&bench.ctx).await.unwrap();
    let job = bench.add(&documents).await;
    let mut ready = 0;
    while ready < 40 {
        if let JobEvent::Item { name, outcome, .. } = events.recv().await.unwrap() {
            assert_eq!(outcome, "ready");
            let number = name.trim_end_matches(".txt");
            assert!(bench.knows(&format!("Town{number}x")).await, "{name} is ready but not found");
            ready += 1;
        }
    }
    assert_eq!(bench.ended(&job).await.counts.ready, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_documents_are_tried_again() {
    let mut bench = Bench::new().await;
    let job = bench.take_in(&[("a.txt", "broken"), ("b.txt", "Oslo is a city.")]).await;
    assert_eq!((job.state, job.counts.failed, job.counts.ready), (JobState::Done, 1, 1));
    let again = bench.engine.retry(&bench.ctx, Vec::new()).await.unwrap().unwrap();
    let again = bench.ended(&again).await;
    assert_eq!((again.counts.total, again.counts.failed), (1, 1));
    bench.engine.delete(&bench.ctx, vec![bench.document("a.txt").await.id]).await.unwrap();
    assert!(bench.engine.retry(&bench.ctx, Vec::new()).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_find_jobs_and_open_jobs_grow() {
    let mut bench = Bench::new().await;
    bench.doors.shut("at-parse");
    let first = AddRequest { items: vec![item("a.txt", b"Oslo at-parse")], label: Some("mine".into()), job: None };
    let job = bench.engine.add(&bench.ctx, first.clone()).await.unwrap();
    let taken = AddRequest { items: vec![item("x.txt", b"x")], ..first };
    assert_eq!(bench.engine.add(&bench.ctx, taken).await.unwrap_err().code(), ErrorCode::Conflict);
    let more = AddRequest { items: vec![item("b.txt", b"Bergen rains.")], label: None, job: Some(job.id.clone()) };
    assert_eq!(bench.engine.add(&bench.ctx, more.clone()).await.unwrap().counts.total, 2);
    bench.doors.open("at-parse");
    bench.ended(&job).await;
    assert_eq!(bench.engine.job_labelled(&bench.ctx, "mine").await.unwrap().counts.ready, 2);
    assert_eq!(bench.engine.add(&bench.ctx, more).await.unwrap_err().code(), ErrorCode::Conflict);
    assert_eq!(bench.engine.jobs(&bench.ctx, Some(JobState::Done), ALL).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stop_interrupts_is_done_after_the_next_start() {
    let bench = Bench::new().await;
    bench.doors.shut("at-parse");
    let job = bench.add(&[("a.txt", "Oslo at-parse"), ("b.txt", "Bergen at-parse"), ("c.txt", "Voss at-parse")]).await;
    bench.doors.wait_for("at-parse");
    let engine = bench.engine.clone();
    let stop = tokio::spawn(async move { engine.shutdown(Duration::from_secs(20)).await });
    // The stop cancels what is being read; the scripted parser notices when its door opens.
    while !stop.is_finished() {
        bench.doors.open("at-parse");
        tokio::task::yield_now().await;
    }
    assert!(stop.await.unwrap());
    let store = Arc::clone(&bench.store);
    let mut next = Bench::over(store).await;
    let before = next.engine.job(&next.ctx, &job.id).await.unwrap();
    assert!(matches!(before.state, JobState::Running | JobState::Queued | JobState::Done));
    if before.state != JobState::Done {
        next.engine.start().await.unwrap();
        next.ended(&job).await;
    }
    assert_eq!(next.engine.job(&next.ctx, &job.id).await.unwrap().counts.ready, 3);
    assert_eq!(next.document("a.txt").await.state, DocumentState::Ready);
    assert!(next.knows("Voss").await || next.knows("Oslo").await);
    drop(bench.events);
}

#[tokio::test(flavor = "multi_thread")]
async fn settling_fills_in_every_vector() {
    let bench = Bench::new().await;
    bench.add(&[("a.txt", "Oslo lies near Drammen.")]).await;
    assert!(bench.engine.settle(Duration::from_secs(30)).await);
    let workspace = lorekeep_types::Store::workspace(bench.store.as_ref(), &bench.ctx.workspace).unwrap();
    assert!(workspace.embed_tasks(10).unwrap().is_empty());
    let entity = bench.engine.entity(&bench.ctx, "Oslo").await.unwrap();
    assert!(entity.description_tokens > 0);
    bench.doors.shut("at-parse");
    bench.add(&[("b.txt", "Bergen at-parse")]).await;
    bench.doors.wait_for("at-parse");
    assert!(!bench.engine.settle(Duration::from_millis(1)).await);
    bench.doors.open("at-parse");
    assert!(bench.engine.settle(Duration::from_secs(30)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_duplicates_than_are_claimed_at_once_all_end() {
    let mut bench = Bench::new().await;
    let texts: Vec<(String, String)> = (0..600).map(|n| (format!("{n}.txt"), format!("Town{n}x is near."))).collect();
    let documents: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert_eq!(bench.take_in(&documents).await.counts.ready, 600);
    assert_eq!(bench.take_in(&documents).await.counts.duplicate, 600);
}
