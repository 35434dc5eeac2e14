//! Which of the question's terms each chunk holds, and how much of the question that is.

/// Terms beyond this number are scored but not remembered by chunk.
const MOST_TERMS: usize = 64;

/// The terms of every chunk as bits, and what each term is worth.
#[derive(Default)]
pub(super) struct Coverage {
    held: Vec<u64>,
    /// ln(1 + (N − df + .5)/(df + .5)) by term.
    weights: Vec<f32>,
}

impl Coverage {
    pub(super) fn with_chunks(chunks: usize) -> Self {
        Self { held: vec![0; chunks], weights: Vec::new() }
    }

    /// Records the next term and the chunks that hold it.
    pub(super) fn push(&mut self, chunks: impl ExactSizeIterator<Item = u32>) {
        let term = self.weights.len();
        if term >= MOST_TERMS {
            return;
        }
        let (total, frequency) = (self.held.len() as f32, chunks.len() as f32);
        self.weights.push((1.0 + (total - frequency + 0.5) / (frequency + 0.5)).ln());
        for chunk in chunks {
            if let Some(held) = self.held.get_mut(chunk as usize) {
                *held |= 1 << term;
            }
        }
    }

    /// The terms of a chunk.
    pub(super) fn terms_of(&self, chunk: u32) -> u64 {
        self.held.get(chunk as usize).copied().unwrap_or_default()
    }

    /// Share of the question's weight that these terms have, 0..1.
    pub(super) fn share(&self, terms: u64) -> f32 {
        let total: f32 = self.weights.iter().sum();
        let held = self.weights.iter().enumerate().filter(|(term, _)| terms & (1 << term) != 0);
        held.map(|(_, weight)| weight).sum::<f32>() / total.max(f32::MIN_POSITIVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_terms_cover_more() {
        let mut coverage = Coverage::with_chunks(10);
        coverage.push([0, 1, 2, 3].into_iter());
        coverage.push([1].into_iter());
        assert_eq!(coverage.terms_of(1), 0b11);
        assert_eq!((coverage.share(0), coverage.share(0b11)), (0.0, 1.0));
        assert!(coverage.share(0b10) > 0.5 && coverage.share(0b01) < 0.5);
        for _ in 0..100 {
            coverage.push([2].into_iter());
        }
        assert!(coverage.share(u64::MAX) <= 1.0 + f32::EPSILON);
    }
}
