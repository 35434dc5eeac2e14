//! What calls cost: a table of prices and exact arithmetic over it.
//!
//! The table starts empty and holds what its caller puts into it: list prices change without notice and contracts
//! differ, so none is built in. A model that is not in the table has no price, which is not the same as a price of
//! nothing; a local model is given a price of 0. The written form is in [`read`].

mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use lorekeep_types::{Error, ErrorCode, ModelId, TokenUsage};
use serde_json::Value;

/// Most web searches of one answer, for its reservation: how many there will be is the model's to say.
const MOST_SEARCHES: u64 = 10;

/// Models that are remembered as warned about.
const MOST_WARNED: usize = 1_000;

/// Why prices cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// The text is not TOML, or not JSON.
    #[error("the prices cannot be read: {0}")]
    Syntax(String),
    /// A field outside the models is wrong.
    #[error("the prices are wrong: `{field}` {problem}")]
    Table {
        /// Which field.
        field: String,
        /// What it must be.
        problem: String,
    },
    /// A field of a model is wrong.
    #[error("the price of `{model}` is wrong: `{field}` {problem}")]
    Model {
        /// Which model.
        model: String,
        /// Which field, e.g. `effective[0].per_million.input`.
        field: String,
        /// What it must be.
        problem: String,
    },
}

impl From<PriceError> for Error {
    fn from(error: PriceError) -> Self {
        Self::new(ErrorCode::Configuration, error.to_string()).hint("prices are in USD, tokens in millions")
    }
}

/// Nano-USD per million tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rates {
    input: i64,
    /// `None` for a model that writes nothing.
    output: Option<i64>,
    /// As `input` when it is not given.
    cache_read: Option<i64>,
    /// As `input` when it is not given.
    cache_write: Option<i64>,
    /// As `output` when it is not given.
    reasoning: Option<i64>,
}

/// Prices from a day on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Period {
    /// Midnight of UTC.
    from_ms: i64,
    /// Rates of calls that read more than so many tokens; ascending, the first for more than none.
    tiers: Vec<(u64, Rates)>,
    /// Nano-USD per call.
    request: i64,
    /// Nano-USD per web search.
    search: Option<i64>,
}

impl Period {
    /// The tiers that a call of at most `input` tokens can come into, the one for exactly so many last.
    fn tiers(&self, input: u64) -> impl DoubleEndedIterator<Item = &Rates> {
        let reached = move |(index, (above, _)): &(usize, &(u64, Rates))| *index == 0 || input > *above;
        self.tiers.iter().enumerate().filter(reached).map(|(_, (_, rates))| rates)
    }
}

/// The price of a model over time, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Price {
    periods: Vec<Period>,
    input_includes_cached: bool,
}

impl Price {
    fn at(&self, at_ms: i64) -> Option<&Period> {
        self.periods.iter().rev().find(|period| period.from_ms <= at_ms)
    }

    fn cost(&self, usage: &TokenUsage, at_ms: i64) -> Option<i64> {
        let period = self.at(at_ms)?;
        let from_cache = usage.cached.saturating_add(usage.cache_written);
        let (input, fresh) = match self.input_includes_cached {
            true => (usage.prompt, usage.prompt.saturating_sub(from_cache)),
            false => (usage.prompt.saturating_add(from_cache), usage.prompt),
        };
        let rates = period.tiers(input).next_back()?;
        let reasoning = usage.reasoning.min(usage.completion);
        let written = usage.completion - reasoning;
        let output = if usage.completion == 0 { Some(0) } else { rates.output };
        let search = if usage.searches == 0 { Some(0) } else { period.search };
        let tokens = of(fresh, rates.input)
            + of(usage.cached, rates.cache_read.unwrap_or(rates.input))
            + of(usage.cache_written, rates.cache_write.unwrap_or(rates.input))
            + of(written, output?)
            + of(reasoning, rates.reasoning.or(output)?);
        Some(money(tokens, i128::from(period.request) + of(usage.searches, search?)))
    }

