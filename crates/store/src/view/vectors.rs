//! Vectors in memory: signed bytes in pages that snapshots share, so that a commit copies only what it touches.
//! Scanning is exact. Where vectors come from, and which row or ordinal they stand for, is the callers'.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use lorekeep_types::Vector;
use pulp::{Arch, Simd, WithSimd};

/// Rows per page.
const PAGE: usize = 512;

/// The row id of a free slot.
pub(super) const FREE: i64 = i64::MIN;

/// Rows `PAGE · n ..` of a set.
#[derive(Clone, Debug, Default)]
struct Page {
    scales: Vec<f32>,
    bytes: Vec<i8>,
}

/// Vectors of one length by row id. Cloning shares the pages.
#[derive(Clone, Debug, Default)]
pub(super) struct VectorSet {
    dimensions: usize,
    pages: Vec<Arc<Page>>,
    /// Row id by slot, [`FREE`] for a free one.
    rows: Arc<Vec<i64>>,
    /// Slot by row id.
    slots: Arc<HashMap<i64, u32>>,
    /// Free slots.
    free: Vec<u32>,
}

impl VectorSet {
    /// How many vectors there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Row id by slot, [`FREE`] for a free one.
    pub(super) fn rows(&self) -> &[i64] {
        &self.rows
    }

    /// Cosine of the vector of `row` with those of `others`; 0 where one of the two has none.
    pub(super) fn cosines(&self, row: i64, others: &[i64]) -> Vec<f32> {
        let Some((own, own_scale)) = self.of(row) else { return vec![0.0; others.len()] };
        let cosine = |other: &i64| {
            let Some((other, scale)) = self.of(*other) else { return 0.0 };
            let sum: i32 = own.iter().zip(other).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum();
            #[expect(clippy::cast_precision_loss, reason = "24 bits of the sum are plenty")]
            let sum = sum as f32;
            sum * own_scale * scale
        };
        others.iter().map(cosine).collect()
    }

    /// The bytes of a row and their scale.
    fn of(&self, row: i64) -> Option<(&[i8], f32)> {
        let slot = *self.slots.get(&row)? as usize;
        let page = self.pages.get(slot / PAGE)?;
        let bytes = page.bytes.chunks_exact(self.dimensions).nth(slot % PAGE)?;
        Some((bytes, *page.scales.get(slot % PAGE)?))
    }

    /// Sets the vector of a row. One of another length than those present is passed over: it cannot be compared.
    pub(super) fn put(&mut self, row: i64, vector: &Vector) {
        if self.slots.is_empty() {
            *self = Self { dimensions: vector.bytes.len(), ..Self::default() };
        }
        if vector.bytes.len() != self.dimensions || self.dimensions == 0 {
            return;
        }
        let slot = self.slots.get(&row).copied().unwrap_or_else(|| self.take_slot(row));
        let (page, place) = (slot as usize / PAGE, slot as usize % PAGE);
        let dimensions = self.dimensions;
        let Some(page) = self.pages.get_mut(page).map(Arc::make_mut) else { return };
        if let Some(scale) = page.scales.get_mut(place) {
            *scale = vector.scale;
        }
        if let Some(bytes) = page.bytes.get_mut(place * dimensions..(place + 1) * dimensions) {
            bytes.copy_from_slice(&vector.bytes);
        }
    }

    /// Forgets a row.
    pub(super) fn remove(&mut self, row: i64) {
        let Some(slot) = Arc::make_mut(&mut self.slots).remove(&row) else { return };
        if let Some(entry) = Arc::make_mut(&mut self.rows).get_mut(slot as usize) {
            *entry = FREE;
        }
        self.free.push(slot);
    }

