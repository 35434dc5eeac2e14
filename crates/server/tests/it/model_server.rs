//! The service of one model, on a socket, before scripted models: shapes, streams, limits, callers who leave.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _, stream};
use lorekeep_server::{ModelServer, Readiness, ServerSettings, model_router, serve};
use lorekeep_types::{
    Call, Capabilities, ChatEvent, ChatModel, ChatRequest, ChatRole, ChatStream, Clock, Completion, EmbedKind,
    Embedded, EmbeddingProvider, FinishReason, Ids, ModelError, ModelFault, ModelId, PromptModel, ResidentFigures,
    ResidentModel, TokenUsage,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const NOW_S: i64 = 1_777_809_600;

struct Fixed;

impl Clock for Fixed {
    fn now_ms(&self) -> i64 {
        NOW_S * 1_000
    }
}

impl Ids for Fixed {
    fn next(&self) -> String {
        "7".to_owned()
    }
}

/// What the scripted model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Answers,
    IsFull,
    IsEmpty,
    BreaksOff,
    NeverEnds,
}

struct Scripted {
    id: ModelId,
    manner: Manner,
    asked: Mutex<Vec<(Option<String>, ChatRequest)>>,
    left: Mutex<Option<oneshot::Sender<()>>>,
    loaded: AtomicBool,
    calls: AtomicU64,
}

impl Scripted {
    fn new(manner: Manner) -> Self {
        Self {
            id: ModelId::new("local", "tiny"),
            manner,
            asked: Mutex::default(),
            left: Mutex::default(),
            loaded: AtomicBool::new(true),
            calls: AtomicU64::new(0),
        }
    }

    fn begin(&self, prompt: Option<&str>, request: &ChatRequest) -> Result<ChatStream, ModelError> {
        self.asked.lock().unwrap().push((prompt.map(str::to_owned), request.clone()));
        self.calls.fetch_add(1, Ordering::Relaxed);
        let failed = |fault, message: &str| ModelError::new(fault, &self.id, message);
        let text = |text: &str| Ok(ChatEvent::Text(text.to_owned()));
        let done = Completion {
            tool_calls: Vec::new(),
            text: "Ada did.".to_owned(),
            finish: FinishReason::Stop,
            usage: TokenUsage { prompt: 12, completion: 3, ..TokenUsage::default() },
            model: "tiny".to_owned(),
            id: None,
            sources: Vec::new(),
            cost: None,
            cache_hit: false,
        };
        let events = match self.manner {
            Manner::IsFull => return Err(failed(ModelFault::QueueFull, "32 calls wait for this model")),
            Manner::Answers => vec![text("Ada"), text(" did."), Ok(ChatEvent::Done(Box::new(done)))],
            Manner::IsEmpty => {
                vec![Err(failed(ModelFault::Empty { finish: "length".to_owned() }, "the answer is empty"))]
            }
            Manner::BreaksOff => {
                vec![text("Ada"), Err(failed(ModelFault::Cut { began: true }, "the answer broke off"))]
            }
            Manner::NeverEnds => {
                let left = self.left.lock().unwrap().take().map(Leaving);
                let endless = stream::iter([text("Ada")]).chain(stream::pending());
                return Ok(endless
                    .map(move |event| {
                        let _held = &left;
                        event
                    })
                    .boxed());
            }
        };
        Ok(stream::iter(events).boxed())
    }
}

/// Tells that it was dropped.
struct Leaving(oneshot::Sender<()>);

impl Drop for Leaving {
    fn drop(&mut self) {
        let (tell, _) = oneshot::channel();
        let _ = std::mem::replace(&mut self.0, tell).send(());
    }
}

impl ChatModel for Scripted {
    fn id(&self) -> &ModelId {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { chat: true, stream: true, ..Capabilities::default() }
    }

    fn chat<'a>(&'a self, _: &'a Call, _: &'a ChatRequest) -> BoxFuture<'a, Result<Completion, ModelError>> {
        unreachable!("the service streams")
    }

    fn stream<'a>(&'a self, _: &'a Call, request: &'a ChatRequest) -> BoxFuture<'a, Result<ChatStream, ModelError>> {
        async move { self.begin(None, request) }.boxed()
    }
}

impl ResidentModel for Scripted {
    fn figures(&self) -> ResidentFigures {
        ResidentFigures {
            name: "tiny \"one\"".to_owned(),
            device: "cpu".to_owned(),
            weight_bytes: 4_096,
            context: if self.loaded.load(Ordering::Relaxed) { 512 } else { 0 },
            waiting: 2,
            places: 32,
            calls: self.calls.load(Ordering::Relaxed),
            ..ResidentFigures::default()
        }
    }
}

