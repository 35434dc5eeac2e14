//! The words that join two names of a sentence.

use lorekeep_text::norm;

use super::words::{FUNCTION_WORDS, PRONOUNS, VERBS};

/// Most words of a verb phrase.
const MOST_WORDS: usize = 6;

/// Most words where no verb is known.
const MOST_OTHER_WORDS: usize = 5;

/// Longer stretches between two names say nothing about them, in bytes.
const LONGEST_BETWEEN: usize = 400;

/// The verb phrase in the words between two names: from the first verb on, without articles and the like at its
/// ends; where no verb is known, the words themselves. May be empty.
pub(super) fn read(between: &str) -> String {
    if between.len() > LONGEST_BETWEEN {
        return String::new();
    }
    let spoken = without_asides(between);
    let words: Vec<&str> = spoken
        .split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|word| word.chars().any(char::is_alphabetic))
        .collect();
    let verb = words.iter().position(|word| is_verb(word));
    let (from, most) = verb.map_or((0, MOST_OTHER_WORDS), |verb| (verb, MOST_WORDS));
    let mut kept: Vec<String> = words.iter().skip(from).take(most).map(|word| word.to_lowercase()).collect();
    while kept.last().is_some_and(|word| is_function_word(word)) {
        kept.pop();
    }
    let leading = kept.iter().take_while(|word| is_function_word(word)).count();
    kept.drain(..leading);
    kept.join(" ")
}

/// Whether an opening of a sentence points back to what the text is about: `He`, `Its`, `This` ….
pub(super) fn points_back(opening: &str) -> bool {
    opening.split_whitespace().next().is_some_and(|word| PRONOUNS.contains(norm(word).as_str()))
}

/// Leaves out what stands in parentheses.
fn without_asides(text: &str) -> String {
    let mut depth = 0_u32;
    let mut kept = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}

fn is_verb(word: &str) -> bool {
    if word.is_ascii() && (word.len() > 4 && (word.ends_with("ed") || word.ends_with("ing"))) {
        return true;
    }
    VERBS.contains(norm(word).as_str())
}

fn is_function_word(word: &str) -> bool {
    FUNCTION_WORDS.contains(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verb_phrases() {
        assert_eq!(read(" was founded by "), "was founded by");
        assert_eq!(read(", the older brother, who later studied medicine at the "), "studied medicine at");
        assert_eq!(read(" (born 1950) married the actor "), "married the actor");
        assert_eq!(read(" didirikan oleh "), "didirikan oleh");
        assert_eq!(read(", "), "");
        assert_eq!(read(" and the "), "");
        assert_eq!(read(" near "), "near");
    }

    #[test]
    fn pronouns_point_back() {
        assert!(points_back("He moved to ") && points_back("Its capital is "));
        assert!(!points_back("In ") && !points_back(""));
    }
}
