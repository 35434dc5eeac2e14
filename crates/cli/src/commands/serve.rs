//! `lorekeep serve`: the API and the page, until SIGTERM or Ctrl-C.

use anyhow::{Context, Result};
use clap::Args;
use lorekeep_types::{Error, ErrorCode};
use tokio::net::TcpListener;

use super::{add, walk, watch};
use crate::app::App;
use crate::client::{Client, Node};
use crate::output::{Exit, Style, styled};
use crate::wire;

/// Arguments of `serve`, also part of `start`.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Server options")]
pub struct Serve {
    /// Address to listen on
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Port to listen on
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
}

impl Serve {
    /// The flags as configuration.
    pub fn flags(&self) -> Vec<(&'static str, &'static str, String)> {
        let host = self.host.as_deref().unwrap_or("127.0.0.1");
        match (self.port, &self.host) {
            (None, None) => vec![],
            (Some(port), _) => vec![("server.bind", "--port", format!("{host}:{port}"))],
            (None, Some(_)) => vec![("server.bind", "--host", format!("{host}:9621"))],
        }
    }
}

/// Runs the command.
pub async fn run(app: &App) -> Result<Exit> {
    wire::start_logging(&app.config, app.global.verbose)?;
    let (node, listener) = open(app).await?;
    let url = wire::url_of(&listener)?;
    app.say(&format!("{}  {url}   (Ctrl-C stops)", styled(Style::Good, "Ready")));
    until_stopped(app, node, listener).await
}

/// The engine and a bound socket; the data folder tells other processes where the server is.
pub async fn open(app: &App) -> Result<(Node, TcpListener)> {
    let bind = &app.config.bind;
    let node = app.node()?;
    let listener = TcpListener::bind(bind).await.map_err(|error| {
        Error::new(ErrorCode::Configuration, format!("cannot listen on {bind}: {error}"))
            .hint("another server may run there; choose a port with --port")
    })?;
    wire::announce(&node, &wire::url_of(&listener)?).context("cannot write the lock of the data folder")?;
    Ok((node, listener))
}

/// Serves, watches the configured folders, and stops cleanly.
pub async fn until_stopped(app: &App, node: Node, listener: TcpListener) -> Result<Exit> {
    let client = Client::local(node.clone(), app.workspace.clone());
    let watching = async {
        if !app.config.watch.is_empty()
            && let Err(error) = watch_configured(app, &client).await
        {
            tracing::error!(error = format!("{error:#}"), "watching stopped");
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        served = wire::serve(&node, listener) => served?,
        () = watching => {}
    }
    node.close().await;
    app.say("Stopped.");
    Ok(Exit::Ok)
}

async fn watch_configured(app: &App, client: &Client) -> Result<()> {
    let walked = walk::walk(&app.config.watch, &add::extensions(client).await?)?;
    add::upload(app, client, &walked.files, &[]).await?;
    watch::run(app, client, &app.config.watch, &[]).await
}
