//! `Engine::ask`: one question, one snapshot, one answer.

use std::time::Instant;

use lorekeep_types::{Answer, AskRequest, RequestContext, Result, StoredChunk};

use super::{Answerer, complete};
use crate::engine::Engine;
use crate::retrieve::Searcher;

impl Engine {
    /// Answers a question with sentences of the documents, or says that they hold no answer.
    ///
    /// # Errors
    /// As [`Engine::search`], and `InvalidRequest` for a number of sentences out of range.
    pub async fn ask(&self, ctx: &RequestContext, mut request: AskRequest) -> Result<Answer> {
        let started = Instant::now();
        let answer = self.blocking(ctx, move |engine, workspace, ctx| {
            request.search.query = complete(&request.search.query, &request.history).into_owned();
            let snapshot = workspace.snapshot();
            let embedder = engine.parts.embedder.as_deref();
            let searcher =
                Searcher { snapshot: snapshot.as_ref(), embedder, tokens: engine.parts.tokens.as_ref(), ctx };
            let retrieval = searcher.search(&request.search)?;
            ctx.check()?;
            let document = |chunk: &StoredChunk| {
                let text = workspace.document_text(&chunk.document)?;
                Ok(text.filter(|text| text.version == chunk.version))
            };
            Answerer { snapshot: snapshot.as_ref(), embedder, document: &document }.answer(&request, &retrieval)
        });
        let answer = answer.await?;
        Ok(Answer { took_ms: started.elapsed().as_secs_f64() * 1e3, ..answer })
    }
}