impl PromptModel for Scripted {
    fn complete<'a>(
        &'a self,
        _: &'a Call,
        prompt: &'a str,
        request: &'a ChatRequest,
    ) -> BoxFuture<'a, Result<ChatStream, ModelError>> {
        async move { self.begin(Some(prompt), request) }.boxed()
    }
}

/// Embeds a text as its length.
struct Lengths(ModelId);

impl EmbeddingProvider for Lengths {
    fn id(&self) -> &ModelId {
        &self.0
    }

    fn embed<'a>(
        &'a self,
        _: &'a Call,
        texts: &'a [&'a str],
        _: EmbedKind,
    ) -> BoxFuture<'a, Result<Embedded, ModelError>> {
        async move {
            assert!(texts.len() <= self.batch());
            let vectors = texts.iter().map(|text| vec![text.len() as f32, 0.5]).collect();
            let usage = TokenUsage { prompt: texts.len() as u64, ..TokenUsage::default() };
            Ok(Embedded { vectors, usage, model: "lengths".to_owned() })
        }
        .boxed()
    }

    fn batch(&self) -> usize {
        2
    }
}

impl ResidentModel for Lengths {
    fn figures(&self) -> ResidentFigures {
        ResidentFigures { name: "lengths".to_owned(), context: 256, ..ResidentFigures::default() }
    }
}

/// A service on a socket; it ends with the test's runtime.
struct Service {
    address: String,
    model: Arc<Scripted>,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Service {
    async fn start(manner: Manner) -> Self {
        let model = Arc::new(Scripted::new(manner));
        let chat = Arc::clone(&model) as Arc<dyn PromptModel>;
        Self::with(model, Some(chat), true).await
    }

    async fn with(model: Arc<Scripted>, chat: Option<Arc<dyn PromptModel>>, embeds: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let settings = ServerSettings::default();
        let server = ModelServer {
            chat,
            embedder: embeds.then(|| Arc::new(Lengths(ModelId::new("local", "lengths"))) as _),
            clock: Arc::new(Fixed),
            ids: Arc::new(Fixed),
            resident_bytes: || Some(1 << 20),
            settings: settings.clone(),
        };
        let router = model_router(server);
        tokio::spawn(async move {
            serve(listener, router, Readiness::default(), &settings, std::future::pending()).await.unwrap();
        });
        Self { address, model }
    }

    async fn send(&self, request: &str) -> Answer {
        let mut socket = TcpStream::connect(&self.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.0\r\nhost: {}\r\n\r\n", self.address)).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(&self.posting(path, body)).await
    }

    /// HTTP/1.0, so that a streamed body comes without the marks of chunks.
    fn posting(&self, path: &str, body: &Value) -> String {
        let body = body.to_string();
        let (host, length) = (&self.address, body.len());
        format!(
            "POST {path} HTTP/1.0\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
    }

    fn asked(&self) -> (Option<String>, ChatRequest) {
        self.model.asked.lock().unwrap().pop().unwrap()
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.unwrap()
}

fn conversation() -> Value {
    json!([{ "role": "system", "content": "Be brief." }, { "role": "user", "content": [{ "type": "text", "text": "Who?" }] }])
}

#[tokio::test]
async fn a_prompt_is_continued_and_not_repeated() {
    let service = Service::start(Manner::Answers).await;
    let answer = service.post("/v1/generate", &json!({ "prompt": "Who? " })).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "text": "Ada did." })));
    let (prompt, request) = service.asked();
    assert_eq!(prompt.as_deref(), Some("Who? "));
    assert_eq!((request.max_tokens, request.temperature, request.top_p), (Some(128), Some(0.7), Some(0.9)));
    let exact = json!({ "prompt": "Who?", "max_tokens": 9, "temperature": 1.5, "top_p": 0.5, "do_sample": false });
    assert_eq!(service.post("/v1/generate", &exact).await.status, 200);
    let (_, request) = service.asked();
    assert_eq!((request.max_tokens, request.temperature, request.top_p), (Some(9), Some(0.0), Some(0.5)));
    for wrong in
        [json!({}), json!({ "prompt": " " }), json!({ "prompt": "x", "max_tokens": 0 }), json!({ "prompt": 3 })]
    {
        let answer = service.post("/v1/generate", &wrong).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(answer.json()["detail"].is_string(), "{wrong}");
    }
}

