//! What an entity is, by votes of small cues: words of its name, the word before it, how it is defined.

use super::Occurrence;
use super::draft::Draft;
use super::words::{BEFORE_CUES, GIVEN_NAMES, MONTHS, NAME_CUES};

/// The word after `X is a …`.
pub(super) const DEFINED: u16 = 4;

/// A name that is known as a whole.
const CERTAIN: u16 = 12;

/// A word of the name, a form of address before it.
const STRONG: u16 = 3;

/// A given name.
const FAIR: u16 = 2;

/// A preposition of place before it.
const WEAK: u16 = 1;

/// Fewer votes leave the type unknown.
const ENOUGH: u16 = 2;

/// The types that cues can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Person,
    Organization,
    Location,
    Event,
    Work,
    Concept,
    Date,
}

impl Kind {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Person, "person"),
        (Self::Organization, "organization"),
        (Self::Location, "location"),
        (Self::Event, "event"),
        (Self::Work, "work"),
        (Self::Concept, "concept"),
        (Self::Date, "date"),
    ];

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }
}

/// Where in a name a cue counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    First,
    Last,
    Any,
    /// The whole name.
    Only,
}

impl Place {
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "first" => Some(Self::First),
            "last" => Some(Self::Last),
            "any" => Some(Self::Any),
            "only" => Some(Self::Only),
            _ => None,
        }
    }
}

/// Votes for each type.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Votes([u16; 7]);

impl Votes {
    pub(super) fn add(&mut self, kind: Kind, weight: u16) {
        if let Some(votes) = self.0.get_mut(kind as usize) {
            *votes = votes.saturating_add(weight);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(votes, more)| *votes = votes.saturating_add(more));
    }

    /// The type with most votes (the earlier one of equals), or `unknown`.
    pub(super) fn winner(self) -> &'static str {
        let mut best = ("unknown", ENOUGH - 1);
        for ((_, name), votes) in Kind::ALL.into_iter().zip(self.0) {
            if votes > best.1 {
                best = (name, votes);
            }
        }
        best.0
    }
}

/// Votes of the words of a name's key.
pub(super) fn read_name(key: &str) -> Votes {
    let mut votes = Votes::default();
    let words: Vec<&str> = key.split(' ').collect();
    for (at, word) in words.iter().enumerate() {
        let (first, last) = (at == 0, at + 1 == words.len());
        match NAME_CUES.get(word) {
            Some((kind, Place::First)) if first && !last => votes.add(*kind, STRONG),
            Some((kind, Place::Last)) if last && !first => votes.add(*kind, STRONG),
            Some((kind, Place::Only)) if first && last => votes.add(*kind, CERTAIN),
            Some((kind, Place::Any)) => votes.add(*kind, STRONG),
            _ => {}
        }
    }
    if (2..=4).contains(&words.len()) && words.first().is_some_and(|word| GIVEN_NAMES.contains(word)) {
        votes.add(Kind::Person, FAIR);
    }
    if words.iter().any(|word| MONTHS.contains(word)) && words.iter().any(|word| word.parse::<u32>().is_ok()) {
        votes.add(Kind::Date, STRONG);
    }
    votes
}

/// Votes of what stands around an occurrence.
pub(super) fn read_context(draft: &mut Draft<'_>, text: &str, occurrence: &Occurrence) {
    let before = text.get(..occurrence.span.start).unwrap_or_default().trim_end_matches([' ', '.', '"', '“', '\'']);
    let start = before.char_indices().rev().take(16).take_while(|(_, c)| c.is_alphanumeric()).last();
    let word = start.and_then(|(start, _)| before.get(start..)).unwrap_or_default();
    if let Some(kind) = BEFORE_CUES.get(word.to_lowercase().as_str()) {
        let weight = if *kind == Kind::Location { WEAK } else { STRONG };
        draft.vote(occurrence.entity, *kind, weight);
    }
    let after = text.get(occurrence.span.end..).unwrap_or_default();
    if [" (born", " (b.", " (died"].iter().any(|life| after.starts_with(life)) {
        draft.vote(occurrence.entity, Kind::Person, STRONG);
    }
}
