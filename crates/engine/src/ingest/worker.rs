//! The worker of one workspace: claims documents, hands them to the reading threads, keeps those apart that must
//! not run together, and commits what is ready in groups. It is the only one that commits in its workspace.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use lorekeep_types::{
    ContentHash, DocumentId, DocumentState, DocumentWrite, Error, ErrorCode, PendingItem, Problem, Result, Stage,
    Workspace,
};

use tokio::runtime::Handle;

use super::graph::Graphs;
use super::lane::{Held, Lane};
use super::prepare::{Ended, prepare, problem};
use super::publish::{Published, Publisher};
use super::turns::Turns;
use super::{anew, lock};
use crate::engine::EngineParts;
use crate::settings::IngestSettings;

/// Pause after the store failed, before it is tried again; doubled after each further failure.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Most doublings of [`AFTER_FAILURE`].
const MOST_DOUBLINGS: u32 = 5;

/// What a worker works with.
#[derive(Clone)]
pub(super) struct Bench {
    pub(super) parts: Arc<EngineParts>,
    pub(super) lane: Arc<Lane>,
    pub(super) workspace: Arc<dyn Workspace>,
    pub(super) readers: Arc<rayon::ThreadPool>,
    pub(super) turns: Arc<Turns>,
    /// Where models are called.
    pub(super) runtime: Handle,
    /// Where graphs are made by models.
    pub(super) graphs: Arc<Graphs>,
}

/// Works until nothing is left to do.
pub(super) fn run(bench: &Bench) {
    let mut failures = 0;
    loop {
        match catch_unwind(AssertUnwindSafe(|| drain(bench))).unwrap_or_else(|_| Err(fault())) {
            Ok(()) => failures = 0,
            Err(error) => {
                tracing::error!(workspace = %bench.workspace.name(), %error, "taking in documents failed; trying again");
                bench.lane.life.pause(AFTER_FAILURE * 2_u32.pow(failures));
                failures = MOST_DOUBLINGS.min(failures + 1);
                if !bench.lane.life.is_stopping() {
                    continue;
                }
            }
        }
        if bench.lane.life.rest() {
            return;
        }
    }
}

fn fault() -> Error {
    Error::new(ErrorCode::Internal, "taking in documents ended in a fault of this program")
}

/// Works off everything that waits: new vectors before documents, which must be of the same model.
fn drain(bench: &Bench) -> Result<()> {
    bench.lane.put_back(bench.workspace.as_ref())?;
    loop {
        anew::run(bench)?;
        take_in(bench)?;
        if bench.lane.life.is_stopping() || bench.workspace.vectors_job()?.is_none() {
            return Ok(());
        }
    }
}

/// Takes in everything that is queued.
fn take_in(bench: &Bench) -> Result<()> {
    let (published, incoming) = channel();
    std::thread::scope(|scope| {
        let publisher = Publisher::new(bench);
        scope.spawn(move || publisher.run(&incoming));
        let mut worker = Worker::new(bench, published);
        let result = worker.work();
        worker.wind_up(result)
    })
}

/// A document that came back from the reading threads.
struct Finished {
    item: i64,
    document: DocumentId,
    hash: ContentHash,
    bytes: u64,
    result: Result<DocumentWrite, Box<Ended>>,
}

struct Worker<'a> {
    bench: &'a Bench,
    settings: IngestSettings,
    published: Sender<Published>,
    finished: (Sender<Finished>, Receiver<Finished>),
    /// Claimed, but the same document or the same bytes are in work.
    waiting: Vec<PendingItem>,
    documents: HashSet<DocumentId>,
    hashes: HashSet<ContentHash>,
    in_flight: usize,
    bytes: u64,
    ready: Vec<Finished>,
    ready_since: Option<Instant>,
    /// The store had nothing more to hand out.
    exhausted: bool,
    /// A group was refused: documents are written one by one, so that only the bad one fails.
    cautious: bool,
}

impl<'a> Worker<'a> {
    fn new(bench: &'a Bench, published: Sender<Published>) -> Self {
        Self {
            bench,
            settings: bench.parts.settings.ingest,
            published,
            finished: channel(),
            waiting: Vec::new(),
            documents: HashSet::new(),
            hashes: HashSet::new(),
            in_flight: 0,
            bytes: 0,
            ready: Vec::new(),
            ready_since: None,
            exhausted: false,
            cautious: false,
        }
    }

    fn work(&mut self) -> Result<()> {
        while !self.bench.lane.life.is_stopping() {
            self.claim()?;
            if self.in_flight == 0 && self.waiting.is_empty() && self.ready.is_empty() {
                // A whole claim may have been duplicates, behind which others wait.
                if self.exhausted {
                    return Ok(());
                }
                continue;
            }
            if !self.is_group_full() {
                self.collect()?;
            }
            if self.is_group_full() {
                self.commit()?;
            }
        }
        self.finish_started()
    }

