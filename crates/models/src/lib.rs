//! Everything that runs or calls a model: the built-in embedder, the token counters, and the providers.

pub mod provider;
mod static_embedder;
mod tokens;
mod wordpiece;

pub use static_embedder::StaticEmbedder;
pub use tokens::{Cl100k, O200k};
