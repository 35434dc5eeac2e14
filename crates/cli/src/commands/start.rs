//! `lorekeep start`: from nothing to a cited answer in one step.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use lorekeep_types::Role;
use rust_embed::RustEmbed;
use serde_json::Value;

use super::serve::{self, Serve};
use super::{add, progress, walk};
use crate::app::App;
use crate::client::{Client, FilePart};
use crate::output::{Exit, Style, counted, styled};
use crate::wire;

/// Arguments of `start`.
#[derive(Args, Debug)]
pub struct Start {
    /// Files and folders to index; the bundled sample library when there are none and nothing is indexed yet
    pub paths: Vec<PathBuf>,
    /// Do not open the browser
    #[arg(long)]
    pub no_open: bool,
    /// Where to serve
    #[command(flatten)]
    pub serve: Serve,
}

/// The sample library, part of the program.
#[derive(RustEmbed)]
#[folder = "../../samples/library"]
struct Samples;

/// Runs the command.
pub async fn run(app: &App, args: &Start) -> Result<Exit> {
    wire::start_logging(&app.config, app.global.verbose)?;
    let fresh = !app.config.data_dir.exists();
    let (node, listener) = serve::open(app).await?;
    let state = if fresh { "new" } else { "existing" };
    app.say(&format!("Data folder   {}   ({state})", app.config.data_dir.display()));
    app.say(&format!("Workspace     {}", app.workspace));
    let writer = app.config.models.roles.get(&Role::Answer).and_then(|models| models.first());
    match writer {
        Some(model) => app.say(&format!("Model         {model} writes the answers; --quote-only quotes\n")),
        None => app.say("Model         none: answers quote your documents word for word\n"),
    }

    let client = Client::local(node.clone(), app.workspace.clone());
    let url = wire::url_of(&listener)?;
    let session = serve::until_stopped(app, node, listener);
    let greeting = greet(app, args, &client, &url);
    tokio::pin!(session);
    tokio::select! {
        ended = &mut session => return ended,
        greeted = greeting => greeted?,
    }
    session.await
}

async fn greet(app: &App, args: &Start, client: &Client, url: &str) -> Result<()> {
    if args.paths.is_empty() {
        samples(app, client).await?;
    } else {
        let walked = walk::walk(&args.paths, &add::extensions(client).await?)?;
        app.say(&format!("Indexing {}", counted(walked.files.len() as u64, "file")));
        let (jobs, _) = add::upload(app, client, &walked.files, &[]).await?;
        progress::follow(app, client, &jobs).await?;
    }
    let opens = !args.no_open && std::io::stdout().is_terminal() && open::that_detached(url).is_ok();
    let browser = if opens { "opening your browser; " } else { "" };
    app.say(&format!("\n{}  {url}   ({browser}Ctrl-C stops)", styled(Style::Good, "Ready")));
    app.say("Ask here too:  lorekeep ask \"your question\"");
    Ok(())
}

/// Indexes the samples unless the workspace holds documents already.
async fn samples(app: &App, client: &Client) -> Result<()> {
    let page: Value = client.get("/v1/documents?limit=1").await?;
    if page["total"].as_u64().unwrap_or_default() > 0 {
        return Ok(());
    }
    let files: Vec<FilePart> = Samples::iter()
        .filter_map(|name| {
            let file = Samples::get(&name)?;
            Some(FilePart { source: format!("sample:{name}"), name: name.into_owned(), bytes: file.data.into_owned() })
        })
        .collect();
    app.say(&format!("Indexing the sample library, {}", counted(files.len() as u64, "file")));
    let job = add::send(client, &files, &["sample".to_owned()], None).await?;
    progress::follow(app, client, &[job]).await?;
    Ok(())
}
