//! What a call consumed.

use serde::{Deserialize, Serialize};

/// Tokens and cost of one piece of work. All zero for work done without a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens sent to a model.
    pub prompt_tokens: u64,
    /// Tokens written by a model.
    pub completion_tokens: u64,
    /// Their sum.
    pub total_tokens: u64,
    /// Cost in integer nano-USD; `None` when the price is unknown.
    pub cost_nano_usd: Option<u64>,
    /// Whether tokens were counted here because the provider did not report them.
    #[serde(default)]
    pub estimated: bool,
}

impl Usage {
    /// Work done without calling any model: no tokens, no cost.
    pub const NONE: Self =
        Self { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0, cost_nano_usd: Some(0), estimated: false };
}
