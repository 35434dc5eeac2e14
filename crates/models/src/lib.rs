//! Everything that runs or calls a model: the built-in embedder, the token counters, and the gateway: providers, the
//! layers around them, prices, and models in this process (`local`, with the feature `local-models`).

pub mod gateway;
pub mod layer;
#[cfg(feature = "local-models")]
pub mod local;
pub mod price;
pub mod provider;
mod static_embedder;
mod tokens;
mod wordpiece;

pub use static_embedder::StaticEmbedder;
pub use tokens::{Cl100k, O200k, WordEstimate};

/// What a build without the feature `local-models` says where a model of its own process is asked for.
#[cfg(not(feature = "local-models"))]
#[must_use]
pub fn no_local_models() -> lorekeep_types::Error {
    let message = "this build runs no models in its own process: it lacks the feature `local-models`";
    lorekeep_types::Error::new(lorekeep_types::ErrorCode::Configuration, message)
        .hint("build it with `cargo build --release --features local-models`")
}
