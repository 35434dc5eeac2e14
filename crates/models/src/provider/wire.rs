//! What a provider's wire has to say: requests as bytes, answers from bytes. Pure; no clock, no network.

use lorekeep_types::{ChatRequest, ModelFault, WebSource};
use serde_json::Value;

/// Where a request goes and what it carries. Bodies are JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct WireRequest {
    /// Appended to the base address, with a leading `/`; may hold a query.
    pub path: String,
    /// Headers beside content type and authorization.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Value,
}

impl WireRequest {
    /// A request without headers of its own.
    #[must_use]
    pub fn new(path: impl Into<String>, body: Value) -> Self {
        Self { path: path.into(), headers: Vec::new(), body }
    }
}

/// Tokens as a provider writes them. Values that make no sense (negative, absurd) are kept here as they came and
/// sorted out by [`super::usage::settle`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RawUsage {
    /// Tokens read, cached ones included.
    pub prompt: Option<f64>,
    /// Tokens written, hidden reasoning included.
    pub completion: Option<f64>,
    /// Part of `prompt` read from the provider's cache.
    pub cached: Option<f64>,
    /// Part of `prompt` written to the provider's cache.
    pub cache_written: Option<f64>,
    /// Part of `completion` that is hidden reasoning.
    pub reasoning: Option<f64>,
    /// Web searches made.
    pub searches: Option<f64>,
    /// Cost in USD as the provider says.
    pub cost_usd: Option<f64>,
}

impl RawUsage {
    /// Later reports replace earlier ones, field by field.
    pub fn merge(&mut self, later: Self) {
        let fields = [
            (&mut self.prompt, later.prompt),
            (&mut self.completion, later.completion),
            (&mut self.cached, later.cached),
            (&mut self.cache_written, later.cache_written),
            (&mut self.reasoning, later.reasoning),
            (&mut self.searches, later.searches),
            (&mut self.cost_usd, later.cost_usd),
        ];
        for (old, new) in fields {
            if new.is_some() {
                *old = new;
            }
        }
    }
}

/// A piece of what a provider says, whole answers and streamed ones alike.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// The next text.
    Text(String),
    /// The next part of a call of a tool.
    ToolCall(ToolPiece),
    /// Why it stopped, in the provider's word. The stream need not end here.
    Finish(String),
    /// Tokens.
    Usage(RawUsage),
    /// The model as the provider names it.
    Model(String),
    /// The provider's id of the call.
    Id(String),
    /// Pages of the web; a later list replaces an earlier one.
    Sources(Vec<WebSource>),
    /// The provider's mark that nothing follows. A streamed body that ends without it is whole only if it had a
    /// [`Piece::Finish`].
    End,
}

/// A part of a call of a tool, or all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolPiece {
    /// Which of the answer's calls, from 0.
    pub index: usize,
    /// The call's id, where this part has it.
    pub id: String,
    /// The tool's name, where this part has it.
    pub name: String,
    /// What follows of the arguments.
    pub arguments: String,
    /// What the provider wants to be told again with the call, where this part has it.
    pub signature: Option<String>,
}

/// A fault that the wire itself tells, in the middle of an answer or instead of one.
#[derive(Clone, Debug, PartialEq)]
pub struct WireFault {
    /// How it failed.
    pub fault: ModelFault,
    /// What happened, in the provider's words if it gave any.
    pub message: String,
}

impl WireFault {
    /// A fault with a message.
    #[must_use]
    pub fn new(fault: ModelFault, message: impl Into<String>) -> Self {
        Self { fault, message: message.into() }
    }

    /// The answer is not what the wire promises.
    #[must_use]
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(ModelFault::Malformed, message)
    }
}

/// How a streamed body is cut into frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events (WHATWG HTML, section 9.2).
    Sse,
    /// One JSON value per line.
    Lines,
}

/// Reads the frames of one streamed answer.
pub trait StreamDecoder: Send {
    /// The pieces of one frame: the data of an event, or a line. `event` is the event's name, empty without one.
    ///
    /// # Errors
    /// When the frame tells of a fault or cannot be read.
    fn frame(&mut self, event: &str, data: &[u8]) -> Result<Vec<Piece>, WireFault>;
}

/// A provider's dialect of chat.
pub trait ChatWire: Send + Sync {
    /// The request for `model`.
    ///
    /// # Errors
    /// `Capability` when the request asks for what the wire cannot say.
    fn request(&self, model: &str, request: &ChatRequest, streamed: bool) -> Result<WireRequest, WireFault>;

    /// The pieces of a whole answer.
    ///
    /// # Errors
    /// When the body tells of a fault or cannot be read.
    fn answer(&self, request: &ChatRequest, body: &[u8]) -> Result<Vec<Piece>, WireFault>;

    /// How streamed bodies are cut.
    fn framing(&self) -> Framing {
        Framing::Sse
    }

    /// A reader for one streamed answer.
    fn decoder(&self, request: &ChatRequest) -> Box<dyn StreamDecoder>;

    /// The provider's own words in the body of an error status; `None` when it has none.
    fn error_message(&self, body: &[u8]) -> Option<String> {
        super::openai::error_message(body)
    }

    /// A more precise fault than the status tells, where the body of an error gives one.
    fn error_fault(&self, _status: u16, _body: &[u8]) -> Option<ModelFault> {
        None
    }
}
