//! `lorekeep cache`: what is kept of model calls, and forgetting it.

use anyhow::Result;
use axum::http::Method;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::app::App;
use crate::client::escape;
use crate::output::{self, Exit};

/// Subcommands of `cache`.
#[derive(Debug, Subcommand)]
pub enum Cache {
    /// Show how much is kept, by kind
    Show,
    /// Forget results of model calls; what is asked for again costs again
    Clear(Clear),
}

/// Arguments of `cache clear`.
#[derive(Args, Debug)]
pub struct Clear {
    /// Only these: extraction, summary, keywords, translation, embedding or answer
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Of every workspace
    #[arg(long)]
    pub all: bool,
}

/// Runs the command.
pub async fn run(app: &App, command: &Cache) -> Result<Exit> {
    let client = app.client().await?;
    let answer: Result<Value> = match command {
        Cache::Show => client.get("/v1/cache").await,
        Cache::Clear(clear) => {
            let kind = clear.kind.as_deref().map(|kind| format!("&kind={}", escape(kind))).unwrap_or_default();
            client.call(Method::DELETE, &format!("/v1/cache?all={}{kind}", clear.all), &json!({})).await
        }
    };
    client.close().await;
    let answer = answer?;
    if app.global.json {
        output::json(&answer)?;
    } else if let Some(forgotten) = answer["forgotten"].as_u64() {
        output::line(&format!("{} forgotten.", output::counted(forgotten, "value")));
    } else {
        show(&answer);
    }
    Ok(Exit::Ok)
}

fn show(answer: &Value) {
    if answer["enabled"] == false {
        output::line("Nothing is kept: `cache.backend` is `none`.");
        return;
    }
    let row = |one: &Value| {
        let bytes = one["bytes"].as_u64().unwrap_or_default();
        vec![
            one["kind"].as_str().unwrap_or("total").to_owned(),
            one["entries"].to_string(),
            indicatif::HumanBytes(bytes).to_string(),
        ]
    };
    let mut rows = vec![["KIND", "VALUES", "SIZE"].map(str::to_owned).to_vec()];
    rows.extend(answer["kinds"].as_array().into_iter().flatten().map(row));
    rows.push(row(answer));
    output::table(&rows);
}
