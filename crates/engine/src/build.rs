//! Engine methods on graphs that a model makes: what it would cost, and having it done.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use lorekeep_types::{
    Call, ChatRequest, Completion, DocumentId, Error, ErrorCode, GraphSource, Job, JobId, ModelError, ModelFault,
    ModelId, NewGraphJob, RequestContext, Result, StoredChunk,
};

use crate::engine::{Engine, join};
use crate::extract::model::{self, MOST_WRITTEN, Passage};
use crate::ingest::graph::Extractor;
use crate::ingest::graph::document::all_chunks;
use crate::ingest::graph::run::count;

/// Kept answers that are looked up at once.
const LOOK_UPS: usize = 32;

/// What an answer is taken to hold: so many tokens, and so many for each of the passage. An assumption, as models differ.
const WRITTEN: u64 = 200;
const WRITTEN_PER_TOKEN: f64 = 0.8;
/// What an answer to the question for more is taken to hold, in tokens.
const WRITTEN_AGAIN: u64 = 120;

/// How fast a model is taken to write, in tokens per second, and how long it is taken to think before, in seconds.
/// Assumptions as well.
const TOKENS_PER_SECOND: f64 = 60.0;
const FIRST_TOKEN_S: f64 = 0.8;

/// Documents whose graph a model is to make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildRequest {
    /// The documents; empty means all that such a graph would be new for.
    pub documents: Vec<DocumentId>,
    /// Most that may be spent, in nano-USD.
    pub limit: Option<i64>,
}

/// What making graphs would take. Tokens, cost and time are estimates, and of reading only: how many descriptions will be
/// summed up and names compared afterwards is not known before.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphPlan {
    /// The model.
    pub model: ModelId,
    /// Documents.
    pub documents: u64,
    /// Their passages.
    pub passages: u64,
    /// Passages whose answers are kept: they cost nothing.
    pub cached: u64,
    /// Calls to make.
    pub calls: u64,
    /// Tokens to send.
    pub prompt_tokens: u64,
    /// Tokens to be written.
    pub completion_tokens: u64,
    /// Nano-USD; `None` when the price is not known.
    pub cost: Option<i64>,
    /// Seconds that it would take.
    pub seconds: f64,
    /// Passages read at once.
    pub parallel: usize,
}

/// What reading one passage would take.
#[derive(Clone, Copy, Debug, Default)]
struct Estimate {
    cached: bool,
    calls: u64,
    prompt: u64,
    completion: u64,
    cost: Option<i64>,
    seconds: f64,
}

impl Engine {
    /// What [`Engine::build_graph`] would take. Nothing is sent to a model.
    ///
    /// # Errors
    /// As there.
    pub async fn plan_graph(&self, ctx: &RequestContext, request: &BuildRequest) -> Result<GraphPlan> {
        let extractor = Extractor::of(&self.parts)?;
        let sources = self.sources(ctx, &extractor, request).await?;
        let mut plan = GraphPlan {
            model: extractor.id().clone(),
            documents: sources.len() as u64,
            passages: 0,
            cached: 0,
            calls: 0,
            prompt_tokens: 0,
            completion_tokens: 0,
            cost: Some(0),
            seconds: 0.0,
            parallel: self.parts.settings.graph.parallel.max(1),
        };
        let call = extractor.call(&ctx.workspace, &ctx.request_id);
        for source in sources {
            ctx.check()?;
            let chunks =
                self.blocking(ctx, move |_, workspace, _| all_chunks(workspace.as_ref(), &source.document)).await?;
            let mut estimates: Vec<BoxFuture<'_, Estimate>> = Vec::with_capacity(chunks.len());
            for chunk in &chunks {
                estimates.push(self.estimate(&extractor, &call, chunk).boxed());
            }
            let estimates: Vec<Estimate> = stream::iter(estimates).buffered(LOOK_UPS).collect().await;
            estimates.iter().for_each(|estimate| plan.add(estimate));
        }
        plan.seconds /= plan.parallel as f64;
        Ok(plan)
    }

