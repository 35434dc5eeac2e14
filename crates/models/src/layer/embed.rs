//! An embedding model behind its guard. Vectors of calls that allow it are kept text by text: of a batch, only the texts
//! that were never embedded, and are not being embedded for another call, are sent.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt as _;
use futures::future::{BoxFuture, try_join_all};
use lorekeep_types::{
    CacheKey, Call, EmbedKind, Embedded, EmbeddingProvider, Keep, ModelError, ModelId, Saved, TokenUsage,
};

use super::guard::Guard;
use super::kept::{Kept, is_of_the_caller, waited};
use super::meter::{Bound, Outcome};
use crate::provider::usage;

/// The form of what is kept and of its keys; another one finds nothing of the former.
const FORM: &[u8] = b"vector 1";

/// An embedding model with its guard.
#[derive(Clone)]
pub struct GuardedEmbed {
    model: Arc<dyn EmbeddingProvider>,
    guard: Guard,
    kept: Option<Kept>,
}

/// A vector as it is kept, with its share of what the call took.
#[derive(Clone, Debug, PartialEq)]
struct Share {
    tokens: u32,
    cost: i64,
    vector: Vec<f32>,
}

/// Vectors of texts that were asked for together, and what the call of the model took, if one was needed.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// By key; whether each was kept before.
    shares: HashMap<CacheKey, (Share, bool)>,
    usage: TokenUsage,
    /// The model as the provider names it.
    model: Option<String>,
}

impl GuardedEmbed {
    /// `model` behind `guard`.
    #[must_use]
    pub fn new(model: Arc<dyn EmbeddingProvider>, guard: Guard) -> Self {
        Self { model, guard, kept: None }
    }

    /// Keeps the vectors of calls that allow it.
    #[must_use]
    pub fn keeping(self, kept: Option<Kept>) -> Self {
        Self { kept, ..self }
    }

    /// Calls the model, whatever is kept; with what it cost.
    async fn called(
        &self,
        call: &Call,
        texts: &[&str],
        kind: EmbedKind,
    ) -> Result<(Embedded, Option<i64>), ModelError> {
        let prompt = || texts.iter().map(|text| usage::count(&self.model.sent(text, kind))).sum();
        let running = self.guard.start(call, || Bound { prompt: prompt(), completion: 0 }, false).await?;
        let attempt = || self.model.embed(call, texts, kind);
        let (embedded, running) = self.guard.attempts(call, running, prompt, attempt).await?;
        let model = Some(embedded.model.clone());
        let cost = running.entry.close(Outcome { usage: embedded.usage, finish: None, model, texts: texts.len() });
        Ok((embedded, cost))
    }

    async fn through_cache(
        &self,
        (kept, keep): (&Kept, Keep),
        call: &Call,
        texts: &[&str],
        kind: EmbedKind,
    ) -> Result<Embedded, ModelError> {
        let began = Instant::now();
        let keys: Vec<CacheKey> = texts.iter().map(|text| self.key(call, keep, text, kind)).collect();
        let batch = |places: &[usize]| {
            let asked = |at: &usize| Some((keys.get(*at)?.clone(), (*texts.get(*at)?).to_owned()));
            self.clone().batch(kept.clone(), call.clone(), places.iter().filter_map(asked).collect(), kind).boxed()
        };
        let (flights, own) = kept.vectors().join_each(&keys, batch);
        let (batches, own) = match waited(call, self.id(), try_join_all(flights)).await {
            // What befell another call for reasons of its own need not befall this one.
            Err(error) if own.len() < texts.len() && is_of_the_caller(&error.fault) => {
                let all: Vec<usize> = (0..texts.len()).collect();
                let whole = batch(&all).await?;
                (vec![whole; texts.len()], all)
            }
            outcome => (outcome?, own),
        };
        let mut whole = Embedded { vectors: Vec::new(), usage: TokenUsage::default(), model: self.id().model.clone() };
        if let Some(batch) = own.first().and_then(|at| batches.get(*at)) {
            whole.usage = batch.usage;
            whole.model.clone_from(batch.model.as_ref().unwrap_or(&self.id().model));
        }
        let mut saved = None::<Saved>;
        for (at, (key, batch)) in keys.iter().zip(&batches).enumerate() {
            let Some((share, was_kept)) = batch.shares.get(key) else { continue };
            if *was_kept || !own.contains(&at) {
                let saved = saved.get_or_insert_default();
                saved.tokens += u64::from(share.tokens);
                saved.cost += share.cost;
            }
            whole.vectors.push(share.vector.clone());
        }
        if let Some(saved) = saved {
            self.guard.meter().hit(call, saved, (began, false)).await;
        }
        Ok(whole)
    }

