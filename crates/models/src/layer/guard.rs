//! All layers around one model: limit, circuit, retries and meter, in this order from the caller's side:
//! *place → circuit → ledger → attempts*. All ports share it; that of embeddings is in [`super::embed`].

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use lorekeep_types::{
    CacheKey, Call, Capabilities, ChatEvent, ChatModel, ChatRequest, ChatStream, Completion, ModelError, ModelFault,
    ModelId, Phase, RerankModel, Reranked, TokenUsage,
};

use super::breaker::{Breaker, CircuitState};
use super::credential::{Credential, Refused};
use super::kept::{Before, Kept};
use super::limit::{Limit, Permit};
use super::meter::{Bound, Entry, Meter, Outcome};
use super::retry::{self, RetryBudget};
use crate::provider::usage;

/// Tokens of an answer that a request without a limit may get, for its reservation.
const ASSUMED_COMPLETION: u64 = 4_096;

/// What guards the calls of one model. Cheap to clone; clones share all of it.
#[derive(Clone)]
pub struct Guard {
    shared: Arc<Inner>,
    /// Where the model is, as far as its answers depend on it.
    source: Arc<str>,
    /// The provider's key, which its models share.
    credential: Credential,
}

struct Inner {
    id: ModelId,
    limit: Limit,
    breaker: Breaker,
    /// Whether the key may be used for this model.
    access: Credential,
    repeats: RetryBudget,
    attempts: u32,
    meter: Meter,
}

/// A call that is being made: its place and its entry in the ledger.
pub(super) struct Running {
    _permit: Permit,
    pub(super) entry: Entry,
    trial: Trial,
}

/// A permission of the circuit, which must be answered.
struct Trial {
    guard: Guard,
    open: bool,
}

impl Trial {
    fn report(&mut self, outcome: Result<(), &ModelError>) {
        self.open = false;
        self.guard.shared.breaker.report(Instant::now(), outcome.err().map(|error| &error.fault));
        self.guard.credential_was(outcome);
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if self.open {
            self.guard.shared.breaker.forget();
        }
    }
}

impl Guard {
    /// At most `places` calls at once, each of at most `attempts` attempts.
    #[must_use]
    pub fn new(id: ModelId, places: usize, attempts: u32, meter: Meter) -> Self {
        let shared = Arc::new(Inner {
            id,
            limit: Limit::new(places),
            breaker: Breaker::new(Instant::now()),
            access: Credential::default(),
            repeats: RetryBudget::default(),
            attempts: attempts.max(1),
            meter,
        });
        Self { shared, source: "".into(), credential: Credential::default() }
    }

    /// The same with a key that other models share: when the provider refuses it, none of them is called.
    #[must_use]
    pub fn sharing(self, credential: Credential) -> Self {
        Self { credential, ..self }
    }

    /// Why the key is not used, if the provider refused it: at all, or for this model.
    #[must_use]
    pub fn refused(&self) -> Option<Refused> {
        self.credential.refused().or_else(|| self.shared.access.refused())
    }

    /// Lets the next call find out what it would otherwise not be made for: whether the key is still refused.
    pub fn find_out(&self) {
        self.credential.clear();
        self.shared.access.clear();
    }

    /// The same for a model at `source`: address and whatever else tells two providers of one name apart. Answers that
    /// are kept are those of one source.
    #[must_use]
    pub fn of_source(self, source: &str) -> Self {
        Self { source: source.into(), ..self }
    }

    /// See [`Guard::of_source`].
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// What records its calls.
    pub(super) fn meter(&self) -> &Meter {
        &self.shared.meter
    }

    /// The state of the circuit.
    #[must_use]
    pub fn circuit(&self) -> CircuitState {
        self.shared.breaker.state(Instant::now())
    }

