//! The worker of one workspace's graph jobs: claims documents, reads several at once, makes the views follow, and only
//! then ends them, so that whoever hears `ready` can ask about the new graph.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lorekeep_types::{
    DocumentState, Error, ErrorCode, GraphEnd, GraphItem, JobState, Problem, Result, Stage, Workspace,
};
use tokio::task::JoinSet;

use super::document::{Turn, read};
use super::resolve::resolve;
use super::summaries::summarise;
use super::{Bench, lock};
use crate::engine::join;

/// How often new work and the end of all work are looked for.
const LOOK: Duration = Duration::from_millis(100);

/// Documents whose graphs are written are published this often while others are being read.
const PUBLISH_EVERY: Duration = Duration::from_secs(1);

/// A publication may take at most one part in this many of the time.
const SHARE: u32 = 6;

/// Entities that are new or read differently are embedded this often while documents are being read: in this process they
/// take time that is spent waiting for the model; elsewhere they may cost money, each time anew.
const EMBED_EVERY: Duration = Duration::from_secs(2);
const EMBED_ELSEWHERE_EVERY: Duration = Duration::from_secs(30);

/// Pause after the store failed.
const AFTER_FAILURE: Duration = Duration::from_secs(2);

/// Works until nothing is left to do.
pub(super) async fn run(bench: &Bench) {
    loop {
        if let Err(error) = drain(bench).await {
            tracing::error!(workspace = %bench.ingest.workspace.name(), %error, "making graphs failed; trying again");
            tokio::time::sleep(AFTER_FAILURE).await;
            if !bench.graphs.life.is_stopping() {
                continue;
            }
        }
        if bench.graphs.life.rest() {
            return;
        }
    }
}

struct Shift<'a> {
    bench: &'a Bench,
    reading: JoinSet<Turn>,
    /// Documents whose graphs are written, or that have none to write.
    ended: Vec<GraphEnd>,
    /// The store had nothing more to hand out.
    exhausted: bool,
    due: Instant,
    embedded: Instant,
}

/// Makes the graphs of all documents that wait.
async fn drain(bench: &Bench) -> Result<()> {
    put_back(bench).await?;
    let mut shift = Shift {
        bench,
        reading: JoinSet::new(),
        ended: Vec::new(),
        exhausted: false,
        due: Instant::now(),
        embedded: Instant::now(),
    };
    let worked = shift.work().await;
    shift.reading.shutdown().await;
    let ended = shift.end().await;
    lock(&bench.graphs.runs).clear();
    worked.and(ended).and(put_back(bench).await)
}

