//! Everything that runs or calls a model: the built-in embedder and the token counters.

mod tokens;

pub use tokens::{Cl100k, O200k};
