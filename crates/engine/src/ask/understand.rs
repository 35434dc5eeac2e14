//! From a question in a conversation to one that can be searched for: made whole, in the language of the documents, with
//! its keywords.

use lorekeep_types::{CacheKind, Keywords, Mode, OutputFormat, RequestContext, Role, SearchRequest, Turn};
use serde_json::Value;

use super::spoken::{Saying, Spoken};
use crate::answer::{complete, leans_on_history};
use crate::context::lines;
use crate::engine::Engine;
use crate::prompt::PromptName;

/// Turns before a follow-up that its rewriting reads.
const TURNS_READ: usize = 6;

/// Longest rewritten question, in characters.
const LONGEST_QUESTION: usize = 1_000;

/// Most keywords of either kind taken from a model.
const MOST_KEYWORDS: usize = 16;

impl Engine {
    /// The keywords that a model finds; `None` where none are wanted or no model is there.
    pub(crate) async fn keywords_of(
        &self,
        ctx: &RequestContext,
        request: &SearchRequest,
    ) -> Option<Result<Spoken<Keywords>, String>> {
        let by_graph = matches!(request.mode, Mode::Local | Mode::Global | Mode::Hybrid | Mode::Mix);
        if !by_graph || request.keywords.is_some() || request.query.trim().is_empty() {
            return None;
        }
        let saying = Saying {
            roles: &[Role::Keywords],
            operation: "keywords",
            kind: CacheKind::Keywords,
            prompt: PromptName::Keywords,
            values: &[("question", request.query.trim())],
            data: "",
            max_tokens: 400,
            output: OutputFormat::Json,
        };
        let found = self.say(ctx, saying, read_keywords).await?;
        Some(found.map_err(|error| format!("keywords were read from the question without a model: {error}")))
    }

    /// The question made understandable on its own; the notice of a failed call.
    pub(super) async fn whole_question(
        &self,
        ctx: &RequestContext,
        question: &str,
        history: &[Turn],
    ) -> (Spoken<String>, Option<String>) {
        let by_rule = || Spoken { value: complete(question, history).into_owned(), usage: lorekeep_types::Usage::NONE };
        if !leans_on_history(question, history) {
            return (by_rule(), None);
        }
        let recent = history.get(history.len().saturating_sub(TURNS_READ)..).unwrap_or_default();
        let data = lines(recent).join("\n");
        let saying = Saying {
            roles: &[Role::Keywords, Role::Summarize],
            operation: "rewrite",
            kind: CacheKind::Keywords,
            prompt: PromptName::Rewrite,
            values: &[("question", question)],
            data: &data,
            max_tokens: 300,
            output: OutputFormat::Text,
        };
        match self.say(ctx, saying, read_question).await {
            Some(Ok(spoken)) => (spoken, None),
            Some(Err(error)) => (by_rule(), Some(format!("the follow-up was completed without a model: {error}"))),
            None => (by_rule(), None),
        }
    }
}

fn read_question(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let line = line.trim_matches(['"', '“', '”']).trim();
    (!line.is_empty() && line.chars().count() <= LONGEST_QUESTION).then(|| line.to_owned())
}

/// Reads keywords as models write them: JSON, perhaps after thoughts, in a code fence or with words around it; a list may
/// be one text of items between commas.
pub(crate) fn read_keywords(text: &str) -> Option<Keywords> {
    let text = text.rsplit_once("</think>").map_or(text, |(_, after)| after);
    let object = text.get(text.find('{')?..=text.rfind('}')?)?;
    let value: Value = serde_json::from_str(object).ok()?;
    let list = |name: &str| -> Vec<String> {
        let items: Vec<String> = match value.get(name) {
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(Value::String(text)) => text.split([',', '\n', ';']).map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        let trimmed = items.iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty());
        trimmed.take(MOST_KEYWORDS).collect()
    };
    Some(Keywords { high_level: list("high_level_keywords"), low_level: list("low_level_keywords") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_read_as_models_write_them() {
        let expected = Keywords { high_level: vec!["energy".into()], low_level: vec!["Rhine".into(), "Basel".into()] };
        for text in [
            r#"{"high_level_keywords": ["energy"], "low_level_keywords": ["Rhine", "Basel"]}"#,
            "<think>{hm}</think>\n```json\n{\"high_level_keywords\": \"energy\", \"low_level_keywords\": \"Rhine, Basel\"}\n```",
            "Here you are: {\"high_level_keywords\": [\" energy \", 3], \"low_level_keywords\": [\"Rhine\", \"\", \"Basel\"]}.",
        ] {
            assert_eq!(read_keywords(text).as_ref(), Some(&expected), "{text}");
        }
        assert_eq!(read_keywords("energy"), None);
        assert_eq!(read_keywords("{\"high"), None);
    }

    #[test]
    fn a_rewritten_question_is_one_line() {
        assert_eq!(read_question("\n \"When was Åke born?\"\nBecause …").as_deref(), Some("When was Åke born?"));
        assert_eq!(read_question(" \n"), None);
        assert_eq!(read_question(&"x".repeat(2_000)), None);
    }
}
