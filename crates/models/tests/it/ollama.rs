//! Ollama's own wire.

use std::sync::Arc;

use lorekeep_models::gateway::settings::ProviderKind;
use lorekeep_models::provider::auth::{Authorize, Key};
use lorekeep_models::provider::ollama::Ollama;
use lorekeep_models::provider::wire::ChatWire;
use lorekeep_testkit::upstream::{Asked, Reply, Step};
use lorekeep_types::{ChatMessage, ChatRequest, ChatRole, FinishReason, ModelFault, OutputFormat, Part};
use serde_json::{Value, json};

use crate::conformance::{Dialect, MODEL, ask, chat_suite, listen};
use crate::openai::messages;

pub struct Native;

fn line(text: &str) -> Value {
    let message = json!({ "role": "assistant", "content": text });
    json!({ "model": MODEL, "created_at": "2026-11-20T10:00:00Z", "message": message, "done": false })
}

fn last(text: &str, reason: &str, reported: Option<(u64, u64)>) -> Value {
    let mut body = line(text);
    body["done"] = json!(true);
    body["done_reason"] = json!(reason);
    body["total_duration"] = json!(4_935_886_791_u64);
    if let Some((prompt, completion)) = reported {
        body["prompt_eval_count"] = json!(prompt);
        body["eval_count"] = json!(completion);
    }
    body
}

impl Dialect for Native {
    const KIND: ProviderKind = ProviderKind::Ollama;

    fn wire() -> Arc<dyn ChatWire> {
        Arc::new(Ollama::default())
    }

    fn auth() -> Arc<dyn Authorize> {
        Arc::new(Key::None)
    }

    fn whole(text: &str, finish: FinishReason, reported: Option<(u64, u64)>) -> String {
        last(text, finish.name(), reported).to_string()
    }

    fn stream_type() -> &'static str {
        "application/x-ndjson"
    }

    fn frames(pieces: &[&str], reported: Option<(u64, u64)>) -> Vec<String> {
        let mut thought = line("");
        thought["message"]["thinking"] = json!("Who was it?");
        let lines = pieces.iter().map(|text| line(text));
        let all = std::iter::once(thought).chain(lines).chain([last("", "stop", reported)]);
        all.map(|line| format!("{line}\n")).collect()
    }

    fn error(message: &str) -> String {
        json!({ "error": message }).to_string()
    }

    fn check(asked: &Asked, streamed: bool) {
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/api/chat"));
        assert_eq!(asked.header("authorization"), None);
        assert_eq!(asked.header("content-type"), Some("application/json"));
        let expected = json!({
            "model": MODEL, "messages": messages(), "stream": streamed,
            "options": { "num_predict": 77, "temperature": 0.7, "top_p": 0.9 },
        });
        assert_eq!(asked.json(), expected);
    }

    fn absurd(text: &str) -> String {
        let mut body = last(text, "stop", None);
        body["prompt_eval_count"] = json!(-5);
        body["eval_count"] = json!(1e18);
        body.to_string()
    }
}

chat_suite!(Native);

#[test]
fn pictures_formats_and_options() {
    let image = Part::Image { media_type: "image/png".to_owned(), bytes: Arc::from(&b"png"[..]) };
    let mut request = ChatRequest {
        messages: vec![ChatMessage {
            role: ChatRole::User,
            parts: vec![Part::Text("What is this?".to_owned()), image],
        }],
        stop: vec!["END".to_owned()],
        seed: Some(7),
        output: OutputFormat::Schema { name: "names".to_owned(), schema: r#"{"type":"object"}"#.to_owned() },
        ..ChatRequest::default()
    };
    let wire = Ollama { num_ctx: Some(8192), keep_alive: Some("10m".to_owned()) };
    let asked = wire.request(MODEL, &request, false).unwrap().body;
    let expected = json!({
        "model": MODEL, "stream": false, "format": { "type": "object" }, "keep_alive": "10m",
        "messages": [{ "role": "user", "content": "What is this?", "images": ["cG5n"] }],
        "options": { "seed": 7, "stop": ["END"], "num_ctx": 8192 },
    });
    assert_eq!(asked, expected);
    request.output = OutputFormat::Json;
    assert_eq!(wire.request(MODEL, &request, false).unwrap().body["format"], "json");
    let bare = Ollama::default().request(MODEL, &ChatRequest::default(), true).unwrap().body;
    assert_eq!(bare, json!({ "model": MODEL, "messages": [], "stream": true }));
}

/// The server leaves out the count of a prompt that it still knew from the call before.
#[tokio::test]
async fn a_missing_count_leaves_the_other() {
    let mut body = last("Ada.", "stop", None);
    body["eval_count"] = json!(3);
    let (outcome, _) = ask::<Native>(vec![Reply::json(200, &body)]).await;
    let usage = outcome.unwrap().usage;
    assert!(usage.prompt > 10 && usage.completion == 3 && usage.estimated, "{usage:?}");
}

/// Older servers give no reason for stopping.
#[tokio::test]
async fn the_last_line_ends_an_answer_whose_connection_stays_open() {
    let mut ended = last("", "", Some((21, 5)));
    ended.as_object_mut().unwrap().remove("done_reason");
    let lines = format!("{}\n{ended}\n", line("It was Ada."));
    let (_, outcome, _) = listen::<Native>(Reply::open(200, "application/x-ndjson").send(lines).then(Step::Hang)).await;
    let completion = outcome.unwrap();
    assert_eq!((completion.usage.completion, completion.finish), (5, FinishReason::Other(String::new())));
}

#[tokio::test]
async fn errors_inside_streams_are_errors() {
    let stream = Reply::open(200, "application/x-ndjson")
        .send(format!("{}\n", line("It was ")))
        .send("{\"error\":\"an error was encountered while running the model\"}\n");
    let (pieces, outcome, _) = listen::<Native>(stream).await;
    let error = outcome.unwrap_err();
    assert_eq!(pieces.concat(), "It was ");
    assert_eq!(
        (error.fault, error.message.as_str()),
        (ModelFault::Server, "an error was encountered while running the model")
    );
    let (outcome, _) = ask::<Native>(vec![Reply::json(200, &json!({ "error": "gone" }))]).await;
    assert_eq!(outcome.unwrap_err().message, "gone");
    let (outcome, _) = ask::<Native>(vec![Reply::json(200, &json!({ "done": true }))]).await;
    assert_eq!(outcome.unwrap_err().fault, ModelFault::Malformed);
}
