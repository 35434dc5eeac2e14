//! A Llama-family model behind the ports of models that write.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use lorekeep_types::{
    Call, Capabilities, ChatEvent, ChatMessage, ChatModel, ChatRequest, ChatRole, ChatStream, Completion, ModelError,
    ModelFault, ModelId, OutputFormat, Part, PromptModel, ResidentFigures, ResidentModel, TokenUsage,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::LocalSettings;
use super::fault::LocalError;
use super::folder::{self, Found};
use super::generate::{self, Listener, MOST_TOKENS, Order};
use super::llama::Llama;
use super::shared::Shared;
use super::text::Text;
use super::worker::{Counts, Worker};
use crate::gateway::settings::ProviderKind;

/// Randomness where the request does not say; that of the local services which this one stands in for.
const TEMPERATURE: f32 = 0.7;
const TOP_P: f32 = 0.9;
/// What asks for [`OutputFormat::Json`].
const AS_JSON: &str = "Answer with one JSON object and nothing else.";

static MODELS: Shared<Resident> = Shared::new();

/// A model in memory and the thread that it lives in.
struct Resident {
    name: String,
    worker: Worker<Loaded>,
    facts: Arc<OnceLock<Facts>>,
}

struct Loaded {
    model: Llama,
    text: Text,
}

/// Known once the model is loaded.
#[derive(Clone, Copy)]
struct Facts {
    device: &'static str,
    weight_bytes: u64,
    context: usize,
}

/// A model that writes in this process. Cheap to clone.
#[derive(Clone)]
pub struct LocalChat {
    id: ModelId,
    resident: Arc<Resident>,
    /// No call takes longer.
    total: Duration,
}

enum Prompt {
    Conversation(Vec<ChatMessage>),
    Raw(String),
}

impl LocalChat {
    /// The model at `path`, which begins to be loaded in its own thread; calls wait for that. The same path and
    /// settings share one model in memory.
    ///
    /// # Errors
    /// When there is no model that writes.
    pub fn open(id: ModelId, path: &Path, settings: LocalSettings, total: Duration) -> Result<Self, LocalError> {
        let found = folder::find(path)?;
        if let Found::Bert(path) = &found {
            return Err(folder::other_kind(path, "bert", "it embeds and does not write"));
        }
        let resident = MODELS.get(path, settings, || Resident::start(path, found, settings))?;
        Ok(Self { id, resident, total })
    }

    /// Waits until the model is loaded.
    ///
    /// # Errors
    /// Why it cannot be.
    pub async fn ready(&self) -> Result<(), LocalError> {
        self.resident.worker.ready().await
    }

    /// Whether loading was tried and failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.resident.worker.failed()
    }

    fn begin(&self, call: &Call, prompt: Prompt, request: &ChatRequest) -> Result<ChatStream, ModelError> {
        if matches!(request.output, OutputFormat::Schema { .. }) {
            return Err(LocalError::Unable("a model in this process keeps to no schema".to_owned()).of(&self.id));
        }
        if !request.tools.is_empty() {
            return Err(LocalError::Unable("a model in this process calls no tools".to_owned()).of(&self.id));
        }
        let (say, said) = unbounded_channel();
        let (gone, id, name) = (say.clone(), self.id.clone(), self.resident.name.clone());
        let request = request.clone();
        let latest = Instant::now() + self.total;
        let deadline = Some(call.deadline.map_or(latest, |deadline| deadline.min(latest)));
        let counts = Arc::clone(self.resident.worker.counts());
        let work = move |loaded: Result<&mut Loaded, &LocalError>| {
            let mut follower = Follower { id, name, say, counts, prompt: 0, written: 0 };
            let outcome = match loaded {
                Ok(loaded) => loaded.answer(prompt, &request, deadline, &mut follower),
                Err(error) => Err(error.clone()),
            };
            follower.close(outcome);
        };
        let busy = |_| LocalError::Busy(self.resident.worker.places()).of(&self.id);
        self.resident.worker.submit(move || gone.is_closed(), work).map_err(busy)?;
        Ok(events(said, self.id.clone()))
    }
}

impl Resident {
    fn start(path: &Path, found: Found, settings: LocalSettings) -> Result<Self, LocalError> {
        let facts = Arc::new(OnceLock::new());
        let (name, known) = (folder::name_of(path), Arc::clone(&facts));
        let load = move || {
            // The tokenizer first: it takes a moment where the weights take minutes.
            let text = Text::of(&found)?;
            let model = Llama::load(&found, settings.context)?;
            let (device, weight_bytes, context) = (model.device(), model.weight_bytes(), model.context());
            let _ = known.set(Facts { device, weight_bytes, context });
            Ok(Loaded { model, text })
        };
        let worker = Worker::start(&name, settings.places, load)?;
        Ok(Self { name, worker, facts })
    }
}

impl Loaded {
    fn answer(
        &mut self,
        prompt: Prompt,
        request: &ChatRequest,
        deadline: Option<Instant>,
        follower: &mut Follower,
    ) -> Result<generate::Written, LocalError> {
        let prompt = match prompt {
            Prompt::Raw(prompt) => self.text.raw(&prompt)?,
            Prompt::Conversation(mut messages) => {
                if request.output == OutputFormat::Json {
                    ask_for_json(&mut messages);
                }
                self.text.conversation(&messages)?
            }
        };
        if prompt.is_empty() {
            return Err(LocalError::Unable("the prompt is empty".to_owned()));
        }
        let mut stop = request.stop.clone();
        stop.extend(self.text.stop().map(str::to_owned));
        let order = Order {
            prompt,
            max_tokens: request.max_tokens.unwrap_or(MOST_TOKENS),
            temperature: request.temperature.unwrap_or(TEMPERATURE),
            top_p: request.top_p.unwrap_or(TOP_P),
            seed: request.seed,
            stop,
            deadline,
        };
        generate::write(&mut self.model, &self.text, &order, follower)
    }
}

