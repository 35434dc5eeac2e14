//! Strings and their numbers, held in one arena. What the numbers mean is the graph's matter.

use std::hash::{BuildHasher, RandomState};

/// Marks an unused slot.
const FREE: u32 = u32::MAX;

/// Distinct strings numbered from 0 in order of insertion. Open addressing over one arena: 8 bytes a key and
/// its text, where a map of strings needs six times that.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyTable {
    arena: String,
    /// End of each key in the arena.
    ends: Vec<u32>,
    /// Numbers by hash; a power of two, at most half full.
    slots: Vec<u32>,
    hasher: RandomState,
}

impl KeyTable {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The key with this number; empty for an unknown one.
    pub(super) fn key(&self, number: u32) -> &str {
        let number = number as usize;
        let start = number.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let (Some(start), Some(end)) = (start, self.ends.get(number)) else {
            return "";
        };
        self.arena.get(start as usize..*end as usize).unwrap_or_default()
    }

    pub(super) fn find(&self, key: &str) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        self.slots.get(self.slot_of(key)).copied().filter(|number| *number != FREE)
    }

    /// The number of `key`, which is added if need be.
    pub(super) fn intern(&mut self, key: &str) -> u32 {
        if (self.ends.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let slot = self.slot_of(key);
        if let Some(number) = self.slots.get(slot).copied().filter(|number| *number != FREE) {
            return number;
        }
        let number = self.ends.len() as u32;
        self.arena.push_str(key);
        self.ends.push(self.arena.len() as u32);
        if let Some(free) = self.slots.get_mut(slot) {
            *free = number;
        }
        number
    }

    /// Gives back what growing by doubling took too much.
    pub(super) fn shrink(&mut self) {
        self.arena.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    /// The slot that holds `key`, or the free one where it belongs. The table is never full.
    fn slot_of(&self, key: &str) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = self.hasher.hash_one(key) as usize & mask;
        while let Some(number) = self.slots.get(slot).copied() {
            if number == FREE || self.key(number) == key {
                break;
            }
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(64);
        self.slots = vec![FREE; size];
        for number in 0..self.ends.len() as u32 {
            let slot = self.slot_of(self.key(number));
            if let Some(free) = self.slots.get_mut(slot) {
                *free = number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_stable_and_keys_come_back() {
        let mut table = KeyTable::default();
        assert_eq!(table.find("a"), None);
        for number in 0..1_000_u32 {
            assert_eq!(table.intern(&format!("key {number}")), number);
        }
        assert_eq!(table.intern("key 7"), 7);
        assert_eq!(table.find("key 999"), Some(999));
        assert_eq!(table.find("key 1000"), None);
        assert_eq!(table.key(41), "key 41");
        assert_eq!(table.key(1_000), "");
        assert_eq!(table.len(), 1_000);
    }

    #[test]
    fn the_empty_key_is_a_key() {
        let mut table = KeyTable::default();
        assert_eq!(table.intern(""), 0);
        assert_eq!(table.intern("x"), 1);
        assert_eq!(table.find(""), Some(0));
    }
}