    /// Lets what the reading threads hold end, and commits what is whole.
    fn finish_started(&mut self) -> Result<()> {
        while self.in_flight > 0 {
            self.collect()?;
        }
        self.commit()
    }

    /// Waits for the reading threads, drops what they bring, and puts back all that has not ended.
    fn wind_up(&mut self, result: Result<()>) -> Result<()> {
        if self.in_flight > 0 {
            self.bench.lane.cancel_all();
        }
        while self.in_flight > 0 {
            // This worker holds a sender as well, so the channel cannot close.
            let _ = self.finished.1.recv();
            self.in_flight -= 1;
        }
        self.waiting.clear();
        self.ready.clear();
        lock(&self.bench.lane.paces).clear();
        result.and(self.bench.lane.put_back(self.bench.workspace.as_ref()))
    }

    fn claim(&mut self) -> Result<()> {
        if self.bench.lane.life.take_wanted() {
            self.exhausted = false;
        }
        let held = self.in_flight + self.waiting.len();
        let room = self.settings.in_flight_bytes.saturating_sub(self.bytes);
        let low = held <= self.settings.in_flight_documents / 2 && room >= self.settings.in_flight_bytes / 2;
        if self.exhausted || !low {
            return Ok(());
        }
        let limit = self.settings.in_flight_documents.saturating_sub(held).max(1);
        let items = self.bench.workspace.claim(limit, room, self.now())?;
        self.exhausted = items.is_empty();
        for item in items {
            self.bench.lane.hold(&item);
            self.bytes += item.bytes.len() as u64;
            self.waiting.push(item);
        }
        self.admit()
    }

    /// Starts the waiting items that may run now.
    fn admit(&mut self) -> Result<()> {
        for item in std::mem::take(&mut self.waiting) {
            if self.documents.contains(&item.document) || self.hashes.contains(&item.hash) {
                self.waiting.push(item);
            } else if let Some(of) = self.bench.workspace.document_with_hash(&item.hash)? {
                self.end_duplicate(&item, &of)?;
            } else {
                self.start(item);
            }
        }
        Ok(())
    }

    fn start(&mut self, item: PendingItem) {
        self.documents.insert(item.document.clone());
        self.hashes.insert(item.hash);
        self.in_flight += 1;
        let (bench, done) = (self.bench.clone(), self.finished.0.clone());
        self.bench.readers.spawn(move || {
            let (number, document, hash) = (item.item, item.document.clone(), item.hash);
            let bytes = item.bytes.len() as u64;
            let turn = bench.turns.take();
            let result = read(&bench, item);
            drop(turn);
            // The worker waits for all of its readers.
            let _ = done.send(Finished { item: number, document, hash, bytes, result });
        });
    }

    /// Waits for a finished document at most until the group must be written.
    fn collect(&mut self) -> Result<()> {
        let wait = Duration::from_millis(self.settings.commit_wait_ms.max(1));
        let waited = self.ready_since.map_or(Duration::ZERO, |since| since.elapsed());
        match self.finished.1.recv_timeout(wait.saturating_sub(waited)) {
            Ok(finished) => self.receive(finished),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Ok(()),
        }
    }

    fn receive(&mut self, finished: Finished) -> Result<()> {
        self.in_flight -= 1;
        match finished.result {
            Ok(ref _write) => {
                self.ready_since.get_or_insert_with(Instant::now);
                self.ready.push(finished);
                Ok(())
            }
            Err(ended) => {
                self.let_go(&finished.document, &finished.hash, finished.bytes);
                // Stopped because the worker stops, not because a user said so: it is put back.
                if ended.state == DocumentState::Cancelled && self.bench.lane.life.is_stopping() {
                    return Ok(());
                }
                self.end(finished.item, ended.state, &ended.problem)?;
                self.admit()
            }
        }
    }

    fn is_group_full(&self) -> bool {
        let Some(since) = self.ready_since else { return false };
        let bytes: u64 = self.ready.iter().map(|finished| finished.bytes).sum();
        let most = if self.cautious { 1 } else { self.settings.commit_documents };
        self.ready.len() >= most
            || bytes >= self.settings.commit_bytes
            || since.elapsed() >= Duration::from_millis(self.settings.commit_wait_ms)
            || self.in_flight == 0
    }

