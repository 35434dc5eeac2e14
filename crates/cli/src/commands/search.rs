//! `lorekeep search`: passages with scores and reasons.

use anyhow::Result;
use axum::http::Method;
use clap::Args;
use serde_json::{Value, json};

use super::ask::Narrow;
use crate::app::App;
use crate::output::{self, Exit, Style, excerpt, styled};

/// Arguments of `search`.
#[derive(Args, Debug)]
pub struct Search {
    /// What to look for
    pub query: String,
    /// Passages to show
    #[arg(short = 'n', long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub limit: u64,
    /// auto, naive, local, global, hybrid or mix
    #[arg(long, default_value = "auto")]
    pub mode: String,
    /// Passages to add before and after each
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=5))]
    pub neighbours: u64,
    /// Which documents
    #[command(flatten)]
    pub narrow: Narrow,
}

/// Runs the command.
pub async fn run(app: &App, args: &Search) -> Result<Exit> {
    let client = app.client().await?;
    let body = json!({
        "query": args.query, "mode": args.mode, "limit": args.limit, "neighbours": args.neighbours,
        "filter": args.narrow.filter(),
    });
    let answer: Value = client.call(Method::POST, "/v1/search", &body).await?;
    client.close().await;
    let results = answer["results"].as_array().cloned().unwrap_or_default();
    let exit = if results.is_empty() { Exit::NothingFound } else { Exit::Ok };
    if app.global.json {
        output::json(&answer)?;
        return Ok(exit);
    }
    for result in &results {
        show(result);
    }
    for notice in answer["notices"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        app.say(&format!("Note: {notice}."));
    }
    let took = answer["took_ms"].as_f64().unwrap_or_default();
    app.say(&styled(
        Style::Dim,
        &format!("{} of {} passages · {took:.0} ms", results.len(), answer["searched"].as_u64().unwrap_or_default()),
    ));
    Ok(exit)
}

fn show(result: &Value) {
    let page = result["page"].as_u64().map(|page| format!(", p. {page}")).unwrap_or_default();
    let heading = result["headings"].as_array().and_then(|path| path.last()).and_then(Value::as_str);
    let heading = heading.map(|title| format!(" · {title}")).unwrap_or_default();
    let name = result["document"]["name"].as_str().unwrap_or_default();
    let score = result["score"].as_f64().unwrap_or_default();
    output::line(&format!(
        "{} {}{page}{heading}  {}",
        styled(Style::Bold, &format!("{}.", result["rank"])),
        styled(Style::Bold, name),
        styled(Style::Dim, &format!("{score:.2}")),
    ));
    output::line(&format!("   {}", excerpt(result["text"].as_str().unwrap_or_default(), 300)));
    for reason in result["reasons"].as_array().into_iter().flatten() {
        if let Some(text) = reason_line(reason) {
            output::line(&styled(Style::Dim, &format!("   {text}")));
        }
    }
}

fn reason_line(reason: &Value) -> Option<String> {
    let words = |name: &str, by: &str| -> Option<String> {
        let words: Vec<&str> = reason[name].as_array()?.iter().filter_map(Value::as_str).collect();
        (!words.is_empty()).then(|| words.join(by))
    };
    match reason["type"].as_str()? {
        "terms" => words("terms", ", ").map(|terms| format!("words: {terms}")),
        "path" => words("phrases", " → ").map(|path| format!("graph: {path}")),
        "graph" => words("entities", ", ").map(|entities| format!("entities: {entities}")),
        "neighbour" => Some("next to a passage above".to_owned()),
        _ => None,
    }
}
