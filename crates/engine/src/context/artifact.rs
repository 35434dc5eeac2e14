//! What a model may be given to read, in the order in which it can be spared.

use std::cmp::Ordering;

/// How much an answer needs a piece of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Beside the point: neighbours of passages.
    Low,
    /// Helps: entities and relations.
    Medium,
    /// Evidence.
    High,
    /// The best evidence.
    Critical,
}

/// A piece of evidence as it stands in a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Artifact {
    /// What it stands for, to the caller.
    pub id: usize,
    /// How much it is needed.
    pub priority: Priority,
    /// Within one priority, higher is better; a value that is no number counts least.
    pub relevance: f32,
    /// The text.
    pub text: String,
    /// Tokens of the text and of what is put after it, as the counter of the prompt counts them.
    pub tokens: usize,
}

impl Artifact {
    /// Most needed first; equals by their id.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let relevance = |one: &Self| if one.relevance.is_nan() { f32::NEG_INFINITY } else { one.relevance };
        other
            .priority
            .cmp(&self.priority)
            .then(relevance(other).total_cmp(&relevance(self)))
            .then(self.id.cmp(&other.id))
    }
}
