//! Names that a document equates: `Long Name (LN)`, `LN (Long Name)`, `X, also known as Y`.

use lorekeep_text::norm;

use super::Occurrence;
use super::draft::Draft;
use super::words::ALIAS_CUES;

/// Shortest and longest abbreviation, in characters.
const ABBREVIATION: std::ops::RangeInclusive<usize> = 2..=10;

/// Longest text between two names that equates them, in bytes.
const LONGEST_BETWEEN: usize = 48;

/// Tells the draft which neighbouring names are one.
pub(super) fn read(draft: &mut Draft<'_>, text: &str, occurrences: &[Occurrence]) {
    for pair in occurrences.windows(2) {
        let [first, second] = pair else { continue };
        let Some(between) = text.get(first.span.end..second.span.start) else { continue };
        if first.entity == second.entity || between.len() > LONGEST_BETWEEN {
            continue;
        }
        let name = |occurrence: &Occurrence| text.get(occurrence.span.clone()).unwrap_or_default();
        let after = text.get(second.span.end..).unwrap_or_default();
        let enclosed = between == " (" && after.starts_with(')');
        if enclosed && abbreviates(name(second), name(first)) {
            draft.equate(second.entity, first.entity);
        } else if enclosed && abbreviates(name(first), name(second)) {
            draft.equate(first.entity, second.entity);
        } else if between.contains(' ') && ALIAS_CUES.contains(norm(between).as_str()) {
            draft.equate(second.entity, first.entity);
        }
    }
}

/// Whether `short` is made of the initials of `long`: of all its words, or of those that begin with a capital.
pub(super) fn abbreviates(short: &str, long: &str) -> bool {
    let letters: String = short.chars().filter(|c| c.is_alphanumeric()).collect();
    let capitals = letters.chars().filter(|c| c.is_uppercase()).count();
    let length = letters.chars().count();
    if !ABBREVIATION.contains(&length) || capitals < 2 || capitals * 2 < length {
        return false;
    }
    let words = || long.split(|c: char| !c.is_alphanumeric()).filter_map(|word| word.chars().next());
    let all: String = words().collect();
    let capitalised: String = words().filter(|c| c.is_uppercase()).collect();
    let same = |initials: &str| initials.chars().count() > 1 && initials.to_lowercase() == letters.to_lowercase();
    same(&all) || same(&capitalised)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn initials() {
        assert!(abbreviates("NASA", "National Aeronautics and Space Administration"));
        assert!(abbreviates("U.N.", "United Nations"));
        assert!(abbreviates("UoP", "University of Porto"));
        assert!(!abbreviates("Paris", "United Nations"));
        assert!(!abbreviates("UN", "United States"));
        assert!(!abbreviates("X", "Xenon"));
    }
}
