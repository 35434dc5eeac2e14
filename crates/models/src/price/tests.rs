//! Prices are exact, monotone, and wrong ones are named.

use proptest::prelude::*;

use super::*;

/// 2026-11-21T12:00:00Z.
const NOW: i64 = 1_795_262_400_000;
const DAY: i64 = 86_400_000;

const FULL: &str = r#"{"schema": 1, "currency": "USD", "models": {"cloud/big": {
    "effective": [
        {"from": "2026-11-22", "per_million": {"input": 1, "output": 8}},
        {"from": "2026-10-01",
         "per_million": {"input": 1.25, "output": 10, "cache_read": 0.125, "cache_write": null, "reasoning": 12},
         "per_unit": {"request": 0.001, "search": 0.005, "image": 0},
         "tiers": [{"above_input": 200000, "per_million": {"input": 2.5}}]}],
    "usage": "openai", "input_includes_cached": true}}}"#;

fn big() -> ModelId {
    ModelId::new("cloud", "big")
}

fn usage(prompt: u64, completion: u64) -> TokenUsage {
    TokenUsage { prompt, completion, ..TokenUsage::default() }
}

#[test]
fn the_short_form_prices_tokens() {
    let text = "[prices.\"gpt-example-mini\"]\ninput_per_mtok = 0.25\noutput_per_mtok = 2.0\n";
    let prices = Prices::from_toml(text).unwrap();
    let model = ModelId::new("anyone", "gpt-example-mini");
    assert_eq!(prices.cost(&model, &usage(1_000_000, 0), NOW), Some(250_000_000));
    assert_eq!(prices.cost(&model, &usage(3, 5), NOW), Some(10_750));
    assert_eq!(prices.upper_bound(&model, 3, 5, NOW), Some(10_750));
    assert_eq!(prices.names().collect::<Vec<_>>(), ["gpt-example-mini"]);
}

#[test]
fn the_full_form_prices_every_part() {
    let prices = Prices::from_json(FULL).unwrap();
    let parts = TokenUsage { cached: 400, cache_written: 100, reasoning: 20, searches: 2, ..usage(1_000, 50) };
    // 600 × 1250 + 400 × 125 + 30 × 10000 + 20 × 12000 nano-USD, and 1 + 2 × 5 thousandths of a USD.
    assert_eq!(prices.cost(&big(), &parts, NOW), Some(750_000 + 50_000 + 300_000 + 240_000 + 11_000_000));
    assert_eq!(prices.cost(&big(), &usage(200_000, 0), NOW), Some(251_000_000), "up to the limit of the tier");
    assert_eq!(prices.cost(&big(), &usage(200_001, 0), NOW), Some(501_002_500), "all tokens are of the tier");
    assert_eq!(prices.upper_bound(&big(), 10, 10, NOW), Some(12_500 + 120_000 + 1_000_000 + 10 * 5_000_000));
}

#[test]
fn prices_hold_from_their_day_on() {
    let prices = Prices::from_json(FULL).unwrap();
    let first = NOW - DAY / 2 + DAY;
    assert_eq!(prices.cost(&big(), &usage(1_000_000, 0), first - 1), Some(2_501_000_000));
    assert_eq!(prices.cost(&big(), &usage(1_000_000, 0), first), Some(1_000_000_000));
    assert_eq!(prices.cost(&big(), &usage(1, 0), NOW - 60 * DAY), None, "before the first day nothing is known");
}

#[test]
fn halves_of_a_nano_are_rounded_up() {
    let prices = Prices::from_toml("prices.x.input_per_mtok = 0.0005").unwrap();
    let cost = |tokens| prices.cost(&ModelId::new("p", "x"), &usage(tokens, 0), NOW);
    assert_eq!([0, 1, 2, 3].map(cost), [Some(0), Some(1), Some(1), Some(2)]);
    assert_eq!(cost(1_000_000_000_001), Some(500_000_000_001), "without a float in between");
    assert_eq!(cost(u64::MAX), Some(i64::MAX), "what does not fit is as much as does");
}

#[test]
fn what_is_not_known_has_no_price() {
    let mut prices = Prices::from_toml("prices.embed.input_per_mtok = 0.02").unwrap();
    let embed = ModelId::new("cloud", "embed");
    assert_eq!(prices.cost(&embed, &usage(50, 0), NOW), Some(1_000));
    assert_eq!(prices.cost(&embed, &usage(50, 1), NOW), None, "it has no price of output");
    assert_eq!(prices.upper_bound(&embed, 50, 1, NOW), None);
    let searched = TokenUsage { searches: 1, ..usage(50, 0) };
    assert_eq!(prices.cost(&embed, &searched, NOW), None, "nor of searches");
    let unknown = ModelId::new("cloud", "other");
    assert_eq!(prices.cost(&unknown, &usage(1, 1), NOW), None);
    assert_eq!(prices.upper_bound(&unknown, 1, 1, NOW), None);
    assert_eq!(prices.warned.lock().unwrap().iter().collect::<Vec<_>>(), ["cloud/embed", "cloud/other"]);
    let free = "[prices.\"cloud/*\"]\ninput_per_mtok = 0\noutput_per_mtok = 0\nper_search = 0";
    prices.extend(Prices::from_toml(free).unwrap());
    assert_eq!(prices.cost(&unknown, &TokenUsage { searches: 3, ..usage(1, 1) }, NOW), Some(0));
}

