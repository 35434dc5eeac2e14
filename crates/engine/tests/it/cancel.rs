//! Cancelling takes effect at once, at whatever step the work stands.

use std::time::{Duration, Instant};

use lorekeep_types::{DocumentState, JobState};

use crate::ports::Bench;

async fn cancel_at(door: &'static str) {
    let mut bench = Bench::new().await;
    bench.doors.shut(door);
    let text = format!("Oslo {door} is a city.");
    let job = bench.add(&[("held.txt", &text), ("good.txt", "Bergen rains.")]).await;
    bench.doors.wait_for(door);
    let started = Instant::now();
    assert!(bench.engine.cancel_job(&bench.ctx, &job.id).await.unwrap());
    let cancelled = bench.ended(&job).await;
    assert!(started.elapsed() < Duration::from_secs(2));
    assert_eq!((cancelled.state, cancelled.counts.open), (JobState::Cancelled, 0));
    assert_eq!(bench.document("held.txt").await.state, DocumentState::Cancelled);
    assert!(!bench.engine.cancel_job(&bench.ctx, &job.id).await.unwrap());
    bench.doors.open(door);
    // The work that was stopped leaves nothing behind, and the lane goes on.
    let after = bench.take_in(&[("after.txt", "Voss is near.")]).await;
    assert_eq!(after.counts.ready, 1);
    assert!(!bench.knows("Oslo").await && bench.knows("Voss").await);
    assert_eq!(bench.document("held.txt").await.version, 0);
    // A user may change their mind.
    let id = bench.document("held.txt").await.id;
    let again = bench.engine.retry(&bench.ctx, vec![id]).await.unwrap().unwrap();
    assert_eq!(bench.ended(&again).await.counts.ready, 1);
    assert!(bench.knows("Oslo").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_parsing() {
    cancel_at("at-parse").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_chunking() {
    cancel_at("at-chunk").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_embedding() {
    cancel_at("at-embed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_waiting() {
    let mut bench = Bench::new().await;
    bench.doors.shut("at-parse");
    let first = bench.add(&[("1.txt", "One at-parse"), ("2.txt", "Two at-parse")]).await;
    bench.doors.wait_for("at-parse");
    let second = bench.add(&[("3.txt", "Oslo is a city.")]).await;
    assert!(bench.engine.cancel_job(&bench.ctx, &second.id).await.unwrap());
    assert_eq!(bench.ended(&second).await.counts.cancelled, 1);
    bench.doors.open("at-parse");
    assert_eq!(bench.ended(&first).await.counts.ready, 2);
    assert!(!bench.knows("Oslo").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_version_goes_on_answering() {
    let mut bench = Bench::new().await;
    bench.take_in(&[("a.txt", "Oslo is a city.")]).await;
    bench.doors.shut("at-embed");
    let job = bench.add(&[("a.txt", "Bergen at-embed")]).await;
    bench.doors.wait_for("at-embed");
    bench.engine.cancel_job(&bench.ctx, &job.id).await.unwrap();
    bench.doors.open("at-embed");
    bench.take_in(&[("b.txt", "Voss is near.")]).await;
    assert!(bench.knows("Oslo").await && !bench.knows("Bergen").await);
    assert_eq!(bench.document("a.txt").await.version, 1);
}
