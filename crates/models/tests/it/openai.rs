//! OpenAI's wire and its dialects.

use std::sync::Arc;

use lorekeep_models::provider::auth::{Authorize, Key};
use lorekeep_models::provider::openai::{Dialect as Family, OpenAi};
use lorekeep_models::provider::wire::ChatWire;
use lorekeep_testkit::upstream::{Asked, Reply};
use lorekeep_types::{FinishReason, ModelFault, Secret};
use serde_json::{Value, json};

use crate::conformance::{Dialect, MODEL, ask, chat_suite, listen};

struct Plain;

pub fn word(finish: &FinishReason) -> &str {
    finish.name()
}

pub fn usage(usage: Option<(u64, u64)>) -> Value {
    usage.map_or(Value::Null, |(prompt, completion)| {
        json!({ "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion })
    })
}

pub fn whole(text: &str, finish: &FinishReason, reported: Option<(u64, u64)>) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "test-model-1-0613",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": word(finish) }],
        "usage": usage(reported),
    })
}

pub fn frames(pieces: &[&str], reported: Option<(u64, u64)>) -> Vec<String> {
    let chunk = |delta: Value, finish: Value| {
        let choices = json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
        format!("data: {}\n\n", json!({ "id": "chatcmpl-1", "model": MODEL, "choices": choices, "usage": null }))
    };
    let mut frames = vec![chunk(json!({ "role": "assistant", "content": "" }), Value::Null)];
    frames.extend(pieces.iter().map(|text| chunk(json!({ "content": text }), Value::Null)));
    frames.push(chunk(json!({}), json!("stop")));
    if reported.is_some() {
        frames.push(format!("data: {}\n\n", json!({ "id": "chatcmpl-1", "choices": [], "usage": usage(reported) })));
    }
    frames.push("data: [DONE]\n\n".to_owned());
    frames
}

/// The messages of [`crate::conformance::question`] in OpenAI's shape.
pub fn messages() -> Value {
    json!([
        { "role": "system", "content": "Answer briefly." },
        { "role": "user", "content": "Who?" },
        { "role": "assistant", "content": "Ada." },
        { "role": "user", "content": "Was it \"Ada\" — 你好?" },
    ])
}

impl Dialect for Plain {
    fn wire() -> Arc<dyn ChatWire> {
        Arc::new(OpenAi { dialect: Family::OpenAi })
    }

    fn auth() -> Arc<dyn Authorize> {
        Arc::new(Key::Bearer(Secret::new("sk-test")))
    }

    fn whole(text: &str, finish: FinishReason, reported: Option<(u64, u64)>) -> String {
        whole(text, &finish, reported).to_string()
    }

    fn frames(pieces: &[&str], reported: Option<(u64, u64)>) -> Vec<String> {
        frames(pieces, reported)
    }

    fn error(message: &str) -> String {
        json!({ "error": { "message": message, "type": "x", "param": null, "code": null } }).to_string()
    }

    fn check(asked: &Asked, streamed: bool) {
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/chat/completions"));
        assert_eq!(asked.header("authorization"), Some("Bearer sk-test"));
        assert_eq!(asked.header("content-type"), Some("application/json"));
        let mut expected = json!({
            "model": MODEL, "messages": messages(), "max_completion_tokens": 77, "temperature": 0.7, "top_p": 0.9,
        });
        if streamed {
            expected["stream"] = json!(true);
            expected["stream_options"] = json!({ "include_usage": true });
        }
        assert_eq!(asked.json(), expected);
    }

    fn absurd(text: &str) -> String {
        let mut body = whole(text, &FinishReason::Stop, None);
        body["usage"] = json!({ "prompt_tokens": -5, "completion_tokens": 1e18, "total_tokens": 3 });
        body.to_string()
    }
}

chat_suite!(Plain);

#[tokio::test]
async fn details_of_usage_are_kept() {
    let mut body = whole("Ada.", &FinishReason::Stop, Some((100, 50)));
    body["usage"]["prompt_tokens_details"] = json!({ "cached_tokens": 64 });
    body["usage"]["completion_tokens_details"] = json!({ "reasoning_tokens": 40 });
    let (outcome, _) = ask::<Plain>(vec![Reply::json(200, &body)]).await;
    let completion = outcome.unwrap();
    assert_eq!((completion.usage.cached, completion.usage.reasoning), (64, 40));
    assert_eq!((completion.model.as_str(), completion.id.as_deref()), ("test-model-1-0613", Some("chatcmpl-1")));
}

#[tokio::test]
async fn refusals_and_filters_are_no_answers() {
    let mut body = whole("", &FinishReason::Stop, Some((1, 1)));
    body["choices"][0]["message"]["refusal"] = json!("I cannot help with that.");
    let (outcome, _) = ask::<Plain>(vec![Reply::json(200, &body)]).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.fault, error.message.as_str()), (ModelFault::ContentFilter, "I cannot help with that."));
    let filtered = json!({ "error": { "message": "filtered", "code": "content_filter" } });
    let (outcome, _) = ask::<Plain>(vec![Reply::json(400, &filtered)]).await;
    assert_eq!(outcome.unwrap_err().fault, ModelFault::ContentFilter);
}

#[tokio::test]
async fn errors_inside_answers_are_errors() {
    let body = json!({ "error": { "code": 429, "message": "the upstream is rate limited" } });
    let (outcome, _) = ask::<Plain>(vec![Reply::json(200, &body)]).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.fault, ModelFault::RateLimited { after: None });
    assert_eq!(error.message, "the upstream is rate limited");
    let stream = Reply::open(200, "text/event-stream")
        .send(": OPENROUTER PROCESSING\n\n")
        .send(frames(&["It was "], None)[1].clone())
        .send("data: {\"error\":{\"code\":\"server_error\",\"message\":\"gone\"},\"choices\":[]}\n\n");
    let (pieces, outcome, _) = listen::<Plain>(stream).await;
    assert_eq!((pieces.concat().as_str(), outcome.unwrap_err().message.as_str()), ("It was ", "gone"));
}
