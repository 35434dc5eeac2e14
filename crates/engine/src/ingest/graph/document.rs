//! Reading one document with a model, and replacing its graph.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use lorekeep_types::{
    Cancel, ChatRequest, Completion, DocumentState, Error, ErrorCode, GraphEnd, GraphItem, GraphWrite, JobEvent,
    ModelError, ModelFault, NewChunk, PageRequest, Problem, Result, Stage, StoredChunk,
};

use super::run::Run;
use super::{Bench, Extractor, Held};
use crate::engine::join;
use crate::extract::model::{self, Found, Passage, Reading, Unread};
use crate::ingest::prepare::problem;

/// How often the cancel flag is looked at while models are waited for.
const LOOK: Duration = Duration::from_millis(100);

/// Chunks read from the store at once.
const WINDOW: usize = 500;

/// How a document's turn ended.
pub(super) enum Turn {
    /// It is to end so, once queries see its graph.
    Ended(GraphEnd),
    /// It has another version by now, or work stops: it waits again.
    Again(i64),
}

/// Reads a document and replaces its graph.
pub(super) async fn read(bench: Bench, item: GraphItem, held: Held) -> Turn {
    let run = bench.graphs.run(&item);
    let end = |state, problem| Turn::Ended(GraphEnd { item: item.item, state, problem });
    let document = Document { bench: &bench, item: &item, held: &held, run: &run };
    let outcome = tokio::select! {
        outcome = document.read() => outcome,
        () = cancelled(&held.cancel) => Err(Error::new(ErrorCode::Cancelled, "its job was cancelled")),
    };
    let unsaved = run.take_unsaved();
    let workspace = Arc::clone(&bench.ingest.workspace);
    let job = item.job.clone();
    let saved = join(tokio::task::spawn_blocking(move || workspace.spend(&job, &unsaved))).await;
    if let Err(error) = saved {
        tracing::error!(%error, job = %item.job, "what a job spent could not be written down");
    }
    match outcome {
        Ok(Outcome::Written(problem)) => end(DocumentState::Ready, problem),
        Ok(Outcome::Stopped(problem)) => end(DocumentState::Cancelled, Some(problem)),
        Ok(Outcome::Stale) => Turn::Again(item.item),
        Err(_) if bench.graphs.life.is_stopping() => Turn::Again(item.item),
        Err(error) if error.code() == ErrorCode::Cancelled => end(DocumentState::Cancelled, Some(problem(&error))),
        Err(error) => end(DocumentState::Failed, Some(problem(&error))),
    }
}

async fn cancelled(cancel: &Cancel) {
    while !cancel.is_cancelled() {
        tokio::time::sleep(LOOK).await;
    }
}

enum Outcome {
    /// Its graph is written; with what a model could not read of it.
    Written(Option<Problem>),
    /// Its job was stopped before a model had read all of it; what was read is written.
    Stopped(Problem),
    /// It has no version, or another one than was read.
    Stale,
}

struct Document<'a> {
    bench: &'a Bench,
    item: &'a GraphItem,
    held: &'a Held,
    run: &'a Run,
}

