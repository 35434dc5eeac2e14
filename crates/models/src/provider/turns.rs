//! Conversations as some wires want them: system messages apart, and the two sides taking turns.

use lorekeep_types::{ChatMessage, ChatRole, Part};

/// What one side says before the other does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn<'a> {
    /// `User` or `Assistant`.
    pub role: ChatRole,
    /// At least one part.
    pub parts: Vec<&'a Part>,
}

/// The text of all system messages, wherever they stand, separated by empty lines; empty without any. Pictures in
/// them are left out.
#[must_use]
pub fn system(messages: &[ChatMessage]) -> String {
    let said = messages.iter().filter(|message| message.role == ChatRole::System).map(ChatMessage::plain);
    said.filter(|text| !text.trim().is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// All other messages; those of one side that follow each other are one turn. Blank texts, which such wires refuse,
/// are left out, and messages of nothing else with them.
#[must_use]
pub fn turns(messages: &[ChatMessage]) -> Vec<Turn<'_>> {
    let mut turns: Vec<Turn<'_>> = Vec::new();
    for message in messages.iter().filter(|message| message.role != ChatRole::System) {
        let parts = message.parts.iter().filter(|part| !is_blank(part));
        // What a tool gave back is said to the model.
        let role = if message.role == ChatRole::Tool { ChatRole::User } else { message.role };
        match turns.last_mut() {
            Some(turn) if turn.role == role => turn.parts.extend(parts),
            _ => turns.push(Turn { role, parts: parts.collect() }),
        }
        if turns.last().is_some_and(|turn| turn.parts.is_empty()) {
            turns.pop();
        }
    }
    turns
}

fn is_blank(part: &Part) -> bool {
    matches!(part, Part::Text(text) if text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles_and_sizes(messages: &[ChatMessage]) -> Vec<(ChatRole, usize)> {
        turns(messages).into_iter().map(|turn| (turn.role, turn.parts.len())).collect()
    }

    #[test]
    fn the_sides_take_turns() {
        let say = ChatMessage::text;
        let messages = [
            say(ChatRole::User, "one"),
            say(ChatRole::System, "rule"),
            say(ChatRole::User, "two"),
            say(ChatRole::Assistant, "three"),
            say(ChatRole::Assistant, "four"),
            say(ChatRole::System, "another rule"),
            say(ChatRole::User, "five"),
        ];
        let expected = [(ChatRole::User, 2), (ChatRole::Assistant, 2), (ChatRole::User, 1)];
        assert_eq!(roles_and_sizes(&messages), expected);
        assert_eq!(system(&messages), "rule\n\nanother rule");
    }

    #[test]
    fn blank_messages_are_left_out_and_their_neighbours_meet() {
        let say = ChatMessage::text;
        let messages = [
            say(ChatRole::Assistant, " "),
            say(ChatRole::User, "one"),
            say(ChatRole::Assistant, "\n"),
            say(ChatRole::User, "two"),
            say(ChatRole::System, ""),
        ];
        assert_eq!(roles_and_sizes(&messages), [(ChatRole::User, 2)]);
        assert_eq!(system(&messages), "");
    }
}
