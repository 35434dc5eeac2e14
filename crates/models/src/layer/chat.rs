//! A model that answers conversations, behind its guard.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use lorekeep_types::{
    CacheKey, Call, Capabilities, ChatEvent, ChatModel, ChatRequest, ChatStream, Completion, ModelError, ModelFault,
    ModelId, TokenUsage,
};

use super::guard::{Guard, Guarded, Running, consumed};
use super::kept::{Before, Kept};
use super::meter::{Bound, Outcome};
use crate::provider::usage;

/// Tokens of an answer that a request without a limit gets where budgets are set: what is reserved must be enough.
const MOST_COMPLETION: u32 = 4_096;

/// A chat model with its guard.
#[derive(Clone)]
pub struct GuardedChat {
    model: Arc<dyn ChatModel>,
    guard: Guard,
    kept: Option<Kept>,
}

impl GuardedChat {
    /// `model` behind `guard`.
    #[must_use]
    pub fn new(model: Arc<dyn ChatModel>, guard: Guard) -> Self {
        Self { model, guard, kept: None }
    }

    /// Keeps the answers to calls that allow it.
    #[must_use]
    pub fn keeping(self, kept: Option<Kept>) -> Self {
        Self { kept, ..self }
    }

    pub(super) fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Remembers in the ledger that another model failed before this call.
    pub(super) async fn chat_after(
        &self,
        call: &Call,
        request: &ChatRequest,
        before: Before,
    ) -> Result<Completion, ModelError> {
        match self.kept.as_ref().zip(call.keep) {
            Some((kept, keep)) => kept.chat(self, (call, keep), request, before).await,
            None => self.called(call, request, before).await,
        }
    }

    /// Calls the model, whatever is kept.
    pub(super) async fn called(
        &self,
        call: &Call,
        request: &ChatRequest,
        before: Before,
    ) -> Result<Completion, ModelError> {
        let request = &*self.limited(request);
        let mut running = self.guard.start(call, || bound_of(request), false).await?;
        running.entry.fallback = before;
        let attempt = || self.model.chat(call, request);
        let (mut completion, running) =
            self.guard.attempts(call, running, || usage::count_request(request), attempt).await?;
        let outcome = Outcome {
            usage: completion.usage,
            finish: Some(completion.finish.clone()),
            model: Some(completion.model.clone()),
            texts: 0,
        };
        completion.cost = running.entry.close(outcome);
        Ok(completion)
    }

    pub(super) async fn stream_after(
        &self,
        call: &Call,
        request: &ChatRequest,
        before: Before,
    ) -> Result<ChatStream, ModelError> {
        match self.kept.as_ref().zip(call.keep) {
            Some((kept, keep)) => kept.stream(self, (call, keep), request, before).await,
            None => self.streamed(call, request, before, None).await,
        }
    }

    /// Has the model stream, whatever is kept; the answer is kept as said.
    pub(super) async fn streamed(
        &self,
        call: &Call,
        request: &ChatRequest,
        before: Before,
        keep_as: Option<(Kept, CacheKey)>,
    ) -> Result<ChatStream, ModelError> {
        let request = &*self.limited(request);
        let mut running = self.guard.start(call, || bound_of(request), true).await?;
        running.entry.fallback = before;
        let prompt = || usage::count_request(request);
        let opened = self.guard.attempts(call, running, prompt, || self.first(call, request)).await?;
        let ((first, rest), mut running) = opened;
        running.entry.first_token_ms = Some(running.entry.elapsed_ms());
        let (prompt, began) = (prompt(), Instant::now());
        let metered = Metered { running: Some(running), written: String::new(), prompt, began, keep_as };
        Ok(metered.over(stream::iter([first]).chain(rest)))
    }