/// Puts the demand where every template takes it: into the first message, as the system's.
fn ask_for_json(messages: &mut Vec<ChatMessage>) {
    match messages.first_mut() {
        Some(first) if first.role == ChatRole::System => first.parts.push(Part::Text(AS_JSON.to_owned())),
        _ => messages.insert(0, ChatMessage::text(ChatRole::System, AS_JSON)),
    }
}

/// Passes an answer on to the caller and counts it.
struct Follower {
    id: ModelId,
    name: String,
    say: UnboundedSender<Result<ChatEvent, ModelError>>,
    counts: Arc<Counts>,
    prompt: u64,
    written: u64,
}

impl Listener for Follower {
    fn say(&mut self, piece: String) {
        if !piece.is_empty() {
            // That nobody listens is noticed before the next token.
            let _ = self.say.send(Ok(ChatEvent::Text(piece)));
        }
    }

    fn gone(&self) -> bool {
        self.say.is_closed()
    }

    fn read(&mut self, tokens: usize) {
        self.prompt += tokens as u64;
        self.counts.prompt_tokens.fetch_add(tokens as u64, Ordering::Relaxed);
    }

    fn wrote(&mut self, model: &Llama) {
        self.written += 1;
        self.counts.completion_tokens.fetch_add(1, Ordering::Relaxed);
        self.counts.cache_bytes.store(model.cache_bytes(), Ordering::Relaxed);
    }
}

impl Follower {
    fn close(self, outcome: Result<generate::Written, LocalError>) {
        let usage = TokenUsage { prompt: self.prompt, completion: self.written, ..TokenUsage::default() };
        let last = match outcome {
            Ok(written) if written.text.trim().is_empty() => {
                let finish = written.finish.name().to_owned();
                let message =
                    format!("the answer is empty (finish reason `{finish}`, {} tokens written)", written.tokens);
                Err(ModelError::new(ModelFault::Empty { finish }, &self.id, message).with_usage(usage))
            }
            Ok(written) => Ok(ChatEvent::Done(Box::new(Completion {
                tool_calls: Vec::new(),
                text: written.text,
                finish: written.finish,
                usage,
                model: self.name,
                id: None,
                sources: Vec::new(),
                cost: None,
                cache_hit: false,
            }))),
            Err(error) => Err(error.of(&self.id).with_usage(usage)),
        };
        let _ = self.say.send(last);
    }
}

/// What comes through the channel; an answer that ends without an end was cut off.
fn events(said: UnboundedReceiver<Result<ChatEvent, ModelError>>, id: ModelId) -> ChatStream {
    stream::unfold((said, id, false, false), |(mut said, id, began, over)| async move {
        if over {
            return None;
        }
        let event = said.recv().await.unwrap_or_else(|| {
            let message = "the answer broke off: computing it met a fault of this program";
            Err(ModelError::new(ModelFault::Cut { began }, &id, message))
        });
        let over = !matches!(event, Ok(ChatEvent::Text(_)));
        Some((event, (said, id, true, over)))
    })
    .boxed()
}

impl ChatModel for LocalChat {
    fn id(&self) -> &ModelId {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        ProviderKind::Local.capabilities()
    }

    fn chat<'a>(&'a self, call: &'a Call, request: &'a ChatRequest) -> BoxFuture<'a, Result<Completion, ModelError>> {
        async move {
            let mut events = self.begin(call, Prompt::Conversation(request.messages.clone()), request)?;
            loop {
                match events.next().await {
                    Some(Ok(ChatEvent::Text(_))) => {}
                    Some(Ok(ChatEvent::Done(completion))) => return Ok(*completion),
                    Some(Err(error)) => return Err(error),
                    None => {
                        let fault = ModelFault::Cut { began: true };
                        return Err(ModelError::new(fault, &self.id, "the answer ended without an end"));
                    }
                }
            }
        }
        .boxed()
    }

    fn stream<'a>(&'a self, call: &'a Call, request: &'a ChatRequest) -> BoxFuture<'a, Result<ChatStream, ModelError>> {
        async move { self.begin(call, Prompt::Conversation(request.messages.clone()), request) }.boxed()
    }
}

impl ResidentModel for LocalChat {
    fn figures(&self) -> ResidentFigures {
        let (worker, facts) = (&self.resident.worker, self.resident.facts.get());
        let counts = worker.counts();
        ResidentFigures {
            name: self.resident.name.clone(),
            device: facts.map_or("none", |facts| facts.device).to_owned(),
            weight_bytes: facts.map_or(0, |facts| facts.weight_bytes),
            cache_bytes: counts.cache_bytes.load(Ordering::Relaxed),
            context: facts.map_or(0, |facts| facts.context),
            running: counts.running.load(Ordering::Relaxed),
            waiting: worker.waiting(),
            places: worker.places(),
            calls: counts.calls.load(Ordering::Relaxed),
            refused: counts.refused.load(Ordering::Relaxed),
            prompt_tokens: counts.prompt_tokens.load(Ordering::Relaxed),
            completion_tokens: counts.completion_tokens.load(Ordering::Relaxed),
        }
    }
}

impl PromptModel for LocalChat {
    fn complete<'a>(
        &'a self,
        call: &'a Call,
        prompt: &'a str,
        request: &'a ChatRequest,
    ) -> BoxFuture<'a, Result<ChatStream, ModelError>> {
        async move { self.begin(call, Prompt::Raw(prompt.to_owned()), request) }.boxed()
    }
}
