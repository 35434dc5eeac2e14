//! `lorekeep workspace`: list, create, copy and remove workspaces, and choose the usual one.

use anyhow::Result;
use axum::body::Body;
use axum::http::Method;
use clap::Subcommand;
use lorekeep_types::Error;
use serde_json::{Value, json};

use crate::app::App;
use crate::client::{Client, escape};
use crate::commands::config;
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
    /// Make a workspace the one that commands work in, unless --workspace names another
    Use {
        /// Its name
        name: String,
    },
    /// Copy a workspace with everything in it, while it is in use
    Copy {
        /// The workspace to copy
        from: String,
        /// Name of the copy, which must not exist
        to: String,
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
        Workspace::Use { name } => choose(app, &client, name).await,
        Workspace::Copy { from, to } => copy(&client, from, to).await,
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
        Workspace::Use { name } => output::line(&format!("Commands now work in workspace `{name}`.")),
        Workspace::Copy { from, to } => output::line(&format!("Copied workspace `{from}` to `{to}`.")),
        Workspace::Rm { name } => output::line(&format!("Removed workspace `{name}`.")),
    }
    Ok(Exit::Ok)
}

/// Writes the choice into the user's configuration, after asking whether there is such a workspace.
async fn choose(app: &App, client: &Client, name: &str) -> Result<Value> {
    let all: Value = client.get("/v1/workspaces").await?;
    let known = all["workspaces"].as_array().into_iter().flatten().any(|one| one["name"] == name);
    if !known {
        let hint = format!("lorekeep workspace create {name}");
        return Err(Error::not_found("workspace", name).hint(hint).into());
    }
    config::write(&app.global, "workspace.name", name)?;
    Ok(json!({ "workspace": name }))
}

/// An export that flows into an import; nothing is left behind when either fails.
async fn copy(client: &Client, from: &str, to: &str) -> Result<Value> {
    let export = format!("/v1/workspaces/{}/export", escape(from));
    let import = format!("/v1/workspaces/{}/import", escape(to));
    let archive = client.stream(Method::GET, &export, "", Body::empty()).await?;
    let answer = client.bytes(Method::POST, &import, "application/octet-stream", archive).await?;
    Ok(serde_json::from_slice(&answer)?)
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
