//! A model behind a port that has to be called, as the rest of the engine knows embedders: synchronous, with vectors of
//! length 1.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use lorekeep_types::{
    Call, Cancel, EmbedKind, EmbeddingModel, EmbeddingModelId, EmbeddingProvider, Error, ErrorCode, Result,
};
use tokio::runtime::Handle;

use super::AT_ONCE;

/// How often a call that waits looks at whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// Calls a model and waits. Cheap to clone.
///
/// Its methods must be called on threads that may block: those of a pool, or of `spawn_blocking`. On a thread that
/// drives asynchronous tasks they panic.
#[derive(Clone)]
pub(crate) struct CalledEmbedder {
    provider: Arc<dyn EmbeddingProvider>,
    dimensions: usize,
    runtime: Handle,
    call: Call,
    cancel: Cancel,
}

impl CalledEmbedder {
    /// Vectors of `dimensions` numbers from `provider`, whose calls run on `runtime`. `call` accounts for every call.
    pub(crate) fn new(provider: Arc<dyn EmbeddingProvider>, dimensions: usize, runtime: Handle, call: Call) -> Self {
        Self { provider, dimensions, runtime, call, cancel: Cancel::default() }
    }

    /// Calls end, and none is made, once `cancel` is set.
    pub(crate) fn until(self, cancel: &Cancel) -> Self {
        Self { cancel: cancel.clone(), ..self }
    }

    fn vectors(&self, texts: &[&str], kind: EmbedKind) -> Result<Vec<Vec<f32>>> {
        let said: Vec<(usize, &str)> =
            texts.iter().copied().enumerate().filter(|(_, text)| !text.trim().is_empty()).collect();
        let calls = stream::iter(said.chunks(self.provider.batch().max(1)))
            .map(|batch| self.batch(batch, kind))
            .buffered(AT_ONCE)
            .try_collect::<Vec<_>>();
        let called = self.runtime.block_on(wanted(&self.cancel, calls))?;
        let mut vectors = vec![vec![0.0; self.dimensions]; texts.len()];
        for (at, vector) in called.into_iter().flatten() {
            if let Some(slot) = vectors.get_mut(at) {
                *slot = vector;
            }
        }
        Ok(vectors)
    }

    async fn batch(&self, batch: &[(usize, &str)], kind: EmbedKind) -> Result<Vec<(usize, Vec<f32>)>> {
        let texts: Vec<&str> = batch.iter().map(|(_, text)| *text).collect();
        let embedded = self.provider.embed(&self.call, &texts, kind).await?;
        batch.iter().zip(embedded.vectors).map(|((at, _), vector)| Ok((*at, self.fitted(vector)?))).collect()
    }

    /// The vector at length 1, if it has the number of dimensions that the stored ones have.
    fn fitted(&self, vector: Vec<f32>) -> Result<Vec<f32>> {
        if vector.len() == self.dimensions {
            return Ok(normalised(vector));
        }
        let message = format!(
            "`{}` gives vectors of {} dimensions where {} are expected",
            self.provider.id(),
            vector.len(),
            self.dimensions
        );
        let hint = "configure the model that made the stored vectors, or make them anew: `lorekeep reindex --vectors`";
        Err(Error::new(ErrorCode::Configuration, message).hint(hint))
    }
}

impl EmbeddingModel for CalledEmbedder {
    fn id(&self) -> EmbeddingModelId {
        EmbeddingModelId { name: self.provider.id().to_string(), dimensions: self.dimensions }
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        self.vectors(texts, EmbedKind::Passage)
    }

    fn embed_query(&self, text: &str) -> Result<Vec<f32>> {
        Ok(self.vectors(&[text], EmbedKind::Query)?.pop().unwrap_or_default())
    }

    /// What a remote model was trained on is not known here.
    fn covers(&self, _language: &str) -> bool {
        true
    }
}

/// Waits for `work` as long as it is wanted.
///
/// # Errors
/// `Cancelled`, and what the work says.
pub(crate) async fn wanted<T>(cancel: &Cancel, work: impl Future<Output = Result<T>>) -> Result<T> {
    let unwanted = async {
        while !cancel.is_cancelled() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        done = work => done,
        () = unwanted => Err(Error::new(ErrorCode::Cancelled, "the work was cancelled")),
    }
}

/// The number of dimensions that `provider` gives, learned from one vector.
///
/// # Errors
/// When the provider cannot be called.
pub(crate) async fn probe(provider: &dyn EmbeddingProvider, call: &Call) -> Result<usize> {
    let embedded = provider.embed(call, &["dimensions"], EmbedKind::Passage).await?;
    let length = embedded.vectors.first().map(Vec::len).filter(|length| *length > 0);
    length.ok_or_else(|| Error::new(ErrorCode::Upstream, format!("`{}` gave no vector", provider.id())))
}

/// The vector at length 1; a zero vector stays one.
#[expect(clippy::cast_possible_truncation, reason = "the numbers of a vector of length 1 lie in -1..=1")]
fn normalised(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
    }
    vector
}
