//! An embedding model behind its guard. Vectors of calls that allow it are kept text by text: of a batch, only the texts
//! that were never embedded are sent.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lorekeep_types::{
    CacheKey, Call, EmbedKind, Embedded, EmbeddingProvider, Keep, ModelError, ModelId, Saved, TokenUsage,
};

use super::guard::Guard;
use super::kept::Kept;
use super::meter::{Bound, Outcome};
use crate::provider::usage;

/// The form of what is kept and of its keys; another one finds nothing of the former.
const FORM: &[u8] = b"vector 1";

/// An embedding model with its guard.
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
        let values = kept.values(keys.clone()).await;
        let mut found: Vec<Option<Vec<f32>>> = Vec::with_capacity(texts.len());
        let mut saved = Saved::default();
        for share in values.iter().map(|value| value.as_deref().and_then(Share::read)) {
            saved.tokens += share.as_ref().map_or(0, |share| u64::from(share.tokens));
            saved.cost += share.as_ref().map_or(0, |share| share.cost);
            found.push(share.map(|share| share.vector));
        }
        if found.iter().any(Option::is_some) {
            self.guard.meter().hit(call, saved, (began, false)).await;
        }
        let mut whole = Embedded { vectors: Vec::new(), usage: TokenUsage::default(), model: self.id().model.clone() };
        let missing: Vec<usize> = (0..texts.len()).filter(|at| found.get(*at).is_some_and(Option::is_none)).collect();
        if !missing.is_empty() {
            let asked: Vec<&str> = missing.iter().filter_map(|at| texts.get(*at).copied()).collect();
            let (embedded, cost) = self.called(call, &asked, kind).await?;
            let shares = shares(&embedded, &asked, cost);
            let keep =
                missing.iter().zip(shares).filter_map(|(at, share)| Some((keys.get(*at)?.clone(), share.write())));
            kept.put_values(keep.collect()).await;
            for (at, vector) in missing.iter().zip(embedded.vectors) {
                if let Some(place) = found.get_mut(*at) {
                    *place = Some(vector);
                }
            }
            (whole.usage, whole.model) = (embedded.usage, embedded.model);
        }
        whole.vectors = found.into_iter().flatten().collect();
        Ok(whole)
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