    /// Calls that wait for a place.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.limit.waiting()
    }

    pub(super) async fn start(
        &self,
        call: &Call,
        bound: impl FnOnce() -> Bound,
        streamed: bool,
    ) -> Result<Running, ModelError> {
        let place = self.shared.limit.acquire(call.priority);
        let permit = match call.remaining() {
            None => place.await,
            Some(remaining) => tokio::time::timeout(remaining, place)
                .await
                .map_err(|_| self.fault(ModelFault::QueueFull, "no place became free before the deadline"))?,
        };
        let permit = permit.map_err(|_| self.fault(ModelFault::QueueFull, "too many calls wait for this model"))?;
        let trial = self.admit()?;
        let entry = self.shared.meter.open(call, bound, streamed).await?;
        self.shared.repeats.called(Instant::now());
        Ok(Running { _permit: permit, entry, trial })
    }

    fn admit(&self) -> Result<Trial, ModelError> {
        let now = Instant::now();
        if let Err(refused) = self.credential.admit(now).and_then(|()| self.shared.access.admit(now)) {
            let minutes = refused.until.saturating_duration_since(now).as_secs().div_ceil(60);
            let message = format!(
                "not called: the provider refused the API key ({}); it is tried again in {minutes} min, or when the \
                 configuration changes",
                refused.reason
            );
            return Err(self.fault(ModelFault::Credential, message));
        }
        self.shared.breaker.admit(Instant::now()).map_err(|after| {
            let message =
                format!("not called: it keeps failing, and is tried again in {:.0} s", after.as_secs_f64().ceil());
            self.fault(ModelFault::CircuitOpen { after }, message)
        })?;
        Ok(Trial { guard: self.clone(), open: true })
    }

    /// Makes attempts until one succeeds or none may follow. The entry is closed on failure, left open on success. What
    /// an attempt consumed before it broke off is charged: `prompt` counts what was sent.
    pub(super) async fn attempts<T, F>(
        &self,
        call: &Call,
        mut running: Running,
        prompt: impl Fn() -> u64,
        attempt: impl Fn() -> F,
    ) -> Result<(T, Running), ModelError>
    where
        F: Future<Output = Result<T, ModelError>>,
    {
        loop {
            let began = Instant::now();
            let outcome = running.entry.held(attempt()).await;
            running.entry.api_ms += began.elapsed().as_secs_f64() * 1e3;
            let error = match outcome {
                Ok(value) => {
                    running.trial.report(Ok(()));
                    return Ok((value, running));
                }
                Err(error) => error,
            };
            running.trial.report(Err(&error));
            running.entry.consumed = running.entry.consumed.and(consumed(&error, &prompt));
            let Some(delay) = self.repeat_after(&error, &running, call) else {
                running.entry.close(error.fault.name(), Outcome::default());
                return Err(error);
            };
            running.entry.held(tokio::time::sleep(delay)).await;
            running.entry.retries += 1;
            running.trial = match self.admit() {
                Ok(trial) => trial,
                // The circuit opened meanwhile: what is told is why.
                Err(_) => {
                    running.entry.close(error.fault.name(), Outcome::default());
                    return Err(error);
                }
            };
        }
    }

    /// Remembers a key that the provider refused or took. 403 may be about one model: others may still be called.
    fn credential_was(&self, outcome: Result<(), &ModelError>) {
        let Err(error) = outcome else {
            self.find_out();
            return;
        };
        if error.fault != ModelFault::Credential {
            return;
        }
        let credential = if error.status == Some(403) { &self.shared.access } else { &self.credential };
        if credential.refuse(Instant::now(), &error.message) {
            tracing::error!(model = %self.shared.id, reason = error.message, "the provider refused the API key; it is not used for now");
        }
    }

    fn repeat_after(&self, error: &ModelError, running: &Running, call: &Call) -> Option<Duration> {
        let attempt = running.entry.retries + 1;
        if attempt >= self.shared.attempts {
            return None;
        }
        let delay = retry::delay(&error.fault, attempt, call.remaining(), fastrand::f64())?;
        self.shared.repeats.take(Instant::now()).then_some(delay)
    }

    fn fault(&self, fault: ModelFault, message: impl Into<String>) -> ModelError {
        ModelError::new(fault, &self.shared.id, message)
    }
}

