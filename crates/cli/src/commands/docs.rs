//! `lorekeep docs`: list, show, remove, retry and read documents.

use anyhow::Result;
use axum::body::Body;
use axum::http::Method;
use clap::Subcommand;
use serde_json::{Value, json};

use crate::app::App;
use crate::client::{Client, escape};
use crate::output::{self, Exit, Style, counted, styled};

/// Documents asked for at once.
const WINDOW: usize = 500;

/// Subcommands of `docs`.
#[derive(Debug, Subcommand)]
pub enum Docs {
    /// List documents
    List {
        /// Only in this state: queued, processing, ready, needs-ocr, failed or cancelled
        #[arg(long)]
        state: Option<String>,
        /// Only with this tag
        #[arg(long)]
        tag: Option<String>,
        /// Only with this id or name (`*` and `?` match)
        #[arg(long, value_name = "GLOB")]
        doc: Option<String>,
    },
    /// Show everything about one document
    Show {
        /// Id or name
        document: String,
    },
    /// Remove documents and what they contributed
    Rm {
        /// Ids or names
        #[arg(required_unless_present = "all")]
        documents: Vec<String>,
        /// Every document of the workspace
        #[arg(long)]
        all: bool,
    },
    /// Index failed documents again
    Retry {
        /// Ids or names; all that failed when none is given
        documents: Vec<String>,
    },
    /// Print the extracted text
    Text {
        /// Id or name
        document: String,
    },
    /// Print the chunks
    Chunks {
        /// Id or name
        document: String,
    },
    /// Write the original file to standard output
    Export {
        /// Id or name
        document: String,
    },
    /// Replace the tags
    Tag {
        /// Id or name
        document: String,
        /// The new tags; none removes them all
        tags: Vec<String>,
    },
}

/// Runs the command.
pub async fn run(app: &App, args: &Docs) -> Result<Exit> {
    let client = app.client().await?;
    let exit = match args {
        Docs::List { state, tag, doc } => list(app, &client, state.as_deref(), tag.as_deref(), doc.as_deref()).await,
        Docs::Show { document } => show(app, &client, document).await,
        Docs::Rm { documents, all } => remove(app, &client, documents, *all).await,
        Docs::Retry { documents } => retry(app, &client, documents).await,
        Docs::Text { document } => text(app, &client, document).await,
        Docs::Chunks { document } => chunks(app, &client, document).await,
        Docs::Export { document } => original(&client, document).await,
        Docs::Tag { document, tags } => tag_document(app, &client, document, tags).await,
    };
    client.close().await;
    exit
}

/// Every document that matches `query` (without a leading `?`).
pub async fn all(client: &Client, query: &str) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    loop {
        let path = format!("/v1/documents?sort=name&order=asc&limit={WINDOW}&offset={}&{query}", found.len());
        let page: Value = client.get(&path).await?;
        let documents = page["documents"].as_array().cloned().unwrap_or_default();
        let last = documents.len() < WINDOW;
        found.extend(documents);
        if last {
            return Ok(found);
        }
    }
}

/// The id of the document that `name` names: an id as it is, else the only document of that name.
pub async fn resolve(client: &Client, name: &str) -> Result<String> {
    if name.starts_with("doc_") {
        return Ok(name.to_owned());
    }
    let matches = all(client, &format!("document={}", escape(name))).await?;
    match matches.as_slice() {
        [] => Err(lorekeep_types::Error::not_found("document", name).hint("lorekeep docs list shows them").into()),
        [only] => Ok(only["id"].as_str().unwrap_or_default().to_owned()),
        several => {
            let ids: Vec<&str> = several.iter().filter_map(|document| document["id"].as_str()).collect();
            Err(lorekeep_types::Error::invalid(format!("{} documents match `{name}`", ids.len()))
                .hint(format!("use an id: {}", ids.join(", ")))
                .into())
        }
    }
}

async fn list(app: &App, client: &Client, state: Option<&str>, tag: Option<&str>, doc: Option<&str>) -> Result<Exit> {
    let pairs = [("state", state), ("tag", tag), ("document", doc)];
    let query: Vec<String> =
        pairs.iter().filter_map(|(name, value)| Some(format!("{name}={}", escape((*value)?)))).collect();
    let documents = all(client, &query.join("&")).await?;
    if app.global.json {
        output::json(&json!({ "documents": documents, "total": documents.len() }))?;
        return Ok(Exit::Ok);
    }
    if documents.is_empty() {
        app.say("No documents. Add some: lorekeep add PATH");
        return Ok(Exit::Ok);
    }
    let mut rows =
        vec![["NAME", "STATUS", "PAGES", "CHUNKS", "ENTITIES", "UPDATED"].iter().map(ToString::to_string).collect()];
    rows.extend(documents.iter().map(row));
    output::table(&rows);
    Ok(Exit::Ok)
}

