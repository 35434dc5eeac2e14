//! `lorekeep add`: files, folders, web addresses and standard input into the workspace, with progress and a result
//! sheet.

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, Result};
use axum::body::Body;
use axum::http::Method;
use clap::Args;
use serde_json::Value;

use super::walk::{self, Found};
use super::{progress, read, walk::Walked};
use crate::app::App;
use crate::client::{ApiError, Client, FilePart, encode};
use crate::commands::{fetch, watch};
use crate::output::{self, Exit, counted};

/// Most files and bytes sent in one upload: each upload is one transaction.
const BATCH_FILES: usize = 64;
const BATCH_BYTES: usize = 8 << 20;

/// Arguments of `add`.
#[derive(Args, Debug)]
pub struct Add {
    /// Files, folders and http(s) addresses; `-` reads standard input
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Name of the document read from standard input
    #[arg(long = "as", value_name = "NAME", default_value = "stdin.txt")]
    pub name: String,
    /// Tags to give the documents
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Show what would be added and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Keep watching the folders for changes
    #[arg(long)]
    pub watch: bool,
    /// Return once the files are accepted; a running server indexes them
    #[arg(long, conflicts_with = "watch")]
    pub no_wait: bool,
}

/// Runs the command.
pub async fn run(app: &App, args: &Add) -> Result<Exit> {
    let client = app.client().await?;
    let exit = add(app, args, &client).await;
    if exit.is_ok() && !args.no_wait {
        client.settle().await;
    }
    client.close().await;
    exit
}

async fn add(app: &App, args: &Add, client: &Client) -> Result<Exit> {
    if args.paths.iter().any(|path| path.as_os_str() == "-") {
        return add_stdin(app, args, client).await;
    }
    let (addresses, paths): (Vec<PathBuf>, Vec<PathBuf>) =
        args.paths.iter().cloned().partition(|path| path.to_str().is_some_and(fetch::is_address));
    let walked = walk::walk(&paths, &extensions(client).await?)?;
    if args.dry_run {
        return dry_run(app, &walked, &addresses);
    }
    if !addresses.is_empty() {
        let exit = add_addresses(app, args, client, &addresses).await?;
        if paths.is_empty() || exit == Exit::Interrupted {
            return Ok(exit);
        }
    }
    announce(app, &walked);
    let mut exit = if walked.unreadable.is_empty() { Exit::Ok } else { Exit::PartlyFailed };
    if walked.files.is_empty() && !args.watch {
        app.say("No readable files there; `lorekeep add --help` lists what can be given.");
        return Ok(Exit::NothingFound);
    }
    if !walked.files.is_empty() {
        let (jobs, unread) = upload(app, client, &walked.files, &args.tags).await?;
        if !args.no_wait {
            let ended = progress::follow(app, client, &jobs).await?;
            exit = if ended == Exit::Ok { exit } else { ended };
        }
        if unread > 0 && exit == Exit::Ok {
            exit = Exit::PartlyFailed;
        }
    }
    if args.watch && exit != Exit::Interrupted {
        watch::folders(app, client, &paths, &args.tags).await?;
    }
    Ok(exit)
}

/// Extensions the server can read.
pub async fn extensions(client: &Client) -> Result<Vec<String>> {
    let formats: Value = client.get("/v1/formats").await?;
    let all = formats["formats"].as_array().into_iter().flatten();
    Ok(all
        .flat_map(|format| format["extensions"].as_array().cloned().unwrap_or_default())
        .filter_map(|extension| extension.as_str().map(str::to_owned))
        .collect())
}

fn announce(app: &App, walked: &Walked) {
    for fault in &walked.unreadable {
        app.say(&format!("✗ {fault}"));
    }
    let left = match walked.left_out {
        0 => String::new(),
        count => format!(", {} of other kinds left out", counted(count as u64, "file")),
    };
    app.say(&format!("Indexing {}{left}", counted(walked.files.len() as u64, "file")));
}

fn dry_run(app: &App, walked: &Walked, addresses: &[PathBuf]) -> Result<Exit> {
    let addresses = addresses.iter().map(|address| address.display().to_string());
    let names: Vec<String> = addresses.chain(walked.files.iter().map(|found| found.name.clone())).collect();
    if app.global.json {
        output::json(&serde_json::json!({ "files": names, "left_out": walked.left_out }))?;
    } else {
        names.iter().for_each(|name| output::line(name));
        app.say(&format!("{} would be added; nothing was changed.", counted(names.len() as u64, "document")));
    }
    Ok(Exit::Ok)
}

