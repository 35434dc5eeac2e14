//! Cutting between sentences whose neighbourhoods differ most in meaning, by the embedding model.

use lorekeep_types::{Breakpoint, ByteSpan, EmbeddingModel, Result};

use super::asked::{Tools, windows};
use super::{Window, check};

/// Sentences embedded between two looks at the cancel flag.
const BATCH: usize = 64;

/// Which distances are breakpoints.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    breakpoint: Breakpoint,
    amount: f64,
    /// Sentences on each side that are compared together with one.
    buffer: usize,
}

impl Rule {
    pub(super) fn new(breakpoint: Breakpoint, amount_milli: Option<u32>, buffer: usize) -> Self {
        let usual = match breakpoint {
            Breakpoint::Percentile | Breakpoint::Gradient => 95.0,
            Breakpoint::StandardDeviation => 3.0,
            Breakpoint::Interquartile => 1.5,
        };
        Self { breakpoint, amount: amount_milli.map_or(usual, |milli| f64::from(milli) / 1_000.0), buffer }
    }

    /// For each distance whether it is a breakpoint.
    fn breaks(self, distances: &[f64]) -> Vec<bool> {
        let above = |values: &[f64], threshold: f64| values.iter().map(|value| *value > threshold).collect();
        match self.breakpoint {
            Breakpoint::Percentile => above(distances, percentile(distances, self.amount)),
            Breakpoint::StandardDeviation => {
                above(distances, mean(distances) + self.amount * standard_deviation(distances))
            }
            Breakpoint::Interquartile => {
                let range = percentile(distances, 75.0) - percentile(distances, 25.0);
                above(distances, mean(distances) + self.amount * range)
            }
            Breakpoint::Gradient => {
                let rises = gradient(distances);
                above(&rises, percentile(&rises, self.amount))
            }
        }
    }
}

/// The spans of the chunks, none larger than `most` tokens.
pub(super) fn spans(
    text: &str,
    rule: Rule,
    most: usize,
    model: &dyn EmbeddingModel,
    tools: &Tools<'_>,
) -> Result<Vec<ByteSpan>> {
    let sentences: Vec<ByteSpan> =
        lorekeep_text::sentences(text).into_iter().map(|found| ByteSpan::new(found.start, found.end)).collect();
    let distances = distances(text, &sentences, rule.buffer, model, tools)?;
    let mut spans: Vec<ByteSpan> = Vec::new();
    let breaks = std::iter::once(true).chain(rule.breaks(&distances));
    for (sentence, breaks) in sentences.iter().zip(breaks) {
        match spans.last_mut() {
            Some(open) if !breaks => open.end = sentence.end,
            _ => spans.push(*sentence),
        }
    }
    let sizes = Window { size: most, overlap: 0 };
    Ok(spans.into_iter().flat_map(|span| windows(text, span, sizes, tools.tokens)).collect())
}

/// Cosine distances between the neighbourhoods of consecutive sentences.
fn distances(
    text: &str,
    sentences: &[ByteSpan],
    buffer: usize,
    model: &dyn EmbeddingModel,
    tools: &Tools<'_>,
) -> Result<Vec<f64>> {
    let around: Vec<&str> = (0..sentences.len())
        .map(|at| {
            let last = (at + buffer).min(sentences.len() - 1);
            let (first, last) = (sentences.get(at.saturating_sub(buffer)), sentences.get(last));
            first.zip(last).map_or("", |(first, last)| ByteSpan::new(first.start, last.end).of(text))
        })
        .collect();
    let mut vectors = Vec::with_capacity(around.len());
    for batch in around.chunks(BATCH) {
        check(tools.cancel)?;
        vectors.extend(model.embed(batch)?);
    }
    Ok(vectors.iter().zip(vectors.iter().skip(1)).map(|(one, next)| 1.0 - cosine(one, next)).collect())
}

/// Of L2-normalised vectors.
fn cosine(one: &[f32], other: &[f32]) -> f64 {
    one.iter().zip(other).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

#[expect(clippy::cast_precision_loss, reason = "numbers of sentences are far below 2^52")]
fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

fn standard_deviation(values: &[f64]) -> f64 {
    let mean_value = mean(values);
    let squares: Vec<f64> = values.iter().map(|value| (value - mean_value).powi(2)).collect();
    mean(&squares).sqrt()
}

/// With linear interpolation between the two nearest values.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place between 0 and the number of sentences"
)]
fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = percent / 100.0 * sorted.len().saturating_sub(1) as f64;
    let value = |at: usize| sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(0.0);
    let (low, high) = (value(place.floor() as usize), value(place.ceil() as usize));
    low + (high - low) * place.fract()
}

/// Central differences, one-sided at the ends.
fn gradient(values: &[f64]) -> Vec<f64> {
    let value = |at: usize| values.get(at).copied().unwrap_or(0.0);
    let last = values.len().saturating_sub(1);
    (0..values.len())
        .map(|at| match at {
            _ if last == 0 => 0.0,
            0 => value(1) - value(0),
            _ if at == last => value(last) - value(last - 1),
            _ => (value(at + 1) - value(at - 1)) / 2.0,
        })
        .collect()
}
