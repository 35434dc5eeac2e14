//! Packing evidence into a token budget: pure, in order, and never above the limit.
//!
//! Long text was counted when it was indexed. Short text (names, the question) is taken at one token per byte, which
//! no byte-pair vocabulary exceeds: so a query need not load one, which costs a tenth of a second at start.

use lorekeep_types::{EntityDetail, Evidence, RelationDetail, TokenCounter};

/// Tokens that the JSON around one entity, relation or passage takes at most, whatever its fields hold.
const FRAME: usize = 24;

/// Tokens kept free for joining the parts.
pub(super) const RESERVE: usize = 200;

/// Tokens of one entity as a line of context.
pub(super) fn entity_tokens(entity: &EntityDetail, tokens: &dyn TokenCounter) -> usize {
    FRAME + entity.name.len() + entity.kind.len() + described(entity.description_tokens, &entity.description, tokens)
}

/// Tokens of one relation as a line of context.
pub(super) fn relation_tokens(relation: &RelationDetail, tokens: &dyn TokenCounter) -> usize {
    FRAME
        + relation.source.1.len()
        + relation.target.1.len()
        + described(relation.description_tokens, &relation.description, tokens)
}

/// The count kept with the description, or a fresh one while it has not been embedded yet.
fn described(kept: u32, description: &str, tokens: &dyn TokenCounter) -> usize {
    if kept > 0 || description.is_empty() { kept as usize } else { tokens.count(description) }
}

/// Keeps the first items that fit `budget` together and returns what they take.
pub(super) fn keep_within<T>(items: &mut Vec<T>, budget: usize, cost: impl Fn(&T) -> usize) -> usize {
    let mut used = 0;
    let fitting = items
        .iter()
        .take_while(|item| {
            let next = used + cost(item);
            let fits = next <= budget;
            if fits {
                used = next;
            }
            fits
        })
        .count();
    items.truncate(fitting);
    used
}

/// Questions longer than this many bytes are counted exactly.
const LONG_QUESTION: usize = 2_000;

/// Tokens of the question, or a bound on them.
pub(super) fn question_tokens(question: &str, tokens: &dyn TokenCounter) -> usize {
    if question.len() <= LONG_QUESTION { question.len() } else { tokens.count(question) }
}

/// Tokens of one passage as a line of context.
pub(super) fn passage_tokens(passage: &Evidence) -> usize {
    // A line of context is JSON: each of these characters is written as two.
    let escaped = passage.chunk.chunk.text.bytes().filter(|byte| matches!(byte, b'"' | b'\\' | b'\n')).count();
    FRAME + escaped + passage.chunk.chunk.tokens as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_budget_is_never_exceeded(costs in prop::collection::vec(0_usize..500, 0..50), budget in 0_usize..5_000) {
            let mut kept = costs.clone();
            let used = keep_within(&mut kept, budget, |cost| *cost);
            prop_assert!(used <= budget);
            prop_assert_eq!(used, kept.iter().sum::<usize>());
            // The next one would not have fitted.
            if let Some(next) = costs.get(kept.len()) {
                prop_assert!(used + next > budget);
            }
        }
    }
}
