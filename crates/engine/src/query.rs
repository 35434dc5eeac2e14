//! Questions: search and ask, from one snapshot each.

use lorekeep_types::{RequestContext, Result, Retrieval, SearchRequest};

use crate::engine::Engine;
use crate::retrieve::Searcher;

impl Engine {
    /// Finds evidence.
    ///
    /// # Errors
    /// `NotFound` for an unknown workspace; `InvalidRequest` for an empty or over-long question or a number out
    /// of range; `CapabilityMissing` for mode `bypass` without a model.
    pub async fn search(&self, ctx: &RequestContext, request: SearchRequest) -> Result<Retrieval> {
        self.blocking(ctx, move |engine, workspace, ctx| {
            let snapshot = workspace.snapshot();
            Searcher {
                snapshot: snapshot.as_ref(),
                embedder: engine.parts.embedder.as_deref(),
                tokens: engine.parts.tokens.as_ref(),
                ctx,
            }
            .search(&request)
        })
        .await
    }
}
