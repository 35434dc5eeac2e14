//! Joining what a model said of an entity in many passages into one text, where it is too much to show: in groups that fit
//! a prompt, and the texts of the groups again.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use lorekeep_types::{
    CacheKind, Call, ChatMessage, ChatModel, ChatRequest, ChatRole, ModelError, ModelFault, Result, Role, SummaryTask,
    SummaryWrite,
};
use serde_json::json;

use super::Bench;
use super::run::Run;
use crate::engine::join;
use crate::prompt::PromptName;

/// As the ledger names the calls.
const OPERATION: &str = "summarisation";
/// Raised when what is read of an answer changes its meaning.
const FORM: &str = "summary 1";

/// Most tokens of the descriptions in one prompt, and of a summary.
const GROUP: usize = 6_000;
const SUMMARY: usize = 280;

/// Entities that are looked up and written at once.
const BATCH: usize = 256;

/// Rounds of joining the texts of groups; each makes an order of magnitude fewer of them.
const MOST_ROUNDS: usize = 4;

/// Summarises all that is too long. Ends early when the job is stopped; what fails is left as it is.
pub(super) async fn summarise(bench: &Bench, run: &Run, job: &str) -> Result<()> {
    let Some(models) = &bench.ingest.parts.models else { return Ok(()) };
    let Some(model) = models.chat(Role::Summarize).or_else(|| models.chat(Role::Extract)) else { return Ok(()) };
    let mut before = Vec::new();
    while run.stopped().is_none() {
        let workspace = Arc::clone(&bench.ingest.workspace);
        let tasks = join(tokio::task::spawn_blocking(move || workspace.summary_tasks(BATCH))).await?;
        let entities: Vec<i64> = tasks.iter().map(|task| task.entity).collect();
        // What failed before would fail again.
        if tasks.is_empty() || entities == before {
            return Ok(());
        }
        before = entities;
        let summariser = Summariser { bench, run, job, model: model.as_ref() };
        let mut each: Vec<BoxFuture<'_, Option<SummaryWrite>>> = Vec::with_capacity(tasks.len());
        for task in &tasks {
            each.push(summariser.entity(task).boxed());
        }
        let parallel = bench.ingest.parts.settings.graph.parallel.max(1);
        let written: Vec<Option<SummaryWrite>> = stream::iter(each).buffered(parallel).collect().await;
        let written: Vec<SummaryWrite> = written.into_iter().flatten().collect();
        let (workspace, now_ms) = (Arc::clone(&bench.ingest.workspace), bench.ingest.parts.clock.now_ms());
        join(tokio::task::spawn_blocking(move || workspace.put_summaries(written, now_ms))).await?;
    }
    Ok(())
}

struct Summariser<'a> {
    bench: &'a Bench,
    run: &'a Run,
    job: &'a str,
    model: &'a dyn ChatModel,
}

impl Summariser<'_> {
    async fn entity(&self, task: &SummaryTask) -> Option<SummaryWrite> {
        match self.joined(task).await {
            Ok(text) => Some(SummaryWrite { entity: task.entity, made_of: task.made_of, text }),
            Err(error) => {
                tracing::warn!(%error, entity = task.name, "descriptions were not summarised");
                None
            }
        }
    }

    async fn joined(&self, task: &SummaryTask) -> Result<String, ModelError> {
        let mut texts = task.descriptions.clone();
        for _ in 0..MOST_ROUNDS {
            let mut summaries = Vec::new();
            for group in groups(self.bench.ingest.parts.prompt_tokens.as_ref(), &texts) {
                summaries.push(self.group(&task.name, &group).await?);
            }
            texts = summaries;
            if texts.len() == 1 {
                break;
            }
        }
        Ok(texts.swap_remove(0))
    }

    async fn group(&self, name: &str, group: &[&str]) -> Result<String, ModelError> {
        let prompt = self.bench.ingest.parts.settings.prompts.get(PromptName::Summarisation);
        let lines: Vec<String> = group.iter().map(|text| json!({ "description": text }).to_string()).collect();
        let (lines, tokens) = (lines.join("\n"), SUMMARY.to_string());
        let values = [
            ("kind", "entity"),
            ("name", name),
            ("language", "the language of the descriptions"),
            ("tokens", tokens.as_str()),
            ("descriptions", lines.as_str()),
        ];
        let request = ChatRequest {
            messages: vec![
                ChatMessage::text(ChatRole::System, prompt.system(&values)),
                ChatMessage::text(ChatRole::User, prompt.user(&values)),
            ],
            max_tokens: u32::try_from(SUMMARY * 2).ok(),
            temperature: Some(0.0),
            ..ChatRequest::default()
        };
        let call = Call::new(OPERATION, self.bench.ingest.workspace.name().clone(), self.job);
        let call = self.run.paid(call.kept(CacheKind::Summary, FORM));
        let completion = self.run.ask(&self.bench.ingest.parts, (self.model, &call), &request).await?;
        let text = completion.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let empty = || ModelError::new(ModelFault::Empty { finish: String::new() }, self.model.id(), "no text came");
        if text.is_empty() { Err(empty()) } else { Ok(text) }
    }
}

/// Texts in groups of at most so many tokens; a longer text is a group of its own.
fn groups<'a>(counter: &dyn lorekeep_types::TokenCounter, texts: &'a [String]) -> Vec<Vec<&'a str>> {
    let mut groups: Vec<Vec<&str>> = Vec::new();
    let mut tokens = 0;
    for text in texts {
        let more = counter.count(text);
        match groups.last_mut() {
            Some(group) if tokens + more <= GROUP => {
                group.push(text);
                tokens += more;
            }
            _ => {
                groups.push(vec![text]);
                tokens = more;
            }
        }
    }
    groups
}
