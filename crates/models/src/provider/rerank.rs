//! Reranking over HTTP for any wire: sends a question and texts, and checks that what comes back is an order of them.

pub mod cohere;
pub mod tei;
pub mod watsonx;

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lorekeep_types::{Call, ModelError, ModelFault, ModelId, RankedText, RerankModel, Reranked, TokenUsage};
use serde_json::Value;

use super::auth::Authorize;
use super::caller::{Caller, Refusal};
use super::http::Http;
use super::usage;
use super::wire::{RawUsage, WireFault, WireRequest};

/// What a whole answer holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RerankAnswer {
    /// Scores of texts, in any order, with whatever indices the provider gave.
    pub ranking: Vec<RankedText>,
    /// Tokens.
    pub usage: RawUsage,
    /// The model as the provider names it.
    pub model: Option<String>,
}

/// A provider's dialect of reranking. Pure; no clock, no network.
pub trait RerankWire: Send + Sync {
    /// The request for the best `top_n` of `texts` by `model`; `top_n` is in 1..=`texts.len()`.
    ///
    /// # Errors
    /// `Capability` when the request asks for what the wire cannot say.
    fn request(&self, model: &str, query: &str, texts: &[&str], top_n: usize) -> Result<WireRequest, WireFault>;

    /// The scores of a whole answer.
    ///
    /// # Errors
    /// When the body tells of a fault or cannot be read.
    fn answer(&self, body: &[u8]) -> Result<RerankAnswer, WireFault>;

    /// Most texts of one request; more are ranked in several, which needs scores that do not depend on the other texts.
    fn batch(&self) -> usize {
        usize::MAX
    }

    /// The provider's own words in the body of an error status; `None` when it has none.
    fn error_message(&self, body: &[u8]) -> Option<String> {
        super::openai::error_message(body)
    }

    /// A more precise fault than the status tells, where the body of an error gives one.
    fn error_fault(&self, _status: u16, _body: &[u8]) -> Option<ModelFault> {
        None
    }
}

impl Refusal for dyn RerankWire {
    fn words(&self, body: &[u8]) -> Option<String> {
        self.error_message(body)
    }

    fn precise(&self, status: u16, body: &[u8]) -> Option<ModelFault> {
        self.error_fault(status, body)
    }
}

/// A reranker at a provider. Cheap to clone.
#[derive(Clone)]
pub struct HttpRerank {
    caller: Caller,
    wire: Arc<dyn RerankWire>,
}

impl HttpRerank {
    /// The model `id` spoken to in `wire`.
    #[must_use]
    pub fn new(id: ModelId, wire: Arc<dyn RerankWire>, http: Http, auth: Arc<dyn Authorize>) -> Self {
        Self { caller: Caller::new(id, http, auth), wire }
    }

    async fn whole(&self, call: &Call, query: &str, texts: &[&str], top_n: usize) -> Result<Reranked, ModelError> {
        let model = self.caller.id().model.clone();
        let mut all = Reranked { ranking: Vec::new(), usage: TokenUsage::default(), model };
        if top_n == 0 {
            return Ok(all);
        }
        let batch = self.wire.batch().max(1);
        for (at, texts) in texts.chunks(batch).enumerate() {
            let part = self.part(call, query, texts, top_n.min(texts.len())).await;
            let part = part.map_err(|error| spent_before(error, all.usage))?;
            let moved = |one: RankedText| RankedText { index: one.index + at * batch, ..one };
            all.ranking.extend(part.ranking.into_iter().map(moved));
            all.usage = sum(all.usage, part.usage);
            all.model = part.model;
        }
        all.ranking.sort_by(|one, other| other.score.total_cmp(&one.score).then(one.index.cmp(&other.index)));
        all.ranking.truncate(top_n);
        Ok(all)
    }

    /// One request's worth, in the provider's order.
    async fn part(&self, call: &Call, query: &str, texts: &[&str], top_n: usize) -> Result<Reranked, ModelError> {
        let model = &self.caller.id().model;
        let request = self.wire.request(model, query, texts, top_n).map_err(|fault| self.caller.error(fault))?;
        let body = self.caller.ask(call, &request, self.wire.as_ref()).await?;
        let answer = self.wire.answer(&body).map_err(|fault| self.caller.error(fault))?;
        let usage = settled(answer.usage, query, texts);
        check(&answer.ranking, texts.len()).map_err(|message| self.caller.malformed(message).with_usage(usage))?;
        let name = answer.model.filter(|name| !name.is_empty());
        Ok(Reranked { ranking: answer.ranking, usage, model: name.unwrap_or_else(|| model.clone()) })
    }
}

impl RerankModel for HttpRerank {
    fn id(&self) -> &ModelId {
        self.caller.id()
    }

    fn rerank<'a>(
        &'a self,
        call: &'a Call,
        query: &'a str,
        texts: &'a [&'a str],
        top_n: usize,
    ) -> BoxFuture<'a, Result<Reranked, ModelError>> {
        self.whole(call, query, texts, top_n).boxed()
    }
}

/// The question is read anew with every text, and nothing is written.
fn settled(raw: RawUsage, query: &str, texts: &[&str]) -> TokenUsage {
    let raw = RawUsage { completion: Some(0.0), ..raw };
    let counted = || {
        let question = usage::count(query);
        texts.iter().map(|text| usage::count(text) + question).sum()
    };
    usage::settle(raw, counted, || 0)
}

fn sum(one: TokenUsage, other: TokenUsage) -> TokenUsage {
    let cost = one.reported_cost.into_iter().chain(other.reported_cost).reduce(i64::saturating_add);
    TokenUsage {
        prompt: one.prompt.saturating_add(other.prompt),
        estimated: one.estimated || other.estimated,
        reported_cost: cost,
        ..TokenUsage::default()
    }
}

/// A failure of a later request, with what the earlier ones consumed.
fn spent_before(error: ModelError, earlier: TokenUsage) -> ModelError {
    if earlier == TokenUsage::default() {
        return error;
    }
    let all = sum(earlier, error.usage.unwrap_or_default());
    error.with_usage(all)
}

/// Some texts are ranked, each at most once, all by finite scores.
fn check(ranking: &[RankedText], texts: usize) -> Result<(), String> {
    if ranking.is_empty() {
        return Err(format!("the answer ranks none of {texts} texts"));
    }
    let mut seen = vec![false; texts];
    for RankedText { index, score } in ranking {
        match seen.get_mut(*index) {
            None => return Err(format!("the answer ranks text {index} of {texts}")),
            Some(true) => return Err(format!("the answer ranks text {index} twice")),
            Some(seen) => *seen = true,
        }
        if !score.is_finite() {
            return Err(format!("the score of text {index} is not finite"));
        }
    }
    Ok(())
}

/// A list of objects with an index and a score called `score`.
fn ranking(list: Option<&Value>, score: &str) -> Result<Vec<RankedText>, WireFault> {
    let list = list.and_then(Value::as_array).ok_or_else(|| WireFault::malformed("the answer has no results"))?;
    list.iter()
        .map(|one| {
            let index = one.get("index").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
            let score = one.get(score).and_then(Value::as_f64);
            let (Some(index), Some(score)) = (index, score) else {
                return Err(WireFault::malformed("a result of the answer lacks its index or score"));
            };
            #[expect(clippy::cast_possible_truncation, reason = "a score needs no more than seven digits")]
            let score = score as f32;
            Ok(RankedText { index, score })
        })
        .collect()
}
