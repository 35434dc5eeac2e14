//! The written form of prices.
//!
//! In full, as a file that is kept apart has it:
//!
//! ```json
//! {"schema": 1, "currency": "USD", "models": {"provider/model": {
//!     "effective": [{"from": "2026-10-01",
//!         "per_million": {"input": 1.25, "output": 10, "cache_read": 0.125, "cache_write": null, "reasoning": 10},
//!         "per_unit": {"request": 0, "search": 0.005, "image": 0},
//!         "tiers": [{"above_input": 200000, "per_million": {"input": 2.5}}]}],
//!     "usage": "openai", "input_includes_cached": true}}}
//! ```
//!
//! In short, as a configuration has it: `[prices."model"]` with `input_per_mtok` and, where they apply,
//! `output_per_mtok`, `cache_read_per_mtok`, `cache_write_per_mtok`, `reasoning_per_mtok`, `per_request` and
//! `per_search`. Both forms may stand in both tables. A name is `provider/model`, `model` or `provider/*`.
//!
//! A rate that is absent or null is that of the tier below, then that of the plain tokens. `input_includes_cached`
//! says whether the tokens read already include those of the provider's cache; they do in what the providers of
//! this crate report, and only a gateway that counts otherwise needs `false`. `usage` and `source` are for readers.
//! Calls do not report pictures, so a price of pictures other than 0 is refused rather than left out of costs.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use time::macros::format_description;
use time::{Date, Time};

use super::{Period, Price, PriceError, Rates};

/// USD; keeps a slip of units from going unnoticed, and products inside 128 bits.
const MOST_USD: f64 = 1e6;

const RATES: [&str; 5] = ["input", "output", "cache_read", "cache_write", "reasoning"];

const SHORT: [&str; 7] = [
    "input_per_mtok",
    "output_per_mtok",
    "cache_read_per_mtok",
    "cache_write_per_mtok",
    "reasoning_per_mtok",
    "per_request",
    "per_search",
];

/// Reads the whole table.
pub(super) fn table(value: &Value) -> Result<BTreeMap<String, Price>, PriceError> {
    let root = Node { model: None, path: String::new(), value };
    root.object(&["schema", "currency", "models", "prices"])?;
    if let Some(schema) = root.get("schema").filter(|schema| schema.value.as_u64() != Some(1)) {
        return Err(schema.wrong("must be 1"));
    }
    if let Some(currency) = root.get("currency").filter(|currency| currency.value.as_str() != Some("USD")) {
        return Err(currency.wrong("must be \"USD\""));
    }
    let mut prices = BTreeMap::new();
    for table in ["models", "prices"].into_iter().filter_map(|name| root.get(name)) {
        for (name, value) in table.map()? {
            let node = Node { model: Some(name), path: String::new(), value };
            if prices.insert(name.clone(), price(&node)?).is_some() {
                return Err(node.wrong("is in both tables"));
            }
        }
    }
    Ok(prices)
}

fn price(node: &Node<'_>) -> Result<Price, PriceError> {
    let Some(effective) = node.get("effective") else { return short(node) };
    node.object(&["effective", "usage", "source", "input_includes_cached"])?;
    let mut periods = effective.list()?.iter().map(period).collect::<Result<Vec<_>, _>>()?;
    periods.sort_by_key(|period| period.from_ms);
    if periods.is_empty() || periods.windows(2).any(|pair| matches!(pair, [a, b] if a.from_ms == b.from_ms)) {
        return Err(effective.wrong("must have one entry for each day from which prices changed"));
    }
    let input_includes_cached = match node.get("input_includes_cached") {
        Some(flag) => flag.value.as_bool().ok_or_else(|| flag.wrong("must be true or false"))?,
        None => true,
    };
    Ok(Price { periods, input_includes_cached })
}

fn short(node: &Node<'_>) -> Result<Price, PriceError> {
    node.object(&SHORT)?;
    let [input, output, cache_read, cache_write, reasoning, request, search] = SHORT;
    let rates = Rates {
        input: node.needed(input)?,
        output: node.usd(output)?,
        cache_read: node.usd(cache_read)?,
        cache_write: node.usd(cache_write)?,
        reasoning: node.usd(reasoning)?,
    };
    let (request, search) = (node.usd(request)?.unwrap_or(0), node.usd(search)?);
    let period = Period { from_ms: i64::MIN, tiers: vec![(0, rates)], request, search };
    Ok(Price { periods: vec![period], input_includes_cached: true })
}