impl Document<'_> {
    async fn read(&self) -> Result<Outcome> {
        if let Some(problem) = self.run.stopped() {
            return Ok(Outcome::Stopped(problem));
        }
        let extractor = Extractor::of(&self.bench.ingest.parts)?;
        let chunks = self.chunks().await?;
        if chunks.is_empty() {
            return Ok(Outcome::Stale);
        }
        self.bench.ingest.lane.tell_stage(self.held, Stage::Extract);
        let readings = self.readings(&extractor, &chunks).await;
        let unread = readings.iter().filter(|reading| reading.unread.is_some()).count();
        let stopped = self.run.stopped();
        let trouble = trouble(&readings, stopped.as_ref());
        let read = readings.iter().filter(|reading| !reading.found.is_empty() || reading.unread.is_none()).count();
        if read == 0 {
            return match (stopped, trouble) {
                (Some(problem), _) => Ok(Outcome::Stopped(problem)),
                (None, trouble) => Err(trouble.unwrap_or_else(|| Error::new(ErrorCode::Internal, "nothing was read"))),
            };
        }
        let maker = (unread == 0).then(|| extractor.maker());
        if !self.write(chunks, readings, maker).await? {
            return Ok(Outcome::Stale);
        }
        Ok(match stopped.filter(|_| unread > 0) {
            Some(problem) => Outcome::Stopped(problem),
            None => Outcome::Written(trouble.as_ref().map(problem)),
        })
    }

    /// All chunks of the present version.
    async fn chunks(&self) -> Result<Vec<StoredChunk>> {
        let (workspace, document) = (Arc::clone(&self.bench.ingest.workspace), self.item.document.clone());
        join(tokio::task::spawn_blocking(move || all_chunks(workspace.as_ref(), &document))).await
    }

    /// What the model finds in each chunk, in order.
    async fn readings(&self, extractor: &Extractor, chunks: &[StoredChunk]) -> Vec<Reading> {
        let done = AtomicUsize::new(0);
        let mut passages: Vec<BoxFuture<'_, Reading>> = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let done = &done;
            let passage = async move {
                let reading = self.passage(extractor, chunk).await;
                self.tell(done.fetch_add(1, Ordering::Relaxed) + 1, chunks.len());
                reading
            };
            passages.push(passage.boxed());
        }
        let parallel = self.bench.ingest.parts.settings.graph.parallel.max(1);
        stream::iter(passages).buffered(parallel).collect().await
    }

    fn tell(&self, done: usize, total: usize) {
        let (job, document, name) = (self.held.job.clone(), self.held.document.clone(), self.held.name.clone());
        self.bench.ingest.lane.send(JobEvent::Passages { job, document, name, done, total });
    }

    async fn passage(&self, extractor: &Extractor, chunk: &StoredChunk) -> Reading {
        // Closed only when the engine is gone, and this with it.
        let _place = self.bench.places.acquire().await;
        let passage = Passage {
            title: &chunk.document_title,
            text: &chunk.chunk.text,
            language: chunk.metadata.language.as_deref(),
        };
        let ask = |request| self.ask(extractor, request).boxed() as BoxFuture<'_, _>;
        let mut asking = extractor.asking();
        asking.schema &= !self.run.is_plain();
        let reading = model::read(&asking, passage, &ask).await;
        let is_refused = |reading: &Reading| {
            matches!(&reading.unread, Some(Unread::Call(error)) if error.fault == ModelFault::Request)
                && reading.found.is_empty()
        };
        if !asking.schema || !is_refused(&reading) {
            return reading;
        }
        // A server that speaks a vendor's language need not know its schemas.
        asking.schema = false;
        let again = model::read(&asking, passage, &ask).await;
        if !is_refused(&again) {
            self.run.set_plain();
        }
        again
    }

    async fn ask(&self, extractor: &Extractor, request: ChatRequest) -> Result<Completion, ModelError> {
        let call = self.run.paid(extractor.call(self.bench.ingest.workspace.name(), self.item.job.as_str()));
        self.run.ask(&self.bench.ingest.parts, (extractor.model.as_ref(), &call), &request).await
    }

    /// Joins what was found with what the built-in rules find; `false` when the version is no longer the present one.
    async fn write(&self, chunks: Vec<StoredChunk>, readings: Vec<Reading>, maker: Option<String>) -> Result<bool> {
        self.bench.ingest.lane.tell_stage(self.held, Stage::Commit);
        let (bench, document, cancel) = (self.bench.clone(), self.item.document.clone(), self.held.cancel.clone());
        join(tokio::task::spawn_blocking(move || {
            let Some(first) = chunks.first() else { return Ok(false) };
            let (title, version) = (first.document_title.clone(), first.version_id);
            let chunks: Vec<NewChunk> = chunks.into_iter().map(|stored| stored.chunk).collect();
            let found: Vec<Option<Found>> = readings.into_iter().map(found).collect();
            let settings = &bench.ingest.parts.settings.graph;
            let how = (settings.entity_types.as_slice(), settings.combine);
            let extraction = model::combine(&title, &chunks, &found, how, &cancel)?;
            let write = GraphWrite { document, version, maker, extraction };
            bench.ingest.workspace.write_graph(write, bench.ingest.parts.clock.now_ms())
        }))
        .await
    }
}

/// What was found, where a model read the passage at all.
fn found(reading: Reading) -> Option<Found> {
    (reading.unread.is_none() || !reading.found.is_empty()).then_some(reading.found)
}

/// What to say of the passages that were not, or not wholly, read; the first reason stands for all.
fn trouble(readings: &[Reading], stopped: Option<&Problem>) -> Option<Error> {
    let unread: Vec<&Unread> = readings.iter().filter_map(|reading| reading.unread.as_ref()).collect();
    let first = unread.first()?;
    let (code, why, hint) = match (stopped, first) {
        (Some(problem), _) => (problem.code, problem.message.clone(), problem.hint.clone()),
        (None, Unread::Call(error)) => {
            let error = Error::from(error.clone());
            (error.code(), error.message().to_owned(), error.remedy().map(str::to_owned))
        }
        (None, Unread::Text) => {
            let hint = "try another model: `lorekeep model set PROVIDER/MODEL --role extract`".to_owned();
            (ErrorCode::Upstream, "the model's text holds no entities and relations".to_owned(), Some(hint))
        }
    };
    let message = format!("{} of {} passages were not wholly read by the model: {why}", unread.len(), readings.len());
    Some(hint.into_iter().fold(Error::new(code, message), Error::hint))
}

/// All chunks of a document's present version, in order; none when a part of them is of another version.
pub(crate) fn all_chunks(
    workspace: &dyn lorekeep_types::Workspace,
    document: &lorekeep_types::DocumentId,
) -> Result<Vec<StoredChunk>> {
    let mut chunks: Vec<StoredChunk> = Vec::new();
    loop {
        let page = workspace.document_chunks(document, PageRequest { offset: chunks.len(), limit: WINDOW })?;
        let is_last = page.len() < WINDOW;
        chunks.extend(page);
        if is_last {
            break;
        }
    }
    let version = chunks.first().map(|chunk| chunk.version_id);
    if chunks.iter().any(|chunk| Some(chunk.version_id) != version) {
        chunks.clear();
    }
    Ok(chunks)
}
