//! A conversation inside a budget: the latest turns word for word, the older ones shortened.

use lorekeep_text as text;
use lorekeep_types::{ChatRole, TokenCounter, Turn};

use super::budget::{cut_to, message_tokens};

/// A conversation in two parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split<'a> {
    /// What does not fit, oldest first.
    pub older: &'a [Turn],
    /// What fits `most` tokens, marks of the messages included; oldest first.
    pub recent: &'a [Turn],
}

/// Takes the latest turns that fit `most` tokens together; never part of a turn.
#[must_use]
pub fn split<'a>(counter: &dyn TokenCounter, turns: &'a [Turn], most: usize) -> Split<'a> {
    let mut used = 0;
    let fitting = turns.iter().rev().take_while(|turn| {
        used += message_tokens(counter, &turn.content);
        used <= most
    });
    let (older, recent) = turns.split_at(turns.len() - fitting.count());
    Split { older, recent }
}

/// Turns as lines `Question: …` and `Answer: …`, without citation marks.
#[must_use]
pub fn lines(turns: &[Turn]) -> Vec<String> {
    let line = |turn: &Turn| {
        let who = if turn.role == ChatRole::Assistant { "Answer" } else { "Question" };
        let said = text::without_citations(&turn.content).split_whitespace().collect::<Vec<_>>().join(" ");
        // Where a mark stood before the end of a sentence, a space is left.
        let said = said.replace(" .", ".").replace(" ,", ",");
        format!("{who}: {said}")
    };
    turns.iter().map(line).collect()
}

/// Shortens turns without a model to at most `most` tokens: the latest turns count most, and of each the first sentence.
#[must_use]
pub fn extract(counter: &dyn TokenCounter, turns: &[Turn], most: usize) -> String {
    let mut kept: Vec<String> = Vec::new();
    for line in lines(turns).into_iter().rev() {
        let first = text::sentences(&line).first().and_then(|span| line.get(span.clone())).map(str::to_owned);
        let next = first.unwrap_or(line);
        kept.push(next);
        let joined = joined(&kept);
        if counter.count(&joined) > most {
            let whole = kept.pop().unwrap_or_default();
            let left = most.saturating_sub(counter.count(&self::joined(&kept)) + 1);
            let part = cut_to(counter, &whole, left);
            if !part.is_empty() {
                kept.push(part.to_owned());
            }
            break;
        }
    }
    cut_to(counter, &joined(&kept), most).to_owned()
}

/// Kept lines, which are latest first, in the order in which they were said.
fn joined(kept: &[String]) -> String {
    kept.iter().rev().map(String::as_str).collect::<Vec<_>>().join("\n")
}
