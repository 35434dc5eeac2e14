//! The providers against scripted servers.

#![allow(unreachable_pub, clippy::disallowed_methods, clippy::unwrap_used, clippy::panic, reason = "tests")]

mod anthropic;
mod audio;
mod capabilities;
mod conformance;
mod embed;
mod embed_suite;
mod gateway;
mod gemini;
mod generate;
mod iam;
mod kept;
mod kept_vectors;
mod lease;
#[cfg(feature = "local-models")]
mod local;
#[cfg(not(feature = "local-models"))]
mod local_missing;
mod ollama;
mod openai;
mod perplexity;
mod rerank;
mod reserved;
mod tools;
mod transport;
mod watsonx;
