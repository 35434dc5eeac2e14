//! Chat over HTTP for any wire: sends the request, reads whole and streamed answers, and makes one
//! [`Completion`] of their pieces.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _};
use lorekeep_types::{
    Call, Capabilities, ChatEvent, ChatModel, ChatRequest, ChatStream, Completion, FinishReason, ModelError,
    ModelFault, ModelId, ToolCall, WebSource,
};

use super::auth::Authorize;
use super::caller::{Caller, Refusal};
use super::frames::Frames;
use super::http::Http;
use super::usage;
use super::wire::{ChatWire, Piece, RawUsage, StreamDecoder, ToolPiece, WireFault, WireRequest};

/// More text than this in one answer ends the call.
const MOST_TEXT: usize = 16 << 20;

/// A model at a provider. Cheap to clone.
#[derive(Clone)]
pub struct HttpChat {
    caller: Caller,
    wire: Arc<dyn ChatWire>,
    capabilities: Capabilities,
}

impl HttpChat {
    /// The model `id` spoken to in `wire`, which offers what its provider's kind does.
    #[must_use]
    pub fn new(
        id: ModelId,
        wire: Arc<dyn ChatWire>,
        capabilities: Capabilities,
        http: Http,
        auth: Arc<dyn Authorize>,
    ) -> Self {
        Self { caller: Caller::new(id, http, auth), wire, capabilities }
    }

    fn wire_request(&self, request: &ChatRequest, streamed: bool) -> Result<WireRequest, ModelError> {
        if !request.tools.is_empty() && !self.capabilities.tools {
            let fault = WireFault::new(ModelFault::Capability, "models of this provider call no tools");
            return Err(self.caller.error(fault));
        }
        self.wire.request(&self.caller.id().model, request, streamed).map_err(|fault| self.caller.error(fault))
    }

    async fn whole(&self, call: &Call, request: &ChatRequest) -> Result<Completion, ModelError> {
        let wire_request = self.wire_request(request, false)?;
        let exchange = self.caller.exchange(call);
        let response = self.caller.open(&exchange, &wire_request, self.wire.as_ref()).await?;
        let body = exchange.written(response).await?;
        let pieces = self.wire.answer(request, &body).map_err(|fault| {
            let error = self.caller.error(fault);
            if error.fault == ModelFault::Malformed { error.with_usage(usage::of_part(&body)) } else { error }
        })?;
        let mut draft = Draft::default();
        pieces.into_iter().for_each(|piece| {
            draft.take(piece);
        });
        draft.finish(self.caller.id(), request)
    }

    async fn streamed(&self, call: &Call, request: &ChatRequest) -> Result<ChatStream, ModelError> {
        if !self.capabilities.stream {
            return self.in_one_piece(call, request).await;
        }
        let wire_request = self.wire_request(request, true)?;
        let exchange = self.caller.exchange(call);
        let response = self.caller.open(&exchange, &wire_request, self.wire.as_ref()).await?;
        let reading = Reading {
            model: self.clone(),
            call: call.clone(),
            body: response.bytes_stream().boxed(),
            frames: Frames::new(self.wire.framing()),
            decoder: self.wire.decoder(request),
            draft: Draft::default(),
            request: request.clone(),
            ready: VecDeque::new(),
            deadline: exchange.deadline(),
            state: State::Open,
        };
        Ok(stream::unfold(reading, |mut reading| async move {
            let event = reading.next().await?;
            Some((event, reading))
        })
        .boxed())
    }

    /// The stream of a wire that has none: the whole answer as one piece.
    async fn in_one_piece(&self, call: &Call, request: &ChatRequest) -> Result<ChatStream, ModelError> {
        let completion = self.whole(call, request).await?;
        let text = ChatEvent::Text(completion.text.clone());
        Ok(stream::iter([Ok(text), Ok(ChatEvent::Done(Box::new(completion)))]).boxed())
    }
}

impl Refusal for dyn ChatWire {
    fn words(&self, body: &[u8]) -> Option<String> {
        self.error_message(body)
    }

    fn precise(&self, status: u16, body: &[u8]) -> Option<ModelFault> {
        self.error_fault(status, body)
    }
}

