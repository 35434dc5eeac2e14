//! Whether the names of two entities are worth a model's look: a first, cheap sieve that lets most of what is the same
//! through and keeps nearly all else back.

use std::collections::{HashMap, HashSet};

use lorekeep_types::Comparable;

use super::alias::abbreviates;

/// Cosine of two entities' vectors, made of name and description, from which on a short form and the name that it abbreviates
/// may mean one thing: letters alone say little to an embedder, so that descriptions must not lead elsewhere, no more.
const SHORT_FORM: f32 = 0.0;

/// The same for names that are spelt alike.
const SAME_NAME: f32 = 0.4;

/// The same where one name holds all words of the other and may be its fuller form.
const FULLER_FORM: f32 = 0.7;

/// Part of the letters that two spellings of one name share: 1 less the edits a letter.
const SAME_SPELLING: f64 = 0.85;

/// Words and beginnings of words that more entities share tell nothing.
const COMMON: usize = 64;

/// Letters of a word that two spellings of it have in common.
const BEGINNING: usize = 4;

/// The least cosine with which these entities may be one; `None` when their names are of different things.
pub(crate) fn least_cosine(a: &Comparable, b: &Comparable) -> Option<f32> {
    // Dates and figures that are written differently are different, and so are things of two kinds.
    let is_date = a.kind == "date" || b.kind == "date";
    if is_date || !are_of_one_kind(&a.kind, &b.kind) || numbers(&a.key) != numbers(&b.key) {
        return None;
    }
    if abbreviates(&a.name, &b.name) || abbreviates(&b.name, &a.name) {
        return Some(SHORT_FORM);
    }
    if strsim::normalized_damerau_levenshtein(&a.key, &b.key) >= SAME_SPELLING {
        return Some(SAME_NAME);
    }
    (holds(&a.key, &b.key) || holds(&b.key, &a.key)).then_some(FULLER_FORM)
}

fn are_of_one_kind(a: &str, b: &str) -> bool {
    let is_open = |kind: &str| matches!(kind, "unknown" | "other" | "");
    a == b || is_open(a) || is_open(b)
}

/// Whether a key holds all words of another.
fn holds(long: &str, short: &str) -> bool {
    let words: HashSet<&str> = long.split(' ').collect();
    short.split(' ').all(|word| words.contains(word))
}

/// The words of a key that hold digits.
fn numbers(key: &str) -> Vec<&str> {
    let mut numbers: Vec<&str> = key.split(' ').filter(|word| word.chars().any(char::is_numeric)).collect();
    numbers.sort_unstable();
    numbers
}

/// Entities by what names that may be alike have in common: words, beginnings of words, initials.
pub(crate) struct Names<'a> {
    entities: &'a [Comparable],
    places: HashMap<String, Vec<usize>>,
}

impl<'a> Names<'a> {
    pub(crate) fn of(entities: &'a [Comparable]) -> Self {
        let mut places: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, entity) in entities.iter().enumerate() {
            for sign in signs(&entity.key) {
                places.entry(sign).or_default().push(place);
            }
        }
        Self { entities, places }
    }

    /// The entities whose names may mean the same as that of one, each with the least cosine, in order.
    pub(crate) fn like(&self, entity: &Comparable) -> Vec<(&'a Comparable, f32)> {
        let shared = signs(&entity.key).filter_map(|sign| self.places.get(&sign));
        let mut near: Vec<usize> = shared.filter(|places| places.len() <= COMMON).flatten().copied().collect();
        near.sort_unstable();
        near.dedup();
        let others =
            near.into_iter().filter_map(|place| self.entities.get(place)).filter(|other| other.id != entity.id);
        others.filter_map(|other| Some((other, least_cosine(entity, other)?))).collect()
    }
}

/// What two keys share when they may be of one thing.
fn signs(key: &str) -> impl Iterator<Item = String> {
    let words: Vec<&str> = key.split(' ').collect();
    let initials: String = words.iter().filter_map(|word| word.chars().next()).collect();
    let beginnings = words.iter().filter(|word| word.chars().count() > BEGINNING);
    let mut signs: Vec<String> = beginnings.map(|word| word.chars().take(BEGINNING).chain(['…']).collect()).collect();
    signs.extend(words.iter().map(|word| (*word).to_owned()));
    if words.len() > 1 {
        signs.push(initials);
    }
    signs.sort_unstable();
    signs.dedup();
    signs.into_iter()
}

#[cfg(test)]
mod tests {
    use lorekeep_types::EntityId;

    use super::*;

    fn entity(id: i64, name: &str, kind: &str) -> Comparable {
        let key = lorekeep_text::norm(name);
        Comparable { id: EntityId(id), key, name: name.to_owned(), kind: kind.to_owned(), compared: false }
    }

    fn least(a: &str, b: &str) -> Option<f32> {
        least_cosine(&entity(1, a, "unknown"), &entity(2, b, "person"))
    }

    #[test]
    fn names_that_are_worth_a_look() {
        assert_eq!(least("United Nations", "UN"), Some(SHORT_FORM));
        assert_eq!(least("Mohammad Ali", "Muhammad Ali"), Some(SAME_NAME));
        assert_eq!(least("Obama", "Barack Obama"), Some(FULLER_FORM));
        assert_eq!(least("Apollo 11", "Apollo 13").or(least("Apollo", "Apollo 13")), None);
        assert_eq!(least("Hanoi", "Saigon").or(least("Paris", "Poland")), None);
        assert_eq!(least_cosine(&entity(1, "May", "date"), &entity(2, "May Day", "event")), None);
        assert_eq!(least_cosine(&entity(1, "Paris", "location"), &entity(2, "Paris Match", "work")), None);
    }

    #[test]
    fn names_like_one_are_found_among_many() {
        let names = ["United Nations", "UN", "Barack Obama", "Gorbachev", "Mikhail Gorbachov", "Gorbachov", "Oslo"];
        let entities: Vec<Comparable> = (1..).zip(names).map(|(id, name)| entity(id, name, "unknown")).collect();
        let all = Names::of(&entities);
        let like = |name: &str| {
            let found = all.like(entities.iter().find(|entity| entity.name == name).unwrap_or(&entities[0]));
            found.into_iter().map(|(entity, _)| entity.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(like("UN"), ["United Nations"]);
        assert_eq!(like("United Nations"), ["UN"]);
        assert_eq!(like("Gorbachov"), ["Gorbachev", "Mikhail Gorbachov"]);
        assert!(like("Oslo").is_empty());
    }
}
