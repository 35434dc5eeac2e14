//! Makes the views follow what was committed, reports documents as ready once queries see them, and fills in the
//! vectors of entities and relations when there is time.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use lorekeep_types::{DocumentId, DocumentState, EmbedTask, JobId, NewGraphJob, Result, Vector, VectorWrite};
use rayon::prelude::*;

use super::graph::Extractor;
use super::lane::Held;
use super::worker::Bench;
use crate::embed::{Errand, Maker};

/// A publication may take at most one part in this many of the time.
const SHARE: u32 = 6;

/// Entities and relations embedded per transaction.
const BATCH: usize = 1_024;

/// While documents keep coming, vectors of entities and relations are filled in this often …
const CATCH_UP_EVERY: Duration = Duration::from_secs(30);

/// … for at most this long.
const CATCH_UP_FOR: Duration = Duration::from_secs(2);

/// How often a publication that fails is tried when no work is left.
const TRIES: u32 = 5;

/// Pause between two tries.
const BETWEEN_TRIES: Duration = Duration::from_millis(500);

/// Documents that one transaction made ready.
pub(super) struct Published {
    pub(super) documents: Vec<Held>,
}

pub(super) struct Publisher<'a> {
    bench: &'a Bench,
    pending: Vec<Held>,
    due: Instant,
    caught_up: Instant,
    /// The job that makes the graphs of what is published.
    graph_jobs: HashMap<Option<String>, JobId>,
}

impl<'a> Publisher<'a> {
    pub(super) fn new(bench: &'a Bench) -> Self {
        Self { bench, pending: Vec::new(), due: Instant::now(), caught_up: Instant::now(), graph_jobs: HashMap::new() }
    }

