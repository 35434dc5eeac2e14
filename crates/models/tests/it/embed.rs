//! The wires of embedding.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lorekeep_models::provider::auth::{Authorize, Key};
use lorekeep_models::provider::embed::gemini::GeminiEmbed;
use lorekeep_models::provider::embed::offline::OfflineEmbed;
use lorekeep_models::provider::embed::ollama::OllamaEmbed;
use lorekeep_models::provider::embed::openai::OpenAiEmbed;
use lorekeep_models::provider::embed::watsonx::WatsonxEmbed;
use lorekeep_models::provider::embed::{EmbedWire, Prefixes};
use lorekeep_models::provider::openai::Dialect as Family;
use lorekeep_models::provider::watsonx::Scope;
use lorekeep_testkit::upstream::{Asked, Reply, Upstream};
use lorekeep_types::{EmbedKind, EmbeddingProvider, ModelFault, Secret};
use serde_json::{Value, json};

use crate::conformance::{MODEL, call};
use crate::embed_suite::{Dialect, TEXTS, ask, embed_suite, good, model_at};
use crate::transport::http;

fn bearer() -> Arc<dyn Authorize> {
    Arc::new(Key::Bearer(Secret::new("sk-test")))
}

/// OpenAI's answer; the vectors come in another order than the texts.
fn openai_body(vectors: &[Value], tokens: &Value) -> Value {
    let item = |(index, vector): (usize, &Value)| json!({ "object": "embedding", "index": index, "embedding": vector });
    let data: Vec<Value> = vectors.iter().enumerate().map(item).rev().collect();
    let usage = json!({ "prompt_tokens": tokens, "total_tokens": tokens });
    json!({ "object": "list", "data": data, "model": "test-model-1-large", "usage": usage })
}

fn openai_error(message: &str) -> String {
    json!({ "error": { "message": message, "type": "x", "param": null, "code": null } }).to_string()
}

pub struct OpenAi;

impl Dialect for OpenAi {
    fn wire() -> Arc<dyn EmbedWire> {
        Arc::new(OpenAiEmbed { dimensions: Some(3), ..OpenAiEmbed::new(Family::OpenAi) })
    }

    fn auth() -> Arc<dyn Authorize> {
        bearer()
    }

    fn whole(vectors: &[Value], tokens: Value) -> Value {
        openai_body(vectors, &tokens)
    }

    fn error(message: &str) -> String {
        openai_error(message)
    }

    fn check(asked: &Asked, _kind: EmbedKind) {
        assert_eq!(asked.path, "/embeddings");
        assert_eq!(asked.header("authorization"), Some("Bearer sk-test"));
        let expected = json!({ "model": MODEL, "input": TEXTS, "dimensions": 3, "encoding_format": "float" });
        assert_eq!(asked.json(), expected);
    }

    fn model() -> &'static str {
        "test-model-1-large"
    }
}

mod openai {
    super::embed_suite!(super::OpenAi);
}

struct Azure;

impl Dialect for Azure {
    fn wire() -> Arc<dyn EmbedWire> {
        Arc::new(OpenAiEmbed::new(Family::Azure { api_version: "2024-10-21".to_owned() }))
    }

    fn auth() -> Arc<dyn Authorize> {
        Arc::new(Key::Header("api-key", Secret::new("azure-key")))
    }

    fn whole(vectors: &[Value], tokens: Value) -> Value {
        openai_body(vectors, &tokens)
    }

    fn error(message: &str) -> String {
        openai_error(message)
    }

    fn check(asked: &Asked, _kind: EmbedKind) {
        assert_eq!(asked.path, format!("/openai/deployments/{MODEL}/embeddings?api-version=2024-10-21"));
        assert_eq!(asked.header("api-key"), Some("azure-key"));
        assert_eq!(asked.json(), json!({ "input": TEXTS, "encoding_format": "float" }));
    }

    fn model() -> &'static str {
        "test-model-1-large"
    }
}

mod azure {
    super::embed_suite!(super::Azure);
}

struct Ollama;

impl Dialect for Ollama {
    fn wire() -> Arc<dyn EmbedWire> {
        Arc::new(OllamaEmbed::default())
    }

    fn auth() -> Arc<dyn Authorize> {
        Arc::new(Key::None)
    }