    fn take_slot(&mut self, row: i64) -> u32 {
        let rows = Arc::make_mut(&mut self.rows);
        let slot = self.free.pop().unwrap_or_else(|| {
            rows.push(FREE);
            u32::try_from(rows.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(entry) = rows.get_mut(slot as usize) {
            *entry = row;
        }
        Arc::make_mut(&mut self.slots).insert(row, slot);
        let (page, place) = (slot as usize / PAGE, slot as usize % PAGE);
        if page == self.pages.len() {
            self.pages.push(Arc::new(Page::default()));
        }
        if let Some(page) = self.pages.get_mut(page).map(Arc::make_mut) {
            let count = page.scales.len().max(place + 1);
            page.scales.resize(count, 0.0);
            page.bytes.resize(count * self.dimensions, 0);
        }
        slot
    }

    /// Whether there are vectors and `query` is as long as they are.
    pub(super) fn compares_with(&self, query: &[f32]) -> bool {
        self.len() > 0 && query.len() == self.dimensions
    }

    /// Calls `found` with every slot and its cosine with `query`, which has length 1. Nothing is called when the
    /// lengths differ. Free slots are called too, with whatever lies there.
    pub(super) fn scan(&self, query: &[f32], mut found: impl FnMut(usize, f32)) {
        if !self.compares_with(query) {
            return;
        }
        let (query, scale) = fixed(query);
        let mut sums = Vec::with_capacity(PAGE);
        for (number, page) in self.pages.iter().enumerate() {
            sums.clear();
            Arch::new().dispatch(Products { rows: &page.bytes, query: &query, sums: &mut sums });
            for (place, (sum, row_scale)) in sums.iter().zip(&page.scales).enumerate() {
                #[expect(clippy::cast_precision_loss, reason = "24 bits of a 31-bit sum are plenty")]
                let cosine = *sum as f32 * scale * row_scale;
                found(number * PAGE + place, cosine);
            }
        }
    }

    /// The `limit` rows nearest to `query` with a cosine of at least `least`, best first, ties by row id.
    pub(super) fn nearest(&self, query: &[f32], limit: usize, least: f32) -> Vec<(i64, f32)> {
        let mut best: BinaryHeap<Candidate> = BinaryHeap::with_capacity(limit.min(self.len()) + 1);
        self.scan(query, |slot, cosine| {
            let row = self.rows.get(slot).copied().unwrap_or(FREE);
            if row == FREE || cosine < least || limit == 0 {
                return;
            }
            let candidate = Candidate { cosine, row };
            if best.len() < limit {
                best.push(candidate);
            } else if best.peek().is_some_and(|worst| candidate < *worst) {
                best.pop();
                best.push(candidate);
            }
        });
        best.into_sorted_vec().into_iter().map(|candidate| (candidate.row, candidate.cosine)).collect()
    }
}

/// Ordered so that the greatest is the worst.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Candidate {
    cosine: f32,
    row: i64,
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        other.cosine.total_cmp(&self.cosine).then(self.row.cmp(&other.row))
    }
}

/// The query as integers of up to 15 bits and the factor back, such that no sum over a row can overflow.
#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "scaled into the range of i16 first")]
fn fixed(query: &[f32]) -> (Vec<i16>, f32) {
    let largest = query.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    if largest <= 0.0 || !largest.is_finite() {
        return (vec![0; query.len()], 0.0);
    }
    // Each product is below 128 · range, and a row sums one product per dimension into 31 bits.
    let range = (i32::MAX as f32 / (129.0 * query.len() as f32)).min(32_000.0);
    let scale = largest / range;
    (query.iter().map(|value| (value / scale).round() as i16).collect(), scale)
}

/// The products of a query with every row of a page.
struct Products<'a> {
    rows: &'a [i8],
    query: &'a [i16],
    sums: &'a mut Vec<i32>,
}

impl WithSimd for Products<'_> {
    type Output = ();

    /// Integer sums may be reordered, so the loop is vectorised without any word from us, for the processor that the
    /// dispatch compiles this for. All of it must be inlined there, which adaptors of iterators were not.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for row in self.rows.chunks_exact(self.query.len()) {
            let mut sum = 0;
            for (a, b) in row.iter().zip(self.query) {
                sum += i32::from(*a) * i32::from(*b);
            }
            self.sums.push(sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn unit(values: &[f32]) -> Vec<f32> {
        let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
        values.iter().map(|value| if length > 0.0 { value / length } else { 0.0 }).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn scans_agree_with_plain_dot_products_after_any_edits(
            edits in vec((0_i64..40, proptest::option::weighted(0.7, vec(-1.0_f32..1.0, 33))), 1..120),
            query in vec(-1.0_f32..1.0, 33),
        ) {
            let query = unit(&query);
            let mut set = VectorSet::default();
            let mut plain = std::collections::BTreeMap::new();
            for (row, values) in edits {
                if let Some(values) = values {
                    let vector = Vector::quantise(&unit(&values));
                    set.put(row, &vector);
                    plain.insert(row, vector.dot(&query));
                } else {
                    set.remove(row);
                    plain.remove(&row);
                }
            }
            let found = set.nearest(&query, 100, -2.0);
            prop_assert_eq!(found.len(), plain.len());
            prop_assert!(found.windows(2).all(|pair| pair[0].1 >= pair[1].1));
            for (row, cosine) in &found {
                prop_assert!((cosine - plain[row]).abs() < 1e-3);
            }
            let few = set.nearest(&query, 3, 0.1);
            prop_assert_eq!(&few[..], &found.iter().copied().filter(|near| near.1 >= 0.1).take(3).collect::<Vec<_>>()[..]);
        }
    }

    #[test]
    fn a_vector_of_another_length_is_passed_over() {
        let mut set = VectorSet::default();
        set.put(1, &Vector::quantise(&[1.0, 0.0]));
        set.put(2, &Vector::quantise(&[1.0, 0.0, 0.0]));
        assert_eq!(set.len(), 1);
        assert!(set.nearest(&[1.0, 0.0, 0.0], 5, 0.0).is_empty());
        set.remove(1);
        set.put(2, &Vector::quantise(&[1.0, 0.0, 0.0]));
        assert_eq!(set.nearest(&[1.0, 0.0, 0.0], 5, 0.0).first().map(|near| near.0), Some(2));
    }

    #[test]
    fn a_shared_set_does_not_change() {
        let mut set = VectorSet::default();
        set.put(1, &Vector::quantise(&[1.0, 0.0]));
        let before = set.clone();
        set.put(1, &Vector::quantise(&[0.0, 1.0]));
        set.put(2, &Vector::quantise(&[1.0, 0.0]));
        assert_eq!(before.nearest(&[1.0, 0.0], 5, -1.0).len(), 1);
        assert!(before.nearest(&[1.0, 0.0], 5, 0.9).len() == 1);
    }

    #[test]
    fn long_rows_do_not_overflow() {
        let length = 4_096;
        let mut set = VectorSet::default();
        set.put(1, &Vector { scale: 1.0 / 127.0, bytes: vec![127; length] });
        let query = vec![1.0; length];
        let near = set.nearest(&query, 1, 0.0);
        assert!(near.first().is_some_and(|near| (near.1 - 4_096.0).abs() < 4.0));
    }
}
