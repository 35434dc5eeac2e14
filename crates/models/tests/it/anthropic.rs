//! Anthropic's wire.

use std::sync::Arc;

use lorekeep_models::gateway::settings::ProviderKind;
use lorekeep_models::provider::anthropic::Anthropic;
use lorekeep_models::provider::auth::{Authorize, Key};
use lorekeep_models::provider::wire::ChatWire;
use lorekeep_testkit::upstream::{Asked, Reply, Step};
use lorekeep_types::{ChatMessage, ChatRequest, ChatRole, FinishReason, ModelFault, OutputFormat, Part, Secret};
use serde_json::{Value, json};

use crate::conformance::{Dialect, MODEL, ask, chat_suite, listen, question};

pub struct Messages;

fn whole(text: &str, finish: &FinishReason, reported: Option<(u64, u64)>) -> Value {
    let reason = match finish {
        FinishReason::Stop => "end_turn",
        FinishReason::Length => "max_tokens",
        FinishReason::ContentFilter => "refusal",
        other => other.name(),
    };
    let usage = reported.map(|(prompt, completion)| json!({ "input_tokens": prompt, "output_tokens": completion }));
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "test-model-1-20251001",
        "content": [{ "type": "thinking", "thinking": "Who was it?", "signature": "x" }, { "type": "text", "text": text }],
        "stop_reason": reason, "stop_sequence": null, "usage": usage,
    })
}

fn event(body: &Value) -> String {
    format!("event: {}\ndata: {body}\n\n", body["type"].as_str().unwrap())
}

fn start(usage: &Value) -> String {
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": [], "stop_reason": null,
        "usage": usage,
    });
    event(&json!({ "type": "message_start", "message": message }))
}

