//! Answers that are kept: what was asked before is not asked again, and equal questions under way are asked once.
//! Whether a call's answer may be kept is its caller's to say, with [`Call::keep`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt as _, Stream, StreamExt as _, TryFutureExt as _, TryStreamExt as _, stream};
use lorekeep_types::{
    CacheKey, Call, ChatEvent, ChatMessage, ChatRequest, ChatStream, Completion, FinishReason, Keep, ModelCache,
    ModelError, ModelFault, ModelId, OutputFormat, Part, Phase, Saved, TokenUsage, Tool, ToolCall, WebSource,
};
use serde::{Deserialize, Serialize};
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

use super::chat::GuardedChat;
use super::embed::Batch;
use super::fan::{Fans, Reader};
use super::flight::Flights;
use super::guard::Guarded as _;

/// The form of what is kept and of its keys; another one finds nothing of the former.
const FORM: &[u8] = b"chat 3";

/// A cache and the calls under way to it. Cheap to clone; clones share both.
#[derive(Clone)]
pub struct Kept(Arc<Inner>);

struct Inner {
    cache: Arc<dyn ModelCache>,
    flights: Flights<CacheKey, Result<Arc<Found>, ModelError>>,
    streams: Fans<CacheKey, Result<Piece, ModelError>>,
    vectors: Flights<CacheKey, Result<Arc<Batch>, ModelError>>,
}

/// A piece of a streamed flight.
#[derive(Clone)]
enum Piece {
    Text(String),
    Done(Arc<Found>),
}

/// The answer of a flight.
struct Found {
    completion: Completion,
    /// It was in the cache before the flight began.
    was_kept: bool,
}

/// The model that failed before, and how.
pub(super) type Before = Option<(ModelId, String)>;

/// A completion as it is kept.
#[derive(Serialize, Deserialize)]
struct Stored {
    text: String,
    finish: FinishReason,
    usage: TokenUsage,
    model: String,
    id: Option<String>,
    sources: Vec<WebSource>,
    cost: Option<i64>,
}

impl Kept {
    /// Keeps answers in `cache`.
    #[must_use]
    pub fn new(cache: Arc<dyn ModelCache>) -> Self {
        Self(Arc::new(Inner {
            cache,
            flights: Flights::default(),
            streams: Fans::default(),
            vectors: Flights::default(),
        }))
    }

    /// Batches of vectors under way, by the keys of their texts.
    pub(super) fn vectors(&self) -> &Flights<CacheKey, Result<Arc<Batch>, ModelError>> {
        &self.0.vectors
    }

    /// The answer to `request`: from the cache, from an equal call under way, or from the model.
    pub(super) async fn chat(
        &self,
        model: &GuardedChat,
        (call, keep): (&Call, Keep),
        request: &ChatRequest,
        before: Before,
    ) -> Result<Completion, ModelError> {
        let began = Instant::now();
        let key = key(model, call, keep, request);
        let (flight, is_first) =
            self.0.flights.join(key.clone(), || self.flight(key, model.clone(), call, request, before.clone()));
        let found = match (waited(call, model.model_id(), flight).await, is_first) {
            (Ok(found), _) => found,
            // What befell the first for reasons of his own need not befall this one.
            (Err(error), false) if is_of_the_caller(&error.fault) => {
                return model.called(call, request, before).await;
            }
            (Err(error), _) => return Err(error),
        };
        if is_first && !found.was_kept {
            return Ok(found.completion.clone());
        }
        Ok(hit(model, call, &found.completion, (began, false)).await)
    }

    /// The kept answer to `request`, without a trace in the ledger.
    pub(super) async fn found(
        &self,
        model: &GuardedChat,
        (call, keep): (&Call, Keep),
        request: &ChatRequest,
    ) -> Option<Completion> {
        self.get(&key(model, call, keep, request)).await
    }

