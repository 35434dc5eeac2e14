//! Progress of a job: a bar on a terminal, a line every ten seconds elsewhere, and the result sheet.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::Result;
use axum::http::Method;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::app::App;
use crate::client::{Client, escape};
use crate::output::{self, Exit, Style, styled};

/// Between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Problems listed in the result sheet.
const PROBLEMS_SHOWN: usize = 20;

/// A bar that is drawn only where someone watches.
pub fn bar(app: &App, total: u64, unit: &str) -> ProgressBar {
    let target =
        if app.talks() && !app.global.json { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    let template = format!("  {{bar:24}} {{pos}}/{{len}} {unit}  {{msg}}");
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style.progress_chars("█▌░"));
    }
    bar
}

/// Follows jobs to their end. Ctrl-C cancels them: what was indexed stays.
pub async fn follow<S: AsRef<str>>(app: &App, client: &Client, jobs: &[S]) -> Result<Exit> {
    if !watched(app, client, jobs, "files").await? {
        app.say("Interrupted: documents already indexed stay, the rest was cancelled.");
        return Ok(Exit::Interrupted);
    }
    sheet(app, client, jobs).await
}

/// Follows a job that makes all vectors anew. Ctrl-C cancels it: the old vectors stay.
pub async fn follow_vectors(app: &App, client: &Client, job: &str) -> Result<Exit> {
    if !watched(app, client, &[job], "vectors").await? {
        app.say("Interrupted: the vectors stay as they were.");
        return Ok(Exit::Interrupted);
    }
    let record: Value = client.get(&format!("/v1/jobs/{}", escape(job))).await?;
    if app.global.json {
        output::json(&json!({ "type": "result", "job": record }))?;
    }
    if let Some(message) = record["problem"]["message"].as_str() {
        app.say(&format!("{} {message}{}", styled(Style::Bad, "✗"), hint_of(&record["problem"])));
        return Ok(Exit::Failed);
    }
    if record["state"] == "cancelled" {
        app.say("Cancelled: the vectors stay as they were.");
        return Ok(Exit::Failed);
    }
    app.say(&styled(Style::Good, &format!("✓ {} vectors made anew", record["counts"]["ready"])));
    Ok(Exit::Ok)
}

/// Watches jobs to their end, or cancels them on Ctrl-C; whether they came to their end.
async fn watched<S: AsRef<str>>(app: &App, client: &Client, jobs: &[S], unit: &str) -> Result<bool> {
    let watched = async {
        for job in jobs {
            watch(app, client, job.as_ref(), unit).await?;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        done = watched => done.map(|()| true),
        _ = tokio::signal::ctrl_c() => {
            for job in jobs {
                let path = format!("/v1/jobs/{}/cancel", escape(job.as_ref()));
                let _: Value = client.call(Method::POST, &path, &json!({})).await?;
            }
            Ok(false)
        }
    }
}

async fn watch(app: &App, client: &Client, job: &str, unit: &str) -> Result<()> {
    let bar = bar(app, 0, unit);
    let mut waits_for = String::new();
    let watched = std::io::stderr().is_terminal();
    let mut last_line = Instant::now();
    let mut events = client.events(&format!("/v1/jobs/{}/events", escape(job))).await?;
    while let Some((name, data)) = events.next().await? {
        if app.global.json {
            output::line(&data);
        }
        let event: Value = serde_json::from_str(&data)?;
        match name.as_str() {
            "stage" => bar.set_message(format!(
                "{} {}",
                event["stage"].as_str().unwrap_or_default(),
                output::excerpt(event["name"].as_str().unwrap_or_default(), 40)
            )),
            "passages" => bar.set_message(format!(
                "{}/{} passages of {}",
                event["done"],
                event["total"],
                output::excerpt(event["name"].as_str().unwrap_or_default(), 40)
            )),
            "progress" => {
                let counts = &event["counts"];
                let total = counts["total"].as_u64().unwrap_or_default();
                bar.set_length(total);
                bar.set_position(total - counts["open"].as_u64().unwrap_or_default().min(total));
                bar.set_message(pace(&event, unit));
                let problem = event["problem"]["message"].as_str().unwrap_or_default();
                if problem != waits_for && !app.global.json {
                    problem.clone_into(&mut waits_for);
                    if !problem.is_empty() {
                        bar.suspend(|| app.say(&format!("{} {problem}; it is tried again", styled(Style::Warn, "!"))));
                    }
                }
                if !watched && last_line.elapsed() > LINE_EVERY && !app.global.json {
                    last_line = Instant::now();
                    app.say(&format!("{}/{total} {unit}  {}", bar.position(), pace(&event, unit)));
                }
            }
            _ => {}
        }
    }
    bar.finish_and_clear();
    Ok(())
}

fn pace(event: &Value, unit: &str) -> String {
    let rate = event["rate"].as_f64().unwrap_or_default();
    match event["left_s"].as_f64() {
        Some(left) if left >= 1.0 => format!("{rate:.0} {unit}/s  about {left:.0} s left"),
        _ => format!("{rate:.0} {unit}/s"),
    }
}

/// Prints how many files ended how, and why the failed ones did.
async fn sheet<S: AsRef<str>>(app: &App, client: &Client, jobs: &[S]) -> Result<Exit> {
    let mut records = Vec::new();
    for job in jobs {
        records.push(client.get::<Value>(&format!("/v1/jobs/{}", escape(job.as_ref()))).await?);
    }
    let count = |name: &str| records.iter().filter_map(|job| job["counts"][name].as_u64()).sum::<u64>();
    let bad = count("failed") + count("needs_ocr") + count("cancelled");
    if app.global.json {
        output::json(&json!({ "type": "result", "jobs": records }))?;
    } else {
        app.say(&summary(&count));
        if count("failed") + count("needs_ocr") > 0 {
            problems(app, client, jobs).await?;
        }
    }
    Ok(match (bad, count("ready") + count("duplicate")) {
        (0, _) => Exit::Ok,
        (_, 0) => Exit::Failed,
        _ => Exit::PartlyFailed,
    })
}

fn summary(count: &impl Fn(&str) -> u64) -> String {
    let mut words = vec![styled(Style::Good, &format!("✓ {} ready", count("ready")))];
    let more = [
        ("duplicate", "= ", "already indexed", Style::Dim),
        ("needs_ocr", "! ", "need OCR", Style::Warn),
        ("cancelled", "! ", "cancelled", Style::Warn),
        ("failed", "✗ ", "failed", Style::Bad),
    ];
    for (name, sign, text, style) in more {
        if count(name) > 0 {
            words.push(styled(style, &format!("{sign}{} {text}", count(name))));
        }
    }
    words.join("   ")
}

fn hint_of(problem: &Value) -> String {
    problem["hint"].as_str().map(|hint| format!(" ({hint})")).unwrap_or_default()
}

async fn problems<S: AsRef<str>>(app: &App, client: &Client, jobs: &[S]) -> Result<()> {
    let mut shown = 0;
    for job in jobs {
        let items: Value = client.get(&format!("/v1/jobs/{}/items?limit=1000", escape(job.as_ref()))).await?;
        for item in items["items"].as_array().into_iter().flatten().filter(|item| !item["problem"].is_null()) {
            let problem = &item["problem"];
            let hint = hint_of(problem);
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            app.say(&format!("  {}: {}{hint}", text(&item["name"]), text(&problem["message"])));
            shown += 1;
            if shown == PROBLEMS_SHOWN {
                app.say("  … and more: lorekeep docs list --state failed");
                return Ok(());
            }
        }
    }
    Ok(())
}