fn delta(delta: &Value) -> String {
    event(&json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
}

fn end(usage: &Value) -> [String; 2] {
    let delta = json!({ "stop_reason": "end_turn", "stop_sequence": null });
    let last = event(&json!({ "type": "message_delta", "delta": delta, "usage": usage }));
    [last, event(&json!({ "type": "message_stop" }))]
}

impl Dialect for Messages {
    const KIND: ProviderKind = ProviderKind::Anthropic;

    fn wire() -> Arc<dyn ChatWire> {
        Arc::new(Anthropic)
    }

    fn auth() -> Arc<dyn Authorize> {
        Arc::new(Key::Header("x-api-key", Secret::new("sk-ant-test")))
    }

    fn whole(text: &str, finish: FinishReason, reported: Option<(u64, u64)>) -> String {
        whole(text, &finish, reported).to_string()
    }

    fn frames(pieces: &[&str], reported: Option<(u64, u64)>) -> Vec<String> {
        let begun = reported.map_or(json!({}), |(prompt, _)| json!({ "input_tokens": prompt, "output_tokens": 1 }));
        let block = json!({ "type": "text", "text": "" });
        let mut frames = vec![
            start(&begun),
            event(&json!({ "type": "content_block_start", "index": 0, "content_block": block })),
            event(&json!({ "type": "ping" })),
            delta(&json!({ "type": "thinking_delta", "thinking": "Who was it?" })),
        ];
        frames.extend(pieces.iter().map(|text| delta(&json!({ "type": "text_delta", "text": text }))));
        frames.push(event(&json!({ "type": "content_block_stop", "index": 0 })));
        frames.extend(end(&reported.map_or(json!({}), |(_, completion)| json!({ "output_tokens": completion }))));
        frames
    }

    fn error(message: &str) -> String {
        json!({ "type": "error", "error": { "type": "x", "message": message }, "request_id": "req_1" }).to_string()
    }

    fn check(asked: &Asked, streamed: bool) {
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/v1/messages"));
        assert_eq!(asked.header("x-api-key"), Some("sk-ant-test"));
        assert_eq!(asked.header("authorization"), None);
        assert_eq!(asked.header("anthropic-version"), Some("2023-06-01"));
        assert_eq!(asked.header("content-type"), Some("application/json"));
        let text = |text: &str| json!([{ "type": "text", "text": text }]);
        let mut expected = json!({
            "model": MODEL, "system": "Answer briefly.", "max_tokens": 77, "temperature": 0.7,
            "messages": [
                { "role": "user", "content": text("Who?") },
                { "role": "assistant", "content": text("Ada.") },
                { "role": "user", "content": text("Was it \"Ada\" — 你好?") },
            ],
        });
        if streamed {
            expected["stream"] = json!(true);
        }
        assert_eq!(asked.json(), expected);
    }

    fn absurd(text: &str) -> String {
        let mut body = whole(text, &FinishReason::Stop, None);
        body["usage"] = json!({ "input_tokens": -5, "output_tokens": 1e18 });
        body.to_string()
    }
}

chat_suite!(Messages);

fn body(request: &ChatRequest) -> Value {
    Anthropic.request(MODEL, request, false).unwrap().body
}

#[test]
fn pictures_stops_and_the_turns_of_both_sides() {
    let image = Part::Image { media_type: "image/png".to_owned(), bytes: Arc::from(&b"png"[..]) };
    let request = ChatRequest {
        messages: vec![
            ChatMessage { role: ChatRole::User, parts: vec![Part::Text("What is this?".to_owned()), image] },
            ChatMessage::text(ChatRole::System, "Answer briefly."),
            ChatMessage::text(ChatRole::User, "And who?"),
        ],
        stop: vec!["END".to_owned()],
        seed: Some(7),
        ..ChatRequest::default()
    };
    let source = json!({ "type": "base64", "media_type": "image/png", "data": "cG5n" });
    let expected = json!({
        "model": MODEL, "system": "Answer briefly.", "max_tokens": 4096, "stop_sequences": ["END"],
        "messages": [{ "role": "user", "content": [
            { "type": "text", "text": "What is this?" },
            { "type": "image", "source": source },
            { "type": "text", "text": "And who?" },
        ] }],
    });
    assert_eq!(body(&request), expected);
}

#[test]
fn json_is_asked_for_in_words_and_a_schema_on_the_wire() {
    let free = body(&ChatRequest { output: OutputFormat::Json, ..question() });
    let system = free["system"].as_str().unwrap();
    assert!(system.starts_with("Answer briefly.\n\n") && system.contains("JSON"), "{system}");
    assert_eq!(free.get("output_config"), None);
    let output = |schema: &str| OutputFormat::Schema { name: "names".to_owned(), schema: schema.to_owned() };
    let bound = body(&ChatRequest { output: output(r#"{"type":"object"}"#), ..question() });
    assert_eq!(bound["output_config"], json!({ "format": { "type": "json_schema", "schema": { "type": "object" } } }));
    assert_eq!(bound["system"], "Answer briefly.");
    let wrong = ChatRequest { output: output("{"), ..question() };
    assert_eq!(Anthropic.request(MODEL, &wrong, false).unwrap_err().fault, ModelFault::Request);
}

#[tokio::test]
async fn the_cache_counts_into_the_prompt() {
    let counts = json!({
        "input_tokens": 10, "cache_read_input_tokens": 64, "cache_creation_input_tokens": 26, "output_tokens": 50,
        "output_tokens_details": { "thinking_tokens": 40 }, "server_tool_use": { "web_search_requests": 2 },
    });
    let mut answer = whole("Ada.", &FinishReason::Stop, None);
    answer["usage"] = counts;
    let (outcome, _) = ask::<Messages>(vec![Reply::json(200, &answer)]).await;
    let completion = outcome.unwrap();
    let usage = completion.usage;
    assert_eq!((usage.prompt, usage.cached, usage.cache_written), (100, 64, 26));
    assert_eq!((usage.completion, usage.reasoning, usage.searches), (50, 40, 2));
    assert_eq!((completion.model.as_str(), completion.id.as_deref()), ("test-model-1-20251001", Some("msg_1")));
}

/// The end of a stream tells again some of the figures that the start told, and `null` for others.
#[tokio::test]
async fn figures_of_a_stream_are_merged_one_by_one() {
    let begun = json!({ "input_tokens": 10, "cache_read_input_tokens": 64, "output_tokens": 1 });
    let ended = json!({ "input_tokens": 12, "cache_read_input_tokens": null, "output_tokens": 5 });
    let text = delta(&json!({ "type": "text_delta", "text": "It was Ada." }));
    let frames = [start(&begun), text].into_iter().chain(end(&ended));
    let (_, outcome, _) = listen::<Messages>(frames.fold(Reply::open(200, "text/event-stream"), Reply::send)).await;
    let usage = outcome.unwrap().usage;
    assert_eq!((usage.prompt, usage.cached, usage.completion, usage.estimated), (76, 64, 5, false));
}

/// The figure at the start of a stream is that of nothing written yet.
#[tokio::test]
async fn the_first_report_is_no_count_of_the_answer() {
    let begun = json!({ "input_tokens": 10, "output_tokens": 1 });
    let text = delta(&json!({ "type": "text_delta", "text": "It was Ada, who else could it have been?" }));
    let frames = [start(&begun), text].into_iter().chain(end(&json!({})));
    let (_, outcome, _) = listen::<Messages>(frames.fold(Reply::open(200, "text/event-stream"), Reply::send)).await;
    let usage = outcome.unwrap().usage;
    assert!(usage.prompt == 10 && usage.completion > 5 && usage.estimated, "{usage:?}");
}

#[tokio::test]
async fn the_mark_ends_an_answer_whose_connection_stays_open() {
    let frames = Messages::frames(&["It was Ada."], Some((21, 5)));
    let reply = frames.into_iter().fold(Reply::open(200, "text/event-stream"), Reply::send).then(Step::Hang);
    let (_, outcome, _) = listen::<Messages>(reply).await;
    assert_eq!(outcome.unwrap().usage.completion, 5);
}

#[tokio::test]
async fn refusals_are_no_answers() {
    let (outcome, _) = ask::<Messages>(vec![Reply::json(200, &whole("", &FinishReason::ContentFilter, None))]).await;
    assert_eq!(outcome.unwrap_err().fault, ModelFault::ContentFilter);
    let full = FinishReason::Other("model_context_window_exceeded".to_owned());
    let (outcome, _) = ask::<Messages>(vec![Reply::json(200, &whole("It was", &full, None))]).await;
    assert_eq!(outcome.unwrap().finish, FinishReason::Length);
}

#[tokio::test]
async fn errors_inside_streams_are_errors() {
    let expected = [
        ("overloaded_error", ModelFault::Overloaded { after: None }),
        ("rate_limit_error", ModelFault::RateLimited { after: None }),
        ("api_error", ModelFault::Server),
        ("authentication_error", ModelFault::Credential),
        ("permission_error", ModelFault::Credential),
        ("invalid_request_error", ModelFault::Request),
    ];
    for (kind, fault) in expected {
        let error = json!({ "type": "error", "error": { "type": kind, "message": "gone" } });
        let stream = Reply::open(200, "text/event-stream")
            .send(start(&json!({})))
            .send(delta(&json!({ "type": "text_delta", "text": "It was " })))
            .send(event(&error));
        let (pieces, outcome, _) = listen::<Messages>(stream).await;
        let error = outcome.unwrap_err();
        assert_eq!((pieces.concat().as_str(), error.message.as_str()), ("It was ", "gone"));
        assert_eq!(error.fault, fault, "{kind}");
    }
    let busy = Reply::body(529, "application/json", Messages::error("Overloaded"));
    let (outcome, _) = ask::<Messages>(vec![busy]).await;
    assert_eq!(outcome.unwrap_err().fault, ModelFault::Overloaded { after: None });
}
