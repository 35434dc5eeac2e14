//! The context of a written answer inside a token budget: what goes to the model, section by section, counted exactly.
//!
//! `budget` knows the limits, `artifact` orders what may be left out, `assemble` puts the messages together. All of it is
//! pure; shortening a conversation with a model is [`crate::ask`]'s.

mod artifact;
mod assemble;
mod budget;
#[cfg(test)]
mod tests;
mod turns;

pub use artifact::{Artifact, Priority};
pub use assemble::{Assembled, Draft, Section, Spent, assemble};
pub use budget::{MESSAGE_TOKENS, REPLY_TOKENS, TokenBudget, cut_to, message_tokens, prompt_tokens};
pub use turns::{Split, extract, lines, split};
