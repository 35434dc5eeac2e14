//! What followers of jobs hear: steps and outcomes of documents, and how fast a job goes.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use lorekeep_types::{JobEvent, JobId, JobState, Problem, Stage, Workspace};

use super::lane::{Held, Lane};
use super::lock;

/// Rates are measured over this time.
const WINDOW: Duration = Duration::from_secs(10);

/// Shortest time between two reports on a job that goes on.
const EVERY: Duration = Duration::from_millis(200);

/// The pace of every job that has open documents.
#[derive(Default)]
pub(super) struct Paces(HashMap<JobId, Pace>);

struct Pace {
    started: Instant,
    /// When documents ended or vectors were made, and how many, over the last [`WINDOW`].
    ended: VecDeque<(Instant, usize)>,
    reported: Option<Instant>,
}

impl Paces {
    /// Forgets every job, as when no work is left.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn of(&mut self, job: &JobId) -> &mut Pace {
        self.0.entry(job.clone()).or_insert_with(|| Pace {
            started: Instant::now(),
            ended: VecDeque::new(),
            reported: None,
        })
    }
}

impl Pace {
    /// Documents or vectors per second.
    fn rate(&mut self, now: Instant) -> f64 {
        while self.ended.front().is_some_and(|(ended, _)| now.duration_since(*ended) > WINDOW) {
            self.ended.pop_front();
        }
        let time = now.duration_since(self.started).min(WINDOW).as_secs_f64().max(0.001);
        self.ended.iter().map(|(_, count)| *count as f64).sum::<f64>() / time
    }
}

impl Lane {
    /// Tells followers.
    pub(super) fn send(&self, event: JobEvent) {
        // Without followers there is nobody to tell.
        let _ = self.events.send(event);
    }

    /// A document moved to a step.
    pub(super) fn tell_stage(&self, held: &Held, stage: Stage) {
        lock(&self.paces).of(&held.job);
        let (job, document, name) = (held.job.clone(), held.document.clone(), held.name.clone());
        self.send(JobEvent::Stage { job, document, name, stage });
    }

    /// A document ended.
    pub(super) fn tell_end(&self, held: &Held, outcome: &str, problem: Option<&Problem>) {
        lock(&self.paces).of(&held.job).ended.push_back((Instant::now(), 1));
        self.send(JobEvent::Item {
            job: held.job.clone(),
            document: held.document.clone(),
            name: held.name.clone(),
            outcome: outcome.to_owned(),
            problem: problem.cloned(),
        });
    }

    /// Vectors of a job were made anew.
    pub(super) fn tell_made(&self, workspace: &dyn Workspace, job: &JobId, count: usize) {
        lock(&self.paces).of(job).ended.push_back((Instant::now(), count));
        self.tell_progress(workspace, job);
    }

    /// How far a job is; skipped when nobody follows, or when it was told a moment ago and the job goes on.
    pub(super) fn tell_progress(&self, workspace: &dyn Workspace, id: &JobId) {
        if self.events.receiver_count() == 0 {
            return;
        }
        let Ok(Some(mut job)) = workspace.job(id) else { return };
        self.unpublished.mask_job(&mut job);
        let ended = matches!(job.state, JobState::Done | JobState::Cancelled);
        let now = Instant::now();
        let mut paces = lock(&self.paces);
        let pace = paces.of(id);
        if !ended && pace.reported.is_some_and(|reported| now.duration_since(reported) < EVERY) {
            return;
        }
        pace.reported = Some(now);
        let rate = pace.rate(now);
        drop(paces);
        let left_s = (rate > 0.0).then(|| job.counts.open as f64 / rate);
        let (state, counts, problem) = (job.state, job.counts, job.problem);
        self.send(JobEvent::Progress { job: id.clone(), state, counts, rate, left_s, problem });
    }
}
