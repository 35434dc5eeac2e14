//! Measuring retrieval: evaluation sets in BEIR's layout, and the usual figures with their intervals. Pure
//! functions over text and numbers; reading files and printing belong to the callers.

mod beir;
mod metrics;

pub use beir::{EvalPassage, EvalQuery, EvalSet, read_set};
pub use metrics::{Figures, Interval, Measured, mean_interval, measure};
