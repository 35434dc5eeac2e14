//! Small calls of models around an answer: keywords, a question made whole, a conversation made shorter, a translation.
//! Their results are kept, so that the same one is paid for once.

use lorekeep_types::{
    CacheKind, Call, ChatMessage, ChatRequest, ChatRole, Completion, OutputFormat, RequestContext, Role, Usage,
};

use crate::answer::write::usage;
use crate::engine::Engine;
use crate::prompt::{PromptName, channel};

/// Raised when what is read from a kept text changes its meaning.
const FORM: &str = "spoken 1";

/// What a small call gave, and what it took.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spoken<T> {
    pub(crate) value: T,
    pub(crate) usage: Usage,
}

/// A small call.
pub(crate) struct Saying<'a> {
    /// Roles that can do it, in order of preference.
    pub(crate) roles: &'a [Role],
    /// As the ledger names it.
    pub(crate) operation: &'static str,
    /// How its result is kept.
    pub(crate) kind: CacheKind,
    pub(crate) prompt: PromptName,
    /// What stands in the places of the prompt, apart from `data` and `mark`.
    pub(crate) values: &'a [(&'a str, &'a str)],
    /// Text that others wrote, for the place `data`; may be empty.
    pub(crate) data: &'a str,
    pub(crate) max_tokens: u32,
    pub(crate) output: OutputFormat,
}

impl Engine {
    /// Makes a small call, or finds its kept result; `None` when no model fills the roles. `read` makes the value; when it
    /// cannot, the call failed. A failure is one sentence for the reader of the answer.
    pub(crate) async fn say<T>(
        &self,
        ctx: &RequestContext,
        saying: Saying<'_>,
        read: impl Fn(&str) -> Option<T>,
    ) -> Option<Result<Spoken<T>, String>> {
        let models = self.parts.models.as_ref()?;
        let model = saying.roles.iter().find_map(|role| models.chat(*role))?;
        let (mark, request) = self.said(&saying);
        let call = Call::of(ctx, saying.operation).kept(saying.kind, FORM);
        let heard = |completion: Completion| {
            let value = read(&completion.text.replace(&mark, ""));
            let value = value.ok_or_else(|| format!("{}: the model's text cannot be used", model.id()))?;
            Ok(Spoken { value, usage: usage(&completion) })
        };
        Some(model.chat(&call, &request).await.map_err(|error| error.to_string()).and_then(heard))
    }

    /// What is said, and the mark around the data in it.
    fn said(&self, saying: &Saying<'_>) -> (String, ChatRequest) {
        let prompt = self.parts.settings.prompts.get(saying.prompt);
        let mark = channel::mark([saying.data]);
        let data = channel::fenced(&mark, "data", saying.data);
        let mut values = saying.values.to_vec();
        values.extend([("mark", mark.as_str()), ("data", data.trim_end())]);
        let messages = [(ChatRole::System, prompt.system(&values)), (ChatRole::User, prompt.user(&values))];
        let messages = messages.into_iter().filter(|(_, text)| !text.is_empty());
        let request = ChatRequest {
            messages: messages.map(|(role, text)| ChatMessage::text(role, text)).collect(),
            max_tokens: Some(saying.max_tokens),
            temperature: Some(0.0),
            output: saying.output.clone(),
            ..ChatRequest::default()
        };
        (mark, request)
    }
}
