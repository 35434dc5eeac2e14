//! Scripted ports, and an engine over them.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use lorekeep_engine::{
    AddRequest, AnswerSettings, ChunkSettings, Engine, EngineParts, EngineSettings, GraphSettings, IngestSettings,
};
use lorekeep_models::layer::chat::GuardedChat;
use lorekeep_models::layer::guard::Guard;
use lorekeep_models::layer::kept::Kept;
use lorekeep_models::layer::meter::Meter;
use lorekeep_models::price::Prices;
use lorekeep_store::{CacheLimits, SqliteLedger, Store};
use lorekeep_types::{
    ByteSpan, ChatModel, Clock, DocumentFilter, DocumentOrder, DocumentParser, DocumentRecord, EmbeddingModel,
    EmbeddingModelId, ErrorCode, Format, Heading, Ids, Job, JobEvent, JobItem, JobState, ModelCache, ModelId, Models,
    NewItem, PageRequest, ParseInput, ParsedDocument, Problem, RequestContext, RerankModel, Result, Role, TokenCounter,
    WorkspaceName,
};
use tokio::sync::broadcast::Receiver;

use crate::scripted::Scripted;

pub(crate) const ALL: PageRequest = PageRequest { offset: 0, limit: 1_000 };

/// Doors at which work stops while they are shut; who waits is seen from outside.
#[derive(Default)]
pub(crate) struct Doors {
    state: Mutex<(HashSet<&'static str>, HashSet<&'static str>)>,
    changed: Condvar,
}

impl Doors {
    pub(crate) fn shut(&self, door: &'static str) {
        self.state.lock().unwrap().0.insert(door);
    }

    pub(crate) fn open(&self, door: &'static str) {
        self.state.lock().unwrap().0.remove(door);
        self.changed.notify_all();
    }

    /// Waits until some work stands before the door.
    pub(crate) fn wait_for(&self, door: &'static str) {
        let mut state = self.state.lock().unwrap();
        while !state.1.contains(door) {
            state = self.changed.wait(state).unwrap();
        }
    }

    fn pass(&self, door: &'static str, text: &str) {
        if !text.contains(door) {
            return;
        }
        let mut state = self.state.lock().unwrap();
        while state.0.contains(door) {
            state.1.insert(door);
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap();
        }
        state.1.remove(door);
    }
}

/// Plain text; `#` lines are headings; some words are commands.
struct TextParser(Arc<Doors>);

static FORMATS: [Format; 1] = [Format { name: "text", extensions: &["txt"], media_type: "text/plain" }];

impl DocumentParser for TextParser {
    fn formats(&self) -> &'static [Format] {
        &FORMATS
    }

    fn parse(&self, input: ParseInput<'_>) -> Result<Vec<(String, ParsedDocument)>, Problem> {
        let problem = |code, message: &str| Problem { code, message: message.to_owned(), hint: None };
        let text = String::from_utf8_lossy(input.bytes).into_owned();
        self.0.pass("at-parse", &text);
        if input.cancel.is_cancelled() {
            return Err(problem(ErrorCode::Cancelled, "cancelled"));
        }
        match text.trim() {
            "broken" => Err(problem(ErrorCode::Unprocessable, "the file is broken")),
            "scan" => Err(problem(ErrorCode::CapabilityMissing, "the file holds pictures of pages")),
            "panic" => panic!("a parser that panics"),
            "archive" => {
                Ok(vec![("a.txt".into(), plain("Oslo is a city.")), ("b/c.txt".into(), plain("Bergen rains."))])
            }
            _ => Ok(vec![(String::new(), plain(&text))]),
        }
    }
}

fn plain(text: &str) -> ParsedDocument {
    let mut document = ParsedDocument { text: text.to_owned(), ..ParsedDocument::default() };
    document.metadata.language = Some("en".to_owned());
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if let Some(title) = line.strip_prefix("# ") {
            if let Some(open) = document.headings.last_mut() {
                open.end = at;
            }
            let title = title.trim().to_owned();
            document.headings.push(Heading { title, level: 1, start: at, end: text.len() });
        }
        at += line.len();
    }
    document
}

/// One token per word.
struct Words(Arc<Doors>);

impl TokenCounter for Words {
    fn count(&self, text: &str) -> usize {
        self.0.pass("at-chunk", text);
        text.split_whitespace().count()
    }