    fn flight(
        &self,
        key: CacheKey,
        model: GuardedChat,
        call: &Call,
        request: &ChatRequest,
        before: Before,
    ) -> BoxFuture<'static, Result<Arc<Found>, ModelError>> {
        let (kept, call, request) = (self.clone(), call.clone(), request.clone());
        async move {
            if let Some(completion) = kept.get(&key).await {
                return Ok(Arc::new(Found { completion, was_kept: true }));
            }
            let completion = model.called(&call, &request, before).await?;
            kept.put(&key, &completion).await;
            Ok(Arc::new(Found { completion, was_kept: false }))
        }
        .boxed()
    }

    /// The answer to `request` piece by piece: from the cache, from an equal call under way, of which this one reads what
    /// it has missed, or from the model. The call goes on as long as anybody reads it.
    pub(super) async fn stream(
        &self,
        model: &GuardedChat,
        (call, keep): (&Call, Keep),
        request: &ChatRequest,
        before: Before,
    ) -> Result<ChatStream, ModelError> {
        let began = Instant::now();
        let key = key(model, call, keep, request);
        let (mut pieces, is_first) =
            self.0.streams.join(key.clone(), || self.pieces(key, model.clone(), call, request, before.clone()));
        let ended = || ModelError::new(ModelFault::Malformed, model.model_id(), "the answer ended before it began");
        let first = async { pieces.next().await.unwrap_or_else(|| Err(ended())) };
        let first = match waited(call, model.model_id(), first).await {
            Ok(piece) => piece,
            Err(error) if !is_first && is_of_the_caller(&error.fault) => {
                return model.streamed(call, request, before, None).await;
            }
            Err(error) => return Err(error),
        };
        let (model, call) = (model.clone(), call.clone());
        let pieces = stream::iter([Ok(first)]).chain(within(call.clone(), model.model_id().clone(), pieces));
        let event = move |piece| {
            let (model, call) = (model.clone(), call.clone());
            async move {
                let found = match piece? {
                    Piece::Text(text) => return Ok(ChatEvent::Text(text)),
                    Piece::Done(found) => found,
                };
                let completion = match is_first && !found.was_kept {
                    true => found.completion.clone(),
                    false => hit(&model, &call, &found.completion, (began, true)).await,
                };
                Ok(ChatEvent::Done(Box::new(completion)))
            }
        };
        Ok(pieces.then(event).boxed())
    }

    /// The pieces of an answer. Each reader has a deadline of its own.
    fn pieces(
        &self,
        key: CacheKey,
        model: GuardedChat,
        call: &Call,
        request: &ChatRequest,
        before: Before,
    ) -> BoxStream<'static, Result<Piece, ModelError>> {
        let (kept, call, request) = (self.clone(), Call { deadline: None, ..call.clone() }, request.clone());
        let opened = async move {
            if let Some(completion) = kept.get(&key).await {
                let text = Piece::Text(completion.text.clone());
                let whole = Piece::Done(Arc::new(Found { completion, was_kept: true }));
                return Ok(stream::iter([Ok(text), Ok(whole)]).boxed());
            }
            let events = model.streamed(&call, &request, before, Some((kept, key))).await?;
            let piece = |event| match event {
                ChatEvent::Text(text) => Piece::Text(text),
                ChatEvent::Done(completion) => {
                    Piece::Done(Arc::new(Found { completion: *completion, was_kept: false }))
                }
            };
            Ok(events.map_ok(piece).boxed())
        };
        opened.try_flatten_stream().boxed()
    }

    async fn get(&self, key: &CacheKey) -> Option<Completion> {
        let value = self.values(vec![key.clone()]).await.pop().flatten()?;
        serde_json::from_slice::<Stored>(&value).map(Completion::from).map_err(|error| unread::<()>(&error)).ok()
    }

    /// What is kept under each key; nothing where the cache cannot be read.
    pub(super) async fn values(&self, keys: Vec<CacheKey>) -> Vec<Option<Vec<u8>>> {
        let (cache, count) = (Arc::clone(&self.0.cache), keys.len());
        let read = move || keys.iter().map(|key| cache.get(key)).collect::<lorekeep_types::Result<Vec<_>>>();
        let read = tokio::task::spawn_blocking(read).await;
        let values = match read {
            Ok(Ok(values)) => Some(values),
            Ok(Err(error)) => unread(&error),
            Err(error) => unread(&error),
        };
        values.unwrap_or_else(|| vec![None; count])
    }

    /// Keeps values; a cache that cannot be written costs money, but no answer.
    pub(super) async fn put_values(&self, values: Vec<(CacheKey, Vec<u8>)>) {
        let cache = Arc::clone(&self.0.cache);
        let puts_at_once = cache.puts_at_once();
        let write = move || values.iter().try_for_each(|(key, value)| cache.put(key, value, None));
        let written = if puts_at_once { Ok(write()) } else { tokio::task::spawn_blocking(write).await };
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "an answer could not be kept"),
            Err(error) => tracing::warn!(%error, "an answer could not be kept"),
        }
    }

    /// Keeps an answer that is whole. One that waits for tools is none yet.
    pub(super) async fn put(&self, key: &CacheKey, completion: &Completion) {
        let is_whole = !matches!(completion.finish, FinishReason::Length | FinishReason::ContentFilter);
        if !is_whole || !completion.tool_calls.is_empty() || completion.text.trim().is_empty() {
            return;
        }
        let Ok(value) = serde_json::to_vec(&Stored::from(completion)) else { return };
        self.put_values(vec![(key.clone(), value)]).await;
    }
}

fn unread<T>(error: &dyn std::fmt::Display) -> Option<T> {
    tracing::warn!(%error, "the cache could not be read; the model is asked");
    None
}