    /// Texts and their vectors: those that are kept, and the others from the model, which are kept from now on.
    async fn batch(
        self,
        kept: Kept,
        call: Call,
        asked: Vec<(CacheKey, String)>,
        kind: EmbedKind,
    ) -> Result<Arc<Batch>, ModelError> {
        let values = kept.values(asked.iter().map(|(key, _)| key.clone()).collect()).await;
        let mut batch = Batch::default();
        let mut missing: Vec<(CacheKey, String)> = Vec::new();
        for ((key, text), value) in asked.into_iter().zip(values) {
            match value.as_deref().and_then(Share::read) {
                Some(share) => drop(batch.shares.insert(key, (share, true))),
                None if missing.iter().any(|(other, _)| *other == key) => {}
                None => missing.push((key, text)),
            }
        }
        if missing.is_empty() {
            return Ok(Arc::new(batch));
        }
        let texts: Vec<&str> = missing.iter().map(|(_, text)| text.as_str()).collect();
        let (embedded, cost) = self.called(&call, &texts, kind).await?;
        let shares = shares(&embedded, &texts, cost);
        let keep = missing.iter().zip(&shares).map(|((key, _), share)| (key.clone(), share.write()));
        kept.put_values(keep.collect()).await;
        batch.shares.extend(missing.into_iter().zip(shares).map(|((key, _), share)| (key, (share, false))));
        (batch.usage, batch.model) = (embedded.usage, Some(embedded.model));
        Ok(Arc::new(batch))
    }

    fn key(&self, call: &Call, keep: Keep, text: &str, kind: EmbedKind) -> CacheKey {
        let kind: &[u8] = match kind {
            EmbedKind::Passage => b"passage",
            EmbedKind::Query => b"query",
        };
        let name = self.id().to_string();
        let parts =
            [FORM, name.as_bytes(), self.guard.source().as_bytes(), keep.version.as_bytes(), kind, text.as_bytes()];
        CacheKey::new(keep.kind, &call.workspace, parts)
    }
}

impl EmbeddingProvider for GuardedEmbed {
    fn id(&self) -> &ModelId {
        self.model.id()
    }

    fn embed<'a>(
        &'a self,
        call: &'a Call,
        texts: &'a [&'a str],
        kind: EmbedKind,
    ) -> BoxFuture<'a, Result<Embedded, ModelError>> {
        async move {
            match self.kept.as_ref().zip(call.keep) {
                Some(kept) => self.through_cache(kept, call, texts, kind).await,
                None => Ok(self.called(call, texts, kind).await?.0),
            }
        }
        .boxed()
    }

    fn batch(&self) -> usize {
        self.model.batch()
    }

    fn sent<'t>(&self, text: &'t str, kind: EmbedKind) -> Cow<'t, str> {
        self.model.sent(text, kind)
    }
}

/// What a call took, divided among its texts by their length in tokens.
fn shares(embedded: &Embedded, texts: &[&str], cost: Option<i64>) -> Vec<Share> {
    let counts: Vec<u64> = texts.iter().map(|text| usage::count(text)).collect();
    let all = i128::from(counts.iter().sum::<u64>().max(1));
    let share = |whole: i128, count: u64| whole * i128::from(count) / all;
    let shares = embedded.vectors.iter().zip(counts).map(|(vector, count)| Share {
        tokens: u32::try_from(share(i128::from(embedded.usage.prompt), count)).unwrap_or(u32::MAX),
        cost: i64::try_from(share(i128::from(cost.unwrap_or(0)), count)).unwrap_or(i64::MAX),
        vector: vector.clone(),
    });
    shares.collect()
}

impl Share {
    fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(12 + 4 * self.vector.len());
        bytes.extend_from_slice(&self.tokens.to_le_bytes());
        bytes.extend_from_slice(&self.cost.to_le_bytes());
        self.vector.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
        bytes
    }

    /// `None` for bytes that are no vector.
    fn read(bytes: &[u8]) -> Option<Self> {
        let (tokens, bytes) = bytes.split_first_chunk()?;
        let (cost, bytes) = bytes.split_first_chunk()?;
        let (values, rest) = bytes.as_chunks();
        let vector: Vec<f32> = values.iter().map(|value| f32::from_le_bytes(*value)).collect();
        let share = Self { tokens: u32::from_le_bytes(*tokens), cost: i64::from_le_bytes(*cost), vector };
        (rest.is_empty() && !share.vector.is_empty()).then_some(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_as_it_was_written() {
        let share = Share { tokens: 7, cost: -1, vector: vec![0.5, -2.0] };
        assert_eq!(Share::read(&share.write()), Some(share.clone()));
        assert_eq!(Share::read(&share.write()[..15]), None);
        assert_eq!(Share::read(&[0; 12]), None);
        assert_eq!(Share::read(&[]), None);
    }

    #[test]
    fn shares_add_up_to_no_more_than_the_call() {
        let usage = TokenUsage { prompt: 10, ..TokenUsage::default() };
        let embedded = Embedded { vectors: vec![vec![1.0]; 3], usage, model: String::new() };
        let shares = shares(&embedded, &["one", "two words here", ""], Some(100));
        let tokens: u32 = shares.iter().map(|share| share.tokens).sum();
        let cost: i64 = shares.iter().map(|share| share.cost).sum();
        assert!((8..=10).contains(&tokens), "{tokens}");
        assert!((98..=100).contains(&cost), "{cost}");
        assert_eq!((shares[2].tokens, shares[2].cost), (0, 0));
    }
}
