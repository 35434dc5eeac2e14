//! `lorekeep workspace`: list, create and remove workspaces.

use anyhow::Result;
use axum::body::Body;
use axum::http::Method;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::app::App;
use crate::client::escape;
use crate::output::{self, Exit};

/// Subcommands of `workspace`.
#[derive(Debug, Subcommand)]
pub enum Workspace {
    /// List workspaces
    List,
    /// Create one
    Create {
        /// 1 to 64 letters, digits, `_` or `-`
        name: String,
    },
    /// Remove one with everything in it
    Rm {
        /// Its name
        name: String,
    },
}

/// Runs the command.
pub async fn run(app: &App, args: &Workspace) -> Result<Exit> {
    if let Workspace::Rm { name } = args
        && !app.agreed(&format!("Remove workspace `{name}` and all its documents?"))?
    {
        return Ok(Exit::Failed);
    }
    let client = app.client().await?;
    let answer = match args {
        Workspace::List => client.get::<Value>("/v1/workspaces").await,
        Workspace::Create { name } => client.call(Method::POST, "/v1/workspaces", &json!({ "name": name })).await,
        Workspace::Rm { name } => {
            let path = format!("/v1/workspaces/{}", escape(name));
            client.bytes(Method::DELETE, &path, "", Body::empty()).await.map(|_| json!({ "removed": name }))
        }
    };
    client.close().await;
    let answer = answer?;
    if app.global.json {
        output::json(&answer)?;
        return Ok(Exit::Ok);
    }
    match args {
        Workspace::List => table(&answer),
        Workspace::Create { name } => output::line(&format!("Created workspace `{name}`.")),
        Workspace::Rm { name } => output::line(&format!("Removed workspace `{name}`.")),
    }
    Ok(Exit::Ok)
}

fn table(answer: &Value) {
    let mut rows: Vec<Vec<String>> =
        vec![["NAME", "DOCUMENTS", "CHUNKS", "BYTES"].iter().map(ToString::to_string).collect()];
    for workspace in answer["workspaces"].as_array().into_iter().flatten() {
        let number = |name: &str| workspace[name].to_string();
        let name = workspace["name"].as_str().unwrap_or_default().to_owned();
        rows.push(vec![name, number("documents"), number("chunks"), number("bytes")]);
    }
    output::table(&rows);
}
