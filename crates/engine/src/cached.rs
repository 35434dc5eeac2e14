//! What is kept of model calls: how much there is, and forgetting it.

use std::sync::Arc;

use lorekeep_types::{CacheKind, CacheSize, ModelCache, RequestContext, Result};

use crate::engine::{Engine, join};

impl Engine {
    /// How much the cache of model calls holds, by kind, over all workspaces; `None` when nothing is kept.
    ///
    /// # Errors
    /// When the cache cannot be read.
    pub async fn cached(&self, ctx: &RequestContext) -> Result<Option<Vec<CacheSize>>> {
        ctx.check()?;
        let Some(cache) = self.cache() else { return Ok(None) };
        join(tokio::task::spawn_blocking(move || cache.sizes())).await.map(Some)
    }

    /// Forgets what was kept for the request's workspace, or for all of them when `everywhere`: of one kind, or of every
    /// kind when `None`. Returns the number of values. What is asked for again costs again.
    ///
    /// # Errors
    /// `NotFound` for an unknown workspace; when the cache cannot be written.
    pub async fn forget_cached(&self, ctx: &RequestContext, kind: Option<CacheKind>, everywhere: bool) -> Result<u64> {
        let Some(cache) = self.cache() else { return Ok(0) };
        self.blocking(ctx, move |_, workspace, _| cache.forget((!everywhere).then_some(workspace.name()), kind)).await
    }

    fn cache(&self) -> Option<Arc<dyn ModelCache>> {
        self.parts.cache.clone()
    }
}
