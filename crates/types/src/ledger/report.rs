//! What is read from the ledger, and the arithmetic of its figures.

use serde::Serialize;

use super::{CallNumber, Saved};
use crate::chat::TokenUsage;
use crate::model_port::ModelId;

/// The most calls of one [`CallPage`].
pub const MOST_CALLS: usize = 10_000;

/// What calls are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageKey {
    /// The day of UTC they were opened on, `2026-11-21`.
    Day,
    /// `provider/model`.
    Model,
    /// The operation.
    Operation,
    /// The workspace.
    Workspace,
    /// The principal; an empty key where none was known.
    Principal,
    /// The provider.
    Provider,
}

/// Which calls count; `None` is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageFilter {
    /// Of this model.
    pub model: Option<ModelId>,
    /// For this operation.
    pub operation: Option<String>,
    /// Of this workspace.
    pub workspace: Option<String>,
    /// Of this principal.
    pub principal: Option<String>,
    /// At this provider.
    pub provider: Option<String>,
}

/// A question about usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageQuery {
    /// Calls opened at this moment or later.
    pub since_ms: i64,
    /// Calls opened before this moment.
    pub until_ms: i64,
    /// One row for each of these.
    pub by: UsageKey,
    /// Of these calls alone.
    pub filter: UsageFilter,
}

/// Sums over calls.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct UsageRow {
    /// What they have in common; empty for a total.
    pub key: String,
    /// Calls that ended.
    pub calls: u64,
    /// Those that did not succeed.
    pub failed: u64,
    /// Those that a cache answered.
    pub cache_hits: u64,
    /// What those took when the cache got them.
    pub saved: Saved,
    /// How often calls were made again.
    pub retries: u64,
    /// Tokens read.
    pub prompt: u64,
    /// Tokens written.
    pub completion: u64,
    /// Part of `prompt` from the provider's cache.
    pub cached: u64,
    /// Part of `completion` that is hidden reasoning.
    pub reasoning: u64,
    /// Texts that were embedded or ranked.
    pub texts: u64,
    /// Calls with a figure that was counted here rather than reported.
    pub estimated_calls: u64,
    /// What the calls of known cost took, nano-USD.
    pub cost: i64,
    /// Calls whose cost is not known and not in `cost`.
    pub unknown_calls: u64,
    /// What providers say that calls cost whose cost is in `cost`, too, nano-USD.
    pub reported_cost: i64,
    /// The cost of those same calls by the prices, nano-USD.
    pub compared_cost: i64,
    /// Time from opening to end, all calls together.
    pub total_ms: f64,
    /// Part of it in calls of the provider.
    pub api_ms: f64,
    /// Tokens read and written, over `total_ms`.
    pub tokens_per_second: Option<f64>,
    /// Mean time of a call.
    pub avg_ms: f64,
    /// The shortest.
    pub min_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// As many calls were shorter as longer.
    pub median_ms: f64,
    /// Sample standard deviation; 0 for one call.
    pub std_dev_ms: f64,
}

impl UsageRow {
    /// What all calls took; `None` when that of any is unknown.
    #[must_use]
    pub fn known_cost(&self) -> Option<i64> {
        (self.unknown_calls == 0).then_some(self.cost)
    }

    /// By which share of what providers report the prices give another cost, where that is worth a word.
    #[must_use]
    pub fn price_drift(&self) -> Option<f64> {
        price_drift(self.compared_cost, self.reported_cost)
    }

    /// Tokens read and written.
    #[must_use]
    pub const fn total_tokens(&self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}

/// Prices that are further than this from what a provider reports want to be corrected.
const DRIFT: f64 = 0.05;

/// By which share of `reported` the `own` cost differs from it; `None` up to 5 %, and where nothing was reported.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a share; the last digits do not matter")]
pub fn price_drift(own: i64, reported: i64) -> Option<f64> {
    let share = (own - reported) as f64 / reported as f64;
    (reported > 0 && share.abs() > DRIFT).then_some(share)
}

/// An answer to a [`UsageQuery`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct UsageReport {
    /// One row per key, in order of the keys.
    pub rows: Vec<UsageRow>,
    /// All together.
    pub total: UsageRow,
    /// The requests among them that wrote an answer.
    pub answered: Answered,
}

/// The operation that writes the answer to a question.
pub const ANSWER_OPERATION: &str = "answer";
/// The operation that makes vectors.
pub const EMBED_OPERATION: &str = "embed";

/// Requests that called a model to write an answer, with all their calls: what a question costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// How many.
    pub requests: u64,
    /// What all their calls of known cost took, nano-USD.
    pub cost: i64,
}

impl Answered {
    /// What one of them took on average, nano-USD; `None` without any.
    #[must_use]
    pub fn each(&self) -> Option<i64> {
        i64::try_from(self.requests).ok().and_then(|requests| self.cost.checked_div(requests))
    }
}

/// A window of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallPage {
    /// Calls opened at this moment or later.
    pub since_ms: i64,
    /// Calls opened before this moment.
    pub until_ms: i64,
    /// Calls after this one: the last of the page before.
    pub after: Option<CallNumber>,
    /// How many, at most [`MOST_CALLS`].
    pub limit: usize,
}

