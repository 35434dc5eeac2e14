//! A job that makes every vector of a workspace anew, with the model that is configured: batch by batch into tables
//! beside those in use, which serve until all is there, and then in one step in their place. A restart goes on where the
//! process ended; what fails for a time is tried again until the job is cancelled.

use std::time::Duration;

use lorekeep_types::{CacheKind, Cancel, Error, ErrorCode, FreshVector, Job, JobId, Result, VectorTask, VectorsStage};

use super::prepare::problem;
use super::publish::embedded;
use super::worker::Bench;
use crate::embed::{Errand, Maker, may_pass};

/// Texts embedded and kept per transaction.
const BATCH: usize = 512;

/// Pause after a failure that may pass; doubled after each further one.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Most doublings of [`AFTER_FAILURE`].
const MOST_DOUBLINGS: u32 = 5;

/// Works on the open job of new vectors until it has ended.
pub(super) fn run(bench: &Bench) -> Result<()> {
    let mut failures = 0;
    while let Some(job) = bench.workspace.vectors_job()? {
        let cancel = bench.lane.begin_anew(&job.id);
        if bench.lane.life.is_stopping() {
            return Ok(());
        }
        let outcome = make(bench, &job, &cancel, || failures = 0);
        bench.lane.end_anew();
        let Err(error) = outcome else {
            bench.lane.tell_progress(bench.workspace.as_ref(), &job.id);
            continue;
        };
        if cancel.is_cancelled() {
            continue;
        }
        tracing::warn!(workspace = %bench.workspace.name(), %error, "vectors were not made anew");
        if may_pass(&error) {
            bench.workspace.delay_vectors(&job.id, Some(&problem(&error)))?;
            bench.lane.tell_progress(bench.workspace.as_ref(), &job.id);
            bench.lane.life.take_wanted();
            bench.lane.life.pause(AFTER_FAILURE * 2_u32.pow(failures));
            failures = MOST_DOUBLINGS.min(failures + 1);
        } else {
            bench.workspace.end_vectors(&job.id, Some(&problem(&error)), bench.parts.clock.now_ms())?;
            bench.lane.tell_progress(bench.workspace.as_ref(), &job.id);
        }
    }
    Ok(())
}

fn make(bench: &Bench, job: &Job, cancel: &Cancel, mut goes_on: impl FnMut()) -> Result<()> {
    let workspace = bench.workspace.as_ref();
    let errand = Errand::in_background(workspace, &bench.runtime, cancel);
    let errand = errand.on_behalf_of(job.principal.as_deref(), job.id.as_str());
    let job = &job.id;
    let maker = bench.parts.replacing_embedder(errand)?;
    let maker = maker.ok_or_else(|| Error::new(ErrorCode::CapabilityMissing, "no model makes vectors"))?;
    forget_kept(bench, job, &maker)?;
    if workspace.begin_vectors(job, &maker.model.id(), bench.parts.clock.now_ms())? == VectorsStage::Making {
        let mut after = None;
        loop {
            let tasks = workspace.vector_tasks(after, BATCH)?;
            let Some(last) = tasks.last() else { break };
            after = Some((last.kind, last.row));
            let fresh = fresh(bench, &maker, &tasks)?;
            if cancel.is_cancelled() || !workspace.stage_vectors(job, &fresh, tasks.len() as u64)? {
                return Ok(());
            }
            workspace.delay_vectors(job, None)?;
            goes_on();
            bench.lane.tell_made(workspace, job, tasks.len());
        }
        if !workspace.swap_vectors(job)? {
            return Ok(());
        }
    }
    bench.lane.publish(workspace)?;
    workspace.end_vectors(job, None, bench.parts.clock.now_ms())
}

/// Whoever makes vectors anew with the model that they are of already does not want those that were kept.
fn forget_kept(bench: &Bench, job: &JobId, maker: &Maker) -> Result<()> {
    let begins = bench.workspace.job(job)?.is_some_and(|job| job.started_at.is_none());
    let is_same = bench.workspace.embedding_model()?.is_some_and(|stored| stored.name == maker.model.id().name);
    match &bench.parts.cache {
        Some(cache) if begins && is_same => {
            cache.forget(Some(bench.workspace.name()), Some(CacheKind::Embedding)).map(drop)
        }
        _ => Ok(()),
    }
}

/// Vectors of the texts whose language the model knows.
fn fresh(bench: &Bench, maker: &Maker, tasks: &[VectorTask]) -> Result<Vec<FreshVector>> {
    let covered = |task: &&VectorTask| task.language.as_ref().is_none_or(|code| maker.model.covers(code));
    let covered: Vec<&VectorTask> = tasks.iter().filter(covered).collect();
    let texts: Vec<&str> = covered.iter().map(|task| task.text.as_str()).collect();
    let vectors = embedded(bench, maker, &texts)?;
    let fresh = covered.iter().zip(vectors);
    Ok(fresh.map(|(task, vector)| FreshVector { kind: task.kind, row: task.row, vector }).collect())
}