fn period(node: &Node<'_>) -> Result<Period, PriceError> {
    node.object(&["from", "per_million", "per_unit", "tiers"])?;
    let rates = rates(&node.wanted("per_million")?, None)?;
    let mut tiers = vec![(0, rates)];
    for tier in node.get("tiers").map(|tiers| tiers.list()).transpose()?.unwrap_or_default() {
        tier.object(&["above_input", "per_million"])?;
        let above = tier.wanted("above_input")?;
        let (former, below) = tiers.last().map_or((0, None), |(above, rates)| (*above, Some(rates)));
        let tokens = above.value.as_u64().filter(|tokens| *tokens > former);
        let tokens = tokens.ok_or_else(|| above.wrong("must be a number of tokens, more than the one before"))?;
        let rates = self::rates(&tier.wanted("per_million")?, below)?;
        tiers.push((tokens, rates));
    }
    let (request, search) = match node.get("per_unit") {
        Some(units) => fees(&units)?,
        None => (0, None),
    };
    Ok(Period { from_ms: node.wanted("from")?.day_ms()?, tiers, request, search })
}

/// The rates of a tier; what it does not give is as in the tier below.
fn rates(node: &Node<'_>, below: Option<&Rates>) -> Result<Rates, PriceError> {
    node.object(&RATES)?;
    let [input, output, cache_read, cache_write, reasoning] = RATES;
    Ok(Rates {
        input: match below {
            Some(below) => node.usd(input)?.unwrap_or(below.input),
            None => node.needed(input)?,
        },
        output: node.usd(output)?.or_else(|| below?.output),
        cache_read: node.usd(cache_read)?.or_else(|| below?.cache_read),
        cache_write: node.usd(cache_write)?.or_else(|| below?.cache_write),
        reasoning: node.usd(reasoning)?.or_else(|| below?.reasoning),
    })
}

fn fees(node: &Node<'_>) -> Result<(i64, Option<i64>), PriceError> {
    node.object(&["request", "search", "image"])?;
    if node.usd("image")?.is_some_and(|image| image != 0) {
        return Err(node.at("image", node.value).wrong("must be 0: calls do not report pictures"));
    }
    Ok((node.usd("request")?.unwrap_or(0), node.usd("search")?))
}

/// A value and where it stands.
struct Node<'v> {
    model: Option<&'v str>,
    path: String,
    value: &'v Value,
}

impl<'v> Node<'v> {
    fn wrong(&self, problem: &str) -> PriceError {
        let field = if self.path.is_empty() { "the table".to_owned() } else { self.path.clone() };
        match self.model {
            Some(model) => PriceError::Model { model: model.to_owned(), field, problem: problem.to_owned() },
            None => PriceError::Table { field, problem: problem.to_owned() },
        }
    }

    fn at(&self, key: &str, value: &'v Value) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Self { model: self.model, path, value }
    }

    fn map(&self) -> Result<&'v Map<String, Value>, PriceError> {
        self.value.as_object().ok_or_else(|| self.wrong("must be a table"))
    }

    /// Checks that it is a table of these keys alone.
    fn object(&self, allowed: &[&str]) -> Result<(), PriceError> {
        match self.map()?.iter().find(|(key, _)| !allowed.contains(&key.as_str())) {
            Some((key, value)) => {
                Err(self.at(key, value).wrong(&format!("is not known here; there are {}", allowed.join(", "))))
            }
            None => Ok(()),
        }
    }

    /// A member that is there and not null.
    fn get(&self, key: &str) -> Option<Self> {
        let value = self.value.get(key).filter(|value| !value.is_null())?;
        Some(self.at(key, value))
    }

    fn wanted(&self, key: &str) -> Result<Self, PriceError> {
        self.get(key).ok_or_else(|| self.at(key, self.value).wrong("is missing"))
    }

    fn list(&self) -> Result<Vec<Self>, PriceError> {
        let items = self.value.as_array().ok_or_else(|| self.wrong("must be a list"))?;
        let node = |(index, value)| Self { model: self.model, path: format!("{}[{index}]", self.path), value };
        Ok(items.iter().enumerate().map(node).collect())
    }

    fn needed(&self, key: &str) -> Result<i64, PriceError> {
        self.usd(key)?.ok_or_else(|| self.at(key, self.value).wrong("is missing"))
    }

    /// A member in USD, as nano-USD.
    #[expect(clippy::cast_possible_truncation, reason = "at most 1e15")]
    fn usd(&self, key: &str) -> Result<Option<i64>, PriceError> {
        let Some(node) = self.get(key) else { return Ok(None) };
        let usd = node.value.as_f64().filter(|usd| (0.0..=MOST_USD).contains(usd));
        let usd = usd.ok_or_else(|| node.wrong("must be an amount in USD, from 0 to a million"))?;
        Ok(Some((usd * 1e9).round() as i64))
    }

    /// A day, as its first millisecond.
    fn day_ms(&self) -> Result<i64, PriceError> {
        let text = self.value.as_str().unwrap_or_default();
        let date = Date::parse(text, format_description!("[year]-[month]-[day]"))
            .map_err(|_| self.wrong("must be a day in quotes, such as \"2026-10-01\""))?;
        Ok(date.with_time(Time::MIDNIGHT).assume_utc().unix_timestamp() * 1_000)
    }
}
