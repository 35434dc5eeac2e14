//! `lorekeep graph build`: what it would cost, and having the model make the graph of documents.

use anyhow::Result;
use axum::http::Method;
use clap::Args;
use lorekeep_types::ErrorCode;
use serde_json::{Value, json};

use super::{docs, progress};
use crate::app::App;
use crate::client::{Client, escape};
use crate::output::{self, Exit, Style, counted, styled};

/// Documents whose troubles are listed.
const TROUBLES_SHOWN: usize = 20;

/// Arguments of `graph build`.
#[derive(Args, Debug)]
pub struct Build {
    /// Documents, by id or name; none means all whose graph the model has not made yet
    pub documents: Vec<String>,
    /// Say what it would take, and send nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Stop before more than this is spent; what is made by then is kept
    #[arg(long, value_name = "USD")]
    pub max_cost: Option<f64>,
    /// Return once the job is accepted; a running server works on it
    #[arg(long, conflicts_with = "dry_run")]
    pub no_wait: bool,
}

/// Runs the command.
pub async fn run(app: &App, client: &Client, args: &Build) -> Result<Exit> {
    let mut documents = Vec::new();
    for document in &args.documents {
        documents.push(docs::resolve(client, document).await?);
    }
    let body = json!({ "documents": documents, "dry_run": args.dry_run, "max_cost_usd": args.max_cost });
    let answer: Value = client.call(Method::POST, "/v1/graph/build", &body).await?;
    if args.dry_run {
        return show_plan(app, &answer["plan"]);
    }
    let Some(job) = answer["job"]["id"].as_str() else {
        if app.global.json {
            output::json(&answer)?;
        }
        return Ok(nothing_to_build(app));
    };
    if args.no_wait {
        if app.global.json {
            output::json(&answer)?;
        } else {
            output::line(&format!("Accepted as {job}; follow it: lorekeep jobs follow {job}"));
        }
        return Ok(Exit::Ok);
    }
    let documents = answer["job"]["counts"]["total"].as_u64().unwrap_or_default();
    app.say(&format!("Making the graph of {}", counted(documents, "document")));
    let exit = progress::follow(app, client, &[job]).await?;
    if exit == Exit::Interrupted {
        return Ok(exit);
    }
    client.settle().await;
    let stopped = report(app, client, job).await?;
    Ok(if stopped { Exit::BudgetReached } else { exit })
}

fn nothing_to_build(app: &App) -> Exit {
    app.say("Nothing to build: there is no document whose graph the model has not made already.");
    Exit::Ok
}

fn show_plan(app: &App, plan: &Value) -> Result<Exit> {
    if app.global.json {
        output::json(plan)?;
        return Ok(Exit::Ok);
    }
    let number = |name: &str| plan[name].as_u64().unwrap_or_default();
    if number("documents") == 0 {
        return Ok(nothing_to_build(app));
    }
    let new = number("passages") - number("cached").min(number("passages"));
    let row = |name: &str, text: &str| output::line(&format!("{}{text}", styled(Style::Dim, &format!("{name:<12}"))));
    row(
        "Would read",
        &format!(
            "{}, {} not yet read ({} kept)",
            counted(number("documents"), "document"),
            counted(new, "passage"),
            number("cached")
        ),
    );
    row(
        "Tokens",
        &format!("about {} in, {} out", tokens(number("prompt_tokens")), tokens(number("completion_tokens"))),
    );
    let model = plan["model"].as_str().unwrap_or_default();
    match plan["cost_usd"].as_f64() {
        Some(cost) => row("Cost", &format!("about ${cost:.4} with {model}   (prices from the configuration)")),
        None => row("Cost", &format!("not known: {}", plan["cost_unknown"].as_str().unwrap_or_default())),
    }
    row(
        "Time",
        &format!("about {} at {} passages at once", time(plan["seconds"].as_f64().unwrap_or(0.0)), number("parallel")),
    );
    app.say("Not counted are the short calls that follow, which sum up descriptions and compare names.");
    app.say("Nothing was sent. Run without --dry-run; --max-cost 2 stops before $2 is exceeded.");
    Ok(Exit::Ok)
}

fn tokens(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{:.1} k", count as f64 / 1e3),
        _ => format!("{:.2} M", count as f64 / 1e6),
    }
}

fn time(seconds: f64) -> String {
    if seconds < 90.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) }
}

/// Says what was spent and what went wrong; whether a budget or the limit of cost stopped the job.
async fn report(app: &App, client: &Client, job: &str) -> Result<bool> {
    let path = format!("/v1/jobs/{}", escape(job));
    let record: Value = client.get(&path).await?;
    let items: Value = client.get(&format!("{path}/items?limit=1000")).await?;
    let spending = &record["spending"];
    let number = |name: &str| spending[name].as_u64().unwrap_or_default();
    let unpriced = match number("unpriced") {
        0 => String::new(),
        some => format!(", and {} without a known price", counted(some, "call")),
    };
    app.say(&format!(
        "{}, {} kept   {} in, {} out   ${:.4}{unpriced}",
        counted(number("calls"), "call"),
        number("cached"),
        tokens(number("prompt_tokens")),
        tokens(number("completion_tokens")),
        spending["spent_usd"].as_f64().unwrap_or_default()
    ));
    let troubled: Vec<&Value> =
        items["items"].as_array().into_iter().flatten().filter(|item| !item["problem"].is_null()).collect();
    // The documents that never got their turn all have the same reason, which is told once.
    let mut told: Vec<&str> = Vec::new();
    for item in &troubled {
        let message = item["problem"]["message"].as_str().unwrap_or_default();
        if told.contains(&message) || told.len() == TROUBLES_SHOWN {
            continue;
        }
        told.push(message);
        let hint = item["problem"]["hint"].as_str().map(|hint| format!(" ({hint})")).unwrap_or_default();
        app.say(&format!("  {}: {message}{hint}", item["name"].as_str().unwrap_or_default()));
    }
    let of_budget = |code: &ErrorCode| code.is_of_budget();
    let names: Vec<&str> = ErrorCode::ALL.into_iter().filter(of_budget).map(ErrorCode::name).collect();
    Ok(troubled.iter().any(|item| names.iter().any(|name| item["problem"]["code"] == *name)))
}
