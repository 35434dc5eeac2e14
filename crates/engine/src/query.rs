//! Searches: evidence from one snapshot each.

use std::sync::Arc;

use lorekeep_types::{DocumentFilter, Mode, RequestContext, Result, Retrieval, SearchRequest, Snapshot, Workspace};

use crate::engine::Engine;
use crate::retrieve::Searcher;

impl Engine {
    /// Finds evidence. In the modes that read the graph by keywords, a model of the role `keywords` finds them where one
    /// is configured and the request gives none; when it fails, they are read from the question, and a notice says so.
    /// A model of the role `rerank` orders the passages; when it fails, the built-in order stays, and a notice says so.
    ///
    /// # Errors
    /// `NotFound` for an unknown workspace; `InvalidRequest` for an empty or over-long question or a number out
    /// of range; `CapabilityMissing` for mode `bypass`, which retrieves nothing.
    pub async fn search(&self, ctx: &RequestContext, mut request: SearchRequest) -> Result<Retrieval> {
        let mut notices = Vec::new();
        if let Some(found) = self.keywords_of(ctx, &request).await {
            match found {
                Ok(spoken) => request.keywords = Some(spoken.value),
                Err(notice) => notices.push(notice),
            }
        }
        let mut retrieval = self.found(ctx, request, |_, _, retrieval| Ok(retrieval)).await?;
        retrieval.notices.extend(notices);
        Ok(retrieval)
    }

    /// What `then` makes of the same with the keywords that `request` has, and for a written answer in mode `global` with
    /// communities. Those may speak of any document, so that they are left out where a filter keeps some away.
    pub(crate) async fn found_with_communities<T, F>(
        &self,
        ctx: &RequestContext,
        request: SearchRequest,
        then: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Self, Retrieval) -> Result<T> + Send + 'static,
    {
        let wanted = request.mode == Mode::Global && request.filter == DocumentFilter::default();
        let by_graph = matches!(request.mode, Mode::Local | Mode::Global | Mode::Hybrid | Mode::Mix);
        self.found(ctx, request, move |engine, workspace, mut retrieval| {
            if wanted && !retrieval.passages.is_empty() {
                let entities: Vec<_> = retrieval.entities.iter().map(|entity| entity.id).collect();
                retrieval.communities = engine.communities_around(workspace, &entities)?;
            } else if by_graph {
                // Who asks one way soon asks the other, which should not have to do without.
                engine.communities.begin(workspace);
            }
            then(engine, retrieval)
        })
        .await
    }

    /// What `then` makes of what is found, on the thread that found it: to wake another takes longer than most of the work.
    async fn found<T, F>(&self, ctx: &RequestContext, request: SearchRequest, then: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Self, &Arc<dyn Workspace>, Retrieval) -> Result<T> + Send + 'static,
    {
        if let Some(model) = self.reranker(&request) {
            let retrieval = self.search_reranked(ctx, request, model).await?;
            return self.blocking(ctx, move |engine, workspace, _| then(engine, workspace, retrieval)).await;
        }
        self.blocking(ctx, move |engine, workspace, ctx| {
            let snapshot = workspace.snapshot();
            let search = |searcher: &Searcher<'_>| searcher.search(&request);
            let retrieval = engine.searching(workspace.as_ref(), snapshot.as_ref(), ctx, search)?;
            then(engine, workspace, retrieval)
        })
        .await
    }

    /// Lets `search` find evidence in a snapshot. What kept vectors from being compared is among the notices.
    pub(crate) fn searching(
        &self,
        workspace: &dyn Workspace,
        snapshot: &dyn Snapshot,
        ctx: &RequestContext,
        search: impl FnOnce(&Searcher<'_>) -> Result<Retrieval>,
    ) -> Result<Retrieval> {
        let asking = self.parts.reading_embedder(workspace, snapshot, ctx)?;
        let tokens = self.parts.tokens.as_ref();
        let mut retrieval = search(&Searcher { snapshot, embedder: asking.embedder(), tokens, ctx })?;
        retrieval.notices.extend(asking.notice());
        Ok(retrieval)
    }
}