/// What a failed attempt consumed, as far as it was seen. One that broke off after it was sent had its prompt read, at
/// least in part, and whatever had come of the answer was written; one that was refused with a status took nothing.
fn consumed(error: &ModelError, prompt: impl Fn() -> u64) -> TokenUsage {
    let broke_off = matches!(
        error.fault,
        ModelFault::Timeout(Phase::FirstByte | Phase::Idle | Phase::Total)
            | ModelFault::Cut { .. }
            | ModelFault::Malformed
    );
    match error.usage {
        Some(seen) if seen.prompt > 0 || seen.completion == 0 || !broke_off => seen,
        None if !broke_off => TokenUsage::default(),
        seen => TokenUsage { prompt: prompt(), estimated: true, ..seen.unwrap_or_default() },
    }
}

fn bound_of(request: &ChatRequest) -> Bound {
    let completion = request.max_tokens.map_or(ASSUMED_COMPLETION, u64::from);
    Bound { prompt: usage::count_request(request), completion }
}

pub(super) fn bound_of_texts(texts: &[&str]) -> Bound {
    Bound { prompt: count_texts(texts), completion: 0 }
}

pub(super) fn count_texts(texts: &[&str]) -> u64 {
    texts.iter().map(|text| usage::count(text)).sum()
}

/// A model with its guard, as a chain asks it.
pub trait Guarded {
    /// Which model.
    fn model_id(&self) -> &ModelId;
}

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
        let mut running = self.guard.start(call, || bound_of(request), false).await?;
        running.entry.fallback = before;
        let (mut completion, running) = self
            .guard
            .attempts(call, running, || usage::count_request(request), || self.model.chat(call, request))
            .await?;
        let outcome = Outcome {
            usage: completion.usage,
            finish: Some(completion.finish.clone()),
            model: Some(completion.model.clone()),
            texts: 0,
        };
        completion.cost = running.entry.close("ok", outcome);
        Ok(completion)
    }

    pub(super) async fn stream_after(
        &self,
        call: &Call,
        request: &ChatRequest,
        before: Before,
    ) -> Result<ChatStream, ModelError> {
        let mut keep_as = None;
        if let Some((kept, keep)) = self.kept.as_ref().zip(call.keep) {
            match kept.stream(self, (call, keep), request).await {
                Ok(stream) => return Ok(stream),
                Err(key) => keep_as = Some((kept.clone(), key)),
            }
        }
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
                    completion.cost = running.entry.close("ok", outcome);
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
                    running.entry.consumed = running.entry.consumed.and(consumed(&error, || self.prompt));
                    running.entry.close(error.fault.name(), Outcome::default());
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
        if let Some(running) = self.taken() {
            // What was written was consumed, although nobody waits for the rest.
            let completion = usage::count(&self.written);
            let usage = TokenUsage { prompt: self.prompt, completion, estimated: true, ..TokenUsage::default() };
            running.entry.abandon(Outcome { usage, ..Outcome::default() });
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

/// A reranking model with its guard.
pub struct GuardedRerank {
    model: Arc<dyn RerankModel>,
    guard: Guard,
}

impl GuardedRerank {
    /// `model` behind `guard`.
    #[must_use]
    pub fn new(model: Arc<dyn RerankModel>, guard: Guard) -> Self {
        Self { model, guard }
    }

    /// Remembers in the ledger that another model failed before this call.
    pub(super) async fn rerank_after(
        &self,
        call: &Call,
        (query, texts, top_n): (&str, &[&str], usize),
        before: Before,
    ) -> Result<Reranked, ModelError> {
        let mut running = self.guard.start(call, || bound_of_texts(texts), false).await?;
        running.entry.fallback = before;
        let (reranked, running) = self
            .guard
            .attempts(call, running, || count_texts(texts), || self.model.rerank(call, query, texts, top_n))
            .await?;
        let model = Some(reranked.model.clone());
        running.entry.close("ok", Outcome { usage: reranked.usage, finish: None, model, texts: texts.len() });
        Ok(reranked)
    }
}

impl Guarded for GuardedRerank {
    fn model_id(&self) -> &ModelId {
        self.model.id()
    }
}

impl RerankModel for GuardedRerank {
    fn id(&self) -> &ModelId {
        self.model.id()
    }

    fn rerank<'a>(
        &'a self,
        call: &'a Call,
        query: &'a str,
        texts: &'a [&'a str],
        top_n: usize,
    ) -> BoxFuture<'a, Result<Reranked, ModelError>> {
        self.rerank_after(call, (query, texts, top_n), None).boxed()
    }
}
