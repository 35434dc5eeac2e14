//! `lorekeep ask`: one question, one cited answer.

use std::io::IsTerminal;

use anyhow::Result;
use axum::http::Method;
use clap::Args;
use lorekeep_types::{Answer, AnswerKind, Citation};
use serde_json::{Value, json};

use crate::app::App;
use crate::client::Client;
use crate::output::{self, Exit, Style, counted, excerpt, styled};

/// Which documents a question or search sees.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Which documents")]
pub struct Narrow {
    /// Only documents with this id or name (`*` and `?` match)
    #[arg(long = "doc", value_name = "GLOB")]
    pub documents: Vec<String>,
    /// Only documents in this folder
    #[arg(long = "folder", value_name = "FOLDER")]
    pub folders: Vec<String>,
    /// Only documents with this tag
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Only documents in this language (two letters)
    #[arg(long = "language", value_name = "CODE")]
    pub languages: Vec<String>,
    /// Only documents dated on or after (YYYY-MM-DD)
    #[arg(long, value_name = "DATE")]
    pub since: Option<String>,
    /// Only documents dated on or before (YYYY-MM-DD)
    #[arg(long, value_name = "DATE")]
    pub until: Option<String>,
}

impl Narrow {
    /// As the API takes it.
    pub fn filter(&self) -> Value {
        json!({
            "documents": self.documents, "folders": self.folders, "tags": self.tags,
            "languages": self.languages, "since": self.since, "until": self.until,
        })
    }
}

/// Arguments of `ask`.
#[derive(Args, Debug)]
pub struct Ask {
    /// The question (`-` reads it from standard input)
    pub question: String,
    /// auto, naive, local, global, hybrid or mix
    #[arg(long, default_value = "auto")]
    pub mode: String,
    /// Most sentences to quote
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=10))]
    pub sentences: u64,
    /// Quote the closest sentences even where the evidence is weak
    #[arg(long)]
    pub insist: bool,
    /// Which documents
    #[command(flatten)]
    pub narrow: Narrow,
}

/// Runs the command.
pub async fn run(app: &App, args: &Ask) -> Result<Exit> {
    let question =
        if args.question == "-" { std::io::read_to_string(std::io::stdin())? } else { args.question.clone() };
    let client = app.client().await?;
    let body = json!({
        "question": question.trim(), "mode": args.mode, "sentences": args.sentences, "insist": args.insist, "filter": args.narrow.filter(),
    });
    let answer = ask(&client, &body).await?;
    client.close().await;
    if app.global.json {
        output::json(&answer)?;
    } else {
        show(&answer, app.talks());
    }
    Ok(if answer.kind == AnswerKind::Abstained { Exit::NothingFound } else { Exit::Ok })
}

/// Asks through the API.
pub async fn ask(client: &Client, body: &Value) -> Result<Answer> {
    client.call(Method::POST, "/v1/ask", body).await
}

/// Prints an answer: the sentences, then what they cite, then how it was made.
pub fn show(answer: &Answer, talks: bool) {
    for sentence in answer.answer.split('\n').filter(|line| !line.trim().is_empty()) {
        output::line(sentence);
    }
    if !answer.citations.is_empty() {
        output::line("");
        if answer.kind == AnswerKind::Abstained {
            output::line(&styled(Style::Dim, "Closest passages:"));
        }
    }
    let width = answer.citations.iter().map(|citation| place(citation).chars().count()).max().unwrap_or_default();
    for citation in &answer.citations {
        show_citation(citation, width);
    }
    for notice in &answer.notices {
        output::note(&format!("{} {notice}", styled(Style::Warn, "!")));
    }
    if talks {
        let line = origin_line(answer);
        if std::io::stdout().is_terminal() {
            output::line("");
        }
        output::note(&styled(Style::Dim, &line));
    }
}

fn show_citation(citation: &Citation, width: usize) {
    let place = place(citation);
    let padding = " ".repeat(width.saturating_sub(place.chars().count()));
    output::line(&format!(
        "  {} {place}{padding}   “{}”",
        styled(Style::Bold, &format!("[{}]", citation.n)),
        excerpt(&citation.quote, 100),
    ));
    if let Some(bridge) = &citation.bridge {
        output::line(&styled(
            Style::Dim,
            &format!("      through {}: {} “{}”", bridge.through, bridge.name, excerpt(&bridge.quote, 90)),
        ));
    }
}

fn place(citation: &Citation) -> String {
    match citation.page {
        Some(page) => format!("{}, p. {page}", citation.name),
        None => citation.name.clone(),
    }
}

fn origin_line(answer: &Answer) -> String {
    let kind = match answer.kind {
        AnswerKind::Quoted => "quoted, no model",
        AnswerKind::Generated => "written by a model",
        AnswerKind::Abstained => "no answer found",
    };
    format!(
        "{kind} · {} of {} · {:.0} ms · {} tokens",
        counted(answer.citations.len() as u64, "quote"),
        counted(answer.searched as u64, "passage"),
        answer.took_ms,
        answer.usage.total_tokens,
    )
}
