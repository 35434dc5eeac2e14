//! Engine methods on workspaces as a whole: list, make, remove, archive, rebuild, check.

use std::io::{Read, Write};

use lorekeep_types::{
    CorpusStats, Error, ErrorCode, IntegrityReport, Job, JobId, RequestContext, Result, WorkspaceName, WorkspaceSummary,
};

use crate::engine::{Engine, join};

impl Engine {
    /// Every workspace, by name.
    ///
    /// # Errors
    /// When the data folder cannot be read.
    pub async fn workspaces(&self) -> Result<Vec<WorkspaceSummary>> {
        let engine = self.clone();
        join(tokio::task::spawn_blocking(move || engine.parts.store.workspaces())).await
    }

    /// Makes a workspace.
    ///
    /// # Errors
    /// `Conflict` when it exists.
    pub async fn create_workspace(&self, name: &WorkspaceName) -> Result<()> {
        let (engine, name) = (self.clone(), name.clone());
        join(tokio::task::spawn_blocking(move || engine.parts.store.create_workspace(&name).map(drop))).await
    }

    /// Stops work on a workspace and removes it with everything in it, what is cached of it included.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn remove_workspace(&self, name: &WorkspaceName) -> Result<()> {
        let (engine, name) = (self.clone(), name.clone());
        join(tokio::task::spawn_blocking(move || {
            engine.ingest.forget(&name);
            engine.parts.store.remove_workspace(&name)?;
            engine.communities.forget(&name);
            match &engine.parts.cache {
                Some(cache) => cache.forget(Some(&name), None).map(drop),
                None => Ok(()),
            }
        }))
        .await
    }

    /// Writes one archive of the request's workspace while it is in use; returns its size in bytes.
    ///
    /// # Errors
    /// When the truth cannot be read or `archive` written.
    pub async fn export(&self, ctx: &RequestContext, mut archive: Box<dyn Write + Send>) -> Result<u64> {
        self.blocking(ctx, move |_, workspace, _| workspace.export(archive.as_mut())).await
    }

    /// Makes the workspace `name` from an archive and takes up the work that waits in it.
    ///
    /// # Errors
    /// `Conflict` when `name` exists; `Unprocessable` when the archive is broken or from a newer release.
    pub async fn import(&self, name: &WorkspaceName, mut archive: Box<dyn Read + Send>) -> Result<()> {
        let (engine, name) = (self.clone(), name.clone());
        join(tokio::task::spawn_blocking(move || {
            engine.parts.store.import(&name, archive.as_mut())?;
            let workspace = engine.parts.store.workspace(&name)?;
            engine.ingest.wake(&workspace)?;
            engine.ingest.wake_graphs(&workspace)
        }))
        .await
    }

    /// Rebuilds the views while the old ones serve; `progress(done, total)` counts chunks. Stops when the
    /// request is cancelled.
    ///
    /// # Errors
    /// `Cancelled`; the old views keep serving.
    pub async fn reindex(&self, ctx: &RequestContext, progress: impl Fn(u64, u64) + Send + 'static) -> Result<()> {
        self.blocking(ctx, move |_, workspace, ctx| workspace.reindex(&ctx.cancel, &progress)).await
    }

    /// Accepts a job that makes every vector of the workspace anew with the model that is configured, while the old ones
    /// serve. Documents that are added meanwhile wait for its end.
    ///
    /// # Errors
    /// `Conflict` when such a job is open; `CapabilityMissing` without any model; what keeps the configured one from
    /// being used.
    pub async fn reindex_vectors(&self, ctx: &RequestContext) -> Result<Job> {
        self.blocking(ctx, move |engine, workspace, ctx| {
            if !engine.parts.has_embedder()? {
                return Err(Error::new(ErrorCode::CapabilityMissing, "no model makes vectors"));
            }
            let id = JobId::with_suffix(&engine.parts.ids.next());
            let job = workspace.enqueue_vectors(id, ctx.principal.as_deref(), engine.parts.clock.now_ms())?;
            engine.ingest.wake(workspace)?;
            Ok(job)
        })
        .await
    }

    /// Compares views and truth.
    ///
    /// # Errors
    /// When either cannot be read.
    pub async fn check(&self, ctx: &RequestContext) -> Result<IntegrityReport> {
        self.blocking(ctx, |_, workspace, _| workspace.check()).await
    }

    /// Size and make-up of what queries see.
    ///
    /// # Errors
    /// `NotFound` for an unknown workspace.
    pub async fn stats(&self, ctx: &RequestContext) -> Result<CorpusStats> {
        self.reading(ctx, |snapshot| Ok(snapshot.stats().clone())).await
    }
}
