//! The data plane: ingest, retrieve, answer and cite, behind one façade, [`Engine`].
//!
//! The engine reaches everything through the ports of `lorekeep_types` and knows no HTTP, no disk format
//! and no vendor. Synchronous work (store, parsing, ranking) crosses over from async callers in one place.

pub mod answer;
mod ask;
mod build;
mod cached;
mod chunk;
mod communities;
pub mod context;
mod documents;
mod embed;
mod engine;
pub mod eval;
mod extract;
mod graph;
mod ingest;
mod jobs;
pub mod prompt;
mod query;
pub mod retrieve;
mod settings;
mod workspaces;

pub use ask::{AskEvent, AskStream, Step};
pub use build::{BuildRequest, GraphPlan};
pub use chunk::chunk_document;
pub use engine::{Engine, EngineParts};
pub use extract::model::Combine;
pub use jobs::AddRequest;
pub use settings::{AnswerSettings, ChunkSettings, ChunkStrategy, EngineSettings, GraphSettings, IngestSettings};
