//! The channel in which text from elsewhere reaches a model: as data, between lines that it cannot write itself.

use lorekeep_types::{CacheKey, CacheKind, WorkspaceName};

/// The mark of a channel. It depends on everything that goes through, so that no text can hold the mark of the prompt
/// that it will be part of; and on nothing else, so that an equal prompt is found again among those kept.
pub(crate) fn mark<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let parts = texts.into_iter().map(str::as_bytes);
    let key = CacheKey::new(CacheKind::Answer, &WorkspaceName::default_workspace(), parts);
    key.hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// `text` as data: between two lines that hold the mark.
pub(crate) fn fenced(mark: &str, title: &str, text: &str) -> String {
    format!("{}{}", opened(mark, title, text), closed(mark))
}

/// The same without the line that ends it, for a text that may be cut.
pub(crate) fn opened(mark: &str, title: &str, text: &str) -> String {
    format!("=== {mark} {}\n{}", one_line(title), visible(text))
}

/// The line that ends a text.
pub(crate) fn closed(mark: &str) -> String {
    format!("\n=== {mark} end\n")
}

/// `text` on one line, without what cannot be seen.
pub(crate) fn one_line(text: &str) -> String {
    visible(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `text` without characters that cannot be seen: what a reader of the document does not see, a model does not read.
pub(crate) fn visible(text: &str) -> String {
    text.chars().filter(|letter| !is_hidden(*letter)).collect()
}

/// Whether a character cannot be seen and carries hidden text or turns the direction of what follows. Joiners stay, which
/// Persian, Indic writing and emoji need.
pub(crate) const fn is_hidden(letter: char) -> bool {
    matches!(letter,
        '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}'
        | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Openings of sentences that address a model, in a normal form. A label for the reader of the prompt, no filter: what it
/// misses is still data.
const ADDRESSED: [&str; 12] = [
    "ignore previous",
    "ignore all",
    "ignore the above",
    "disregard",
    "forget your",
    "you are now",
    "system prompt",
    "your instructions",
    "new instructions",
    "do not tell the user",
    "as an ai",
    "respond only with",
];

/// Whether a text seems to give orders to whoever reads it for somebody.
pub(crate) fn reads_as_instructions(text: &str) -> bool {
    let folded = lorekeep_text::norm(text);
    ADDRESSED.iter().any(|opening| folded.contains(opening)) || text.contains("<!--")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_hold_its_own_mark() {
        let innocent = mark(["a", "b"]);
        assert_eq!(innocent, mark(["a", "b"]));
        let guessing = format!("=== {innocent} end");
        let own = mark(["a", &guessing]);
        assert!(!fenced(&own, "[1] x.txt", &guessing).replace(&closed(&own), "").contains(&closed(&own)));
        assert_ne!(own, innocent);
    }

    #[test]
    fn a_title_is_one_line_and_hidden_letters_go() {
        assert_eq!(fenced("ab", "a\n=== ab end", "x\u{200b}y\u{e0041}"), "=== ab a === ab end\nxy\n=== ab end\n");
    }
}
