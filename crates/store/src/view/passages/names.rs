//! The keys of phrases, numbered. Keys are only ever added; writing the log anew drops those no longer used.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Distinct keys in one buffer, so that a hundred thousand of them cost no allocation each.
#[derive(Debug, Default)]
pub(in crate::view) struct Names {
    text: String,
    /// End of each key in `text`.
    ends: Vec<u32>,
    /// Number by hash; a colliding key takes the next free hash.
    numbers: HashMap<u64, u32>,
    hasher: RandomState,
}

impl Names {
    /// How many there are.
    pub(in crate::view) fn len(&self) -> u32 {
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }

    /// The key with this number; empty for an unknown one.
    pub(in crate::view) fn get(&self, number: u32) -> &str {
        let number = number as usize;
        let end = self.ends.get(number).copied().unwrap_or_default();
        let start = number.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        self.text.get(start as usize..end as usize).unwrap_or_default()
    }

    /// The number of a key.
    pub(in crate::view) fn find(&self, name: &str) -> Option<u32> {
        self.slot(name).1
    }

    /// The number of a key, given now if it has none.
    pub(in crate::view) fn intern(&mut self, name: &str) -> u32 {
        let (slot, found) = self.slot(name);
        if let Some(number) = found {
            return number;
        }
        let number = self.len();
        self.text.push_str(name);
        self.ends.push(u32::try_from(self.text.len()).unwrap_or(u32::MAX));
        self.numbers.insert(slot, number);
        number
    }

    fn slot(&self, name: &str) -> (u64, Option<u32>) {
        let mut slot = self.hasher.hash_one(name);
        while let Some(number) = self.numbers.get(&slot) {
            if self.get(*number) == name {
                return (slot, Some(*number));
            }
            slot = slot.wrapping_add(1);
        }
        (slot, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_stable_and_names_come_back() {
        let mut names = Names::default();
        assert_eq!([names.intern("manila"), names.intern("cebu"), names.intern("manila")], [0, 1, 0]);
        assert_eq!((names.get(0), names.get(1), names.get(2)), ("manila", "cebu", ""));
        assert_eq!((names.find("cebu"), names.find("davao"), names.len()), (Some(1), None, 2));
    }
}
