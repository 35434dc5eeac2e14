//! What a model is asked about a passage.

use lorekeep_types::{ChatMessage, ChatRequest, ChatRole, OutputFormat};
use serde_json::json;

use super::{MOST_ENTITIES, MOST_RECORDS, Passage};
use crate::ask::language_name;
use crate::prompt::{PromptName, Prompts, channel};

/// Most tokens of one answer.
pub(crate) const MOST_WRITTEN: u32 = 4_096;

/// Written where nothing is missing, by form.
const NO_RECORDS: &str = "<|COMPLETE|>";
const NO_OBJECTS: &str = r#"{"entities": [], "relationships": []}"#;

/// How passages are asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) prompts: &'a Prompts,
    /// Types of entities, in words.
    pub(crate) types: &'a [String],
    /// Rounds of asking for what was missed.
    pub(crate) gleanings: u32,
    /// Whether the model keeps to a JSON schema.
    pub(crate) schema: bool,
}

impl Asking<'_> {
    /// Asks about a passage.
    pub(super) fn request(&self, passage: Passage<'_>) -> ChatRequest {
        let prompt = self.prompts.get(PromptName::EntityExtraction);
        let form = if self.schema { PromptName::ExtractionJson } else { PromptName::ExtractionRecords };
        let form = self.prompts.get(form).user(&[]);
        let mark = channel::mark([passage.text, passage.title]);
        let text = channel::fenced(&mark, "passage", passage.text);
        let title = channel::one_line(passage.title);
        let (entities, records) = (MOST_ENTITIES.to_string(), MOST_RECORDS.to_string());
        let values = [
            ("types", self.types.join(", ")),
            ("language", passage.language.map_or("the language of the passage", language_name).to_owned()),
            ("entities", entities),
            ("records", records),
            ("form", form),
            ("mark", mark),
            ("title", title),
            ("text", text.trim_end().to_owned()),
        ];
        let values: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        ChatRequest {
            messages: vec![
                ChatMessage::text(ChatRole::System, prompt.system(&values)),
                ChatMessage::text(ChatRole::User, prompt.user(&values)),
            ],
            max_tokens: Some(MOST_WRITTEN),
            temperature: Some(0.0),
            output: if self.schema { self.output() } else { OutputFormat::Text },
            ..ChatRequest::default()
        }
    }

    /// Asks once more, after an answer.
    pub(super) fn again(&self, mut request: ChatRequest, answer: String) -> ChatRequest {
        let nothing = if self.schema { NO_OBJECTS } else { NO_RECORDS };
        let more = self.prompts.get(PromptName::Gleaning).user(&[("nothing", nothing)]);
        request.messages.push(ChatMessage::text(ChatRole::Assistant, answer));
        request.messages.push(ChatMessage::text(ChatRole::User, more));
        request
    }

    /// The schema of an answer, in the part of JSON Schema that strict modes of providers take.
    fn output(&self) -> OutputFormat {
        let text = json!({ "type": "string" });
        let types: Vec<&str> = self.types.iter().map(String::as_str).chain(["other"]).collect();
        let object = |properties: serde_json::Value| {
            let required: Vec<String> =
                properties.as_object().into_iter().flat_map(|all| all.keys().cloned()).collect();
            json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
        };
        let list = |items: serde_json::Value| json!({ "type": "array", "items": items });
        let schema = object(json!({
            "entities": list(object(json!({
                "name": text, "type": { "type": "string", "enum": types }, "description": text,
            }))),
            "relationships": list(object(json!({
                "source": text, "target": text, "keywords": text, "description": text,
            }))),
        }));
        OutputFormat::Schema { name: "graph".to_owned(), schema: schema.to_string() }
    }

    /// Words that change when a passage would be asked about in another way.
    pub(crate) fn fingerprint(&self) -> String {
        let form = if self.schema { PromptName::ExtractionJson } else { PromptName::ExtractionRecords };
        let prompts =
            [PromptName::EntityExtraction, form, PromptName::Gleaning].map(|name| self.prompts.get(name).version());
        let all = [prompts.join(" "), self.types.join(","), self.gleanings.to_string(), super::FORM.to_owned()];
        channel::mark(all.iter().map(String::as_str))
    }
}