    fn cuts(&self, text: &str, every: usize) -> Vec<usize> {
        let starts = text.split_whitespace().map(|word| word.as_ptr() as usize - text.as_ptr() as usize);
        starts.step_by(every.max(1)).skip(1).collect()
    }
}

/// Vectors of letter counts.
struct Letters(Arc<Doors>);

impl EmbeddingModel for Letters {
    fn id(&self) -> EmbeddingModelId {
        EmbeddingModelId { name: "letters".to_owned(), dimensions: 26 }
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let vector = |text: &&str| {
            self.0.pass("at-embed", text);
            let mut vector = [0.0_f32; 26];
            for byte in text.bytes().map(|byte| byte.to_ascii_lowercase()).filter(u8::is_ascii_lowercase) {
                vector[usize::from(byte - b'a')] += 1.0;
            }
            let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt().max(1.0);
            vector.iter().map(|x| x / length).collect()
        };
        Ok(texts.iter().map(vector).collect())
    }

    fn covers(&self, language: &str) -> bool {
        language == "en"
    }
}

/// A scripted model behind limit, circuit, ledger and cache.
struct Layered(Scripted, GuardedChat, Arc<Prices>);

impl Layered {
    fn new(model: &Scripted, cache: Arc<dyn ModelCache>, prices: Arc<Prices>) -> Self {
        let id = ChatModel::id(model).clone();
        let ledger = Arc::new(SqliteLedger::in_memory().unwrap());
        let meter = Meter::new(id.clone(), ledger, Arc::clone(&prices), Arc::new(Ticks::default()));
        let guarded = GuardedChat::new(Arc::new(model.clone()), Guard::new(id, 100, 1, meter));
        Self(model.clone(), guarded.keeping(Some(Kept::new(cache))), prices)
    }

    fn layered(&self) -> Arc<dyn ChatModel> {
        Arc::new(self.1.clone())
    }
}

impl Models for Layered {
    fn chat(&self, role: Role) -> Option<Arc<dyn ChatModel>> {
        Models::chat(&self.0, role).map(|_| self.layered())
    }

    fn chat_by_id(&self, id: &ModelId) -> Result<Arc<dyn ChatModel>> {
        self.0.chat_by_id(id).map(|_| self.layered())
    }

    fn rerank(&self) -> Option<Arc<dyn RerankModel>> {
        Models::rerank(&self.0)
    }

    fn price(&self, model: &ModelId, prompt_tokens: u64, completion_tokens: u64) -> Option<i64> {
        self.2.upper_bound(model, prompt_tokens, completion_tokens, Ticks::default().now_ms())
    }
}

#[derive(Default)]
struct Ticks(AtomicI64);

