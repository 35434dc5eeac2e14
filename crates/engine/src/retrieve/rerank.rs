//! Passages in the order of a model: more are found than were asked for, the model of the role `rerank` orders them, and
//! the best remain. Where it fails, the built-in order stays and that is said. Searches and written answers are ordered so;
//! quoted answers keep the built-in order, which the scores of their sentences are made for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lorekeep_types::{
    Call, Evidence, Mode, RankedText, Reason, RequestContext, RerankModel, Result, Retrieval, SearchRequest,
};

use super::search::{fit, lexical_text};
use crate::engine::Engine;

/// Passages that are found for a model to choose from, where fewer are asked for.
const CANDIDATES: usize = 50;
/// Most passages that a model orders; what was found after them stays behind them.
const MOST_RANKED: usize = 200;
/// A model that has not answered by then is not waited for.
const PATIENCE: Duration = Duration::from_secs(10);

impl Engine {
    /// The model that orders the passages of `request`, if it is to be asked.
    pub(crate) fn reranker(&self, request: &SearchRequest) -> Option<Arc<dyn RerankModel>> {
        let models = self.parts.models.as_ref().filter(|_| request.rerank && request.mode != Mode::Bypass)?;
        models.rerank()
    }

    /// [`Engine::search`] with `model`.
    pub(crate) async fn search_reranked(
        &self,
        ctx: &RequestContext,
        request: SearchRequest,
        model: Arc<dyn RerankModel>,
    ) -> Result<Retrieval> {
        let limit = request.limit;
        // A limit out of range stays one, to be refused.
        let found = if (1..CANDIDATES).contains(&limit) { CANDIDATES } else { limit };
        let wide = SearchRequest { limit: found, ..request.clone() };
        let find = self.blocking(ctx, move |engine, workspace, ctx| {
            engine.searching(workspace.as_ref(), workspace.snapshot().as_ref(), ctx, |searcher| searcher.find(&wide))
        });
        let mut retrieval = find.await?;
        let mut groups = grouped(std::mem::take(&mut retrieval.passages));
        if groups.len() > 1 {
            match ranked(ctx, &request.query, &groups, model.as_ref()).await {
                Ok(ranking) => groups = reordered(groups, &ranking),
                Err(error) => {
                    tracing::warn!(%error, "passages were not reranked");
                    let notice = "the passages stand in the built-in order, because the model that reranks them failed";
                    retrieval.notices.push(format!("{notice}: {}", error.message()));
                }
            }
        }
        groups.truncate(limit);
        retrieval.passages = groups.into_iter().flatten().collect();
        self.blocking(ctx, move |engine, _, _| {
            fit(&request, &mut retrieval, engine.parts.tokens.as_ref());
            Ok(retrieval)
        })
        .await
    }
}

/// The order that the model gives the first passage of each group.
async fn ranked(
    ctx: &RequestContext,
    query: &str,
    groups: &[Vec<Evidence>],
    model: &dyn RerankModel,
) -> Result<Vec<RankedText>> {
    let texts = groups.iter().filter_map(|group| group.first()).take(MOST_RANKED);
    let texts: Vec<String> = texts.map(|passage| lexical_text(&passage.chunk)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let patience = Instant::now() + PATIENCE;
    let deadline = Some(ctx.deadline.map_or(patience, |deadline| deadline.min(patience)));
    let call = Call { deadline, ..Call::of(ctx, "rerank") };
    Ok(model.rerank(&call, query, &texts, texts.len()).await?.ranking)
}

/// Each passage with the neighbours that stand behind it, which go where it goes.
fn grouped(passages: Vec<Evidence>) -> Vec<Vec<Evidence>> {
    let mut groups: Vec<Vec<Evidence>> = Vec::new();
    for passage in passages {
        match groups.last_mut() {
            Some(group) if passage.reasons.contains(&Reason::Neighbour) => group.push(passage),
            _ => groups.push(vec![passage]),
        }
    }
    groups
}

/// The groups as they are ranked, then those that are not, in their old order. Scores fall with the place: those of
/// different models mean different things.
fn reordered(groups: Vec<Vec<Evidence>>, ranking: &[RankedText]) -> Vec<Vec<Evidence>> {
    let count = groups.len().max(1) as f32;
    let mut waiting: Vec<Option<Vec<Evidence>>> = groups.into_iter().map(Some).collect();
    let ranked = ranking.iter().filter_map(|one| waiting.get_mut(one.index).and_then(Option::take));
    let mut ordered: Vec<_> = ranked.collect();
    ordered.extend(waiting.into_iter().flatten());
    for (group, place) in ordered.iter_mut().zip(0_u16..) {
        let score = 1.0 - f32::from(place) / count;
        group.iter_mut().for_each(|passage| passage.score = score);
    }
    ordered
}