    /// Publishes until the worker is done, then everything that is left.
    pub(super) fn run(mut self, incoming: &Receiver<Published>) {
        loop {
            match incoming.recv_timeout(self.wait()) {
                Ok(published) => self.pending.extend(published.documents),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if !self.pending.is_empty() && Instant::now() >= self.due {
                self.publish();
            }
            if self.caught_up.elapsed() >= CATCH_UP_EVERY {
                self.embed(Some(CATCH_UP_FOR));
            }
        }
        self.publish_rest();
        self.embed(None);
    }

    fn wait(&self) -> Duration {
        if self.pending.is_empty() { CATCH_UP_EVERY } else { self.due.saturating_duration_since(Instant::now()) }
    }

    /// Publishes; whether queries now see what is pending. The next one waits in proportion to its cost.
    fn publish(&mut self) -> bool {
        let started = Instant::now();
        let published = self.bench.lane.publish(self.bench.workspace.as_ref());
        let shortest = Duration::from_millis(self.bench.parts.settings.ingest.refresh_ms);
        self.due = Instant::now() + shortest.max(started.elapsed() * (SHARE - 1));
        match published {
            Ok(()) => self.tell(),
            Err(error) => {
                tracing::error!(workspace = %self.bench.workspace.name(), %error, "the views did not follow");
                return false;
            }
        }
        true
    }

    fn publish_rest(&mut self) {
        for _ in 0..TRIES {
            if self.publish() || self.bench.lane.life.is_stopping() {
                return;
            }
            self.bench.lane.life.pause(BETWEEN_TRIES);
        }
        // The documents are safe; the views catch up with the next publication or the next start.
        self.tell();
    }

    /// Reports what is pending as ready.
    fn tell(&mut self) {
        let lane = &self.bench.lane;
        let (mut jobs, mut documents) = (Vec::new(), Vec::<(JobId, DocumentId)>::new());
        for held in std::mem::take(&mut self.pending) {
            lane.unpublished.remove(&held.document);
            lane.tell_end(&held, DocumentState::Ready.name(), None);
            documents.push((held.job.clone(), held.document));
            if !jobs.contains(&held.job) {
                jobs.push(held.job);
            }
        }
        jobs.iter().for_each(|job| lane.tell_progress(self.bench.workspace.as_ref(), job));
        if self.bench.parts.settings.graph.automatic
            && let Err(error) = self.make_graphs(documents)
        {
            let workspace = self.bench.workspace.name();
            tracing::warn!(%workspace, %error, "no model makes the graph of new documents; `lorekeep graph build` does");
        }
    }

    /// Has the model make the graph of documents that can be searched by now; those that one principal added in one burst
    /// are one job.
    fn make_graphs(&mut self, documents: Vec<(JobId, DocumentId)>) -> Result<()> {
        if documents.is_empty() || Extractor::of(&self.bench.parts).is_err() {
            return Ok(());
        }
        let (parts, workspace) = (&self.bench.parts, &self.bench.workspace);
        let mut each: BTreeMap<Option<String>, Vec<DocumentId>> = BTreeMap::new();
        for (job, document) in documents {
            let principal = workspace.job(&job)?.and_then(|job| job.principal);
            each.entry(principal).or_default().push(document);
        }
        for (principal, documents) in each {
            let id = self.graph_jobs.entry(principal.clone()).or_insert_with(|| JobId::with_suffix(&parts.ids.next()));
            let job = NewGraphJob { id: id.clone(), documents, limit: None, principal };
            workspace.enqueue_graph(job, parts.clock.now_ms())?;
        }
        self.bench.graphs.wake(self.bench.clone())
    }

    /// Embeds entities and relations until none is left, time is up, or documents wait.
    fn embed(&mut self, limit: Option<Duration>) {
        self.caught_up = Instant::now();
        let mut last = None;
        let lane = &self.bench.lane;
        loop {
            let late = limit.map_or_else(|| lane.life.is_wanted(), |limit| self.caught_up.elapsed() >= limit);
            if late || lane.life.is_stopping() {
                break;
            }
            match embed_batch(self.bench, last) {
                Ok(None) => break,
                Ok(first) => last = first,
                Err(error) => {
                    tracing::error!(workspace = %self.bench.workspace.name(), %error, "entities were not embedded");
                    break;
                }
            }
        }
        if last.is_some() {
            self.publish();
        }
    }
}

/// Embeds one batch; returns its first task, `None` when there was nothing (new) to do.
pub(super) fn embed_batch(bench: &Bench, last: Option<(i64, i64)>) -> Result<Option<(i64, i64)>> {
    let workspace = bench.workspace.as_ref();
    let tasks = workspace.embed_tasks(BATCH)?;
    let first = tasks.first().map(|task| (task.row, task.revision));
    if first.is_none() || first == last {
        return Ok(None);
    }
    let errand = Errand::in_background(workspace, &bench.runtime, bench.lane.life.stopping());
    let Some(maker) = bench.parts.writing_embedder(workspace, errand)? else { return Ok(None) };
    let texts: Vec<&str> = tasks.iter().map(|task| task.text.as_str()).collect();
    let vectors = embedded(bench, &maker, &texts)?;
    let counter = bench.parts.tokens.as_ref();
    let write = |(task, vector): (&EmbedTask, Vector)| VectorWrite {
        kind: task.kind,
        row: task.row,
        revision: task.revision,
        vector,
        description_tokens: u32::try_from(counter.count(&task.description)).unwrap_or(u32::MAX),
    };
    workspace.put_vectors(tasks.iter().zip(vectors).map(write).collect())?;
    Ok(first)
}

/// One vector per text, made on the reading threads.
pub(super) fn embedded(bench: &Bench, maker: &Maker, texts: &[&str]) -> Result<Vec<Vector>> {
    let embed = |texts: &[&str]| -> Result<Vec<Vector>> {
        let _turn = (!maker.is_elsewhere).then(|| bench.turns.take());
        Ok(maker.model.embed(texts)?.iter().map(|values| Vector::quantise(values)).collect())
    };
    let batches: Result<Vec<_>> = bench.readers.install(|| texts.par_chunks(maker.batch).map(embed).collect());
    Ok(batches?.into_iter().flatten().collect())
}
