//! Gemini's wire.

use std::sync::Arc;
use std::time::Duration;

use lorekeep_models::gateway::settings::ProviderKind;
use lorekeep_models::provider::auth::{Authorize, Key};
use lorekeep_models::provider::gemini::Gemini;
use lorekeep_models::provider::wire::ChatWire;
use lorekeep_testkit::upstream::{Asked, Reply};
use lorekeep_types::{ChatMessage, ChatRequest, ChatRole, FinishReason, ModelFault, OutputFormat, Part, Secret};
use serde_json::{Value, json};

use crate::conformance::{Dialect, MODEL, ask, chat_suite, listen};

pub struct GenerateContent;

fn counts(prompt: u64, completion: u64) -> Value {
    json!({
        "promptTokenCount": prompt, "candidatesTokenCount": completion, "totalTokenCount": prompt + completion,
    })
}

fn whole(text: &str, finish: &FinishReason, reported: Option<(u64, u64)>) -> Value {
    let reason = match finish {
        FinishReason::Stop => "STOP",
        FinishReason::Length => "MAX_TOKENS",
        FinishReason::ContentFilter => "SAFETY",
        other => other.name(),
    };
    let parts = json!([{ "text": "Who was it?", "thought": true }, { "text": text, "thoughtSignature": "x" }]);
    let mut body = chunk(&parts, Some(reason), None);
    if let Some((prompt, completion)) = reported {
        body["usageMetadata"] = counts(prompt, completion);
    }
    body
}

fn chunk(parts: &Value, finish: Option<&str>, usage: Option<Value>) -> Value {
    let mut candidate = json!({ "content": { "role": "model", "parts": parts }, "index": 0 });
    if let Some(reason) = finish {
        candidate["finishReason"] = json!(reason);
    }
    let mut chunk =
        json!({ "candidates": [candidate], "modelVersion": "test-model-1-002", "responseId": "response-1" });
    if let Some(usage) = usage {
        chunk["usageMetadata"] = usage;
    }
    chunk
}

fn event(body: &Value) -> String {
    format!("data: {body}\r\n\r\n")
}

impl Dialect for GenerateContent {
    const KIND: ProviderKind = ProviderKind::Gemini;

    fn wire() -> Arc<dyn ChatWire> {
        Arc::new(Gemini)
    }

    fn auth() -> Arc<dyn Authorize> {
        Arc::new(Key::Header("x-goog-api-key", Secret::new("AIza-test")))
    }

    fn whole(text: &str, finish: FinishReason, reported: Option<(u64, u64)>) -> String {
        whole(text, &finish, reported).to_string()
    }

    /// Each chunk reports usage so far; the last gives the reason for stopping, and nothing marks the end.
    fn frames(pieces: &[&str], reported: Option<(u64, u64)>) -> Vec<String> {
        let thought = json!([{ "text": "Who was it?", "thought": true }]);
        let so_far = || reported.map(|(prompt, _)| counts(prompt, 1));
        let mut frames = vec![event(&chunk(&thought, None, so_far()))];
        frames.extend(pieces.iter().map(|text| event(&chunk(&json!([{ "text": text }]), None, so_far()))));
        let all = reported.map(|(prompt, completion)| counts(prompt, completion));
        frames.push(event(&chunk(&json!([{ "text": "" }]), Some("STOP"), all)));
        frames
    }

    fn error(message: &str) -> String {
        json!({ "error": { "code": 1, "message": message, "status": "X" } }).to_string()
    }

    fn check(asked: &Asked, streamed: bool) {
        let method = if streamed { "streamGenerateContent?alt=sse" } else { "generateContent" };
        let path = format!("/v1beta/models/{MODEL}:{method}");
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", path.as_str()));
        assert_eq!(asked.header("x-goog-api-key"), Some("AIza-test"));
        assert_eq!(asked.header("authorization"), None);
        assert_eq!(asked.header("content-type"), Some("application/json"));
        let expected = json!({
            "systemInstruction": { "parts": [{ "text": "Answer briefly." }] },
            "contents": [
                { "role": "user", "parts": [{ "text": "Who?" }] },
                { "role": "model", "parts": [{ "text": "Ada." }] },
                { "role": "user", "parts": [{ "text": "Was it \"Ada\" — 你好?" }] },
            ],
            "generationConfig": { "maxOutputTokens": 77, "temperature": 0.7, "topP": 0.9 },
        });
        assert_eq!(asked.json(), expected);
    }

    fn absurd(text: &str) -> String {
        let mut body = whole(text, &FinishReason::Stop, None);
        body["usageMetadata"] = json!({ "promptTokenCount": -5, "candidatesTokenCount": 1e18 });
        body.to_string()
    }
}

chat_suite!(GenerateContent);

