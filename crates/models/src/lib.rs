//! Everything that runs or calls a model: the built-in embedder, the token counters, and the gateway: providers, the
//! layers around them, and prices.

pub mod gateway;
pub mod layer;
pub mod price;
pub mod provider;
mod static_embedder;
mod tokens;
mod wordpiece;

pub use static_embedder::StaticEmbedder;
pub use tokens::{Cl100k, O200k, WordEstimate};