impl Shift<'_> {
    async fn work(&mut self) -> Result<()> {
        while !self.bench.graphs.life.is_stopping() {
            if self.bench.graphs.life.take_wanted() {
                self.exhausted = false;
            }
            while !self.exhausted && self.reading.len() < self.bench.ingest.parts.settings.graph.parallel.max(1) {
                self.exhausted = !self.claim().await?;
            }
            if self.reading.is_empty() {
                if self.ended.is_empty() {
                    return Ok(());
                }
                self.finish().await;
                self.end().await?;
                continue;
            }
            tokio::select! {
                Some(turn) = self.reading.join_next() => self.take(turn).await?,
                () = tokio::time::sleep(LOOK) => {}
            }
            if !self.ended.is_empty() && !self.reading.is_empty() && Instant::now() >= self.due {
                self.end().await?;
            }
        }
        Ok(())
    }

    /// Joins entities that mean one thing and shortens what became too long, on behalf of the job whose documents came last,
    /// unless that is cancelled.
    async fn finish(&self) {
        let job =
            self.ended.iter().find_map(|end| lock(&self.bench.graphs.held).get(&end.item).map(|held| held.job.clone()));
        let Some(job) = job else { return };
        let Some(run) = lock(&self.bench.graphs.runs).get(&job).cloned() else { return };
        let is_wanted = || {
            let held = lock(&self.bench.graphs.held);
            !self.bench.graphs.life.is_stopping() && held.values().any(|held| held.job == job)
        };
        let gone = async {
            while is_wanted() {
                tokio::time::sleep(LOOK).await;
            }
        };
        let work = async {
            if self.bench.ingest.parts.settings.graph.resolve {
                let joined = resolve(self.bench, &run, job.as_str()).await?;
                tracing::info!(workspace = %self.bench.ingest.workspace.name(), joined, "entities were compared");
            }
            summarise(self.bench, &run, job.as_str()).await
        };
        let finished = tokio::select! {
            finished = work => finished,
            () = gone => Ok(()),
        };
        let unsaved = run.take_unsaved();
        let spent = stored(self.bench, move |workspace| workspace.spend(&job, &unsaved)).await;
        if let Err(error) = finished.and(spent) {
            let workspace = self.bench.ingest.workspace.name();
            tracing::error!(%workspace, %error, "entities were not all compared or descriptions not summarised");
        }
    }

    /// Begins with the next document; `false` when none waits.
    async fn claim(&mut self) -> Result<bool> {
        let now_ms = self.bench.ingest.parts.clock.now_ms();
        let Some(item) = stored(self.bench, move |workspace| workspace.claim_graph(now_ms)).await? else {
            return Ok(false);
        };
        let held = self.bench.graphs.hold(&item);
        // A job that was cancelled between the claim and this has no more to read.
        if is_cancelled(self.bench, &item).await? {
            held.cancel.cancel();
        }
        self.reading.spawn(read(self.bench.clone(), item, held));
        Ok(true)
    }

    async fn take(&mut self, turn: Result<Turn, tokio::task::JoinError>) -> Result<()> {
        match turn {
            // Whoever cancelled a job has ended its documents.
            Ok(Turn::Ended(end)) if !lock(&self.bench.graphs.held).contains_key(&end.item) => {}
            Ok(Turn::Ended(end)) => self.ended.push(end),
            Ok(Turn::Again(item)) => {
                lock(&self.bench.graphs.held).remove(&item);
                self.exhausted = false;
                stored(self.bench, move |workspace| workspace.unclaim_graph(&[item])).await?;
            }
            Err(fault) => {
                let error = Error::new(ErrorCode::Internal, "making a graph ended in a fault of this program");
                return Err(error.caused_by(fault));
            }
        }
        Ok(())
    }

    /// Makes queries see what was written, then ends the documents and tells followers.
    async fn end(&mut self) -> Result<()> {
        if self.ended.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let ended = std::mem::take(&mut self.ended);
        let (bench, ends) = (self.bench.clone(), ended.clone());
        let now_ms = bench.ingest.parts.clock.now_ms();
        self.tell_index(&ended);
        let stops = self.stops();
        stored(self.bench, move |workspace| {
            bench.ingest.lane.publish(workspace)?;
            workspace.end_graph(&ends, now_ms)?;
            stops.iter().try_for_each(|(job, problem)| workspace.stop_graph(job, problem, now_ms))
        })
        .await?;
        self.due = Instant::now() + PUBLISH_EVERY.max(began.elapsed() * (SHARE - 1));
        self.tell(ended).await;
        let elsewhere =
            self.bench.ingest.parts.models.as_ref().is_some_and(|models| !matches!(models.embed(), Ok(None)));
        let every = if elsewhere { EMBED_ELSEWHERE_EVERY } else { EMBED_EVERY };
        if self.reading.is_empty() || self.embedded.elapsed() >= every {
            self.embedded = Instant::now();
            crate::ingest::wake(&self.bench.ingest)?;
        }
        Ok(())
    }

    fn tell_index(&self, ended: &[GraphEnd]) {
        for end in ended.iter().filter(|end| end.state == DocumentState::Ready) {
            if let Some(held) = lock(&self.bench.graphs.held).get(&end.item) {
                self.bench.ingest.lane.tell_stage(held, Stage::Index);
            }
        }
    }

    /// Jobs that have a reason to stop.
    fn stops(&self) -> Vec<(lorekeep_types::JobId, Problem)> {
        let runs = lock(&self.bench.graphs.runs);
        runs.iter().filter_map(|(job, run)| Some((job.clone(), run.stopped()?))).collect()
    }

    async fn tell(&self, ended: Vec<GraphEnd>) {
        let mut jobs = Vec::new();
        for end in ended {
            let held = lock(&self.bench.graphs.held).remove(&end.item);
            let Some(held) = held else { continue };
            self.bench.ingest.lane.tell_end(&held, end.state.name(), end.problem.as_ref());
            if !jobs.contains(&held.job) {
                jobs.push(held.job);
            }
        }
        let lane = Arc::clone(&self.bench.ingest.lane);
        let told = stored(self.bench, move |workspace| {
            jobs.iter().for_each(|job| lane.tell_progress(workspace, job));
            Ok(())
        });
        if let Err(error) = told.await {
            tracing::error!(%error, "followers of a job could not be told");
        }
    }
}

async fn is_cancelled(bench: &Bench, item: &GraphItem) -> Result<bool> {
    let job = item.job.clone();
    let job = stored(bench, move |workspace| workspace.job(&job)).await?;
    Ok(job.is_none_or(|job| job.state == JobState::Cancelled))
}

/// Puts back everything that is claimed and in nobody's hands.
async fn put_back(bench: &Bench) -> Result<()> {
    let items: Vec<i64> = lock(&bench.graphs.held).drain().map(|(item, _)| item).collect();
    if items.is_empty() {
        return Ok(());
    }
    stored(bench, move |workspace| workspace.unclaim_graph(&items)).await
}

/// Works with the store away from the async runtime.
async fn stored<T: Send + 'static>(
    bench: &Bench,
    work: impl FnOnce(&dyn Workspace) -> Result<T> + Send + 'static,
) -> Result<T> {
    let workspace = Arc::clone(&bench.ingest.workspace);
    join(tokio::task::spawn_blocking(move || work(workspace.as_ref()))).await
}
