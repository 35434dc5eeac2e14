//! Many short lists of numbers in two vectors.

/// `lists[i]` lies at `offsets[i]..offsets[i + 1]` of `items`.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    offsets: Vec<u32>,
    items: Vec<u32>,
}

impl Lists {
    /// Sorts `(list, item)` pairs, given twice in the same order, into `lists` lists.
    pub(super) fn collect<I: Iterator<Item = (u32, u32)>>(lists: usize, pairs: impl Fn() -> I) -> Self {
        let mut offsets = offsets(lists, pairs().map(|(list, _)| list));
        let mut items = vec![0; offsets.last().map_or(0, |end| *end as usize)];
        let mut next = offsets.clone();
        for (list, item) in pairs() {
            if let Some(at) = next.get_mut(list as usize) {
                if let Some(place) = items.get_mut(*at as usize) {
                    *place = item;
                }
                *at += 1;
            }
        }
        offsets.shrink_to_fit();
        Self { offsets, items }
    }

    /// A list; empty for an unknown one.
    pub(super) fn get(&self, list: u32) -> &[u32] {
        self.items.get(bounds(&self.offsets, list)).unwrap_or_default()
    }
}

/// Where each of `lists` lists begins, and the end of the last, when `members` names the list of every item.
pub(super) fn offsets(lists: usize, members: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut offsets = vec![0_u32; lists + 1];
    for list in members {
        if let Some(count) = offsets.get_mut(list as usize + 1) {
            *count += 1;
        }
    }
    let mut sum = 0;
    for offset in &mut offsets {
        sum += *offset;
        *offset = sum;
    }
    offsets
}

/// The place of a list.
pub(super) fn bounds(offsets: &[u32], list: u32) -> std::ops::Range<usize> {
    let at = list as usize;
    match (offsets.get(at), offsets.get(at + 1)) {
        (Some(start), Some(end)) => *start as usize..*end as usize,
        _ => 0..0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_become_lists_in_order() {
        let pairs = [(2, 9), (0, 4), (2, 7)];
        let lists = Lists::collect(3, || pairs.into_iter());
        assert_eq!(lists.get(0), [4]);
        assert!(lists.get(1).is_empty());
        assert_eq!(lists.get(2), [9, 7]);
        assert!(lists.get(3).is_empty());
    }
}
