//! Completing a question that points back to earlier ones of the same conversation.

use std::borrow::Cow;

use lorekeep_text as text;

/// Earlier questions looked at, latest first.
const MOST_EARLIER: usize = 10;

/// The question to search for: `question`, and if it points back ("When was he born?") without naming anything
/// itself, the names of the latest earlier question that has any.
#[must_use]
pub fn complete<'a>(question: &'a str, history: &[String]) -> Cow<'a, str> {
    if !points_back(question) || !names(question).is_empty() {
        return Cow::Borrowed(question);
    }
    let earlier = history.iter().rev().take(MOST_EARLIER).map(|earlier| names(earlier));
    match earlier.into_iter().find(|names| !names.is_empty()) {
        Some(names) => Cow::Owned(format!("{question} ({})", names.join(", "))),
        None => Cow::Borrowed(question),
    }
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
        let history = ["Who founded Halden Mill?".to_owned(), "Is it still open?".to_owned()];
        assert_eq!(complete("When was he born?", &history), "When was he born? (Halden Mill)");
        assert_eq!(complete("When was Åke born?", &history), "When was Åke born?");
        assert_eq!(complete("How is steel made?", &history), "How is steel made?");
        assert_eq!(complete("When was he born?", &[]), "When was he born?");
    }
}