/// Fetches addresses one after the other; one that cannot be fetched does not stop the rest.
async fn add_addresses(app: &App, args: &Add, client: &Client, addresses: &[PathBuf]) -> Result<Exit> {
    let (mut jobs, mut first_failure) = (Vec::new(), None);
    for address in addresses.iter().filter_map(|address| address.to_str()) {
        app.say(&format!("Fetching {address}"));
        match fetch::fetch(address, app.config.max_file_bytes).await {
            Ok(file) => extend(client, &[file], &args.tags, &mut jobs).await?,
            Err(error) if addresses.len() == 1 => return Err(error),
            Err(error) => {
                app.say(&format!("✗ {error:#}"));
                first_failure = first_failure.or(Some(error));
            }
        }
    }
    if let Some(error) = first_failure.take_if(|_| jobs.is_empty()) {
        return Err(error);
    }
    let ended = if args.no_wait { Exit::Ok } else { progress::follow(app, client, &jobs).await? };
    Ok(if ended == Exit::Ok && first_failure.is_some() { Exit::PartlyFailed } else { ended })
}

async fn add_stdin(app: &App, args: &Add, client: &Client) -> Result<Exit> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes).context("cannot read standard input")?;
    let file = FilePart { source: format!("stdin:{}", args.name), name: args.name.clone(), bytes };
    let job = send(client, &[file], &args.tags, None).await?;
    if args.no_wait { Ok(Exit::Ok) } else { progress::follow(app, client, &[job]).await }
}

/// Uploads files, as one job unless indexing overtakes the upload; returns the jobs and how many files could not be
/// read.
pub async fn upload(app: &App, client: &Client, files: &[Found], tags: &[String]) -> Result<(Vec<String>, usize)> {
    let bar = progress::bar(app, files.len() as u64, "files sent");
    let (mut jobs, mut batch, mut size, mut unread) = (Vec::new(), Vec::new(), 0, 0);
    for found in files {
        match read::whole(&found.path) {
            Ok(bytes) => {
                size += bytes.len();
                batch.push(FilePart { source: found.path.display().to_string(), name: found.name.clone(), bytes });
            }
            Err(error) => {
                unread += 1;
                app.say(&format!("✗ {}: {error}", found.name));
            }
        }
        if batch.len() >= BATCH_FILES || size >= BATCH_BYTES {
            extend(client, &batch, tags, &mut jobs).await?;
            (batch, size) = (Vec::new(), 0);
        }
        bar.inc(1);
    }
    if !batch.is_empty() {
        extend(client, &batch, tags, &mut jobs).await?;
    }
    bar.finish_and_clear();
    Ok((jobs, unread))
}

/// Adds files to the last job, or to a new one when that has ended meanwhile.
async fn extend(client: &Client, files: &[FilePart], tags: &[String], jobs: &mut Vec<String>) -> Result<()> {
    let job = match send(client, files, tags, jobs.last().map(String::as_str)).await {
        Err(error) if !jobs.is_empty() && is_conflict(&error) => send(client, files, tags, None).await?,
        sent => sent?,
    };
    if jobs.last() != Some(&job) {
        jobs.push(job);
    }
    Ok(())
}

fn is_conflict(error: &anyhow::Error) -> bool {
    error.downcast_ref::<ApiError>().is_some_and(|error| error.status == 409)
}

/// Sends one upload and returns its job.
pub async fn send(client: &Client, files: &[FilePart], tags: &[String], job: Option<&str>) -> Result<String> {
    let tags = tags.join(",");
    let mut fields = Vec::new();
    if !tags.is_empty() {
        fields.push(("tags", tags.as_str()));
    }
    if let Some(job) = job {
        fields.push(("job", job));
    }
    let (kind, body) = encode(&fields, files);
    let answer = client.bytes(Method::POST, "/v1/documents", &kind, Body::from(body)).await?;
    let answer: Value = serde_json::from_slice(&answer)?;
    Ok(answer["job"]["id"].as_str().unwrap_or_default().to_owned())
}
