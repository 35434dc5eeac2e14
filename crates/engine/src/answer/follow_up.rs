//! Completing a question that points back to earlier ones of the same conversation.

use std::borrow::Cow;

use lorekeep_text as text;
use lorekeep_types::{ChatRole, Turn};

/// Earlier questions looked at, latest first.
const MOST_EARLIER: usize = 10;

/// The question to search for: `question`, and if it points back ("When was he born?") without naming anything
/// itself, the names of the latest earlier question that has any.
#[must_use]
pub fn complete<'a>(question: &'a str, history: &[Turn]) -> Cow<'a, str> {
    if !points_back(question) || !names(question).is_empty() {
        return Cow::Borrowed(question);
    }
    let asked = history.iter().rev().filter(|turn| turn.role == ChatRole::User);
    let earlier = asked.take(MOST_EARLIER).map(|turn| names(&turn.content));
    match earlier.into_iter().find(|names| !names.is_empty()) {
        Some(names) => Cow::Owned(format!("{question} ({})", names.join(", "))),
        None => Cow::Borrowed(question),
    }
}

/// Openings of questions that only make sense after another one.
const CONTINUES: [&str; 8] = ["and ", "but ", "what about ", "how about ", "why", "und ", "et ", "y "];

/// A question of no more words than this, without a name, leans on the conversation.
const FEW_WORDS: usize = 4;

/// Whether a question seems to need the conversation before it to be understood.
#[must_use]
pub fn leans_on_history(question: &str, history: &[Turn]) -> bool {
    if history.is_empty() {
        return false;
    }
    let folded = text::fold(question);
    let short = text::norm_words(question).len() <= FEW_WORDS && names(question).is_empty();
    points_back(question) || short || CONTINUES.iter().any(|opening| folded.starts_with(opening))
}

fn points_back(question: &str) -> bool {
    text::norm_words(question).iter().any(|word| text::is_pronoun(word))
}

fn names(question: &str) -> Vec<&str> {
    let spans = text::capitalised_spans(question).into_iter().chain(text::quoted_spans(question));
    spans.filter_map(|span| question.get(span)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_that_points_back_takes_the_names_along() {
        let history = [
            Turn::asked("Who founded Halden Mill?"),
            Turn::answered("Åke Lind [1]."),
            Turn::asked("Is it still open?"),
        ];
        assert_eq!(complete("When was he born?", &history), "When was he born? (Halden Mill)");
        assert_eq!(complete("When was Åke born?", &history), "When was Åke born?");
        assert_eq!(complete("How is steel made?", &history), "How is steel made?");
        assert_eq!(complete("When was he born?", &[]), "When was he born?");
    }

    #[test]
    fn follow_ups_are_told_from_questions_of_their_own() {
        let history = [Turn::asked("Who founded Halden Mill?")];
        for question in ["When was he born?", "And its cost?", "Why?", "What about 1931?"] {
            assert!(leans_on_history(question, &history), "{question}");
            assert!(!leans_on_history(question, &[]), "{question}");
        }
        assert!(!leans_on_history("Which paper mills in Norway burned down in 1931?", &history));
    }
}
