//! A provider of embeddings as the engine knows embedders: synchronous, with vectors of length 1.

use std::sync::Arc;

use lorekeep_types::{Call, EmbedKind, EmbeddingModel, EmbeddingModelId, EmbeddingProvider, Error, ErrorCode, Result};
use tokio::runtime::Handle;

/// Calls a provider and waits. Cheap to clone.
///
/// Its methods must be called on threads that may block: those of a pool, or of `spawn_blocking`. On a thread that
/// drives asynchronous tasks they panic, and on the runtime's only such thread they would wait for ever; the
/// runtime has to be a multi-threaded one.
#[derive(Clone)]
pub struct BlockingEmbedder {
    provider: Arc<dyn EmbeddingProvider>,
    dimensions: usize,
    runtime: Handle,
    call: Call,
}

impl BlockingEmbedder {
    /// Vectors of `dimensions` numbers from `provider`, whose calls run on `runtime`. `call` accounts for every call;
    /// its operation is `embed`, and it has no deadline.
    #[must_use]
    pub fn new(provider: Arc<dyn EmbeddingProvider>, dimensions: usize, runtime: Handle, call: Call) -> Self {
        Self { provider, dimensions, runtime, call }
    }

    fn vectors(&self, texts: &[&str], kind: EmbedKind) -> Result<Vec<Vec<f32>>> {
        let mut vectors = vec![vec![0.0; self.dimensions]; texts.len()];
        let said: Vec<(usize, &str)> =
            texts.iter().copied().enumerate().filter(|(_, text)| !text.trim().is_empty()).collect();
        for batch in said.chunks(self.provider.batch().max(1)) {
            let texts: Vec<&str> = batch.iter().map(|(_, text)| *text).collect();
            let embedded = self.runtime.block_on(self.provider.embed(&self.call, &texts, kind))?;
            for ((at, _), vector) in batch.iter().zip(embedded.vectors) {
                if let Some(slot) = vectors.get_mut(*at) {
                    *slot = self.fitted(vector)?;
                }
            }
        }
        Ok(vectors)
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
        let hint = "configure the model that made the stored vectors, or make them anew: `lorekeep reindex`";
        Err(Error::new(ErrorCode::Configuration, message).hint(hint))
    }
}

impl EmbeddingModel for BlockingEmbedder {
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

/// The number of dimensions that `provider` gives, learned from one vector.
///
/// # Errors
/// When the provider cannot be called.
pub async fn probe(provider: &dyn EmbeddingProvider, call: &Call) -> Result<usize> {
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
