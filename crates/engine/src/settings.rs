//! The engine's section of the configuration, resolved. Reading files and environment is the command line's.

use lorekeep_types::OnFailure;
use serde::{Deserialize, Serialize};

use crate::context::TokenBudget;
use crate::extract::model::Combine;
use crate::prompt::Prompts;

/// Everything that can be set about the data plane.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSettings {
    /// How documents are cut.
    pub chunking: ChunkSettings,
    /// How documents are taken in.
    pub ingest: IngestSettings,
    /// The prompts; not part of what is written down.
    #[serde(skip)]
    pub prompts: Prompts,
    /// How answers are written.
    pub answer: AnswerSettings,
    /// How a model makes the graph.
    pub graph: GraphSettings,
}

/// How a model makes the graph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GraphSettings {
    /// Types of entities that it may give; others are taken for unknown. Lower case, of letters and digits with `_`
    /// between.
    pub entity_types: Vec<String>,
    /// How often a passage is asked about again for what was missed; each time costs a call, and none follows one that
    /// brought nothing new.
    pub gleanings: u32,
    /// Passages that are read at once, over all workspaces; at least one.
    pub parallel: usize,
    /// What the graph of a passage that a model has read is made of.
    pub combine: Combine,
    /// Whether names that look alike are shown to the model, and those that mean one thing joined.
    pub resolve: bool,
    /// Whether the graph of new documents is made by the model as soon as they can be searched.
    pub automatic: bool,
}

impl Default for GraphSettings {
    fn default() -> Self {
        let types = [
            "person",
            "organization",
            "location",
            "event",
            "work",
            "concept",
            "method",
            "product",
            "creature",
            "natural_object",
            "date",
        ];
        Self {
            entity_types: types.map(str::to_owned).to_vec(),
            gleanings: 1,
            parallel: 8,
            combine: Combine::Both,
            resolve: true,
            automatic: false,
        }
    }
}

/// How a model writes answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AnswerSettings {
    /// Limits of the prompt.
    pub tokens: TokenBudget,
    /// What is answered when the model fails, unless the request says otherwise.
    pub on_failure: OnFailure,
    /// Whether written answers are kept until the documents change.
    pub cache: bool,
    /// Hosts that links in answers may lead to; other links become plain text.
    pub link_hosts: Vec<String>,
}

impl Default for AnswerSettings {
    fn default() -> Self {
        Self { tokens: TokenBudget::default(), on_failure: OnFailure::Error, cache: true, link_hosts: Vec::new() }
    }
}

/// How a document becomes chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChunkStrategy {
    /// Keeps headings with their text and tables, blocks and sentences whole; no overlap.
    #[default]
    Structure,
    /// Windows of a fixed number of tokens with overlap, as LightRAG cuts.
    Fixed,
}

/// Sizes of chunks, in o200k tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChunkSettings {
    /// The strategy.
    pub strategy: ChunkStrategy,
    /// `structure`: a chunk is closed before it would grow past this.
    pub target_tokens: usize,
    /// No chunk is larger. Also the window of `fixed`.
    pub max_tokens: usize,
    /// `fixed`: tokens shared by neighbouring windows; less than `max_tokens`.
    pub overlap_tokens: usize,
}

impl Default for ChunkSettings {
    fn default() -> Self {
        Self { strategy: ChunkStrategy::Structure, target_tokens: 400, max_tokens: 1_200, overlap_tokens: 100 }
    }
}

/// Pace and limits of taking documents in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IngestSettings {
    /// Documents worked on at once, over all workspaces, beside those that wait for a model; 0 means one less than the
    /// machine has cores (at least one), which keeps queries fast.
    pub parallel: usize,
    /// Documents in work at once, per workspace.
    pub in_flight_documents: usize,
    /// Bytes of originals in work at once, per workspace; one larger document is still taken.
    pub in_flight_bytes: u64,
    /// Documents written in one transaction at most.
    pub commit_documents: usize,
    /// Bytes of originals written in one transaction at most; one larger document is still written.
    pub commit_bytes: u64,
    /// Longest wait for a transaction to fill, in milliseconds.
    pub commit_wait_ms: u64,
    /// Shortest time between two publications of the views while work is waiting, in milliseconds.
    pub refresh_ms: u64,
}

impl Default for IngestSettings {
    fn default() -> Self {
        Self {
            parallel: 0,
            in_flight_documents: 256,
            in_flight_bytes: 64 << 20,
            commit_documents: 64,
            commit_bytes: 16 << 20,
            commit_wait_ms: 50,
            refresh_ms: 500,
        }
    }
}

impl IngestSettings {
    /// The number that `parallel` stands for.
    #[must_use]
    pub fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        if self.parallel == 0 { cores.saturating_sub(1).max(1) } else { self.parallel }
    }
}