#[tokio::test]
async fn a_conversation_is_answered_in_openais_shape() {
    let service = Service::start(Manner::Answers).await;
    let body =
        json!({ "model": "any", "messages": conversation(), "max_completion_tokens": 5, "stop": "END", "seed": 4 });
    let answer = service.post("/v1/chat/completions", &body).await;
    let expected = json!({
        "id": "chatcmpl-7", "object": "chat.completion", "created": NOW_S, "model": "tiny \"one\"",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": "Ada did." }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15 },
    });
    assert_eq!((answer.status, answer.json()), (200, expected));
    let (prompt, request) = service.asked();
    assert_eq!((prompt, request.max_tokens, request.seed), (None, Some(5), Some(4)));
    assert_eq!(request.stop, ["END"]);
    let said: Vec<_> = request.messages.iter().map(|message| (message.role, message.plain())).collect();
    assert_eq!(said, [(ChatRole::System, "Be brief.".to_owned()), (ChatRole::User, "Who?".to_owned())]);
}

#[tokio::test]
async fn a_streamed_answer_comes_in_chunks_and_ends_with_its_mark() {
    let service = Service::start(Manner::Answers).await;
    let body = json!({ "messages": conversation(), "stream": true, "stream_options": { "include_usage": true } });
    let answer = service.post("/v1/chat/completions", &body).await;
    assert!(answer.head.contains("content-type: text/event-stream"), "{}", answer.head);
    let events: Vec<&str> = answer.body.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect();
    assert_eq!(events.last(), Some(&"[DONE]"));
    let chunks: Vec<Value> =
        events[..events.len() - 1].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let pieces: Vec<&str> =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(pieces, ["", "Ada", " did."]);
    let [.., end, usage] = chunks.as_slice() else { panic!("{chunks:?}") };
    assert_eq!((&end["choices"][0]["finish_reason"], &usage["usage"]["total_tokens"]), (&json!("stop"), &json!(15)));
    assert_eq!(usage["choices"], json!([]));
}