#[test]
fn pictures_schemas_stops_and_seeds() {
    let image = Part::Image { media_type: "image/png".to_owned(), bytes: Arc::from(&b"png"[..]) };
    let mut request = ChatRequest {
        messages: vec![ChatMessage {
            role: ChatRole::User,
            parts: vec![Part::Text("What is this?".to_owned()), image],
        }],
        stop: vec!["END".to_owned()],
        seed: Some((3 << 32) + 7),
        output: OutputFormat::Schema { name: "names".to_owned(), schema: r#"{"type":"object"}"#.to_owned() },
        ..ChatRequest::default()
    };
    let asked = Gemini.request("tunedModels/mine", &request, false).unwrap();
    assert_eq!(asked.path, "/v1beta/tunedModels/mine:generateContent");
    let parts = json!([{ "text": "What is this?" }, { "inlineData": { "mimeType": "image/png", "data": "cG5n" } }]);
    let config = json!({
        "stopSequences": ["END"], "seed": 7, "responseMimeType": "application/json",
        "responseJsonSchema": { "type": "object" },
    });
    assert_eq!(asked.body, json!({ "contents": [{ "role": "user", "parts": parts }], "generationConfig": config }));
    request.output = OutputFormat::Json;
    let config = &Gemini.request(MODEL, &request, false).unwrap().body["generationConfig"];
    assert_eq!((&config["responseMimeType"], config.get("responseJsonSchema")), (&json!("application/json"), None));
}

#[tokio::test]
async fn thoughts_are_counted_and_not_shown() {
    let mut body = whole("Ada.", &FinishReason::Stop, None);
    body["usageMetadata"] = json!({
        "promptTokenCount": 100, "cachedContentTokenCount": 64, "candidatesTokenCount": 10, "thoughtsTokenCount": 40,
    });
    let (outcome, _) = ask::<GenerateContent>(vec![Reply::json(200, &body)]).await;
    let completion = outcome.unwrap();
    let usage = completion.usage;
    assert_eq!((completion.text.as_str(), usage.prompt, usage.cached), ("Ada.", 100, 64));
    assert_eq!((usage.completion, usage.reasoning), (50, 40));
    assert_eq!((completion.model.as_str(), completion.id.as_deref()), ("test-model-1-002", Some("response-1")));
    // All tokens went into thoughts: there is no count of anything else, and no part.
    let mut body = json!({ "candidates": [{ "content": { "role": "model" }, "finishReason": "MAX_TOKENS" }] });
    body["usageMetadata"] = json!({ "promptTokenCount": 100, "thoughtsTokenCount": 77 });
    let (outcome, _) = ask::<GenerateContent>(vec![Reply::json(200, &body)]).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.fault, ModelFault::Empty { finish: "length".to_owned() });
    assert_eq!(error.usage.map(|usage| (usage.completion, usage.estimated)), Some((77, false)));
}

#[tokio::test]
async fn refused_questions_and_answers_are_no_answers() {
    let refused = json!({
        "promptFeedback": { "blockReason": "OTHER" }, "usageMetadata": { "promptTokenCount": 9, "totalTokenCount": 9 },
    });
    let (outcome, _) = ask::<GenerateContent>(vec![Reply::json(200, &refused)]).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.fault, error.usage.map(|usage| usage.prompt)), (ModelFault::ContentFilter, Some(9)));
    let (_, outcome, _) = listen::<GenerateContent>(Reply::open(200, "text/event-stream").send(event(&refused))).await;
    assert_eq!(outcome.unwrap_err().fault, ModelFault::ContentFilter);
    for reason in ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"] {
        let body = json!({ "candidates": [{ "finishReason": reason }] });
        let (outcome, _) = ask::<GenerateContent>(vec![Reply::json(200, &body)]).await;
        assert_eq!(outcome.unwrap_err().fault, ModelFault::ContentFilter, "{reason}");
    }
    let (outcome, _) = ask::<GenerateContent>(vec![Reply::json(200, &json!({ "responseId": "response-1" }))]).await;
    assert_eq!(outcome.unwrap_err().fault, ModelFault::Malformed);
}

#[tokio::test]
async fn details_of_errors_are_read() {
    let error = |code: u16, detail: Value| json!({ "code": code, "message": "no", "status": "X", "details": [detail] });
    let key = error(400, json!({ "reason": "API_KEY_INVALID", "domain": "googleapis.com" }));
    let wait = error(429, json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "46.5s" }));
    let after = Some(Duration::from_millis(46_500));
    let expected = [(400, key, ModelFault::Credential), (429, wait, ModelFault::RateLimited { after })];
    for (status, error, fault) in expected {
        // A refused stream is answered with a list.
        for body in [json!({ "error": error }), json!([{ "error": error }])] {
            let (outcome, _) = ask::<GenerateContent>(vec![Reply::json(status, &body)]).await;
            let refused = outcome.unwrap_err();
            assert_eq!((&refused.fault, refused.message), (&fault, format!("HTTP {status}: no")));
        }
    }
}

#[tokio::test]
async fn errors_inside_streams_are_errors() {
    let error = json!({ "error": { "code": 503, "message": "overloaded", "status": "UNAVAILABLE" } });
    let stream = Reply::open(200, "text/event-stream")
        .send(event(&chunk(&json!([{ "text": "It was " }]), None, Some(counts(21, 2)))))
        .send(event(&error));
    let (pieces, outcome, _) = listen::<GenerateContent>(stream).await;
    let error = outcome.unwrap_err();
    assert_eq!((pieces.concat().as_str(), error.message.as_str()), ("It was ", "overloaded"));
    assert_eq!(error.fault, ModelFault::Overloaded { after: None });
}
