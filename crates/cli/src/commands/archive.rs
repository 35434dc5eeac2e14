//! `lorekeep export` and `lorekeep import`: a workspace as one file.

use std::path::PathBuf;

use anyhow::{Context, Result};
use axum::body::Body;
use axum::http::Method;
use clap::Args;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::app::App;
use crate::client::escape;
use crate::output::{self, Exit};

/// Arguments of `export`.
#[derive(Args, Debug)]
pub struct Export {
    /// File to write; must not exist
    pub file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `import`.
#[derive(Args, Debug)]
pub struct Import {
    /// File written by `export`; the workspace named by `--workspace` is created from it
    pub file: PathBuf,
}

/// Writes the archive beside its final name and renames it, so that no half-written file looks whole.
pub async fn export(app: &App, args: &Export) -> Result<Exit> {
    if args.file.exists() && !args.force {
        return Err(lorekeep_types::Error::invalid(format!("{} exists", args.file.display()))
            .hint("choose another name or add --force")
            .into());
    }
    let client = app.client().await?;
    let path = format!("/v1/workspaces/{}/export", escape(app.workspace.as_str()));
    let body = client.stream(Method::GET, &path, "", Body::empty()).await?;
    let partial = args.file.with_extension("partial");
    let written = write(body, &partial).await;
    client.close().await;
    match written {
        Ok(bytes) => {
            std::fs::rename(&partial, &args.file).with_context(|| format!("cannot write {}", args.file.display()))?;
            finish(app, "exported", bytes)
        }
        Err(error) => {
            // The broken part is of no use; failing to remove it must not hide the reason.
            let _ = std::fs::remove_file(&partial);
            Err(error)
        }
    }
}

async fn write(body: Body, path: &std::path::Path) -> Result<u64> {
    let context = || format!("cannot write {}", path.display());
    let mut file = tokio::fs::File::create(path).await.with_context(context)?;
    let mut stream = body.into_data_stream();
    let mut bytes = 0;
    while let Some(piece) = stream.next().await {
        let piece = piece.context("the export broke off")?;
        bytes += piece.len() as u64;
        file.write_all(&piece).await.with_context(context)?;
    }
    file.sync_all().await.with_context(context)?;
    Ok(bytes)
}

/// Makes the workspace from the archive.
pub async fn import(app: &App, args: &Import) -> Result<Exit> {
    let file =
        tokio::fs::File::open(&args.file).await.with_context(|| format!("cannot read {}", args.file.display()))?;
    let size = file.metadata().await?.len();
    let client = app.client().await?;
    let path = format!("/v1/workspaces/{}/import", escape(app.workspace.as_str()));
    let body = Body::from_stream(tokio_util::io::ReaderStream::new(file));
    let outcome = client.bytes(Method::POST, &path, "application/octet-stream", body).await;
    client.close().await;
    outcome?;
    finish(app, "imported", size)
}

fn finish(app: &App, done: &str, bytes: u64) -> Result<Exit> {
    let answer: Value = json!({ "workspace": app.workspace, "bytes": bytes, "done": done });
    if app.global.json {
        output::json(&answer)?;
    } else {
        output::line(&format!("Workspace `{}` {done} ({:.1} MB).", app.workspace, bytes as f64 / 1e6));
    }
    Ok(Exit::Ok)
}
