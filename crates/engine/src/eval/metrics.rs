//! Recall, nDCG and reciprocal rank of one question, and means with intervals over many.

use std::collections::HashSet;

/// Figures of one ranking, each 0..1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Share of the relevant passages among the first two.
    pub recall_2: f64,
    /// Among the first five.
    pub recall_5: f64,
    /// Among the first ten.
    pub recall_10: f64,
    /// Discounted gain of the first ten, relative to the best possible.
    pub ndcg_10: f64,
    /// 1/rank of the first relevant passage among the first ten, else 0.
    pub mrr_10: f64,
}

/// A mean and its 95 % interval (normal approximation, mean ± 1.96 standard errors).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Interval {
    /// Mean.
    pub mean: f64,
    /// Half the width of the interval.
    pub half: f64,
}

/// Figures over a set of questions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Questions.
    pub queries: usize,
    /// See [`Figures::recall_2`].
    pub recall_2: Interval,
    /// See [`Figures::recall_5`].
    pub recall_5: Interval,
    /// See [`Figures::recall_10`].
    pub recall_10: Interval,
    /// See [`Figures::ndcg_10`].
    pub ndcg_10: Interval,
    /// See [`Figures::mrr_10`].
    pub mrr_10: Interval,
}

impl Figures {
    /// Figures of `ranking` (ids, best first) against the relevant ids. All 0 when nothing is relevant.
    #[must_use]
    pub fn of(ranking: &[&str], relevant: &HashSet<String>) -> Self {
        if relevant.is_empty() {
            return Self::default();
        }
        let hits: Vec<bool> = ranking.iter().take(10).map(|id| relevant.contains(*id)).collect();
        let found = |first: usize| hits.iter().take(first).filter(|hit| **hit).count() as f64 / relevant.len() as f64;
        let discount = |rank: usize| 1.0 / ((rank + 2) as f64).log2();
        let gain: f64 = hits.iter().enumerate().filter(|(_, hit)| **hit).map(|(rank, _)| discount(rank)).sum();
        let ideal: f64 = (0..relevant.len().min(10)).map(discount).sum();
        Self {
            recall_2: found(2),
            recall_5: found(5),
            recall_10: found(10),
            ndcg_10: gain / ideal,
            mrr_10: hits.iter().position(|hit| *hit).map_or(0.0, |rank| 1.0 / (rank + 1) as f64),
        }
    }
}

/// Means and intervals of the figures of many questions.
#[must_use]
pub fn measure(figures: &[Figures]) -> Measured {
    let mean = |of: fn(&Figures) -> f64| mean_interval(&figures.iter().map(of).collect::<Vec<_>>());
    Measured {
        queries: figures.len(),
        recall_2: mean(|figures| figures.recall_2),
        recall_5: mean(|figures| figures.recall_5),
        recall_10: mean(|figures| figures.recall_10),
        ndcg_10: mean(|figures| figures.ndcg_10),
        mrr_10: mean(|figures| figures.mrr_10),
    }
}

/// The mean of `values` and its 95 % interval; width 0 for fewer than two.
#[must_use]
pub fn mean_interval(values: &[f64]) -> Interval {
    let count = values.len() as f64;
    if values.is_empty() {
        return Interval::default();
    }
    let mean = values.iter().sum::<f64>() / count;
    if values.len() < 2 {
        return Interval { mean, half: 0.0 };
    }
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    Interval { mean, half: 1.96 * (variance / count).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn figures_of_one_ranking() {
        let relevant: HashSet<String> = ["a", "b"].map(str::to_owned).into();
        let figures = Figures::of(&["x", "a", "y", "z", "w", "b"], &relevant);
        assert!(near(figures.recall_2, 0.5) && near(figures.recall_5, 0.5) && near(figures.recall_10, 1.0));
        assert!(near(figures.mrr_10, 0.5));
        let ideal = 1.0 + 1.0 / 3.0_f64.log2();
        let gain = 1.0 / 3.0_f64.log2() + 1.0 / 7.0_f64.log2();
        assert!(near(figures.ndcg_10, gain / ideal));
        assert_eq!(Figures::of(&["a"], &HashSet::new()), Figures::default());
    }

    #[test]
    fn means_have_intervals() {
        let interval = mean_interval(&[0.0, 1.0]);
        assert!(near(interval.mean, 0.5) && near(interval.half, 1.96 * 0.5));
        assert_eq!(mean_interval(&[]), Interval::default());
        assert!(near(mean_interval(&[0.7]).half, 0.0));
        assert_eq!(measure(&[Figures::default(); 3]).queries, 3);
    }
}
