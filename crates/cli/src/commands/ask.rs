//! `lorekeep ask`: one question, one cited answer.

use std::io::IsTerminal;

use anyhow::{Context as _, Result};
use axum::body::Body;
use axum::http::Method;
use clap::Args;
use lorekeep_types::{Answer, AnswerKind, Citation};
use serde_json::{Value, json};

use crate::app::App;
use crate::client::{self, Client, Events};
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
    /// Quote the documents even where a model could write
    #[arg(long, conflicts_with = "model")]
    pub quote_only: bool,
    /// The model to write, PROVIDER/MODEL, instead of the configured one
    #[arg(long, value_name = "PROVIDER/MODEL")]
    pub model: Option<String>,
    /// Most tokens that a model writes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_tokens: Option<u32>,
    /// What a written answer shall be like, beyond the question
    #[arg(long, value_name = "TEXT")]
    pub instructions: Option<String>,
    /// The language of a written answer (two letters)
    #[arg(long, value_name = "CODE")]
    pub answer_language: Option<String>,
    /// Earlier messages: a JSON file of {"role", "content"} objects, oldest first
    #[arg(long, value_name = "FILE")]
    pub history: Option<std::path::PathBuf>,
    /// When the model fails: error, or quote for quotes with a notice
    #[arg(long, value_name = "HOW", value_parser = ["error", "quote"])]
    pub on_failure: Option<String>,
    /// Write the answer anew even where one is kept
    #[arg(long)]
    pub no_cache: bool,
    /// Show the answer while it is written, even where the output is no terminal
    #[arg(long, conflicts_with = "no_stream")]
    pub stream: bool,
    /// Show the answer when it is whole
    #[arg(long)]
    pub no_stream: bool,
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
        "quote_only": args.quote_only, "model": args.model, "max_tokens": args.max_tokens,
        "instructions": args.instructions, "language": args.answer_language, "on_failure": args.on_failure,
        "no_cache": args.no_cache, "history": history(args)?,
    });
    let streams = args.stream || (!args.no_stream && !app.global.json && std::io::stdout().is_terminal());
    let outcome = answer(app, &client, &body, streams).await;
    client.close().await;
    let answer = outcome?;
    Ok(if answer.kind == AnswerKind::Abstained { Exit::NothingFound } else { Exit::Ok })
}

fn history(args: &Ask) -> Result<Value> {
    let Some(file) = &args.history else { return Ok(json!([])) };
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a JSON list of messages", file.display()))
}

/// Asks through the API and prints the answer, a written one while it comes where `streams` says so.
pub async fn answer(app: &App, client: &Client, body: &Value, streams: bool) -> Result<Answer> {
    let (answer, shown) = if streams {
        ask_streamed(app, client, body).await?
    } else {
        (client.call(Method::POST, "/v1/ask", body).await?, String::new())
    };
    if app.global.json {
        output::json(&answer)?;
    } else if answer.kind == AnswerKind::Generated
        && shown.trim() == answer.answer.trim()
        && answer.unsupported.is_empty()
    {
        output::line("");
        show_evidence(&answer, app.talks());
    } else {
        if !shown.is_empty() {
            // What was shown is not the last word: marks, or another language.
            output::line("\n");
        }
        show(&answer, app.talks());
    }
    Ok(answer)
}

/// Asks through the API and prints a written answer while it comes. A quoted one is whole when it is found, and is left
/// to the caller to print.
async fn ask_streamed(app: &App, client: &Client, body: &Value) -> Result<(Answer, String)> {
    let mut body = body.clone();
    body["stream"] = true.into();
    let answer = client.stream(Method::POST, "/v1/ask", "application/json", Body::from(body.to_string())).await?;
    let mut events = Events::new(answer);
    let mut shown = String::new();
    let mut quoted = false;
    while let Some((name, data)) = events.next().await? {
        let value: Value = serde_json::from_str(&data).unwrap_or_default();
        match name.as_str() {
            "answer" if app.global.json => {
                output::json(&json!({ "type": "answer", "text": value["text"] }))?;
            }
            // Citations come before the text of a quoted answer, and after that of a written one.
            "citation" => quoted |= shown.is_empty(),
            "answer" if !quoted => {
                let text = value["text"].as_str().unwrap_or_default();
                output::write_out(text.as_bytes());
                shown.push_str(text);
            }
            "error" => return Err(client::problem(&value).into()),
            "done" => return Ok((serde_json::from_value(value)?, shown)),
            _ => {}
        }
    }
    anyhow::bail!("the answer broke off: the server went away")
}

/// Prints an answer: the sentences, then what they cite, then how it was made.
pub fn show(answer: &Answer, talks: bool) {
    for sentence in marked(answer).split('\n').filter(|line| !line.trim().is_empty()) {
        output::line(sentence);
    }
    show_evidence(answer, talks);
}

/// The text with a mark after each sentence for which no support was found.
fn marked(answer: &Answer) -> String {
    let mut text = String::with_capacity(answer.answer.len());
    for (at, letter) in answer.answer.chars().enumerate() {
        text.push(letter);
        if answer.unsupported.iter().any(|span| span.end == at + 1) {
            text.push_str(&styled(Style::Warn, " [no support found]"));
        }
    }
    text
}

/// Prints what an answer rests on, and how it was made.
fn show_evidence(answer: &Answer, talks: bool) {
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
    if !answer.web_sources.is_empty() {
        output::line("");
    }
    for (page, number) in answer.web_sources.iter().zip(1..).filter(|(page, _)| !page.url.is_empty()) {
        let number = styled(Style::Bold, &format!("[{number}]"));
        let title = page.title.as_deref().map(|title| format!("{}   ", excerpt(title, 80))).unwrap_or_default();
        output::line(&format!("  {number} {title}{}", page.url));
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
    if answer.kind == AnswerKind::Generated {
        return written_line(answer);
    }
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

/// Model, evidence, time, tokens and cost of a written answer.
fn written_line(answer: &Answer) -> String {
    let first = answer.first_token_ms.map(|ms| format!(" (first token {:.1} s)", ms / 1e3)).unwrap_or_default();
    let estimated = if answer.usage.estimated { " (estimated)" } else { "" };
    format!(
        "{}{} · {} · {:.1} s{first} · {} in / {} out{estimated}{}",
        answer.model.as_deref().unwrap_or("written by a model"),
        if answer.cached { " (kept answer)" } else { "" },
        counted(answer.citations.len() as u64, "passage"),
        answer.took_ms / 1e3,
        answer.usage.prompt_tokens,
        answer.usage.completion_tokens,
        cost_of(answer.usage.cost_nano_usd, " · "),
    )
}

/// A cost in USD, or that the price is unknown.
pub fn cost_of(nano_usd: Option<u64>, before: &str) -> String {
    match nano_usd {
        Some(nano) => format!("{before}${:.4}", nano as f64 / 1e9),
        None => format!("{before}price unknown"),
    }
}
