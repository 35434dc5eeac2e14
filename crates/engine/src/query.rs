//! Questions: search and ask, from one snapshot each.

use std::time::Instant;

use lorekeep_types::{Answer, AskRequest, RequestContext, Result, Retrieval, SearchRequest, Snapshot, Workspace};

use crate::answer::{Answerer, complete};
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
            engine.searcher(workspace.snapshot().as_ref(), ctx).search(&request)
        })
        .await
    }

    /// Answers a question with quotes of the documents, or says that they hold no answer. A follow-up is completed
    /// from `history` before it is searched for.
    ///
    /// # Errors
    /// As [`Engine::search`]; `InvalidRequest` for a number of sentences out of range.
    pub async fn ask(&self, ctx: &RequestContext, request: AskRequest) -> Result<Answer> {
        let started = Instant::now();
        let answer = self
            .blocking(ctx, move |engine, workspace, ctx| {
                engine.answer(workspace.as_ref(), workspace.snapshot().as_ref(), ctx, &request)
            })
            .await?;
        Ok(Answer { took_ms: started.elapsed().as_secs_f64() * 1e3, ..answer })
    }

    fn answer(
        &self,
        workspace: &dyn Workspace,
        snapshot: &dyn Snapshot,
        ctx: &RequestContext,
        request: &AskRequest,
    ) -> Result<Answer> {
        let query = complete(&request.search.query, &request.history).into_owned();
        let retrieval = self.searcher(snapshot, ctx).search(&SearchRequest { query, ..request.search.clone() })?;
        ctx.check()?;
        let document = |id: &lorekeep_types::DocumentId| workspace.document_text(id);
        Answerer { snapshot, embedder: self.parts.embedder.as_deref(), document: &document }.answer(request, &retrieval)
    }

    fn searcher<'a>(&'a self, snapshot: &'a dyn Snapshot, ctx: &'a RequestContext) -> Searcher<'a> {
        Searcher { snapshot, embedder: self.parts.embedder.as_deref(), tokens: self.parts.tokens.as_ref(), ctx }
    }
}
