//! `lorekeep usage`: what models were used for, and what that cost.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use lorekeep_types::{Clock, Error};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::app::App;
use crate::client::escape;
use crate::output::{self, Exit, Style, styled};
use crate::ports::SystemClock;

/// Arguments of `usage`.
#[derive(Args, Debug)]
pub struct Usage {
    /// From when: a date, a moment, or a time back such as 7d, 12h
    #[arg(long, default_value = "30d", value_name = "WHEN")]
    pub since: String,
    /// Until when; now by default
    #[arg(long, value_name = "WHEN")]
    pub until: Option<String>,
    /// One row for each
    #[arg(long, value_enum, default_value_t = By::Day)]
    pub by: By,
    /// Print comma-separated values
    #[arg(long)]
    pub csv: bool,
    /// Write every call with sums and timing statistics to a file of JSON
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
    /// Show budgets and what is left of them instead
    #[arg(long)]
    pub budgets: bool,
    /// Show which levels budgets reached (75, 90, 100 %) instead
    #[arg(long, conflicts_with = "budgets")]
    pub alerts: bool,
}

/// What calls are summed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum By {
    Day,
    Model,
    Operation,
    Workspace,
    Principal,
    Provider,
}

/// The columns of the table: heading and field.
const COLUMNS: [(&str, &str); 12] = [
    ("calls", "calls"),
    ("failed", "failed"),
    ("in", "prompt_tokens"),
    ("out", "completion_tokens"),
    ("cached", "cached_tokens"),
    ("usd", "cost_usd"),
    ("hits", "cache_hits"),
    ("saved", "saved_usd"),
    ("avg s", "avg_ms"),
    ("median s", "median_ms"),
    ("sd s", "std_dev_ms"),
    ("tokens/s", "tokens_per_second"),
];

/// Runs the command.
pub async fn run(app: &App, args: &Usage) -> Result<Exit> {
    let since = moment(&args.since)?;
    let until = args.until.as_deref().map(moment).transpose()?;
    let window = format!(
        "since={}{}",
        escape(&since),
        until.map(|until| format!("&until={}", escape(&until))).unwrap_or_default()
    );
    let by = args.by.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let path = match (args.budgets || args.alerts, &args.export) {
        (true, _) => "/v1/budgets".to_owned(),
        (false, Some(_)) => format!("/v1/usage/export?{window}"),
        (false, None) => format!("/v1/usage?by={by}&{window}"),
    };
    let client = app.client().await?;
    let answer: Result<Value> = client.get(&path).await;
    client.close().await;
    let answer = answer?;
    if let Some(file) = &args.export {
        return export(app, &answer, file);
    }
    if app.global.json {
        output::json(&answer)?;
    } else if args.budgets {
        budgets(&answer);
    } else if args.alerts {
        alerts(&answer);
    } else if args.csv {
        csv(&answer, &by);
    } else {
        table(app, &answer, &by);
    }
    Ok(Exit::Ok)
}

/// `7d` and `12h` count back from now; anything else is left to the server to read.
fn moment(text: &str) -> Result<String> {
    let Some((count, unit)) = text.len().checked_sub(1).and_then(|at| text.split_at_checked(at)) else {
        return Err(Error::invalid("the time is empty").hint("write 7d, 12h or a date").into());
    };
    let ms = match unit {
        "d" => 86_400_000,
        "h" => 3_600_000,
        _ => return Ok(text.to_owned()),
    };
    let count: i64 =
        count.parse().map_err(|_| Error::invalid(format!("`{text}` is no time")).hint("write 7d, 12h or a date"))?;
    let at = SystemClock.now_ms().saturating_sub(count.saturating_mul(ms));
    let moment =
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000_000).context("that is too long ago")?;
    Ok(moment.format(&Rfc3339)?)
}

