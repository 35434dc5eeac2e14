//! Ports of models. A missing capability is an absent object.

use serde::{Deserialize, Serialize};

use crate::error::Result;

/// A model's name and the length of its vectors; stored with every vector.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EmbeddingModelId {
    /// E.g. `static-en-256`.
    pub name: String,
    /// E.g. 256.
    pub dimensions: usize,
}

/// Turns text into vectors of length 1.
pub trait EmbeddingModel: Send + Sync {
    /// Name and dimensions.
    fn id(&self) -> EmbeddingModelId;

    /// One L2-normalised vector per text, in order. A text without any known token gives the zero vector.
    ///
    /// # Errors
    /// When the model cannot be reached or refuses.
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>>;

    /// The vector of a text that others are searched with: a question, keywords. Some models treat it differently
    /// from the texts that are searched.
    ///
    /// # Errors
    /// As [`EmbeddingModel::embed`].
    fn embed_query(&self, text: &str) -> Result<Vec<f32>> {
        Ok(self.embed(&[text])?.pop().unwrap_or_default())
    }

    /// Whether vectors of texts in `language` (ISO 639-1) mean anything.
    fn covers(&self, language: &str) -> bool;
}

/// Counts tokens the way a model's vocabulary does.
pub trait TokenCounter: Send + Sync {
    /// Tokens of `text`.
    fn count(&self, text: &str) -> usize;

    /// Byte offsets at which `text` may be cut so that piece *i* holds exactly `every` tokens (the last
    /// may hold fewer): ascending, each on a character boundary, without 0 and without the end.
    fn cuts(&self, text: &str, every: usize) -> Vec<usize>;

    /// Whether counts are those of a vocabulary, not an estimate.
    fn is_exact(&self) -> bool {
        true
    }
}

/// A vector as stored: signed bytes and the factor that scales them back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vector {
    /// `value[i] ≈ scale · bytes[i]`.
    pub scale: f32,
    /// One byte per dimension.
    pub bytes: Vec<i8>,
}

impl Vector {
    /// Quantises row-wise: `scale = max|x| / 127`.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "values are scaled into -127..=127 first")]
    pub fn quantise(values: &[f32]) -> Self {
        let largest = values.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        if largest == 0.0 {
            return Self { scale: 0.0, bytes: vec![0; values.len()] };
        }
        let scale = largest / 127.0;
        Self { scale, bytes: values.iter().map(|value| (value / scale).round() as i8).collect() }
    }

    /// Dot product with an unquantised vector of the same length.
    #[must_use]
    pub fn dot(&self, other: &[f32]) -> f32 {
        self.scale * self.bytes.iter().zip(other).map(|(a, b)| f32::from(*a) * b).sum::<f32>()
    }
}