    fn whole(vectors: &[Value], tokens: Value) -> Value {
        json!({ "model": "test-model-1:latest", "embeddings": vectors, "total_duration": 14_143_917_u64,
            "load_duration": 1_019_500, "prompt_eval_count": tokens })
    }

    fn error(message: &str) -> String {
        json!({ "error": message }).to_string()
    }

    fn check(asked: &Asked, _kind: EmbedKind) {
        assert_eq!((asked.path.as_str(), asked.header("authorization")), ("/api/embed", None));
        assert_eq!(asked.json(), json!({ "model": MODEL, "input": TEXTS }));
    }

    fn model() -> &'static str {
        "test-model-1:latest"
    }
}

mod ollama {
    super::embed_suite!(super::Ollama);
}

struct Watsonx;

impl Dialect for Watsonx {
    fn wire() -> Arc<dyn EmbedWire> {
        let wire = WatsonxEmbed::new("2025-02-11", Scope::Project("project-1".to_owned()));
        Arc::new(WatsonxEmbed { truncate: Some(512), ..wire })
    }

    fn auth() -> Arc<dyn Authorize> {
        bearer()
    }

    fn whole(vectors: &[Value], tokens: Value) -> Value {
        let results: Vec<Value> = vectors.iter().map(|vector| json!({ "embedding": vector })).collect();
        json!({ "model_id": "ibm/test-model-1", "results": results, "created_at": "2026-01-01T00:00:00.000Z",
            "input_token_count": tokens })
    }

    fn error(message: &str) -> String {
        json!({ "trace": "t", "status_code": 1, "errors": [{ "code": "x", "message": message }] }).to_string()
    }

    fn check(asked: &Asked, _kind: EmbedKind) {
        assert_eq!(asked.path, "/ml/v1/text/embeddings?version=2025-02-11");
        assert_eq!(asked.header("authorization"), Some("Bearer sk-test"));
        let expected = json!({ "model_id": MODEL, "project_id": "project-1", "inputs": TEXTS,
            "parameters": { "truncate_input_tokens": 512 } });
        assert_eq!(asked.json(), expected);
    }

    fn model() -> &'static str {
        "ibm/test-model-1"
    }
}

mod watsonx {
    super::embed_suite!(super::Watsonx);
}

struct Gemini;

impl Dialect for Gemini {
    fn wire() -> Arc<dyn EmbedWire> {
        Arc::new(GeminiEmbed { dimensions: Some(3) })
    }

    fn auth() -> Arc<dyn Authorize> {
        Arc::new(Key::Header("x-goog-api-key", Secret::new("google-key")))
    }

    fn whole(vectors: &[Value], tokens: Value) -> Value {
        let embeddings: Vec<Value> = vectors.iter().map(|vector| json!({ "values": vector })).collect();
        json!({ "embeddings": embeddings, "usageMetadata": { "promptTokenCount": tokens } })
    }

    fn error(message: &str) -> String {
        json!({ "error": { "code": 400, "message": message, "status": "X", "details": [] } }).to_string()
    }

    fn check(asked: &Asked, kind: EmbedKind) {
        assert_eq!(asked.path, format!("/v1beta/models/{MODEL}:batchEmbedContents"));
        assert_eq!(asked.header("x-goog-api-key"), Some("google-key"));
        let task = if kind == EmbedKind::Query { "RETRIEVAL_QUERY" } else { "RETRIEVAL_DOCUMENT" };
        let request = |text: &str| {
            json!({ "model": format!("models/{MODEL}"), "content": { "parts": [{ "text": text }] }, "taskType": task,
                "outputDimensionality": 3 })
        };
        assert_eq!(asked.json(), json!({ "requests": TEXTS.map(request) }));
    }

    fn model() -> &'static str {
        MODEL
    }
}

mod gemini {
    super::embed_suite!(super::Gemini);
}

struct Offline;

impl Dialect for Offline {
    const REPORTS: bool = false;

    fn wire() -> Arc<dyn EmbedWire> {
        Arc::new(OfflineEmbed { batch: 8 })
    }

    fn auth() -> Arc<dyn Authorize> {
        Arc::new(Key::None)
    }

    fn whole(vectors: &[Value], _tokens: Value) -> Value {
        json!({ "embeddings": vectors, "dimensions": 3, "model_name": "all-test", "processing_time_ms": 1.5 })
    }

    fn error(message: &str) -> String {
        json!({ "detail": message }).to_string()
    }