/// One call, as the ledger has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallRow {
    /// Its number.
    pub number: CallNumber,
    /// When it was opened, Unix milliseconds.
    pub opened_at_ms: i64,
    /// When it ended; `None` while it is open.
    pub closed_at_ms: Option<i64>,
    /// The request that it is a part of.
    pub request_id: String,
    /// The model that was called.
    pub model: ModelId,
    /// What for.
    pub operation: String,
    /// On whose behalf.
    pub workspace: String,
    /// Who asked.
    pub principal: Option<String>,
    /// Whether the answer came piece by piece.
    pub streamed: bool,
    /// The most that it could cost, nano-USD, as it was foreseen.
    pub estimate: Option<i64>,
    /// What budgets reserved for it, nano-USD.
    pub reserved: i64,
    /// What budgets were charged, nano-USD; `None` while it is open.
    pub charged: Option<i64>,
    /// `open`, `ok`, or how it failed.
    pub status: String,
    /// What it took.
    pub usage: TokenUsage,
    /// Texts that were embedded or ranked.
    pub texts: u64,
    /// What it cost, nano-USD; `None` when that is not known.
    pub cost: Option<i64>,
    /// Why the model stopped.
    pub finish: Option<String>,
    /// From the opening to the end; `None` when no end was seen.
    pub total_ms: Option<f64>,
    /// In calls of the provider.
    pub api_ms: Option<f64>,
    /// Until the first piece of text.
    pub first_token_ms: Option<f64>,
    /// How often it was made again.
    pub retries: u32,
    /// The model that was asked for when this one stood in, as `provider/model`.
    pub fallback_from: Option<String>,
    /// Why it did.
    pub fallback_reason: Option<String>,
    /// Whether a cache answered.
    pub cache_hit: bool,
    /// What the answer took when the cache got it.
    pub saved: Saved,
    /// The model as the provider names it.
    pub provider_model: Option<String>,
}

impl CallRow {
    /// Tokens read and written, over the time of the call.
    #[must_use]
    pub fn tokens_per_second(&self) -> Option<f64> {
        tokens_per_second(self.usage.total(), self.total_ms?)
    }
}

/// Speed; `None` when no time passed.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of tokens lie far below 2^53")]
pub fn tokens_per_second(tokens: u64, ms: f64) -> Option<f64> {
    (ms > 0.0).then(|| tokens as f64 * 1_000.0 / ms)
}

/// Mean, extremes, median and spread of some times. Empty by default, when all figures are 0.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<f64>);

impl Times {
    /// Adds one; what is not a number is left out.
    pub fn push(&mut self, ms: f64) {
        if ms.is_finite() {
            self.0.push(ms);
        }
    }

    /// Their sum.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.0.iter().sum()
    }

    /// Their mean.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of calls lie far below 2^53")]
    pub fn mean(&self) -> f64 {
        if self.0.is_empty() { 0.0 } else { self.sum() / self.0.len() as f64 }
    }

    /// The least.
    #[must_use]
    pub fn min(&self) -> f64 {
        self.0.iter().copied().reduce(f64::min).unwrap_or(0.0)
    }

    /// The greatest.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.0.iter().copied().reduce(f64::max).unwrap_or(0.0)
    }

    /// The middle one, or the mean of the two in the middle.
    #[must_use]
    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = sorted.get(middle).copied().unwrap_or(0.0);
        if sorted.len() % 2 == 1 {
            return upper;
        }
        middle.checked_sub(1).and_then(|below| sorted.get(below)).map_or(upper, |lower| f64::midpoint(*lower, upper))
    }

    /// The sample standard deviation (divided by n − 1); 0 for fewer than two.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of calls lie far below 2^53")]
    pub fn std_dev(&self) -> f64 {
        if self.0.len() < 2 {
            return 0.0;
        }
        let mean = self.mean();
        let squares: f64 = self.0.iter().map(|ms| (ms - mean).powi(2)).sum();
        (squares / (self.0.len() - 1) as f64).sqrt()
    }
}

/// Nano-USD as USD, with two to nine decimals: `0.015`.
#[must_use]
pub fn usd(nano: i64) -> String {
    let (whole, rest) = (nano.unsigned_abs() / 1_000_000_000, nano.unsigned_abs() % 1_000_000_000);
    let digits = format!("{rest:09}");
    let kept = digits.trim_end_matches('0').len().max(2);
    let sign = if nano < 0 { "-" } else { "" };
    format!("{sign}{whole}.{}", digits.get(..kept).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_tokens_over_the_whole_time() {
        let speed = tokens_per_second(6_102, 12_200.0).unwrap();
        assert_eq!(format!("{speed:.1}"), "500.2");
        assert_eq!(tokens_per_second(5, 0.0), None);
    }

    fn times(values: &[f64]) -> Times {
        let mut times = Times::default();
        values.iter().for_each(|ms| times.push(*ms));
        times
    }

    #[test]
    fn times_are_described() {
        let even = times(&[4.0, 2.0, 9.0, 5.0, f64::NAN]);
        assert_eq!((even.sum(), even.mean(), even.min(), even.max(), even.median()), (20.0, 5.0, 2.0, 9.0, 4.5));
        assert!((even.std_dev() - (26.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(times(&[3.0, 1.0, 2.0]).median(), 2.0);
        let one = times(&[7.0]);
        assert_eq!((one.mean(), one.median(), one.std_dev()), (7.0, 7.0, 0.0));
        let none = times(&[]);
        assert_eq!((none.mean(), none.min(), none.median(), none.std_dev()), (0.0, 0.0, 0.0, 0.0));
    }

    #[test]
    fn money_is_written_in_usd() {
        let written = [0, 1, 15_000_000, 1_000_000_000, -2_500_000_000].map(usd);
        assert_eq!(written, ["0.00", "0.000000001", "0.015", "1.00", "-2.50"]);
    }
}