#[test]
fn the_closest_name_wins() {
    let text = "[prices]\n\"watsonx/openai/oss\".input_per_mtok = 1\n\"openai/oss\".input_per_mtok = 2\n\
                \"other/*\".input_per_mtok = 3\n";
    let prices = Prices::from_toml(text).unwrap();
    let cost = |provider, model| prices.cost(&ModelId::new(provider, model), &usage(1_000, 0), NOW);
    assert_eq!(cost("watsonx", "openai/oss"), Some(1_000_000));
    assert_eq!(cost("other", "openai/oss"), Some(2_000_000));
    assert_eq!(cost("openai", "oss"), Some(2_000_000));
    assert_eq!(cost("other", "else"), Some(3_000_000));
}

#[test]
fn cached_tokens_are_counted_apart_where_the_table_says_so() {
    let prices =
        Prices::from_json(&FULL.replace("\"input_includes_cached\": true", "\"input_includes_cached\": false"));
    let parts = TokenUsage { cached: 400, ..usage(600, 0) };
    assert_eq!(prices.unwrap().cost(&big(), &parts, NOW), Some(750_000 + 50_000 + 1_000_000));
}

#[test]
fn errors_name_the_model_and_the_field() {
    let cases = [
        ("1.25", "\"1.25\"", "effective[1].per_million.input", "must be an amount"),
        ("1.25", "-1", "effective[1].per_million.input", "must be an amount"),
        ("\"input\": 1.25,", "", "effective[1].per_million.input", "is missing"),
        ("cache_read", "cached", "effective[1].per_million.cached", "is not known here"),
        ("2026-10-01", "2026-13-01", "effective[1].from", "must be a day"),
        ("2026-10-01", "2026-11-22", "effective", "one entry for each day"),
        ("200000", "0", "effective[1].tiers[0].above_input", "number of tokens"),
        ("\"image\": 0", "\"image\": 0.1", "effective[1].per_unit.image", "do not report pictures"),
        ("\"usage\"", "\"usages\"", "usages", "is not known here"),
        ("true", "1", "input_includes_cached", "true or false"),
    ];
    for (from, to, field, problem) in cases {
        let text = FULL.replacen(from, to, 1);
        assert_ne!(text, FULL);
        match Prices::from_json(&text).unwrap_err() {
            PriceError::Model { model, field: found, problem: said } => {
                assert_eq!((model.as_str(), found.as_str()), ("cloud/big", field), "{to}");
                assert!(said.contains(problem), "{field}: {said}");
            }
            other => panic!("{to}: {other}"),
        }
    }
    for (from, to, field) in [("\"schema\": 1", "\"schema\": 2", "schema"), ("USD", "EUR", "currency")] {
        let error = Prices::from_json(&FULL.replacen(from, to, 1)).unwrap_err();
        assert!(matches!(&error, PriceError::Table { field: found, .. } if found == field), "{error}");
    }
    assert!(matches!(Prices::from_toml("prices ="), Err(PriceError::Syntax(_))));
    let error = Error::from(Prices::from_toml("prices.x.output_per_mtok = 1").unwrap_err());
    assert_eq!(error.code(), ErrorCode::Configuration);
    assert_eq!(error.message(), "the price of `x` is wrong: `input_per_mtok` is missing");
}

/// Rates in hundredths of a USD; those of the tier are never lower.
fn tiered() -> impl Strategy<Value = Prices> {
    let cents = || 0..5_000_u32;
    (cents(), cents(), cents(), cents(), 1..50_000_u64).prop_map(|(input, output, more_in, more_out, above)| {
        let usd = |cents: u32| f64::from(cents) / 100.0;
        let (input, output) = (usd(input), usd(output));
        let tier = serde_json::json!({"input": input + usd(more_in), "output": output + usd(more_out)});
        let table = serde_json::json!({"models": {"cloud/big": {"effective": [{
            "from": "2020-01-01",
            "per_million": {"input": input, "output": output, "cache_read": input / 10.0},
            "per_unit": {"request": 0.001},
            "tiers": [{"above_input": above, "per_million": tier}],
        }]}}});
        Prices::from_value(&table).unwrap()
    })
}

proptest! {
    #[test]
    fn more_tokens_never_cost_less_and_never_more_than_the_bound(
        prices in tiered(),
        (prompt, more_prompt, completion, more_completion) in (0..60_000_u64, 0..60_000_u64, 0..9_000_u64, 0..9_000_u64),
        cached in 0..60_000_u64,
    ) {
        let cached = cached.min(prompt);
        let less = TokenUsage { cached, ..usage(prompt, completion) };
        let more = TokenUsage { cached, ..usage(prompt + more_prompt, completion + more_completion) };
        let cost = |usage| prices.cost(&big(), usage, NOW).unwrap();
        prop_assert!(cost(&less) <= cost(&more));
        let bound = prices.upper_bound(&big(), more.prompt, more.completion, NOW).unwrap();
        prop_assert!(cost(&more) <= bound && cost(&less) <= bound);
    }
}