    /// Accepts a job in which the model of the role `extract` makes the graph of documents; `None` when there is nothing
    /// to do. Questions are answered from the former graph until the new one is there, document by document.
    ///
    /// # Errors
    /// `CapabilityMissing` without such a model, or when spending is limited and its price is not known; `InvalidRequest`
    /// for a limit that is not positive; `NotFound` for an unknown document.
    pub async fn build_graph(&self, ctx: &RequestContext, request: BuildRequest) -> Result<Option<Job>> {
        let extractor = Extractor::of(&self.parts)?;
        if request.limit.is_some_and(|limit| limit <= 0) {
            return Err(Error::invalid("the limit of cost is not above 0").hint("give an amount in USD, as in 2.50"));
        }
        if request.limit.is_some() && extractor.price(1, 1).is_none() {
            let message =
                format!("the price of `{}` is not known, so that no limit of cost can be kept", extractor.id());
            let error = Error::new(ErrorCode::CapabilityMissing, message);
            return Err(error.hint("set its price under `prices.` in the configuration, or leave the limit out"));
        }
        let sources = self.sources(ctx, &extractor, &request).await?;
        if sources.is_empty() {
            return Ok(None);
        }
        self.blocking(ctx, move |engine, workspace, ctx| {
            let id = JobId::with_suffix(&engine.parts.ids.next());
            let documents = sources.into_iter().map(|source| source.document).collect();
            let job = NewGraphJob { id, documents, limit: request.limit, principal: ctx.principal.clone() };
            let job = workspace.enqueue_graph(job, engine.parts.clock.now_ms())?;
            engine.ingest.wake_graphs(workspace)?;
            Ok(Some(job))
        })
        .await
    }

    /// The documents of a request that have passages: those named, or those whose graph would be new.
    async fn sources(
        &self,
        ctx: &RequestContext,
        extractor: &Extractor,
        request: &BuildRequest,
    ) -> Result<Vec<GraphSource>> {
        let (documents, maker) = (request.documents.clone(), extractor.maker());
        self.blocking(ctx, move |_, workspace, _| {
            let mut sources = workspace.graph_sources(&documents)?;
            let are_named = !documents.is_empty();
            sources.retain(|source| source.chunks > 0 && (are_named || source.maker.as_ref() != Some(&maker)));
            Ok(sources)
        })
        .await
    }

    /// What one passage would take: its rounds are gone through with the answers that are kept.
    async fn estimate(&self, extractor: &Extractor, call: &Call, chunk: &StoredChunk) -> Estimate {
        let asking = extractor.asking();
        let passage = Passage {
            title: &chunk.document_title,
            text: &chunk.chunk.text,
            language: chunk.metadata.language.as_deref(),
        };
        let missing: Arc<std::sync::Mutex<Option<ChatRequest>>> = Arc::default();
        let ask = |request: ChatRequest| -> BoxFuture<'_, std::result::Result<Completion, ModelError>> {
            let missing = Arc::clone(&missing);
            async move {
                let found = extractor.model.kept(call, &request).await;
                found.ok_or_else(|| {
                    *crate::ingest::lock(&missing) = Some(request);
                    ModelError::new(ModelFault::Empty { finish: String::new() }, extractor.id(), "not kept")
                })
            }
            .boxed()
        };
        model::read(&asking, passage, &ask).await;
        let Some(first) = crate::ingest::lock(&missing).take() else {
            return Estimate { cached: true, cost: Some(0), ..Estimate::default() };
        };
        let counter = Arc::clone(&self.parts.prompt_tokens);
        let rounds = u64::from(asking.gleanings);
        let counted = join(tokio::task::spawn_blocking(move || Ok((count(counter.as_ref(), &first), first)))).await;
        let Ok((prompt, first)) = counted else { return Estimate::default() };
        let written = WRITTEN + (f64::from(chunk.chunk.tokens) * WRITTEN_PER_TOKEN) as u64;
        let written = written.min(u64::from(MOST_WRITTEN));
        // A request that follows an answer is a later round; how many follow is not known, and one is likely.
        let is_first = first.messages.len() <= 2;
        let mut estimate = Estimate { cost: Some(0), ..Estimate::default() };
        let mut add = |prompt: u64, completion: u64| {
            estimate.calls += 1;
            estimate.prompt += prompt;
            estimate.completion += completion;
            estimate.cost = estimate.cost.zip(extractor.price(prompt, completion)).map(|(one, more)| one + more);
            estimate.seconds += FIRST_TOKEN_S + completion as f64 / TOKENS_PER_SECOND;
        };
        add(prompt, if is_first { written } else { WRITTEN_AGAIN });
        if is_first && rounds > 0 {
            add(prompt + written + WRITTEN_AGAIN, WRITTEN_AGAIN);
        }
        estimate
    }
}

impl GraphPlan {
    fn add(&mut self, estimate: &Estimate) {
        self.passages += 1;
        self.cached += u64::from(estimate.cached);
        self.calls += estimate.calls;
        self.prompt_tokens += estimate.prompt;
        self.completion_tokens += estimate.completion;
        self.cost = self.cost.zip(estimate.cost).map(|(one, more)| one + more);
        self.seconds += estimate.seconds;
    }
}