    fn upper_bound(&self, prompt: u64, max_output: u64, at_ms: i64) -> Option<i64> {
        let period = self.at(at_ms)?;
        let mut most = 0;
        for rates in period.tiers(prompt) {
            let output = if max_output == 0 { Some(0) } else { rates.output };
            let written = output?.max(rates.reasoning.unwrap_or(0));
            let read = [rates.cache_read, rates.cache_write].into_iter().flatten().fold(rates.input, i64::max);
            most = most.max(of(prompt, read) + of(max_output, written));
        }
        Some(money(most, i128::from(period.request) + of(MOST_SEARCHES, period.search.unwrap_or(0))))
    }
}

/// A number of things at a price each. Cannot overflow: counts have 64 bits, and prices fewer than 63.
fn of(count: u64, each: i64) -> i128 {
    i128::from(count) * i128::from(each)
}

/// Nano-USD per million tokens, times tokens, in nano-USD rounded half up; and fees.
fn money(tokens: i128, fees: i128) -> i64 {
    let nano = (tokens + 500_000).div_euclid(1_000_000).saturating_add(fees);
    i64::try_from(nano).unwrap_or(i64::MAX)
}

/// Prices of models. Empty by default: then no model has a price.
#[derive(Debug, Default)]
pub struct Prices {
    models: BTreeMap<String, Price>,
    warned: Mutex<BTreeSet<String>>,
}

impl Prices {
    /// Reads a table from TOML.
    ///
    /// # Errors
    /// [`PriceError`], which names the model and the field.
    pub fn from_toml(text: &str) -> Result<Self, PriceError> {
        let value = toml::from_str(text).map_err(|error| PriceError::Syntax(error.to_string()))?;
        Self::from_value(&value)
    }

    /// Reads a table from JSON.
    ///
    /// # Errors
    /// [`PriceError`], which names the model and the field.
    pub fn from_json(text: &str) -> Result<Self, PriceError> {
        let value = serde_json::from_str(text).map_err(|error| PriceError::Syntax(error.to_string()))?;
        Self::from_value(&value)
    }

    /// Reads a table that was parsed already, as part of a larger file.
    ///
    /// # Errors
    /// [`PriceError`], which names the model and the field.
    pub fn from_value(value: &Value) -> Result<Self, PriceError> {
        Ok(Self { models: read::table(value)?, warned: Mutex::default() })
    }

    /// Adds the prices of `other`, which replace those of the same name.
    pub fn extend(&mut self, other: Self) {
        self.models.extend(other.models);
    }

    /// The names in the table, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    /// Nano-USD for what a call took, by the prices of the day; `None` when the model, or a part of what it took
    /// (tokens written, web searches), has no price. What the provider says that it cost is not looked at.
    #[must_use]
    pub fn cost(&self, model: &ModelId, usage: &TokenUsage, at_ms: i64) -> Option<i64> {
        self.known(model, |price| price.cost(usage, at_ms))
    }

    /// Nano-USD that a call of at most so many tokens can cost, with ten web searches where the model has a price
    /// for them; `None` as for [`Self::cost`].
    #[must_use]
    pub fn upper_bound(&self, model: &ModelId, prompt_tokens: u64, max_output: u64, at_ms: i64) -> Option<i64> {
        self.known(model, |price| price.upper_bound(prompt_tokens, max_output, at_ms))
    }

    /// The price called `provider/model`, else `model`, else `provider/*`.
    fn find(&self, model: &ModelId) -> Option<&Price> {
        let named = self.models.get(&model.to_string()).or_else(|| self.models.get(&model.model));
        named.or_else(|| self.models.get(&format!("{}/*", model.provider)))
    }

    fn known(&self, model: &ModelId, of: impl FnOnce(&Price) -> Option<i64>) -> Option<i64> {
        let known = self.find(model).and_then(of);
        if known.is_none() {
            self.warn(model);
        }
        known
    }

    /// Once per model.
    fn warn(&self, model: &ModelId) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.len() < MOST_WARNED && warned.insert(model.to_string()) {
            tracing::warn!(%model, "the price of calls of this model is not known: their cost is shown as unknown");
        }
    }
}

#[cfg(test)]
mod tests;