    /// Writes what is ready in one transaction.
    fn commit(&mut self) -> Result<()> {
        self.ready_since = None;
        let (mut group, mut writes) = (Vec::new(), Vec::new());
        for finished in std::mem::take(&mut self.ready) {
            self.let_go(&finished.document, &finished.hash, finished.bytes);
            if let (Some(held), Ok(write)) = (self.bench.lane.release(finished.item), finished.result) {
                group.push((finished.item, held));
                writes.push(write);
            }
        }
        if !group.is_empty()
            && let Err(error) = self.write(&group, writes)
        {
            self.refused(group, error)?;
        }
        self.admit()
    }

    fn write(&self, group: &[(i64, Held)], writes: Vec<DocumentWrite>) -> Result<()> {
        let lane = &self.bench.lane;
        for (_, held) in group {
            lane.tell_stage(held, Stage::Commit);
            lane.unpublished.insert(held.document.clone(), held.job.clone());
        }
        let outcomes = self.bench.workspace.commit(writes, self.now());
        let outcomes = outcomes.inspect_err(|_| {
            group.iter().for_each(|(_, held)| lane.unpublished.remove(&held.document));
        })?;
        let committed: HashMap<_, _> =
            outcomes.into_iter().map(|outcome| (outcome.document, outcome.committed)).collect();
        let mut documents = Vec::with_capacity(group.len());
        for (item, held) in group {
            if committed.get(&held.document) == Some(&true) {
                lane.tell_stage(held, Stage::Index);
                documents.push(held.clone());
            } else {
                lane.unpublished.remove(&held.document);
                self.fail(*item, held, DocumentState::Cancelled, &cancelled())?;
            }
        }
        // The publisher lives until this sender is dropped.
        let _ = self.published.send(Published { documents });
        Ok(())
    }

    /// After the store refused a group: a full disk stops all work until there is room; otherwise documents are
    /// written one by one from now on, and one that is refused alone fails.
    fn refused(&mut self, group: Vec<(i64, Held)>, error: Error) -> Result<()> {
        tracing::warn!(workspace = %self.bench.workspace.name(), %error, documents = group.len(), "not written");
        let out_of_room = error.code() == ErrorCode::StorageFull;
        if let ([(item, held)], false) = (group.as_slice(), out_of_room) {
            return self.fail(*item, held, DocumentState::Failed, &problem(&error));
        }
        self.cautious = true;
        self.bench.lane.strand(group.iter().map(|(item, _)| *item));
        if out_of_room {
            return Err(error);
        }
        self.exhausted = false;
        self.bench.lane.put_back_stranded(self.bench.workspace.as_ref())
    }

    fn end_duplicate(&mut self, item: &PendingItem, of: &DocumentId) -> Result<()> {
        self.bytes = self.bytes.saturating_sub(item.bytes.len() as u64);
        let Some(held) = self.bench.lane.release(item.item) else { return Ok(()) };
        self.bench.workspace.finish_duplicate(item.item, of, self.now())?;
        self.bench.lane.tell_end(&held, "duplicate", None);
        self.bench.lane.tell_progress(self.bench.workspace.as_ref(), &held.job);
        Ok(())
    }

    /// Ends an item without a version, unless another already did.
    fn end(&self, item: i64, state: DocumentState, problem: &Problem) -> Result<()> {
        match self.bench.lane.release(item) {
            Some(held) => self.fail(item, &held, state, problem),
            None => Ok(()),
        }
    }

    fn fail(&self, item: i64, held: &Held, state: DocumentState, problem: &Problem) -> Result<()> {
        fail(self.bench, item, held, (state, problem))
    }

    /// The document is no longer in work.
    fn let_go(&mut self, document: &DocumentId, hash: &ContentHash, bytes: u64) {
        self.documents.remove(document);
        self.hashes.remove(hash);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn now(&self) -> i64 {
        self.bench.parts.clock.now_ms()
    }
}

/// Ends an item without a version and tells followers.
pub(super) fn fail(bench: &Bench, item: i64, held: &Held, end: (DocumentState, &Problem)) -> Result<()> {
    let (state, problem) = end;
    bench.workspace.fail(item, state, problem, bench.parts.clock.now_ms())?;
    bench.lane.tell_end(held, state.name(), Some(problem));
    bench.lane.tell_progress(bench.workspace.as_ref(), &held.job);
    Ok(())
}

/// Why a document of a cancelled job has no version.
pub(super) fn cancelled() -> Problem {
    problem(&Error::new(ErrorCode::Cancelled, "its job was cancelled").hint("retry it to index it after all"))
}

fn read(bench: &Bench, item: PendingItem) -> Result<DocumentWrite, Box<Ended>> {
    let Some(held) = bench.lane.held(item.item) else {
        return Err(Box::new(Ended::from(cancelled())));
    };
    if held.cancel.is_cancelled() {
        return Err(Box::new(Ended::from(cancelled())));
    }
    prepare(bench, item, &held.cancel, &|stage| bench.lane.tell_stage(&held, stage))
}