impl ChatModel for HttpChat {
    fn id(&self) -> &ModelId {
        self.caller.id()
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn chat<'a>(&'a self, call: &'a Call, request: &'a ChatRequest) -> BoxFuture<'a, Result<Completion, ModelError>> {
        self.whole(call, request).boxed()
    }

    fn stream<'a>(&'a self, call: &'a Call, request: &'a ChatRequest) -> BoxFuture<'a, Result<ChatStream, ModelError>> {
        self.streamed(call, request).boxed()
    }
}

/// What has been said of an answer so far.
#[derive(Default)]
struct Draft {
    text: String,
    /// By their place in the answer.
    tool_calls: BTreeMap<usize, ToolCall>,
    finish: Option<String>,
    usage: RawUsage,
    model: Option<String>,
    id: Option<String>,
    sources: Vec<WebSource>,
}

impl Draft {
    /// Takes a piece; text is given back to be shown.
    fn take(&mut self, piece: Piece) -> Option<String> {
        match piece {
            Piece::Text(text) => {
                self.text.push_str(&text);
                return (!text.is_empty()).then_some(text);
            }
            Piece::ToolCall(piece) => self.take_call(piece),
            Piece::Finish(word) => self.finish = Some(word),
            Piece::Usage(usage) => self.usage.merge(usage),
            Piece::Model(model) => self.model = Some(model),
            Piece::Id(id) => self.id = Some(id),
            Piece::Sources(sources) => self.sources = sources,
            Piece::End => {}
        }
        None
    }

    fn take_call(&mut self, piece: ToolPiece) {
        let call = self.tool_calls.entry(piece.index).or_default();
        for (known, said) in [(&mut call.id, piece.id), (&mut call.name, piece.name)] {
            if !said.is_empty() {
                *known = said;
            }
        }
        call.arguments.push_str(&piece.arguments);
        call.signature = piece.signature.or(call.signature.take());
    }

    /// Bytes of text and arguments.
    fn length(&self) -> usize {
        self.text.len() + self.tool_calls.values().map(|call| call.arguments.len()).sum::<usize>()
    }

    /// Tokens of text and calls, as far as they have come.
    fn written(&self) -> u64 {
        usage::count(&self.text) + usage::count_calls(self.tool_calls.values())
    }

    fn usage(&self, request: &ChatRequest) -> lorekeep_types::TokenUsage {
        usage::settle(self.usage, || usage::count_request(request), || self.written())
    }

    /// The calls, each with an id and arguments.
    fn calls(&mut self) -> Vec<ToolCall> {
        let whole = |(index, mut call): (usize, ToolCall)| {
            if call.id.is_empty() {
                call.id = format!("call_{index}");
            }
            if call.arguments.is_empty() {
                call.arguments = "{}".to_owned();
            }
            call
        };
        std::mem::take(&mut self.tool_calls).into_iter().map(whole).collect()
    }

    fn finish(mut self, model: &ModelId, request: &ChatRequest) -> Result<Completion, ModelError> {
        let usage = self.usage(request);
        let tool_calls = self.calls();
        let finish = match finish_reason(self.finish.as_deref().unwrap_or_default()) {
            FinishReason::Stop if !tool_calls.is_empty() => FinishReason::ToolCalls,
            finish => finish,
        };
        if tool_calls.iter().any(|call| call.name.is_empty()) {
            let error = ModelError::new(ModelFault::Malformed, model, "the answer calls a tool without a name");
            return Err(error.with_usage(usage));
        }
        if finish == FinishReason::Length {
            let written = usage.completion;
            tracing::warn!(%model, written, "the answer was cut at the limit of tokens: allow more (`answer.tokens.completion`)");
        }
        if self.text.trim().is_empty() && tool_calls.is_empty() {
            let fault = match finish {
                FinishReason::ContentFilter => ModelFault::ContentFilter,
                _ => ModelFault::Empty { finish: finish.name().to_owned() },
            };
            let written = usage.completion;
            let message = format!("the answer is empty (finish reason `{}`, {written} tokens written)", finish.name());
            return Err(ModelError::new(fault, model, message).with_usage(usage));
        }
        Ok(Completion {
            cache_hit: false,
            text: self.text,
            tool_calls,
            finish,
            usage,
            model: self.model.filter(|name| !name.is_empty()).unwrap_or_else(|| model.model.clone()),
            id: self.id.filter(|id| !id.is_empty()),
            sources: self.sources,
            cost: None,
        })
    }
}