#[tokio::test]
async fn what_the_model_cannot_do_is_refused() {
    let service = Service::start(Manner::Answers).await;
    let ask = |more: Value| {
        let mut body = json!({ "messages": conversation() });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let image = json!([{ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": "x" } }] }]);
    for (more, named) in [
        (json!({ "messages": [] }), "`messages` is empty"),
        (json!({ "n": 2 }), "`n` = 1"),
        (json!({ "tools": [{}] }), "calls no tools"),
        (json!({ "response_format": { "type": "json_schema" } }), "keeps to no schema"),
        (json!({ "messages": image }), "reads text only"),
        (json!({ "messages": [{ "role": "tool", "content": "x" }] }), "`tool`"),
        (json!({ "top_p": 0 }), "`top_p`"),
        (json!({ "temperature": -1 }), "`temperature`"),
    ] {
        let answer = service.post("/v1/chat/completions", &ask(more)).await;
        let error = &answer.json()["error"];
        assert_eq!((answer.status, &error["type"]), (400, &json!("invalid_request_error")));
        assert!(error["message"].as_str().unwrap().contains(named), "{error}");
    }
    assert_eq!((service.get("/v1/nothing").await.status, service.get("/v1/generate").await.status), (404, 405));
}

#[tokio::test]
async fn a_full_queue_is_429_with_the_time_to_come_again() {
    let service = Service::start(Manner::IsFull).await;
    for (path, body) in [
        ("/v1/generate", json!({ "prompt": "Who?" })),
        ("/v1/chat/completions", json!({ "messages": conversation() })),
        ("/v1/chat/completions", json!({ "messages": conversation(), "stream": true })),
    ] {
        let answer = service.post(path, &body).await;
        assert_eq!(answer.status, 429, "{path}");
        assert!(answer.head.contains("retry-after: 1"), "{}", answer.head);
        assert!(answer.body.contains("32 calls wait"), "{}", answer.body);
    }
}

#[tokio::test]
async fn an_empty_answer_is_an_answer_and_a_broken_one_is_not() {
    let service = Service::start(Manner::IsEmpty).await;
    assert_eq!(service.post("/v1/generate", &json!({ "prompt": "Who?" })).await.json(), json!({ "text": "" }));
    let answer = service.post("/v1/chat/completions", &json!({ "messages": conversation() })).await.json();
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    let service = Service::start(Manner::BreaksOff).await;
    assert_eq!(service.post("/v1/generate", &json!({ "prompt": "Who?" })).await.status, 500);
    let body = json!({ "messages": conversation(), "stream": true });
    let answer = service.post("/v1/chat/completions", &body).await;
    assert!(answer.body.contains(r#""error":"#) && !answer.body.contains("[DONE]"), "{}", answer.body);
}

#[tokio::test]
async fn whoever_leaves_ends_the_computation() {
    for body in [json!({ "messages": conversation(), "stream": true }), json!({ "messages": conversation() })] {
        let service = Service::start(Manner::NeverEnds).await;
        let (tell, told) = oneshot::channel();
        *service.model.left.lock().unwrap() = Some(tell);
        let mut socket = TcpStream::connect(&service.address).await.unwrap();
        socket.write_all(service.posting("/v1/chat/completions", &body).as_bytes()).await.unwrap();
        if body["stream"] == true {
            let mut first = [0; 64];
            soon(socket.read(&mut first)).await.unwrap();
        } else {
            soon(async {
                while service.model.calls.load(Ordering::Relaxed) == 0 {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
        drop(socket);
        soon(told).await.unwrap();
    }
}

#[tokio::test]
async fn texts_are_embedded_in_batches_as_floats_or_bytes() {
    let service = Service::start(Manner::Answers).await;
    let body = json!({ "model": "any", "input": ["a", "bb", "ccc"] });
    let answer = service.post("/v1/embeddings", &body).await.json();
    let row = |index: u32, length: f64| json!({ "object": "embedding", "index": index, "embedding": [length, 0.5] });
    assert_eq!(answer["data"], json!([row(0, 1.0), row(1, 2.0), row(2, 3.0)]));
    assert_eq!((&answer["model"], &answer["usage"]["total_tokens"]), (&json!("lengths"), &json!(3)));
    let encoded = service.post("/v1/embeddings", &json!({ "input": "a", "encoding_format": "base64" })).await.json();
    assert_eq!(encoded["data"][0]["embedding"], "AACAPwAAAD8=");
    for wrong in [json!({ "input": [] }), json!({ "input": [[1, 2]] }), json!({ "input": "a", "encoding_format": "x" })]
    {
        assert_eq!(service.post("/v1/embeddings", &wrong).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn what_is_not_loaded_says_how_to_load_it() {
    let service = Service::with(Arc::new(Scripted::new(Manner::Answers)), None, false).await;
    let answer = service.post("/v1/chat/completions", &json!({ "messages": conversation() })).await;
    assert_eq!(answer.status, 501);
    assert!(answer.body.contains("--model PATH"), "{}", answer.body);
    let answer = service.post("/v1/embeddings", &json!({ "input": "a" })).await;
    assert!(answer.status == 501 && answer.body.contains("--embedding PATH"), "{}", answer.body);
}

#[tokio::test]
async fn an_operator_sees_models_memory_and_queue() {
    let service = Service::start(Manner::Answers).await;
    service.model.loaded.store(false, Ordering::Relaxed);
    let loading = service.get("/health").await;
    assert_eq!((loading.status, &loading.json()["status"]), (503, &json!("loading")));
    service.model.loaded.store(true, Ordering::Relaxed);
    let health = service.get("/health").await;
    let body = health.json();
    assert_eq!(
        (health.status, &body["status"], &body["memory"]["resident_bytes"]),
        (200, &json!("ok"), &json!(1 << 20))
    );
    assert_eq!(body["chat"]["memory"]["weight_bytes"], 4_096);
    assert_eq!(body["chat"]["queue"], json!({ "running": 0, "waiting": 2, "places": 32 }));
    let models = service.get("/v1/models").await.json();
    let ids: Vec<&Value> = models["data"].as_array().unwrap().iter().map(|row| &row["id"]).collect();
    assert_eq!(ids, [&json!("tiny \"one\""), &json!("lengths")]);
    let metrics = service.get("/metrics").await;
    assert!(metrics.head.contains("text/plain; version=0.0.4"), "{}", metrics.head);
    for line in [
        "# TYPE lorekeep_model_queue_depth gauge",
        r#"lorekeep_model_queue_depth{role="chat",model="tiny \"one\""} 2"#,
        r#"lorekeep_model_weight_bytes{role="chat",model="tiny \"one\""} 4096"#,
        "process_resident_memory_bytes 1048576",
    ] {
        assert!(metrics.body.lines().any(|own| own == line), "{line} is not in\n{}", metrics.body);
    }
}

#[tokio::test]
async fn pages_of_other_sites_are_refused() {
    let service = Service::start(Manner::Answers).await;
    let answer = service.send("GET /health HTTP/1.0\r\nhost: evil.example\r\n\r\n").await;
    assert_eq!(answer.status, 403);
}
