//! Models in this process, through candle: Llama-family chat and BERT-family sentence embeddings. Only with the feature
//! `local-models`.
//!
//! - [`folder`] finds out what lies at a path, [`weights`] and [`gguf`] read it, [`memory`] knows what there is room for;
//! - [`llama`] and [`bert`] are the forward passes, [`kernels`] the vector code beneath the latter;
//! - [`template`] and [`text`] turn conversations into tokens and tokens into text, [`sample`] chooses the next one,
//!   [`generate`] does so until the answer ends;
//! - [`worker`] gives each model a thread of its own and a bounded queue, so that no caller's runtime ever computes;
//! - [`shared`] keeps a model in memory once, however many providers name it;
//! - [`chat`] and [`embed`] put all of it behind the ports.

pub mod bert;
pub mod chat;
pub mod embed;
pub mod fault;
pub mod folder;
mod generate;
mod gguf;
mod kernels;
pub mod llama;
pub mod memory;
mod sample;
mod shared;
mod template;
mod text;
mod weights;
mod worker;

pub use chat::LocalChat;
pub use embed::LocalEmbed;
pub use fault::LocalError;

/// What can be chosen about a model in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalSettings {
    /// Most tokens of a prompt and its answer together; never more than the model was made for.
    pub context: usize,
    /// Calls that may wait; one more is refused.
    pub places: usize,
}

impl Default for LocalSettings {
    fn default() -> Self {
        Self { context: 8_192, places: 32 }
    }
}