/// The rest of a flight, at most until the call's own deadline.
fn within(
    call: Call,
    model: ModelId,
    pieces: Reader<Result<Piece, ModelError>>,
) -> impl Stream<Item = Result<Piece, ModelError>> {
    stream::unfold(Some(pieces), move |pieces| {
        let (call, model) = (call.clone(), model.clone());
        async move {
            let mut pieces = pieces?;
            match waited(&call, &model, pieces.next().map(Ok)).await {
                Ok(next) => Some((next?, Some(pieces))),
                Err(error) => Some((Err(error), None)),
            }
        }
    })
}

/// Waits at most until the call's own deadline.
pub(super) async fn waited<T>(
    call: &Call,
    model: &ModelId,
    flight: impl Future<Output = Result<T, ModelError>>,
) -> Result<T, ModelError> {
    // A little longer than the call itself waits, so that its own, better told end comes first.
    let Some(remaining) = call.remaining() else { return flight.await };
    tokio::time::timeout(remaining + Duration::from_millis(100), flight).await.unwrap_or_else(|_| {
        let message = "an equal call did not end before the deadline";
        Err(ModelError::new(ModelFault::Timeout(Phase::Total), model, message))
    })
}

pub(super) fn is_of_the_caller(fault: &ModelFault) -> bool {
    matches!(fault, ModelFault::Timeout(_) | ModelFault::QueueFull | ModelFault::OverBudget(_) | ModelFault::Cancelled)
}

/// Enters a call that the cache answered, and what that saved.
async fn hit(model: &GuardedChat, call: &Call, found: &Completion, (began, streamed): (Instant, bool)) -> Completion {
    let saved = Saved { tokens: found.usage.total(), cost: found.cost.unwrap_or(0) };
    model.guard().meter().hit(call, saved, (began, streamed)).await;
    Completion { usage: TokenUsage::default(), cost: Some(0), cache_hit: true, ..found.clone() }
}

/// Everything that an answer depends on. Texts are taken as they look: in normal form and without outer space.
fn key(model: &GuardedChat, call: &Call, keep: Keep, request: &ChatRequest) -> CacheKey {
    // Taken apart so that a new field cannot be forgotten here.
    let ChatRequest { messages, max_tokens, temperature, top_p, stop, seed, output, web, tools, tool_choice } = request;
    let number = |value: Option<u64>| value.map_or(Vec::new(), |value| value.to_le_bytes().to_vec());
    let (name, source) = (model.model_id().to_string(), model.guard().source());
    let mut parts: Vec<Vec<u8>> = vec![FORM.to_vec(), name.into_bytes(), source.into(), keep.version.into()];
    parts.extend([
        number(max_tokens.map(u64::from)),
        number(temperature.map(|value| u64::from(value.to_bits()))),
        number(top_p.map(|value| u64::from(value.to_bits()))),
        number(*seed),
    ]);
    parts.push(stop.join("\u{1f}").into_bytes());
    parts.push(match output {
        OutputFormat::Text => b"text".to_vec(),
        OutputFormat::Json => b"json".to_vec(),
        OutputFormat::Schema { name, schema } => format!("schema {name} {schema}").into_bytes(),
    });
    parts.push(web.as_ref().map_or(Vec::new(), |web| format!("{web:?}").into_bytes()));
    for Tool { name, description, parameters } in tools {
        parts.extend([name, description, parameters].map(|text| text.clone().into_bytes()));
    }
    parts.push(format!("{tool_choice:?}").into_bytes());
    messages.iter().for_each(|message| add_message(&mut parts, message));
    CacheKey::new(keep.kind, &call.workspace, parts.iter().map(Vec::as_slice))
}

fn add_message(parts: &mut Vec<Vec<u8>>, message: &ChatMessage) {
    parts.push(message.role.name().into());
    for part in &message.parts {
        parts.push(match part {
            Part::Text(text) => normal(text.trim()),
            Part::Image { media_type, bytes } => [media_type.as_bytes(), b"\0", bytes].concat(),
            Part::ToolCall(ToolCall { id, name, arguments, signature: _ }) => {
                format!("call {id}\0{name}\0{arguments}").into_bytes()
            }
            Part::ToolResult { id, name, text } => format!("result {id}\0{name}\0{text}").into_bytes(),
        });
    }
}

/// The bytes of a text in normal form C, in which most texts are.
fn normal(text: &str) -> Vec<u8> {
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => text.as_bytes().to_vec(),
        _ => text.nfc().collect::<String>().into_bytes(),
    }
}

impl From<&Completion> for Stored {
    fn from(completion: &Completion) -> Self {
        let Completion { text, finish, usage, model, id, sources, cost, cache_hit: _, tool_calls: _ } =
            completion.clone();
        Self { text, finish, usage, model, id, sources, cost }
    }
}

impl From<Stored> for Completion {
    fn from(stored: Stored) -> Self {
        let Stored { text, finish, usage, model, id, sources, cost } = stored;
        Self { text, tool_calls: Vec::new(), finish, usage, model, id, sources, cost, cache_hit: false }
    }
}
