//! Watching folders: a file that is written is added again, one that is removed is deleted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::http::Method;
use lorekeep_types::DocumentId;
use notify::{RecursiveMode, Watcher};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::add;
use super::walk::{self, Found};
use crate::app::App;
use crate::client::Client;
use crate::output;

/// Quiet time after the last event before files are read: a file that is still being written is left alone.
const SETTLE: Duration = Duration::from_millis(500);

/// Watches until Ctrl-C.
pub async fn folders(app: &App, client: &Client, paths: &[PathBuf], tags: &[String]) -> Result<()> {
    app.say("Watching for changes; Ctrl-C stops.");
    tokio::select! {
        ended = run(app, client, paths, tags) => ended,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// Watches until the future is dropped.
pub async fn run(app: &App, client: &Client, paths: &[PathBuf], tags: &[String]) -> Result<()> {
    let roots = paths
        .iter()
        .map(|path| path.canonicalize().with_context(|| format!("cannot watch {}", path.display())))
        .collect::<Result<Vec<_>>>()?;
    let (sender, mut events) = mpsc::unbounded_channel();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if let Ok(event) = event
            && !event.kind.is_access()
        {
            // The receiver ends together with the command.
            let _ = sender.send(event.paths);
        }
    })
    .context("cannot watch folders here")?;
    for root in &roots {
        watcher.watch(root, RecursiveMode::Recursive).with_context(|| format!("cannot watch {}", root.display()))?;
    }
    let extensions = add::extensions(client).await?;
    while let Some(first) = events.recv().await {
        let mut changed: BTreeSet<PathBuf> = first.into_iter().collect();
        while let Ok(Some(more)) = tokio::time::timeout(SETTLE, events.recv()).await {
            changed.extend(more);
        }
        changed.retain(|path| walk::is_readable(path, &extensions));
        if let Err(error) = apply(app, client, &roots, &changed, tags).await {
            // The next change tries again; watching goes on.
            output::report(&error, false);
        }
    }
    Ok(())
}

async fn apply(
    app: &App,
    client: &Client,
    roots: &[PathBuf],
    changed: &BTreeSet<PathBuf>,
    tags: &[String],
) -> Result<()> {
    let (present, gone): (Vec<_>, Vec<_>) = changed.iter().partition(|path| path.is_file());
    let files: Vec<Found> = present.into_iter().map(|path| found(roots, path)).collect();
    if !files.is_empty() {
        for file in &files {
            app.say(&format!("changed: {}", file.name));
        }
        add::upload(app, client, &files, tags).await?;
    }
    let ids: Vec<String> =
        gone.iter().map(|path| DocumentId::of_source(&path.display().to_string()).to_string()).collect();
    if !ids.is_empty() {
        let answer: Value = client.call(Method::DELETE, "/v1/documents", &json!({ "ids": ids })).await?;
        if let Some(deleted) = answer["deleted"].as_array().filter(|deleted| !deleted.is_empty()) {
            app.say(&format!("removed: {}", output::counted(deleted.len() as u64, "document")));
        }
    }
    Ok(())
}

fn found(roots: &[PathBuf], path: &Path) -> Found {
    let root = roots.iter().find(|root| path.starts_with(root) && root.is_dir());
    let name = match root {
        Some(root) => walk::relative_name(root, path),
        None => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
    };
    Found { path: path.to_owned(), name }
}