/// The words of all wires for the same few reasons.
fn finish_reason(word: &str) -> FinishReason {
    match word.to_ascii_lowercase().as_str() {
        "tool_calls" | "tool_use" | "function_call" => FinishReason::ToolCalls,
        "stop" | "end_turn" | "stop_sequence" | "eos_token" | "completed" => FinishReason::Stop,
        "length" | "max_tokens" | "max_output_tokens" | "model_length" | "model_context_window_exceeded" => {
            FinishReason::Length
        }
        "content_filter" | "safety" | "recitation" | "prohibited_content" | "blocklist" | "spii" | "refusal" => {
            FinishReason::ContentFilter
        }
        _ => FinishReason::Other(word.to_owned()),
    }
}

enum State {
    /// More may come.
    Open,
    /// The provider said that nothing follows, or the body ended.
    Ended,
    /// It failed.
    Failed(Box<ModelError>),
    /// The last event was given.
    Over,
}

/// A streamed answer in the middle of being read.
struct Reading {
    model: HttpChat,
    call: Call,
    body: BoxStream<'static, reqwest::Result<Bytes>>,
    frames: Frames,
    decoder: Box<dyn StreamDecoder>,
    draft: Draft,
    request: ChatRequest,
    ready: VecDeque<String>,
    deadline: std::time::Instant,
    state: State,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<ChatEvent, ModelError>> {
        loop {
            if let Some(text) = self.ready.pop_front() {
                return Some(Ok(ChatEvent::Text(text)));
            }
            match std::mem::replace(&mut self.state, State::Over) {
                State::Over => return None,
                State::Failed(error) => return Some(Err(*error)),
                State::Ended => {
                    let draft = std::mem::take(&mut self.draft);
                    let done = draft.finish(self.model.caller.id(), &self.request);
                    return Some(done.map(|completion| ChatEvent::Done(Box::new(completion))));
                }
                State::Open => {
                    self.state = State::Open;
                    // What came before a failure is shown before it.
                    if let Err(error) = self.read().await {
                        self.state = State::Failed(Box::new(self.began(error)));
                    }
                }
            }
        }
    }

    /// Reads on: the next bytes, or the end.
    async fn read(&mut self) -> Result<(), ModelError> {
        let exchange = self.model.caller.exchange(&self.call).until(self.deadline);
        let frames = match exchange.next(&mut self.body).await? {
            Some(bytes) => {
                let cut = self.frames.push(&bytes);
                cut.map_err(|_| self.model.caller.malformed("a frame of the answer is too long"))?
            }
            None => {
                let last = self.frames.finish();
                for frame in last {
                    self.decode(&frame.event, &frame.data)?;
                }
                // A body may end without the provider's mark, but not without a reason for stopping. Usage says
                // nothing: some providers report it with each piece.
                if !matches!(self.state, State::Ended) && self.draft.finish.is_none() {
                    let message = "the answer broke off: the connection ended without the provider's mark";
                    return Err(ModelError::new(ModelFault::Cut { began: false }, self.model.caller.id(), message));
                }
                self.state = State::Ended;
                return Ok(());
            }
        };
        for frame in frames {
            self.decode(&frame.event, &frame.data)?;
            if matches!(self.state, State::Ended) {
                break;
            }
        }
        Ok(())
    }

    fn decode(&mut self, event: &str, data: &[u8]) -> Result<(), ModelError> {
        let pieces = self.decoder.frame(event, data).map_err(|fault| self.model.caller.error(fault))?;
        for piece in pieces {
            if piece == Piece::End {
                self.state = State::Ended;
            }
            self.ready.extend(self.draft.take(piece));
        }
        if self.draft.length() > MOST_TEXT {
            let message = format!("the answer is longer than {} MiB", MOST_TEXT >> 20);
            return Err(self.model.caller.malformed(message));
        }
        Ok(())
    }

    /// A failure after text had come is a cut answer, whose tokens were consumed all the same.
    fn began(&self, mut error: ModelError) -> ModelError {
        if self.draft.length() == 0 {
            return error;
        }
        if let ModelFault::Cut { began } = &mut error.fault {
            *began = true;
        }
        let mut usage = self.draft.usage(&self.request);
        if self.draft.finish.is_none() {
            // A report from the middle of an answer may be older than the text that has come.
            usage.completion = usage.completion.max(self.draft.written());
            usage.estimated = true;
        }
        error.with_usage(usage)
    }
}