    fn check(asked: &Asked, _kind: EmbedKind) {
        assert_eq!(asked.path, "/embeddings");
        assert_eq!(asked.json(), json!({ "texts": TEXTS, "batch_size": 8 }));
    }

    fn model() -> &'static str {
        "all-test"
    }
}

mod offline {
    super::embed_suite!(super::Offline);
}

#[tokio::test]
async fn vectors_in_base64_are_read() {
    let coded = |numbers: [f32; 2]| json!(STANDARD.encode(numbers.map(f32::to_le_bytes).concat()));
    let body = openai_body(&[coded([1.0, -2.5]), coded([0.0, 3.0])], &json!(4));
    let (outcome, _) = ask::<OpenAi>(body.to_string(), EmbedKind::Passage).await;
    assert_eq!(outcome.unwrap().vectors, [vec![1.0, -2.5], vec![0.0, 3.0]]);
    for bad in ["AAAAAAA=", "!", "AACAfw=="] {
        let body = openai_body(&[json!(bad), json!(bad)], &json!(4));
        let (outcome, _) = ask::<OpenAi>(body.to_string(), EmbedKind::Passage).await;
        assert_eq!(outcome.unwrap_err().fault, ModelFault::Malformed, "{bad}");
    }
}

#[tokio::test]
async fn indices_name_every_text_once_or_none() {
    let with = |indices: [Value; 2]| {
        let item = |index: &Value| json!({ "index": index, "embedding": [1.0] });
        json!({ "data": indices.iter().map(item).collect::<Vec<_>>() }).to_string()
    };
    let (outcome, _) = ask::<OpenAi>(with([Value::Null, Value::Null]), EmbedKind::Passage).await;
    assert_eq!(outcome.unwrap().vectors.len(), 2);
    for bad in [[json!(0), json!(0)], [json!(1), json!(2)], [json!(0), Value::Null], [json!(-1), json!(0)]] {
        let (outcome, _) = ask::<OpenAi>(with(bad.clone()), EmbedKind::Passage).await;
        assert_eq!(outcome.unwrap_err().fault, ModelFault::Malformed, "{bad:?}");
    }
}

#[tokio::test]
async fn errors_inside_answers_are_errors() {
    let body = json!({ "error": { "code": 429, "message": "the upstream is rate limited" } });
    let (outcome, _) = ask::<OpenAi>(body.to_string(), EmbedKind::Passage).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.fault, ModelFault::RateLimited { after: None });
    assert_eq!(error.message, "the upstream is rate limited");
}

#[tokio::test]
async fn prefixes_stand_before_each_text() {
    let prefixes = Prefixes { query: "Instruct: find\nQuery:".to_owned(), passage: "passage: ".to_owned() };
    let answer = || Reply::json(200, &good::<OpenAi>(json!(7)));
    let upstream = Upstream::start([answer(), answer()]).await.unwrap();
    let model = model_at::<OpenAi>(http(&upstream.url()), bearer()).prefixed(prefixes);
    for (kind, prefix) in [(EmbedKind::Passage, "passage: "), (EmbedKind::Query, "Instruct: find\nQuery:")] {
        model.embed(&call(), &TEXTS, kind).await.unwrap();
        let asked = upstream.asked().pop().unwrap();
        assert_eq!(asked.json()["input"], json!(TEXTS.map(|text| format!("{prefix}{text}"))));
    }
}

/// Google answers a wrong key with 400.
#[tokio::test]
async fn a_wrong_google_key_is_a_credential() {
    let body = json!({ "error": { "code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT",
        "details": [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID" }] } });
    let upstream = Upstream::start([Reply::json(400, &body)]).await.unwrap();
    let model = model_at::<Gemini>(http(&upstream.url()), Gemini::auth());
    let error = model.embed(&call(), &TEXTS, EmbedKind::Query).await.unwrap_err();
    assert_eq!((error.fault, error.status), (ModelFault::Credential, Some(400)));
}

#[tokio::test]
async fn a_space_is_named_instead_of_a_project() {
    let wire = WatsonxEmbed::new("2025-02-11", Scope::Space("space-1".to_owned()));
    let request = wire.request(MODEL, &["text".into()], EmbedKind::Passage).unwrap();
    assert_eq!(request.body, json!({ "model_id": MODEL, "space_id": "space-1", "inputs": ["text"] }));
}
