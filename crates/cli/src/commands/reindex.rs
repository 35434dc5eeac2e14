//! `lorekeep reindex`: rebuilds the views, or makes all vectors anew, while the old ones serve.

use anyhow::{Result, bail};
use axum::body::Body;
use axum::http::Method;
use clap::Args;
use futures::StreamExt;
use serde_json::{Value, json};

use super::progress;
use crate::app::App;
use crate::client::Client;
use crate::output::{self, Exit};

/// Arguments of `reindex`.
#[derive(Args, Debug)]
pub struct Reindex {
    /// Make all vectors anew with the model of the role `embed`, as a job: needed once another model is chosen for it
    #[arg(long)]
    pub vectors: bool,
}

/// Runs the command.
pub async fn run(app: &App, args: &Reindex) -> Result<Exit> {
    let client = app.client().await?;
    if args.vectors {
        let exit = vectors(app, &client).await;
        client.close().await;
        return exit;
    }
    let ended = rebuild(app, &client).await;
    client.close().await;
    ended?;
    if !app.global.json {
        output::line("Rebuilt.");
    }
    Ok(Exit::Ok)
}

async fn vectors(app: &App, client: &Client) -> Result<Exit> {
    let job: Value = client.call(Method::POST, "/v1/reindex?vectors=true", &json!({})).await?;
    progress::follow_vectors(app, client, job["id"].as_str().unwrap_or_default()).await
}

async fn rebuild(app: &App, client: &Client) -> Result<()> {
    let body = client.stream(Method::POST, "/v1/reindex", "application/json", Body::from("{}")).await?;
    let bar = progress::bar(app, 0, "passages");
    let mut stream = body.into_data_stream();
    let mut buffer: Vec<u8> = Vec::new();
    let mut done = false;
    while let Some(piece) = stream.next().await {
        buffer.extend_from_slice(&piece?);
        while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            let event: Value = serde_json::from_slice(&line)?;
            if app.global.json {
                output::json(&event)?;
            }
            match event["type"].as_str() {
                Some("progress") => {
                    bar.set_length(event["total"].as_u64().unwrap_or_default());
                    bar.set_position(event["done"].as_u64().unwrap_or_default());
                }
                Some("done") => done = true,
                _ => bail!("{}", event["detail"].as_str().unwrap_or("the rebuild failed; the old indexes serve on")),
            }
        }
    }
    bar.finish_and_clear();
    if done { Ok(()) } else { bail!("the rebuild broke off; the old indexes serve on") }
}
