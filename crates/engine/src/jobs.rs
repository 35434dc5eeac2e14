//! Engine methods on durable work: adding documents, retrying, cancelling, following.

use lorekeep_types::{
    DocumentId, Error, ErrorCode, Job, JobEvent, JobId, JobItem, JobState, NewItem, NewJob, PageRequest,
    RequestContext, Result, Workspace,
};
use tokio::sync::broadcast;

use crate::engine::Engine;

/// Documents to take in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddRequest {
    /// The documents, at least one.
    pub items: Vec<NewItem>,
    /// A caller's own name for the job, unique in the workspace.
    pub label: Option<String>,
    /// An open job to extend, instead of making one.
    pub job: Option<JobId>,
}

impl Engine {
    /// Accepts documents and returns their job. When this returns they are durable; indexing follows.
    ///
    /// # Errors
    /// `InvalidRequest` without documents; `Conflict` when the label is taken, the job to extend has ended, or
    /// the workspace holds vectors of another embedding model; `NotFound` for an unknown job; `StorageFull`.
    pub async fn add(&self, ctx: &RequestContext, request: AddRequest) -> Result<Job> {
        if request.items.is_empty() {
            return Err(Error::invalid("there are no documents to add").hint("name at least one readable file"));
        }
        self.blocking(ctx, move |engine, workspace, ctx| {
            engine.parts.admit_documents(workspace.as_ref(), ctx)?;
            let id = match request.job {
                Some(id) => open_job(workspace.as_ref(), id)?,
                None => JobId::with_suffix(&engine.parts.ids.next()),
            };
            let job = NewJob { id, label: request.label, principal: ctx.principal.clone(), items: request.items };
            let job = workspace.enqueue(job, engine.parts.clock.now_ms())?;
            engine.ingest.wake(workspace)?;
            Ok(job)
        })
        .await
    }

    /// Queues failed, cancelled and needs-ocr documents again (all of them when `documents` is empty); `None`
    /// when there is nothing to do.
    ///
    /// # Errors
    /// `StorageFull`, `Storage`.
    pub async fn retry(&self, ctx: &RequestContext, documents: Vec<DocumentId>) -> Result<Option<Job>> {
        self.blocking(ctx, move |engine, workspace, ctx| {
            let id = JobId::with_suffix(&engine.parts.ids.next());
            let job = workspace.retry(id, &documents, ctx.principal.as_deref(), engine.parts.clock.now_ms())?;
            if job.is_some() {
                engine.ingest.wake(workspace)?;
            }
            Ok(job)
        })
        .await
    }

    /// Jobs, newest first; only those in `state`, if given.
    ///
    /// # Errors
    /// `NotFound` for an unknown workspace.
    pub async fn jobs(&self, ctx: &RequestContext, state: Option<JobState>, page: PageRequest) -> Result<Vec<Job>> {
        self.blocking(ctx, move |engine, workspace, _| {
            let mut jobs = workspace.jobs(state, page)?;
            engine.ingest.masked(workspace.name(), |hidden| jobs.iter_mut().for_each(|job| hidden.mask_job(job)));
            Ok(jobs)
        })
        .await
    }

    /// One job. It is `Done` only when queries see all of its documents.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn job(&self, ctx: &RequestContext, id: &JobId) -> Result<Job> {
        let id = id.clone();
        self.blocking(ctx, move |engine, workspace, _| {
            let mut job = workspace.job(&id)?.ok_or_else(|| Error::not_found("job", id.as_str()))?;
            engine.ingest.masked(workspace.name(), |hidden| hidden.mask_job(&mut job));
            Ok(job)
        })
        .await
    }

    /// The job with a label.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn job_labelled(&self, ctx: &RequestContext, label: &str) -> Result<Job> {
        let label = label.to_owned();
        self.blocking(ctx, move |engine, workspace, _| {
            let mut job = workspace.job_labelled(&label)?.ok_or_else(|| Error::not_found("job", &label))?;
            engine.ingest.masked(workspace.name(), |hidden| hidden.mask_job(&mut job));
            Ok(job)
        })
        .await
    }

    /// Documents of a job, in the order they were added.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn job_items(&self, ctx: &RequestContext, id: &JobId, page: PageRequest) -> Result<Vec<JobItem>> {
        let id = id.clone();
        self.blocking(ctx, move |engine, workspace, _| {
            if workspace.job(&id)?.is_none() {
                return Err(Error::not_found("job", id.as_str()));
            }
            let mut items = workspace.job_items(&id, page)?;
            engine.ingest.masked(workspace.name(), |hidden| hidden.mask_items(&mut items));
            Ok(items)
        })
        .await
    }

    /// Cancels a job: waiting documents end at once, those being read within two seconds. Documents that were
    /// already written stay. `false` when the job had already ended.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn cancel_job(&self, ctx: &RequestContext, id: &JobId) -> Result<bool> {
        let id = id.clone();
        self.blocking(ctx, move |engine, workspace, _| {
            let cancelled = workspace.cancel_job(&id, engine.parts.clock.now_ms())?;
            if cancelled {
                engine.ingest.cancel(workspace, &id)?;
            }
            Ok(cancelled)
        })
        .await
    }

    /// What happens to all jobs of the workspace from now on. A follower that falls more than 1,024 events
    /// behind loses the oldest ones (`RecvError::Lagged`) and reads the job's present state instead.
    ///
    /// # Errors
    /// `NotFound` for an unknown workspace.
    pub async fn watch_jobs(&self, ctx: &RequestContext) -> Result<broadcast::Receiver<JobEvent>> {
        self.blocking(ctx, move |engine, workspace, _| Ok(engine.ingest.watch(workspace.name()))).await
    }
}

fn open_job(workspace: &dyn Workspace, id: JobId) -> Result<JobId> {
    let job = workspace.job(&id)?.ok_or_else(|| Error::not_found("job", id.as_str()))?;
    match job.state {
        JobState::Queued | JobState::Running => Ok(id),
        JobState::Done | JobState::Cancelled => {
            Err(Error::new(ErrorCode::Conflict, format!("the job `{id}` has ended"))
                .hint("add the documents as a new job"))
        }
    }
}
