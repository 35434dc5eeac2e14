//! `lorekeep graph communities`: groups of closely related entities.

use anyhow::Result;
use axum::http::Method;
use clap::Args;
use serde_json::{Value, json};

use crate::app::App;
use crate::client::Client;
use crate::commands::ask::cost_of;
use crate::output::{self, Exit, Style, counted, styled};

/// Arguments of `graph communities`.
#[derive(Args, Debug)]
pub struct Communities {
    /// 0 is of the whole graph; deeper levels split large communities
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=16))]
    pub level: u32,
    /// Most communities
    #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub limit: u64,
    /// Have the model of the role `summarize` write a summary of each
    #[arg(long)]
    pub summarize: bool,
}

/// Runs the command.
pub async fn run(app: &App, client: &Client, args: &Communities) -> Result<Exit> {
    let found: Value = if args.summarize {
        let body = json!({ "level": args.level, "limit": args.limit });
        client.call(Method::POST, "/v1/graph/communities/summaries", &body).await?
    } else {
        client.get(&format!("/v1/graph/communities?level={}&limit={}", args.level, args.limit)).await?
    };
    let communities = found["communities"].as_array().cloned().unwrap_or_default();
    if app.global.json {
        output::json(&found)?;
    } else {
        communities.iter().for_each(show);
        tell(app, &found, communities.len());
    }
    Ok(if communities.is_empty() { Exit::NothingFound } else { Exit::Ok })
}

fn show(community: &Value) {
    let number = |name: &str| community[name].as_u64().unwrap_or_default();
    let size = format!("{} in {}", counted(number("size"), "member"), counted(number("documents"), "document"));
    let title = community["title"].as_str().unwrap_or_default();
    output::line(&format!("{}  {}", styled(Style::Bold, title), styled(Style::Dim, &size)));
    let words = |list: &Value, field: Option<&str>| {
        let word = |one: &Value| field.map_or(one, |field| &one[field]).as_str().map(str::to_owned);
        list.as_array().into_iter().flatten().filter_map(word).collect::<Vec<_>>().join(", ")
    };
    match community["summary"].as_str() {
        Some(summary) => output::line(&format!("  {summary}")),
        None => output::line(&format!("  {}", words(&community["key_phrases"], None))),
    }
    output::line(&styled(Style::Dim, &format!("  {}", words(&community["central"], Some("name")))));
}

fn tell(app: &App, found: &Value, shown: usize) {
    for notice in found["notices"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        output::note(&format!("{} {notice}", styled(Style::Warn, "!")));
    }
    if !app.talks() {
        return;
    }
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let mut line =
        format!("{shown} of {} on this level, {}", number(&found["total"]), counted(number(&found["levels"]), "level"));
    let tokens = number(&found["usage"]["total_tokens"]);
    if tokens > 0 {
        line.push_str(&format!(" · {tokens} tokens{}", cost_of(found["usage"]["cost_nano_usd"].as_u64(), " · ")));
    }
    output::note(&styled(Style::Dim, &line));
}