fn export(app: &App, answer: &Value, file: &PathBuf) -> Result<Exit> {
    std::fs::write(file, serde_json::to_vec_pretty(answer)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    let calls = answer["call_history"].as_array().map_or(0, Vec::len);
    app.say(&format!("{} written: {}", file.display(), output::counted(calls as u64, "call")));
    if answer["truncated"] == true {
        app.say(&styled(Style::Warn, "! later calls were left out; narrow the time with --since and --until"));
    }
    Ok(Exit::Ok)
}

fn cells(row: &Value) -> Vec<String> {
    let cell = |(_, field): &(&str, &str)| match (&row[*field], *field) {
        (Value::Null, "cost_usd") => format!("{}?", money(row["known_cost_usd"].as_f64())),
        (Value::Null, _) => String::new(),
        (value, "cost_usd" | "saved_usd") => money(value.as_f64()),
        (value, field) if field.ends_with("_ms") => format!("{:.2}", value.as_f64().unwrap_or_default() / 1e3),
        (value, "tokens_per_second") => format!("{:.1}", value.as_f64().unwrap_or_default()),
        (value, _) => value.to_string(),
    };
    COLUMNS.iter().map(cell).collect()
}

fn money(usd: Option<f64>) -> String {
    format!("{:.4}", usd.unwrap_or_default())
}

fn table(app: &App, answer: &Value, by: &str) {
    let mut rows =
        vec![std::iter::once(by.to_uppercase()).chain(COLUMNS.iter().map(|(name, _)| name.to_uppercase())).collect()];
    let found = answer["rows"].as_array().cloned().unwrap_or_default();
    if found.is_empty() {
        output::line("No model was called in this time.");
        return;
    }
    for row in &found {
        let key = row["key"].as_str().filter(|key| !key.is_empty()).unwrap_or("–").to_owned();
        rows.push(std::iter::once(key).chain(cells(row)).collect());
    }
    rows.push(std::iter::once("total".to_owned()).chain(cells(&answer["total"])).collect());
    output::table(&rows);
    if answer["total"]["unpriced_calls"].as_u64().is_some_and(|calls| calls > 0) {
        app.say("?  calls without a known price are not in the sum");
    }
    for advice in answer["advice"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        app.say(&format!("→ {advice}"));
    }
}

fn csv(answer: &Value, by: &str) {
    output::line(&std::iter::once(by).chain(COLUMNS.iter().map(|(_, field)| *field)).collect::<Vec<_>>().join(","));
    for row in answer["rows"].as_array().into_iter().flatten() {
        let values = COLUMNS
            .iter()
            .map(|(_, field)| if row[*field].is_null() { String::new() } else { row[*field].to_string() });
        // Names may hold anything; a quote in one is doubled (RFC 4180).
        let key = format!("\"{}\"", row["key"].as_str().unwrap_or_default().replace('"', "\"\""));
        output::line(&std::iter::once(key).chain(values).collect::<Vec<_>>().join(","));
    }
}

fn budgets(answer: &Value) {
    let all = answer["budgets"].as_array().cloned().unwrap_or_default();
    if all.is_empty() {
        output::line("No budget is set: `lorekeep config set llm.max_cost_per_day_usd 5` sets one.");
        return;
    }
    let mut rows = vec![["BUDGET", "PER", "LIMIT", "SPENT", "RESERVED", "RESETS"].map(str::to_owned).to_vec()];
    for one in &all {
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        let usd = |key: &str| money(one[key].as_f64());
        let scope = format!("{} {}", text("scope"), text("name")).trim().to_owned();
        rows.push(vec![
            scope,
            text("window"),
            usd("limit_usd"),
            usd("spent_usd"),
            usd("reserved_usd"),
            text("resets_at"),
        ]);
    }
    output::table(&rows);
}

fn alerts(answer: &Value) {
    let all = answer["alerts"].as_array().cloned().unwrap_or_default();
    if all.is_empty() {
        output::line("No budget has reached 75 % of its limit.");
        return;
    }
    let mut rows = vec![["WHEN", "BUDGET", "PER", "REACHED", "LIMIT", "SPENT"].map(str::to_owned).to_vec()];
    for one in &all {
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        rows.push(vec![
            text("at"),
            format!("{} {}", text("scope"), text("name")).trim().to_owned(),
            text("window"),
            format!("{} %", one["percent"]),
            money(one["limit_usd"].as_f64()),
            money(one["spent_usd"].as_f64()),
        ]);
    }
    output::table(&rows);
}
