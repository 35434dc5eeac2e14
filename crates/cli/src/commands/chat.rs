//! `lorekeep chat`: questions and answers in a terminal; both sides of the conversation go along.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::ask::{self, Narrow};
use crate::app::App;
use crate::output::{self, Exit, Style, styled};

/// Earlier messages that are sent along; the server shortens what its token budget cannot hold.
const MEMORY: usize = 64;

/// Arguments of `chat`.
#[derive(Args, Debug)]
pub struct Chat {
    /// auto, naive, local, global, hybrid or mix
    #[arg(long, default_value = "auto")]
    pub mode: String,
    /// Which documents
    #[command(flatten)]
    pub narrow: Narrow,
}

/// Runs the command.
pub async fn run(app: &App, args: &Chat) -> Result<Exit> {
    let client = app.client().await?;
    let interactive = std::io::stdin().is_terminal();
    if interactive {
        app.say("Ask; an empty line or Ctrl-D ends. /new forgets the conversation.");
    }
    let mut history: Vec<Value> = Vec::new();
    while let Some(question) = next_question(interactive).await? {
        if question == "/new" {
            history.clear();
            continue;
        }
        let recent = history.get(history.len().saturating_sub(MEMORY)..).unwrap_or_default();
        let body = json!({
            "question": question, "mode": args.mode, "history": recent, "filter": args.narrow.filter(),
        });
        history.push(json!({ "role": "user", "content": question }));
        match ask::answer(app, &client, &body, interactive).await {
            Ok(answer) => history.push(json!({ "role": "assistant", "content": answer.answer })),
            // One question that fails does not end the conversation.
            Err(error) => {
                output::report(&error, app.global.verbose > 1);
            }
        }
    }
    client.close().await;
    Ok(Exit::Ok)
}

async fn next_question(interactive: bool) -> Result<Option<String>> {
    if interactive {
        let mut err = std::io::stderr().lock();
        write!(err, "\n{} ", styled(Style::Bold, ">"))?;
        err.flush()?;
    }
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|read| (read, line))
    })
    .await??;
    let question = line.1.trim().to_owned();
    Ok((line.0 > 0 && !question.is_empty()).then_some(question))
}
