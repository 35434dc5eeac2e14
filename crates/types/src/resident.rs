//! Models that are held in this process: what they offer beyond the ports of [`crate::model_port`].

use futures_core::future::BoxFuture;

use crate::chat::ChatRequest;
use crate::model_port::{Call, ChatModel, ChatStream, EmbeddingProvider, ModelError};

/// A model in memory, at one moment. Bytes and counts since it was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResidentFigures {
    /// Its name: that of its folder or file.
    pub name: String,
    /// What computes: `cpu` or `cuda`.
    pub device: String,
    /// Bytes of weights.
    pub weight_bytes: u64,
    /// Bytes that the present answer's keys and values take.
    pub cache_bytes: u64,
    /// Most tokens of a prompt and its answer together, or of one text; 0 until it is loaded.
    pub context: usize,
    /// Calls that are worked on.
    pub running: usize,
    /// Calls that wait.
    pub waiting: usize,
    /// Most calls that may wait.
    pub places: usize,
    /// Calls that were done, whatever came of them.
    pub calls: u64,
    /// Calls that were refused because too many waited.
    pub refused: u64,
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
}

/// A model in memory.
pub trait ResidentModel: Send + Sync {
    /// Its figures at this moment.
    fn figures(&self) -> ResidentFigures;
}

/// A chat model in memory, which can also continue a text that is no conversation.
pub trait PromptModel: ChatModel + ResidentModel {
    /// Continues `prompt` as it stands: no conversation's marks are added, and those in it keep their meaning. Of
    /// `request` its limits and randomness count, its messages do not.
    ///
    /// # Errors
    /// As [`ChatModel::stream`].
    fn complete<'a>(
        &'a self,
        call: &'a Call,
        prompt: &'a str,
        request: &'a ChatRequest,
    ) -> BoxFuture<'a, Result<ChatStream, ModelError>>;
}

/// An embedding model in memory.
pub trait ResidentEmbedder: EmbeddingProvider + ResidentModel {}

impl<T: EmbeddingProvider + ResidentModel> ResidentEmbedder for T {}
