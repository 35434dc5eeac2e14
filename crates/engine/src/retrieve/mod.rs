//! Finding evidence: [`auto`] is the embedded default, `modes` are those LightRAG's users know, `search` is
//! what both end in. Everything reads one snapshot. `rerank` lets a model order what was found.

pub mod auto;
mod keywords;
mod modes;
mod pack;
mod rerank;
mod search;

pub use search::{MOST_CHARACTERS, MOST_RESULTS, Searcher};

use search::lexical_candidates;
