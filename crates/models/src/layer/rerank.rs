//! A reranking model behind its guard.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lorekeep_types::{Call, ModelError, ModelId, RerankModel, Reranked};

use super::guard::{Guard, Guarded};
use super::kept::Before;
use super::meter::{Bound, Outcome};
use crate::provider::usage;

/// A reranking model with its guard.
pub struct GuardedRerank {
    model: Arc<dyn RerankModel>,
    guard: Guard,
}

impl GuardedRerank {
    /// `model` behind `guard`.
    #[must_use]
    pub fn new(model: Arc<dyn RerankModel>, guard: Guard) -> Self {
        Self { model, guard }
    }

    /// Remembers in the ledger that another model failed before this call.
    pub(super) async fn rerank_after(
        &self,
        call: &Call,
        (query, texts, top_n): (&str, &[&str], usize),
        before: Before,
    ) -> Result<Reranked, ModelError> {
        // The question is read anew with every text.
        let prompt = || texts.iter().map(|text| usage::count(query) + usage::count(text)).sum();
        let bound = || Bound { prompt: prompt(), completion: 0 };
        let mut running = self.guard.start(call, bound, false).await?;
        running.entry.fallback = before;
        let attempt = || self.model.rerank(call, query, texts, top_n);
        let (reranked, running) = self.guard.attempts(call, running, prompt, attempt).await?;
        let model = Some(reranked.model.clone());
        running.entry.close(Outcome { usage: reranked.usage, finish: None, model, texts: texts.len() });
        Ok(reranked)
    }
}

impl Guarded for GuardedRerank {
    fn model_id(&self) -> &ModelId {
        self.model.id()
    }
}

impl RerankModel for GuardedRerank {
    fn id(&self) -> &ModelId {
        self.model.id()
    }

    fn rerank<'a>(
        &'a self,
        call: &'a Call,
        query: &'a str,
        texts: &'a [&'a str],
        top_n: usize,
    ) -> BoxFuture<'a, Result<Reranked, ModelError>> {
        self.rerank_after(call, (query, texts, top_n), None).boxed()
    }
}
