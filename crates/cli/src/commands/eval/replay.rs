//! Output of a model that is kept in a file, played back as if the model were asked: entities and triples of each passage,
//! in the layout in which HippoRAG publishes them. So another graph is measured through the very path that a live model's
//! output takes.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use futures::future::{BoxFuture, ready};
use lorekeep_types::{
    Call, Capabilities, ChatModel, ChatRequest, ChatStream, Completion, Error, FinishReason, ModelError, ModelFault,
    ModelId, Models, RerankModel, Role, TokenUsage,
};
use serde::Deserialize;

/// Answered where nothing (more) is found.
const NOTHING: &str = "<|COMPLETE|>";

#[derive(Deserialize)]
struct File {
    docs: Vec<Passage>,
}

#[derive(Deserialize)]
struct Passage {
    text: String,
    extracted_entities: Vec<String>,
    /// Subject, predicate, object; others are passed over.
    extracted_triples: Vec<Vec<String>>,
}

/// A model that answers for the role `extract` with what the file says of a passage.
pub struct Replay {
    id: ModelId,
    answers: Arc<HashMap<String, String>>,
}

impl Replay {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or has another layout.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        // Python writes a mean of nothing as NaN, which is no JSON.
        let text = text.replace(": NaN", ": null");
        let file: File =
            serde_json::from_str(&text).with_context(|| format!("{} is not in HippoRAG's layout", path.display()))?;
        let answers = file.docs.iter().map(|passage| (key(&passage.text), records(passage))).collect();
        Ok(Self { id: ModelId::new("replay", "file"), answers: Arc::new(answers) })
    }

    /// The answer to a request; `None` when the file does not know its passage.
    fn answer(&self, request: &ChatRequest) -> Option<Completion> {
        let asked = request.messages.get(1).map(lorekeep_types::ChatMessage::plain).unwrap_or_default();
        let is_again = request.messages.len() > 2;
        let text = if is_again { NOTHING } else { self.answers.get(&key(quoted(&asked)))?.as_str() };
        Some(Completion {
            tool_calls: Vec::new(),
            text: text.to_owned(),
            finish: FinishReason::Stop,
            usage: TokenUsage::default(),
            model: self.id.to_string(),
            id: None,
            sources: Vec::new(),
            cost: Some(0),
            cache_hit: false,
        })
    }
}

/// The passage in a request: what stands between the lines with the mark.
fn quoted(asked: &str) -> &str {
    let after = asked.split_once(" passage\n").map_or(asked, |(_, after)| after);
    after.split_once("\n=== ").map_or(after, |(passage, _)| passage)
}

/// A text as it is compared: by its letters and digits, since a prompt holds nothing that cannot be seen.
fn key(text: &str) -> String {
    text.chars().filter(|letter| letter.is_alphanumeric()).collect()
}

fn records(passage: &Passage) -> String {
    let clean = |text: &str| text.replace("<|", " ").replace('\n', " ");
    let entities = passage.extracted_entities.iter().map(|name| format!("entity<|#|>{}<|#|><|#|>", clean(name)));
    let relations = passage.extracted_triples.iter().filter_map(|triple| {
        let [source, predicate, target] = triple.as_slice() else { return None };
        let said = format!("{source} {predicate} {target}");
        Some(format!(
            "relation<|#|>{}<|#|>{}<|#|>{}<|#|>{}",
            clean(source),
            clean(target),
            clean(predicate),
            clean(&said)
        ))
    });
    entities.chain(relations).chain([NOTHING.to_owned()]).collect::<Vec<_>>().join("\n")
}

impl ChatModel for Replay {
    fn id(&self) -> &ModelId {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { chat: true, ..Capabilities::default() }
    }

    fn chat<'a>(&'a self, _: &'a Call, request: &'a ChatRequest) -> BoxFuture<'a, Result<Completion, ModelError>> {
        let unknown = || {
            let fault = ModelFault::Empty { finish: "stop".to_owned() };
            ModelError::new(fault, &self.id, "the file does not know the passage")
        };
        Box::pin(ready(self.answer(request).ok_or_else(unknown)))
    }

    fn stream<'a>(&'a self, _: &'a Call, _: &'a ChatRequest) -> BoxFuture<'a, Result<ChatStream, ModelError>> {
        let error = ModelError::new(ModelFault::Capability, &self.id, "a file is not read piece by piece");
        Box::pin(ready(Err(error)))
    }
}

impl Models for Replay {
    fn chat(&self, role: Role) -> Option<Arc<dyn ChatModel>> {
        let model = || Arc::new(Self { id: self.id.clone(), answers: Arc::clone(&self.answers) });
        (role == Role::Extract).then(|| model() as Arc<dyn ChatModel>)
    }

    fn chat_by_id(&self, id: &ModelId) -> lorekeep_types::Result<Arc<dyn ChatModel>> {
        Err(Error::not_found("provider", &id.provider))
    }

    fn rerank(&self) -> Option<Arc<dyn RerankModel>> {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_passage_is_answered_with_its_entities_and_triples() {
        let passage = Passage {
            text: "Ada met\nBob.".to_owned(),
            extracted_entities: vec!["Ada".to_owned(), "Bob".to_owned()],
            extracted_triples: vec![vec!["Ada".into(), "met".into(), "Bob".into()], vec!["Ada".into(), "left".into()]],
        };
        let answers = HashMap::from([(key(&passage.text), records(&passage))]);
        let replay = Replay { id: ModelId::new("replay", "file"), answers: Arc::new(answers) };
        let ask = |text: &str| {
            let message = |text: &str| lorekeep_types::ChatMessage::text(lorekeep_types::ChatRole::User, text);
            replay.answer(&ChatRequest { messages: vec![message(""), message(text)], ..ChatRequest::default() })
        };
        let answer = ask("Document: x\n=== ab passage\nAda met  Bob.\n=== ab end\n").unwrap();
        let expected = "entity<|#|>Ada<|#|><|#|>\nentity<|#|>Bob<|#|><|#|>\n\
                        relation<|#|>Ada<|#|>Bob<|#|>met<|#|>Ada met Bob\n<|COMPLETE|>";
        assert_eq!(answer.text, expected);
        assert!(ask("=== ab passage\nsomething else\n=== ab end").is_none());
    }
}
