//! Requests to models that write, and what comes back: the nouns of the ports in [`crate::model_port`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatRole {
    /// Instructions of the program.
    System,
    /// The person, or the program on behalf of one.
    User,
    /// An earlier answer of a model.
    Assistant,
    /// What a tool gave back.
    Tool,
}

impl ChatRole {
    /// As most wires write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text.
    Text(String),
    /// A picture, for models with [`Capabilities::vision`].
    Image {
        /// E.g. `image/png`.
        media_type: String,
        /// The file.
        bytes: Arc<[u8]>,
    },
    /// A call that the model asked for, in a message of [`ChatRole::Assistant`].
    ToolCall(ToolCall),
    /// What the tool gave back, in a message of [`ChatRole::Tool`].
    ToolResult {
        /// The id of the call.
        id: String,
        /// The tool.
        name: String,
        /// The result, for the model to read.
        text: String,
    },
}

/// A function that a model may ask to be called; needs [`Capabilities::tools`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tool {
    /// A name of letters, digits, `_` and `-`.
    pub name: String,
    /// What it does, for the model to read.
    pub description: String,
    /// The JSON schema of its arguments, as JSON text.
    pub parameters: String,
}

/// Whether a model asks for tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// Not at all.
    None,
    /// For at least one.
    Required,
    /// For this one.
    Named(String),
}

/// A call of a tool that a model asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Tells the calls of an answer apart; the provider's, or made here where it has none.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments: JSON text as the model wrote it, which nobody has compared with the schema.
    pub arguments: String,
    /// What the provider wants to be told again with the call.
    pub signature: Option<String>,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatMessage {
    /// Who says it.
    pub role: ChatRole,
    /// What is said; at least one part.
    pub parts: Vec<Part>,
}

impl ChatMessage {
    /// A message of text alone.
    #[must_use]
    pub fn text(role: ChatRole, text: impl Into<String>) -> Self {
        Self { role, parts: vec![Part::Text(text.into())] }
    }

    /// The text of all parts, results of tools included, joined by line breaks; pictures and calls are left out.
    #[must_use]
    pub fn plain(&self) -> String {
        let texts: Vec<&str> = self
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::Text(text) | Part::ToolResult { text, .. } => Some(text.as_str()),
                Part::Image { .. } | Part::ToolCall(_) => None,
            })
            .collect();
        texts.join("\n")
    }
}

/// The form that the answer must have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OutputFormat {
    /// Free text.
    #[default]
    Text,
    /// One JSON object of any shape.
    Json,
    /// One JSON object that a schema admits; needs [`Capabilities::json_schema`].
    Schema {
        /// A name of letters, digits and `_`.
        name: String,
        /// The JSON schema, as JSON text.
        schema: String,
    },
}

/// A search of the web, by a model that can; the others ignore it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebSearch {
    /// Domains to search; with a leading `-`, domains to leave out.
    pub domains: Vec<String>,
    /// `hour`, `day`, `week`, `month` or `year`.
    pub recency: Option<String>,
    /// `low`, `medium` or `high`.
    pub context_size: Option<String>,
}

/// A request for an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatRequest {
    /// The conversation, oldest first.
    pub messages: Vec<ChatMessage>,
    /// Most tokens to write.
    pub max_tokens: Option<u32>,
    /// Randomness, 0..2; `None` leaves it to the provider.
    pub temperature: Option<f32>,
    /// Nucleus of the distribution, 0..1.
    pub top_p: Option<f32>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// Makes sampling repeatable where the provider can.
    pub seed: Option<u64>,
    /// The form of the answer.
    pub output: OutputFormat,
    /// Whether and how to search the web. Without it, the answer rests on the messages alone.
    pub web: Option<WebSearch>,
    /// Functions that the model may ask to be called.
    pub tools: Vec<Tool>,
    /// Whether it does.
    pub tool_choice: ToolChoice,
}

/// Why a model stopped writing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It was done, or met a stop text.
    Stop,
    /// It reached the limit of tokens: the answer is cut.
    Length,
    /// The provider refused to show (the rest of) the answer.
    ContentFilter,
    /// It waits for the results of tools.
    ToolCalls,
    /// What the provider said instead, or an empty text when it said nothing.
    Other(String),
}

impl FinishReason {
    /// As ledgers and logs write it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ContentFilter => "content_filter",
            Self::ToolCalls => "tool_calls",
            Self::Other(word) => word,
        }
    }
}

/// Tokens of one call as the provider reported them, or as they were counted here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Tokens read, those from the provider's cache included.
    pub prompt: u64,
    /// Tokens written, those of hidden reasoning included.
    pub completion: u64,
    /// Part of `prompt` that came from the provider's cache.
    pub cached: u64,
    /// Part of `prompt` that was written to the provider's cache.
    pub cache_written: u64,
    /// Part of `completion` that is hidden reasoning.
    pub reasoning: u64,
    /// Web searches made.
    pub searches: u64,
    /// Whether any figure was counted here because the provider reported none or an impossible one.
    pub estimated: bool,
    /// What the provider says that the call cost, in nano-USD.
    pub reported_cost: Option<i64>,
}

impl TokenUsage {
    /// Both together. What the provider says of the cost is known only where it said it of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let costs = self.reported_cost.zip(other.reported_cost);
        Self {
            prompt: self.prompt.saturating_add(other.prompt),
            completion: self.completion.saturating_add(other.completion),
            cached: self.cached.saturating_add(other.cached),
            cache_written: self.cache_written.saturating_add(other.cache_written),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            searches: self.searches.saturating_add(other.searches),
            estimated: self.estimated || other.estimated,
            reported_cost: costs.map(|(one, two)| one.saturating_add(two)),
        }
    }

    /// Read and written together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}

/// A page of the web that an answer rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebSource {
    /// Its address.
    pub url: String,
    /// Its title, if known.
    pub title: Option<String>,
    /// When it was published or changed, as the provider writes it.
    pub date: Option<String>,
    /// A piece of its text.
    pub snippet: Option<String>,
}

/// A whole answer of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The answer; empty only beside calls of tools.
    pub text: String,
    /// Calls of tools that the model asks for, in its order.
    pub tool_calls: Vec<ToolCall>,
    /// Why it ended.
    pub finish: FinishReason,
    /// What it took.
    pub usage: TokenUsage,
    /// The model as the provider names it.
    pub model: String,
    /// The provider's id of the call.
    pub id: Option<String>,
    /// Pages of the web, in the order of the numbers in the text.
    pub sources: Vec<WebSource>,
    /// What it cost in nano-USD by the configured prices; `None` when the price is unknown. Providers leave it empty.
    pub cost: Option<i64>,
    /// Whether a cache answered: nothing was read or written by a model now, `usage` is zero and `cost` 0.
    pub cache_hit: bool,
}

/// A step of a streamed answer.
#[derive(Clone, Debug, PartialEq)]
pub enum ChatEvent {
    /// The next piece of text; never empty.
    Text(String),
    /// The end: the whole answer, whose text is all pieces joined.
    Done(Box<Completion>),
}

/// What a model can do. A provider offers only what it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Answers conversations.
    pub chat: bool,
    /// Sends an answer piece by piece.
    pub stream: bool,
    /// Keeps to a JSON schema.
    pub json_schema: bool,
    /// Asks for functions to be called.
    pub tools: bool,
    /// Reads pictures.
    pub vision: bool,
    /// Makes vectors of texts.
    pub embed: bool,
    /// Orders texts by a question.
    pub rerank: bool,
    /// Writes down speech.
    pub transcribe: bool,
    /// Speaks text.
    pub speak: bool,
    /// Searches the web.
    pub web: bool,
}