fn row(document: &Value) -> Vec<String> {
    let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| document[name].as_u64().unwrap_or_default().to_string();
    let mut state = text("state");
    if let Some(message) = document["problem"]["message"].as_str() {
        state = format!("{state}: {message}");
    }
    let updated = text("updated_at").get(..16).unwrap_or_default().replace('T', " ");
    vec![text("name"), state, number("pages"), number("chunks"), number("entities"), updated]
}

async fn show(app: &App, client: &Client, document: &str) -> Result<Exit> {
    let id = resolve(client, document).await?;
    let record: Value = client.get(&format!("/v1/documents/{id}")).await?;
    if app.global.json {
        output::json(&record)?;
        return Ok(Exit::Ok);
    }
    for (name, value) in record.as_object().into_iter().flatten() {
        let value = match value {
            Value::Null => continue,
            Value::Array(items) if items.is_empty() => continue,
            Value::String(text) => output::excerpt(text, 200),
            other => other.to_string(),
        };
        output::line(&format!("{}  {value}", styled(Style::Dim, &format!("{name:<14}"))));
    }
    Ok(Exit::Ok)
}

async fn remove(app: &App, client: &Client, documents: &[String], all_of_them: bool) -> Result<Exit> {
    let question = if all_of_them {
        format!("Remove every document of workspace `{}`?", client.workspace())
    } else {
        format!("Remove {}?", documents.join(", "))
    };
    if !app.agreed(&question)? {
        return Ok(Exit::Failed);
    }
    let answer: Value = if all_of_them {
        client.call(Method::DELETE, "/v1/documents?all=true", &json!({ "ids": [] })).await?
    } else {
        let mut ids = Vec::new();
        for document in documents {
            ids.push(resolve(client, document).await?);
        }
        client.call(Method::DELETE, "/v1/documents", &json!({ "ids": ids })).await?
    };
    let deleted = answer["deleted"].as_array().map_or(0, Vec::len);
    if app.global.json {
        output::json(&answer)?;
    } else {
        output::line(&format!("Removed {}.", counted(deleted as u64, "document")));
    }
    Ok(if deleted == 0 && !all_of_them { Exit::NothingFound } else { Exit::Ok })
}

async fn retry(app: &App, client: &Client, documents: &[String]) -> Result<Exit> {
    let mut ids = Vec::new();
    for document in documents {
        ids.push(resolve(client, document).await?);
    }
    let answer: Value = client.call(Method::POST, "/v1/documents/retry", &json!({ "ids": ids })).await?;
    match answer["job"]["id"].as_str() {
        Some(job) => super::progress::follow(app, client, &[job]).await,
        None => {
            app.say("Nothing to retry.");
            Ok(Exit::Ok)
        }
    }
}

async fn text(app: &App, client: &Client, document: &str) -> Result<Exit> {
    let id = resolve(client, document).await?;
    let text: Value = client.get(&format!("/v1/documents/{id}/text")).await?;
    if app.global.json {
        output::json(&text)?;
    } else {
        // Exactly the text: offsets of citations count in it.
        output::write_out(text["text"].as_str().unwrap_or_default().as_bytes());
    }
    Ok(Exit::Ok)
}

async fn chunks(app: &App, client: &Client, document: &str) -> Result<Exit> {
    let id = resolve(client, document).await?;
    let mut found = Vec::new();
    loop {
        let path = format!("/v1/documents/{id}/chunks?limit={WINDOW}&offset={}", found.len());
        let page: Value = client.get(&path).await?;
        let chunks = page["chunks"].as_array().cloned().unwrap_or_default();
        let last = chunks.len() < WINDOW;
        found.extend(chunks);
        if last {
            break;
        }
    }
    if app.global.json {
        output::json(&json!({ "chunks": found }))?;
        return Ok(Exit::Ok);
    }
    for chunk in &found {
        let tokens = chunk["tokens"].as_u64().unwrap_or_default();
        output::line(&styled(
            Style::Dim,
            &format!("── {} · {} · {}", chunk["position"], chunk["span"], counted(tokens, "token")),
        ));
        output::line(chunk["text"].as_str().unwrap_or_default());
    }
    Ok(Exit::Ok)
}

async fn original(client: &Client, document: &str) -> Result<Exit> {
    let id = resolve(client, document).await?;
    let bytes = client.bytes(Method::GET, &format!("/v1/documents/{id}/original"), "", Body::empty()).await?;
    output::write_out(&bytes);
    Ok(Exit::Ok)
}

async fn tag_document(app: &App, client: &Client, document: &str, tags: &[String]) -> Result<Exit> {
    let id = resolve(client, document).await?;
    let path = format!("/v1/documents/{id}");
    let record: Value = client.call(Method::PATCH, &path, &json!({ "tags": tags })).await?;
    if app.global.json {
        output::json(&record)?;
    }
    Ok(Exit::Ok)
}
