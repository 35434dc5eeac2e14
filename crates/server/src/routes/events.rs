//! Live events of jobs as server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use futures::stream::unfold;
use lorekeep_types::{JobCounts, JobEvent, JobId, JobState, PageRequest, Result};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::dto;
use crate::error::ApiResult;
use crate::extract::Segment;
use crate::routes::openapi::Failures;
use crate::scope::Scope;
use crate::state::Shared;

type Events =
    Sse<axum::response::sse::KeepAliveStream<std::pin::Pin<Box<dyn Stream<Item = Result<Event, Infallible>> + Send>>>>;

/// Events of one job: first its present state as `progress`, then `stage`, `passages`, `item` and `progress` as they happen;
/// ends after the job's last `progress`.
#[utoipa::path(get, path = "/v1/jobs/{id}/events", operation_id = "followJob", tag = "jobs",
    params(("id" = String, Path, description = "the job's id")),
    responses((status = 200, content_type = "text/event-stream", body = dto::JobEvent), Failures))]
pub(crate) async fn of_job(State(app): State<Shared>, scope: Scope, Segment(id): Segment) -> ApiResult<Events> {
    let id = JobId::parse(&id)?;
    Ok(follow(app, scope, Some(id)).await?)
}

/// Events of all jobs of the workspace, first the present state of each open one; does not end by itself.
#[utoipa::path(get, path = "/v1/events", operation_id = "followJobs", tag = "jobs",
    responses((status = 200, content_type = "text/event-stream", body = dto::JobEvent), Failures))]
pub(crate) async fn all(State(app): State<Shared>, scope: Scope) -> ApiResult<Events> {
    Ok(follow(app, scope, None).await?)
}

struct Follower {
    app: Shared,
    scope: Scope,
    job: Option<JobId>,
    events: Receiver<JobEvent>,
    pending: VecDeque<dto::JobEvent>,
    ended: bool,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
}

async fn follow(app: Shared, scope: Scope, job: Option<JobId>) -> Result<Events> {
    let place = app.admit_stream()?;
    // Listening begins before the state is read, so nothing falls between the two.
    let events = app.engine().watch_jobs(&scope).await?;
    let keep_alive = app.settings.keep_alive;
    let stop = app.state.readiness.stop_token();
    let mut follower =
        Follower { app, scope, job, events, pending: VecDeque::new(), ended: false, stop, _place: place };
    follower.read_state().await?;
    let stream = unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok(as_sse(&event)), follower))
    });
    let stream: std::pin::Pin<Box<dyn Stream<Item = Result<Event, Infallible>> + Send>> = Box::pin(stream);
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(keep_alive)))
}

fn as_sse(event: &dto::JobEvent) -> Event {
    Event::default().event(event.name()).data(serde_json::to_string(event).unwrap_or_default())
}

impl Follower {
    async fn next(&mut self) -> Option<dto::JobEvent> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            let received = tokio::select! {
                () = self.stop.cancelled() => return None,
                received = self.events.recv() => received,
            };
            match received {
                Ok(event) => self.take(event),
                Err(RecvError::Lagged(_)) => self.read_state().await.ok()?,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    fn take(&mut self, event: JobEvent) {
        let (JobEvent::Stage { job, .. }
        | JobEvent::Item { job, .. }
        | JobEvent::Passages { job, .. }
        | JobEvent::Progress { job, .. }) = &event;
        if let Some(wanted) = &self.job {
            if job != wanted {
                return;
            }
            if let JobEvent::Progress { state, counts, .. } = &event {
                self.ended = has_ended(*state, counts);
            }
        }
        self.pending.push_back(event.into());
    }

    /// Says where the followed jobs stand now.
    async fn read_state(&mut self) -> Result<()> {
        let engine = self.app.engine();
        if let Some(id) = &self.job {
            let job = engine.job(&self.scope, id).await?;
            self.ended = has_ended(job.state, &job.counts);
            self.pending.push_back(dto::JobEvent::of_job(&job));
            return Ok(());
        }
        for state in [JobState::Running, JobState::Queued] {
            let jobs = engine.jobs(&self.scope, Some(state), PageRequest { offset: 0, limit: 100 }).await?;
            self.pending.extend(jobs.iter().map(dto::JobEvent::of_job));
        }
        Ok(())
    }
}

/// A cancelled job ends with the last of the documents that were in hand.
const fn has_ended(state: JobState, counts: &JobCounts) -> bool {
    matches!(state, JobState::Done | JobState::Cancelled) && counts.open == 0
}
