//! The bytes of a [`Delta`]: variable-length integers, strings with their length. Reading refuses whatever
//! writing cannot have made.

use std::sync::Arc;

use super::{Delta, Passage, PhraseUse, VersionPassages};

/// Writes a delta.
pub(super) fn encode(delta: &Delta) -> Vec<u8> {
    let mut out = Vec::new();
    number(&mut out, delta.seq);
    list(&mut out, &delta.names, |out, name| text(out, name));
    list(&mut out, &delta.removed, |out, version| number(out, version.cast_unsigned()));
    list(&mut out, &delta.added, |out, added| version(out, added));
    list(&mut out, &delta.links, |out, (version, place, links)| {
        number(out, version.cast_unsigned());
        number(out, u64::from(*place));
        list(out, links, phrase);
    });
    out
}

fn version(out: &mut Vec<u8>, version: &VersionPassages) {
    number(out, version.version.cast_unsigned());
    text(out, version.language.as_deref().unwrap_or_default());
    list(out, &version.passages, |out, passage| {
        number(out, passage.chunk.cast_unsigned());
        for value in [passage.position, passage.exact, passage.folded, passage.diacritics.0, passage.diacritics.1] {
            number(out, u64::from(value));
        }
        list(out, &passage.mentions, phrase);
        list(out, &passage.links, phrase);
    });
}

fn phrase(out: &mut Vec<u8>, phrase: &PhraseUse) {
    number(out, u64::from(phrase.name));
    number(out, u64::from(phrase.count) << 1 | u64::from(phrase.own));
}

fn list<T>(out: &mut Vec<u8>, items: &[T], mut item: impl FnMut(&mut Vec<u8>, &T)) {
    number(out, items.len() as u64);
    for each in items {
        item(out, each);
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
fn number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads a delta back; `None` when the bytes are not one.
pub(super) fn decode(bytes: &[u8]) -> Option<Delta> {
    let mut input = Input(bytes);
    let delta = Delta {
        seq: input.number()?,
        names: input.list(Input::text)?,
        removed: input.list(|input| input.number().map(u64::cast_signed))?,
        added: input.list(|input| input.version().map(Arc::new))?,
        links: input.list(|input| Some((input.number()?.cast_signed(), input.small()?, input.phrases()?)))?,
    };
    input.0.is_empty().then_some(delta)
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = usize::try_from(self.number()?).ok()?;
        // Every item takes a byte at least, so a length beyond the input is a lie that must not be allocated for.
        if length > self.0.len() {
            return None;
        }
        let mut items = Vec::with_capacity(length);
        for _ in 0..length {
            items.push(item(self)?);
        }
        Some(items)
    }

    fn phrases(&mut self) -> Option<Box<[PhraseUse]>> {
        let phrases = self.list(|input| {
            let (name, packed) = (input.small()?, input.number()?);
            Some(PhraseUse { name, count: u32::try_from(packed >> 1).ok()?, own: packed & 1 == 1 })
        })?;
        Some(phrases.into_boxed_slice())
    }

    fn version(&mut self) -> Option<VersionPassages> {
        Some(VersionPassages {
            version: self.number()?.cast_signed(),
            language: Some(self.text()?).filter(|language| !language.is_empty()),
            passages: self.list(Self::passage)?,
        })
    }

    fn passage(&mut self) -> Option<Passage> {
        Some(Passage {
            chunk: self.number()?.cast_signed(),
            position: self.small()?,
            exact: self.small()?,
            folded: self.small()?,
            diacritics: (self.small()?, self.small()?),
            mentions: self.phrases()?,
            links: self.phrases()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn phrases() -> impl Strategy<Value = Box<[PhraseUse]>> {
        let phrase = (any::<u32>(), any::<u32>(), any::<bool>());
        let phrase = phrase.prop_map(|(name, count, own)| PhraseUse { name, count, own });
        vec(phrase, 0..4).prop_map(Vec::into_boxed_slice)
    }

    fn version() -> impl Strategy<Value = Arc<VersionPassages>> {
        let passage = (any::<i64>(), any::<[u32; 5]>(), phrases(), phrases()).prop_map(
            |(chunk, [position, exact, folded, marked, words], mentions, links)| Passage {
                chunk,
                position,
                exact,
                folded,
                diacritics: (marked, words),
                mentions,
                links,
            },
        );
        let language = proptest::option::of("[a-z]{2}");
        (any::<i64>(), language, vec(passage, 0..4))
            .prop_map(|(version, language, passages)| Arc::new(VersionPassages { version, language, passages }))
    }

    fn delta() -> impl Strategy<Value = Delta> {
        (
            any::<u64>(),
            vec(".{0,9}", 0..4),
            vec(any::<i64>(), 0..4),
            vec(version(), 0..3),
            vec((any::<i64>(), any::<u32>(), phrases()), 0..3),
        )
            .prop_map(|(seq, names, removed, added, links)| Delta { seq, names, removed, added, links })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_written_is_read(delta in delta()) {
            prop_assert_eq!(decode(&encode(&delta)), Some(delta));
        }

        #[test]
        fn foreign_bytes_are_refused_or_read_but_never_trusted(bytes in vec(any::<u8>(), 0..200)) {
            if let Some(delta) = decode(&bytes) {
                prop_assert_eq!(decode(&encode(&delta)), Some(delta));
            }
        }
    }
}
