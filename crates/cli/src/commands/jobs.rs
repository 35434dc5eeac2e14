//! `lorekeep jobs`: list, show, follow, cancel and retry jobs.

use anyhow::Result;
use axum::http::Method;
use clap::Subcommand;
use serde_json::{Value, json};

use super::progress;
use crate::app::App;
use crate::client::{Client, escape};
use crate::output::{self, Exit, Style, styled};

/// Subcommands of `jobs`.
#[derive(Debug, Subcommand)]
pub enum Jobs {
    /// List jobs, newest first
    List {
        /// Only in this state: queued, running, done or cancelled
        #[arg(long)]
        state: Option<String>,
        /// How many
        #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
        limit: u64,
    },
    /// Show one job and its documents
    Show {
        /// Its id
        job: String,
    },
    /// Follow a job until it ends
    Follow {
        /// Its id
        job: String,
    },
    /// Cancel a job; documents already indexed stay
    Cancel {
        /// Its id
        job: String,
    },
    /// Index every failed or cancelled document of the workspace again
    Retry,
}

/// Runs the command.
pub async fn run(app: &App, args: &Jobs) -> Result<Exit> {
    let client = app.client().await?;
    let exit = match args {
        Jobs::List { state, limit } => list(app, &client, state.as_deref(), *limit).await,
        Jobs::Show { job } => show(app, &client, job).await,
        Jobs::Follow { job } => follow(app, &client, job).await,
        Jobs::Cancel { job } => cancel(app, &client, job).await,
        Jobs::Retry => retry(app, &client).await,
    };
    client.close().await;
    exit
}

async fn follow(app: &App, client: &Client, id: &str) -> Result<Exit> {
    let job: Value = client.get(&format!("/v1/jobs/{}", escape(id))).await?;
    match job["kind"].as_str() {
        Some("reindex") => progress::follow_vectors(app, client, id).await,
        _ => progress::follow(app, client, &[id]).await,
    }
}

async fn list(app: &App, client: &Client, state: Option<&str>, limit: u64) -> Result<Exit> {
    let state = state.map(|state| format!("&state={}", escape(state))).unwrap_or_default();
    let page: Value = client.get(&format!("/v1/jobs?limit={limit}{state}")).await?;
    if app.global.json {
        output::json(&page)?;
        return Ok(Exit::Ok);
    }
    let header = ["ID", "STATE", "TOTAL", "READY", "DUPLICATE", "FAILED", "OPEN", "CREATED"];
    let mut rows: Vec<Vec<String>> = vec![header.iter().map(ToString::to_string).collect()];
    for job in page["jobs"].as_array().into_iter().flatten() {
        let counts = &job["counts"];
        let created = job["created_at"].as_str().and_then(|time| time.get(..16)).unwrap_or_default().replace('T', " ");
        let text = |name: &str| job[name].as_str().unwrap_or_default().to_owned();
        rows.push(vec![
            text("id"),
            text("state"),
            counts["total"].to_string(),
            counts["ready"].to_string(),
            counts["duplicate"].to_string(),
            counts["failed"].to_string(),
            counts["open"].to_string(),
            created,
        ]);
    }
    output::table(&rows);
    Ok(Exit::Ok)
}

async fn show(app: &App, client: &Client, id: &str) -> Result<Exit> {
    let path = format!("/v1/jobs/{}", escape(id));
    let job: Value = client.get(&path).await?;
    let items: Value = client.get(&format!("{path}/items?limit=1000")).await?;
    if app.global.json {
        output::json(&json!({ "job": job, "items": items["items"] }))?;
        return Ok(Exit::Ok);
    }
    let why = job["problem"]["message"].as_str().map(|text| format!("  {text}")).unwrap_or_default();
    output::line(&format!("{}  {}{why}", styled(Style::Bold, id), job["state"].as_str().unwrap_or_default()));
    for item in items["items"].as_array().into_iter().flatten() {
        let problem = item["problem"]["message"].as_str().map(|text| format!(": {text}")).unwrap_or_default();
        let text = |name: &str| item[name].as_str().unwrap_or_default();
        output::line(&format!("  {:<10} {}{problem}", text("outcome"), text("name")));
    }
    Ok(Exit::Ok)
}

async fn cancel(app: &App, client: &Client, id: &str) -> Result<Exit> {
    let path = format!("/v1/jobs/{}/cancel", escape(id));
    let answer: Value = client.call(Method::POST, &path, &json!({})).await?;
    if app.global.json {
        output::json(&answer)?;
    } else if answer["cancelled"] == true {
        output::line("Cancelled.");
    } else {
        output::line("The job had already ended.");
    }
    Ok(Exit::Ok)
}

async fn retry(app: &App, client: &Client) -> Result<Exit> {
    let answer: Value = client.call(Method::POST, "/v1/documents/retry", &json!({ "ids": [] })).await?;
    match answer["job"]["id"].as_str() {
        Some(job) => progress::follow(app, client, &[job]).await,
        None => {
            app.say("Nothing to retry.");
            Ok(Exit::Ok)
        }
    }
}