    /// The request with a limit on its answer where budgets are set.
    fn limited<'r>(&self, request: &'r ChatRequest) -> Cow<'r, ChatRequest> {
        if request.max_tokens.is_some() || !self.guard.meter().reserves() {
            return Cow::Borrowed(request);
        }
        Cow::Owned(ChatRequest { max_tokens: Some(MOST_COMPLETION), ..request.clone() })
    }

    /// Opens a stream and waits for its first event, so that what fails before it can be repeated.
    async fn first(&self, call: &Call, request: &ChatRequest) -> Result<FirstAndRest, ModelError> {
        let mut events = self.model.stream(call, request).await?;
        match events.next().await {
            Some(Ok(first)) => Ok((Ok(first), events)),
            Some(Err(error)) => Err(error),
            None => Err(self.guard.fault(ModelFault::Malformed, "the answer ended before it began")),
        }
    }
}

fn bound_of(request: &ChatRequest) -> Bound {
    let completion = request.max_tokens.unwrap_or(MOST_COMPLETION);
    Bound { prompt: usage::count_request(request), completion: completion.into() }
}

type FirstAndRest = (Result<ChatEvent, ModelError>, ChatStream);

/// A stream whose end closes the entry; dropped early, it closes it with what had been written.
struct Metered {
    running: Option<Running>,
    written: String,
    prompt: u64,
    began: Instant,
    keep_as: Option<(Kept, CacheKey)>,
}

impl Metered {
    fn over(self, events: impl Stream<Item = Result<ChatEvent, ModelError>> + Send + 'static) -> ChatStream {
        stream::unfold((self, events.boxed()), |(mut metered, mut events)| async move {
            let next = match &metered.running {
                Some(running) => running.entry.held(events.next()).await,
                None => events.next().await,
            };
            let event = metered.seen(next?).await;
            Some((event, (metered, events)))
        })
        .boxed()
    }

    async fn seen(&mut self, event: Result<ChatEvent, ModelError>) -> Result<ChatEvent, ModelError> {
        match event {
            Ok(ChatEvent::Text(text)) => {
                self.written.push_str(&text);
                Ok(ChatEvent::Text(text))
            }
            Ok(ChatEvent::Done(mut completion)) => {
                let outcome = Outcome {
                    usage: completion.usage,
                    finish: Some(completion.finish.clone()),
                    model: Some(completion.model.clone()),
                    texts: 0,
                };
                if let Some(running) = self.taken() {
                    completion.cost = running.entry.close(outcome);
                }
                if let Some((kept, key)) = self.keep_as.take() {
                    kept.put(&key, &completion).await;
                }
                Ok(ChatEvent::Done(completion))
            }
            Err(error) => {
                if let Some(mut running) = self.taken() {
                    // The opening was reported as a success; what broke later counts as well.
                    running.trial.report(Err(&error));
                    running.entry.took(consumed(&error, || self.prompt));
                    running.entry.fail(&error.fault);
                }
                Err(error)
            }
        }
    }

    fn taken(&mut self) -> Option<Running> {
        let mut running = self.running.take()?;
        running.entry.api_ms += self.began.elapsed().as_secs_f64() * 1e3;
        Some(running)
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        if let Some(mut running) = self.taken() {
            // What was written was consumed, although nobody waits for the rest.
            let completion = usage::count(&self.written);
            let usage = TokenUsage { prompt: self.prompt, completion, estimated: true, ..TokenUsage::default() };
            running.entry.took(usage);
            running.entry.fail(&ModelFault::Cancelled);
        }
    }
}

impl Guarded for GuardedChat {
    fn model_id(&self) -> &ModelId {
        self.model.id()
    }
}

impl ChatModel for GuardedChat {
    fn id(&self) -> &ModelId {
        self.model.id()
    }

    fn capabilities(&self) -> Capabilities {
        self.model.capabilities()
    }

    fn chat<'a>(&'a self, call: &'a Call, request: &'a ChatRequest) -> BoxFuture<'a, Result<Completion, ModelError>> {
        self.chat_after(call, request, None).boxed()
    }

    fn kept<'a>(&'a self, call: &'a Call, request: &'a ChatRequest) -> BoxFuture<'a, Option<Completion>> {
        async move {
            let (kept, keep) = self.kept.as_ref().zip(call.keep)?;
            kept.found(self, (call, keep), request).await
        }
        .boxed()
    }

    fn stream<'a>(&'a self, call: &'a Call, request: &'a ChatRequest) -> BoxFuture<'a, Result<ChatStream, ModelError>> {
        self.stream_after(call, request, None).boxed()
    }
}
