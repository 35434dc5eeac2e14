//! `lorekeep graph`: size, entities, neighbourhoods, paths, export for other tools, and having a model make it.

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use serde_json::Value;

use super::graph_build::{self, Build};

use crate::app::App;
use crate::client::{Client, escape};
use crate::commands::communities::{self, Communities};
use crate::output::{self, Exit, Style, counted, excerpt, styled};

/// Subcommands of `graph`.
#[derive(Debug, Subcommand)]
pub enum Graph {
    /// Size of the graph
    Stats,
    /// Show an entity with its relations, or search for one
    Entity {
        /// Name, or part of one
        name: String,
    },
    /// What surrounds an entity
    Neighbors {
        /// Its name
        name: String,
        /// Relations to follow
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=5))]
        depth: u64,
        /// Most entities
        #[arg(short = 'n', long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1000))]
        limit: u64,
    },
    /// A shortest path between two entities
    Path {
        /// From
        from: String,
        /// To
        to: String,
    },
    /// Groups of closely related entities
    Communities(Communities),
    /// Have a model make the graph of documents
    Build(Build),
    /// Write the graph to standard output
    Export {
        /// Format
        #[arg(long, value_enum, default_value_t = Format::Json)]
        format: Format,
    },
}

/// Formats of `graph export`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object.
    Json,
    /// One line per relation.
    Csv,
    /// GraphML, as Gephi, yEd and NetworkX read it.
    Graphml,
}

/// Most entities an export asks for.
const EXPORT_LIMIT: usize = 100_000;

/// Runs the command.
pub async fn run(app: &App, args: &Graph) -> Result<Exit> {
    let client = app.client().await?;
    let exit = match args {
        Graph::Stats => stats(app, &client).await,
        Graph::Entity { name } => entity(app, &client, name).await,
        Graph::Neighbors { name, depth, limit } => {
            let path = format!("/v1/graph/neighbourhood?entity={}&depth={depth}&limit={limit}", escape(name));
            relations(app, &client, &path).await
        }
        Graph::Path { from, to } => {
            relations(app, &client, &format!("/v1/graph/path?from={}&to={}", escape(from), escape(to))).await
        }
        Graph::Communities(args) => communities::run(app, &client, args).await,
        Graph::Export { format } => export(&client, *format).await,
        Graph::Build(args) => graph_build::run(app, &client, args).await,
    };
    client.close().await;
    exit
}

async fn stats(app: &App, client: &Client) -> Result<Exit> {
    let stats: Value = client.get("/v1/graph/stats").await?;
    if app.global.json {
        output::json(&stats)?;
    } else {
        for name in ["entities", "relations", "mentions", "isolated"] {
            output::line(&format!("{name:<10} {}", stats[name]));
        }
    }
    Ok(Exit::Ok)
}

async fn entity(app: &App, client: &Client, name: &str) -> Result<Exit> {
    let exact = client.get::<Value>(&format!("/v1/graph/entities/{}", escape(name))).await;
    if let Ok(detail) = exact {
        if app.global.json {
            output::json(&detail)?;
        } else {
            show_entity(&detail);
        }
        return Ok(Exit::Ok);
    }
    let found: Value = client.get(&format!("/v1/graph/entities?limit=20&q={}", escape(name))).await?;
    let entities = found["entities"].as_array().cloned().unwrap_or_default();
    if app.global.json {
        output::json(&found)?;
    }
    for entity in entities.iter().filter(|_| !app.global.json) {
        output::line(&entity_line(entity));
    }
    Ok(if entities.is_empty() { Exit::NothingFound } else { Exit::Ok })
}

fn entity_line(entity: &Value) -> String {
    let text = |name: &str| entity[name].as_str().unwrap_or_default();
    let degree = entity["degree"].as_u64().unwrap_or_default();
    format!(
        "{}  {}",
        styled(Style::Bold, text("name")),
        styled(Style::Dim, &format!("{}, {}", text("type"), counted(degree, "neighbour")))
    )
}