impl Clock for Ticks {
    fn now_ms(&self) -> i64 {
        1_700_000_000_000 + self.0.fetch_add(1, Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Numbers(AtomicU64);

impl Ids for Numbers {
    fn next(&self) -> String {
        format!("{:06}", self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// An engine and what a test needs around it.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) doors: Arc<Doors>,
    pub(crate) ctx: RequestContext,
    pub(crate) events: Receiver<JobEvent>,
    pub(crate) store: Arc<Store>,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::over(Arc::new(Store::in_memory().unwrap())).await
    }

    pub(crate) async fn over(store: Arc<Store>) -> Self {
        Self::made(store, None, EngineSettings::default()).await
    }

    /// One whose answers a scripted model writes, behind the layers of the gateway, which keep them.
    pub(crate) async fn with_model(model: &Scripted, answer: AnswerSettings) -> Self {
        let settings = EngineSettings { answer, ..EngineSettings::default() };
        Self::layered(Arc::new(Store::in_memory().unwrap()), model, settings, Arc::default()).await
    }

    /// One whose graphs a scripted model makes, behind the same layers; a million of its tokens costs so much, if known.
    pub(crate) async fn with_graph(
        store: Arc<Store>,
        model: &Scripted,
        graph: GraphSettings,
        usd_per_million: Option<f64>,
    ) -> Self {
        let price = |usd| {
            Prices::from_value(
                &serde_json::json!({ "prices": { "m": { "input_per_mtok": usd, "output_per_mtok": usd } } }),
            )
        };
        let prices = usd_per_million.map(|usd| price(usd).unwrap()).unwrap_or_default();
        let settings = EngineSettings { graph, ..EngineSettings::default() };
        Self::layered(store, model, settings, Arc::new(prices)).await
    }

    async fn layered(store: Arc<Store>, model: &Scripted, settings: EngineSettings, prices: Arc<Prices>) -> Self {
        let cache = store.cache(Arc::new(Ticks::default()), CacheLimits::default()).unwrap();
        let models = Layered::new(model, cache, prices);
        Self::made(store, Some(Arc::new(models)), settings).await
    }

    pub(crate) async fn made(store: Arc<Store>, models: Option<Arc<dyn Models>>, settings: EngineSettings) -> Self {
        let cache = store.cache(Arc::new(Ticks::default()), CacheLimits::default()).unwrap();
        let doors = Arc::new(Doors::default());
        let engine = Engine::new(EngineParts {
            store: Arc::clone(&store) as Arc<dyn lorekeep_types::Store>,
            embedder: Some(Arc::new(Letters(Arc::clone(&doors)))),
            models,
            cache: Some(cache),
            tokens: Arc::new(Words(Arc::clone(&doors))),
            prompt_tokens: Arc::new(Words(Arc::clone(&doors))),
            parser: Arc::new(TextParser(Arc::clone(&doors))),
            clock: Arc::new(Ticks::default()),
            ids: Arc::new(Numbers::default()),
            settings: EngineSettings {
                chunking: ChunkSettings { target_tokens: 60, max_tokens: 120, ..ChunkSettings::default() },
                ingest: IngestSettings { parallel: 2, refresh_ms: 20, ..IngestSettings::default() },
                ..settings
            },
        })
        .unwrap();
        let ctx = RequestContext::new(WorkspaceName::default_workspace(), "test");
        let events = engine.watch_jobs(&ctx).await.unwrap();
        Self { engine, doors, ctx, events, store }
    }

    /// Adds documents given as `(name, text)`.
    pub(crate) async fn add(&self, documents: &[(&str, &str)]) -> Job {
        self.add_items(documents.iter().map(|(name, text)| item(name, text.as_bytes())).collect()).await
    }

    pub(crate) async fn add_items(&self, items: Vec<NewItem>) -> Job {
        self.engine.add(&self.ctx, AddRequest { items, ..AddRequest::default() }).await.unwrap()
    }

    /// Waits until followers are told that a job ended; returns it as it then is.
    pub(crate) async fn ended(&mut self, job: &Job) -> Job {
        let told = async {
            loop {
                if let JobEvent::Progress { job: told, state, .. } = self.events.recv().await.unwrap()
                    && told == job.id
                    && matches!(state, JobState::Done | JobState::Cancelled)
                {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), told).await.expect("the job ends");
        self.engine.job(&self.ctx, &job.id).await.unwrap()
    }

    /// Adds documents and waits until they are taken in.
    pub(crate) async fn take_in(&mut self, documents: &[(&str, &str)]) -> Job {
        let job = self.add(documents).await;
        self.ended(&job).await
    }

    pub(crate) async fn document(&self, name: &str) -> DocumentRecord {
        let found = self.engine.documents_named(&self.ctx, name).await.unwrap();
        found.into_iter().next().unwrap_or_else(|| panic!("no document {name}"))
    }

    pub(crate) async fn names(&self) -> Vec<String> {
        let page = self.engine.documents(&self.ctx, DocumentFilter::default(), DocumentOrder::default(), ALL).await;
        let mut names: Vec<_> = page.unwrap().documents.into_iter().map(|document| document.name).collect();
        names.sort();
        names
    }

    pub(crate) async fn items(&self, job: &Job) -> Vec<JobItem> {
        self.engine.job_items(&self.ctx, &job.id, ALL).await.unwrap()
    }

    pub(crate) async fn outcomes(&self, job: &Job) -> Vec<(String, String)> {
        self.items(job).await.into_iter().map(|item| (item.name, item.outcome)).collect()
    }

    /// Whether some entity is called so in what queries see.
    pub(crate) async fn knows(&self, entity: &str) -> bool {
        self.engine.entity(&self.ctx, entity).await.is_ok()
    }
}

pub(crate) fn item(name: &str, bytes: &[u8]) -> NewItem {
    NewItem::new(format!("text:{name}"), name, bytes.to_vec())
}

/// The text of a span.
pub(crate) fn at(text: &str, span: ByteSpan) -> &str {
    span.of(text)
}
