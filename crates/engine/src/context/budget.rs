//! How many tokens each section of a prompt may take, and how tokens are counted.

use lorekeep_types::{ChatMessage, Error, ErrorCode, Result, TokenCounter};
use serde::{Deserialize, Serialize};

/// Tokens that a wire adds to each message: its role and its marks (three and one in the chat format of OpenAI).
pub const MESSAGE_TOKENS: usize = 4;

/// Tokens that open the reply.
pub const REPLY_TOKENS: usize = 3;

/// Limits of the sections of a prompt, in tokens. Each is kept on its own, and their sum never exceeds `total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenBudget {
    /// The instructions of the program.
    pub system: usize,
    /// The caller's instructions and the summary of older turns.
    pub brief: usize,
    /// Recent turns, word for word.
    pub turns: usize,
    /// Passages, entities and relations.
    pub retrieved: usize,
    /// The answer.
    pub completion: usize,
    /// All of it, the question and the marks of the messages included.
    pub total: usize,
}

impl Default for TokenBudget {
    fn default() -> Self {
        Self { system: 700, brief: 1_200, turns: 450, retrieved: 3_750, completion: 1_000, total: 8_000 }
    }
}

impl TokenBudget {
    /// Checks that the sections fit the total.
    ///
    /// # Errors
    /// `Configuration` with both numbers.
    pub fn validate(&self) -> Result<()> {
        let sections = self.system + self.brief + self.turns + self.retrieved + self.completion;
        if sections > self.total {
            let message = format!(
                "the sections of `answer.tokens` take {sections} tokens together, over the total of {}",
                self.total
            );
            return Err(
                Error::new(ErrorCode::Configuration, message).hint("raise `answer.tokens.total` or lower a section")
            );
        }
        Ok(())
    }
}

/// Tokens of a message with its marks.
#[must_use]
pub fn message_tokens(counter: &dyn TokenCounter, text: &str) -> usize {
    MESSAGE_TOKENS + counter.count(text)
}

/// Tokens of a whole prompt, as a provider counts them.
#[must_use]
pub fn prompt_tokens(counter: &dyn TokenCounter, messages: &[ChatMessage]) -> usize {
    REPLY_TOKENS + messages.iter().map(|message| message_tokens(counter, &message.plain())).sum::<usize>()
}

/// The longest beginning of `text` of at most `most` tokens, ending between words where it can. Idempotent.
#[must_use]
pub fn cut_to<'a>(counter: &dyn TokenCounter, text: &'a str, most: usize) -> &'a str {
    let mut kept = text.trim_end();
    if most == 0 {
        return "";
    }
    let mut aim = most;
    // A beginning can count a token more than its part of the whole; two or three rounds are the rule.
    while counter.count(kept) > most {
        let at = counter.cuts(kept, aim).first().copied().unwrap_or(kept.len() / 2);
        let part = kept.get(..kept.floor_char_boundary(at.min(kept.len().saturating_sub(1)))).unwrap_or_default();
        let word = part.rfind(char::is_whitespace).filter(|at| *at > part.len() / 2);
        kept = part.get(..word.unwrap_or(part.len())).unwrap_or_default().trim_end();
        aim = aim.saturating_sub(1).max(1);
    }
    kept
}