fn show_entity(detail: &Value) {
    let entity = if detail["entity"].is_object() { &detail["entity"] } else { detail };
    output::line(&entity_line(entity));
    let aliases: Vec<&str> = entity["aliases"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !aliases.is_empty() {
        output::line(&styled(Style::Dim, &format!("also: {}", aliases.join(", "))));
    }
    if let Some(description) = entity["description"].as_str().filter(|text| !text.is_empty()) {
        output::line(&excerpt(description, 600));
    }
    for relation in detail["relations"].as_array().into_iter().flatten() {
        output::line(&relation_line(relation));
    }
}

fn relation_line(relation: &Value) -> String {
    let text = |name: &str| relation[name].as_str().unwrap_or_default();
    let keywords = Some(text("keywords")).filter(|words| !words.is_empty()).unwrap_or("with");
    format!(
        "  {} {} {}   {}",
        text("source"),
        styled(Style::Dim, &format!("— {} —", excerpt(keywords, 40))),
        text("target"),
        styled(Style::Dim, &format!("“{}”", excerpt(text("description"), 90))),
    )
}

async fn relations(app: &App, client: &Client, path: &str) -> Result<Exit> {
    let found: Value = client.get(path).await?;
    let relations = found["relations"].as_array().cloned().unwrap_or_default();
    if app.global.json {
        output::json(&found)?;
    } else {
        for relation in &relations {
            output::line(&relation_line(relation));
        }
    }
    Ok(if relations.is_empty() { Exit::NothingFound } else { Exit::Ok })
}

async fn export(client: &Client, format: Format) -> Result<Exit> {
    let graph: Value = client.get(&format!("/v1/graph/neighbourhood?depth=1&limit={EXPORT_LIMIT}")).await?;
    match format {
        Format::Json => output::json(&graph)?,
        Format::Csv => {
            output::line("source,target,keywords,weight,description");
            for relation in graph["relations"].as_array().into_iter().flatten() {
                let fields =
                    ["source", "target", "keywords"].map(|name| csv(relation[name].as_str().unwrap_or_default()));
                let description = csv(relation["description"].as_str().unwrap_or_default());
                output::line(&format!("{},{},{description}", fields.join(","), relation["weight"]));
            }
        }
        Format::Graphml => output::write_out(graphml(&graph).as_bytes()),
    }
    if graph["truncated"] == true {
        output::note(&format!("! only the {EXPORT_LIMIT} best-connected entities were written"));
        return Ok(Exit::PartlyFailed);
    }
    Ok(Exit::Ok)
}

fn csv(value: &str) -> String {
    format!("\"{}\"", value.replace('"', "\"\""))
}

fn xml(value: &str) -> String {
    let kept = value.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    kept.collect::<String>().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn graphml(graph: &Value) -> String {
    let mut out = String::from(concat!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n",
        "<key id=\"type\" for=\"node\" attr.name=\"type\" attr.type=\"string\"/>\n",
        "<key id=\"description\" for=\"all\" attr.name=\"description\" attr.type=\"string\"/>\n",
        "<key id=\"keywords\" for=\"edge\" attr.name=\"keywords\" attr.type=\"string\"/>\n",
        "<key id=\"weight\" for=\"edge\" attr.name=\"weight\" attr.type=\"double\"/>\n<graph edgedefault=\"undirected\">\n",
    ));
    let text = |value: &Value, name: &str| xml(value[name].as_str().unwrap_or_default());
    for entity in graph["entities"].as_array().into_iter().flatten() {
        out.push_str(&format!(
            "<node id=\"{}\"><data key=\"type\">{}</data><data key=\"description\">{}</data></node>\n",
            text(entity, "name"),
            text(entity, "type"),
            text(entity, "description"),
        ));
    }
    for relation in graph["relations"].as_array().into_iter().flatten() {
        out.push_str(&format!(
            "<edge source=\"{}\" target=\"{}\"><data key=\"keywords\">{}</data><data key=\"weight\">{}</data>\
             <data key=\"description\">{}</data></edge>\n",
            text(relation, "source"),
            text(relation, "target"),
            text(relation, "keywords"),
            relation["weight"],
            text(relation, "description"),
        ));
    }
    out.push_str("</graph>\n</graphml>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_escape_what_documents_contain() {
        let graph = serde_json::json!({
            "entities": [{ "name": "A & \"B\"", "type": "unknown", "description": "<x>\u{1}" }],
            "relations": [{ "source": "A & \"B\"", "target": "C", "keywords": "k", "weight": 1.0, "description": "d" }],
        });
        let xml = graphml(&graph);
        assert!(xml.contains("<node id=\"A &amp; &quot;B&quot;\">") && xml.contains("&lt;x&gt;</data>"), "{xml}");
        assert_eq!(csv("say \"hi\""), "\"say \"\"hi\"\"\"");
    }
}
