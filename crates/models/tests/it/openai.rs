//! OpenAI's wire and its dialects.

use std::sync::Arc;

use lorekeep_models::gateway::settings::ProviderKind;
use lorekeep_models::provider::auth::{Authorize, Key};
use lorekeep_models::provider::openai::{Dialect as Family, OpenAi};
use lorekeep_models::provider::wire::ChatWire;
use lorekeep_testkit::upstream::{Asked, Reply};
use lorekeep_types::{FinishReason, ModelFault, Secret};
use serde_json::{Value, json};

use crate::conformance::{Dialect, MODEL, ask, chat_suite, listen};

pub struct Plain;

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

/// The fields of a request for [`crate::conformance::question`] that the whole family has.
fn asked_for(streamed: bool) -> Value {
    let mut expected = json!({ "messages": messages(), "temperature": 0.7, "top_p": 0.9 });
    if streamed {
        expected["stream"] = json!(true);
        expected["stream_options"] = json!({ "include_usage": true });
    }
    expected
}

fn absurd(text: &str) -> String {
    let mut body = whole(text, &FinishReason::Stop, None);
    body["usage"] = json!({ "prompt_tokens": -5, "completion_tokens": 1e18, "total_tokens": 3 });
    body.to_string()
}

impl Dialect for Plain {
    const KIND: ProviderKind = ProviderKind::OpenAi;

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
        let mut expected = asked_for(streamed);
        expected["model"] = json!(MODEL);
        expected["max_completion_tokens"] = json!(77);
        assert_eq!(asked.json(), expected);
    }

    fn absurd(text: &str) -> String {
        absurd(text)
    }
}

chat_suite!(Plain);

pub struct Azure;

impl Dialect for Azure {
    const KIND: ProviderKind = ProviderKind::Azure;

    fn wire() -> Arc<dyn ChatWire> {
        Arc::new(OpenAi { dialect: Family::Azure { api_version: "2024-10-21".to_owned() } })
    }

    fn auth() -> Arc<dyn Authorize> {
        Arc::new(Key::Header("api-key", Secret::new("azure-key")))
    }

    fn whole(text: &str, finish: FinishReason, reported: Option<(u64, u64)>) -> String {
        let mut body = whole(text, &finish, reported);
        body["choices"][0]["content_filter_results"] = json!({ "hate": { "filtered": false, "severity": "safe" } });
        body.to_string()
    }

    /// The first chunk carries the filter's judgement of the prompt and no choice.
    fn frames(pieces: &[&str], reported: Option<(u64, u64)>) -> Vec<String> {
        let judged = json!([{ "prompt_index": 0, "content_filter_results": {} }]);
        let first = json!({ "choices": [], "id": "", "model": "", "prompt_filter_results": judged });
        [vec![format!("data: {first}\n\n")], frames(pieces, reported)].concat()
    }

    fn error(message: &str) -> String {
        json!({ "error": { "code": "BadRequest", "message": message } }).to_string()
    }

    fn check(asked: &Asked, streamed: bool) {
        let path = format!("/openai/deployments/{MODEL}/chat/completions?api-version=2024-10-21");
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", path.as_str()));
        assert_eq!((asked.header("api-key"), asked.header("authorization")), (Some("azure-key"), None));
        assert_eq!(asked.header("content-type"), Some("application/json"));
        let mut expected = asked_for(streamed);
        expected["max_tokens"] = json!(77);
        assert_eq!(asked.json(), expected);
    }

    fn absurd(text: &str) -> String {
        absurd(text)
    }
}

mod azure {
    super::chat_suite!(super::Azure);
}

pub struct Router;

impl Dialect for Router {
    const KIND: ProviderKind = ProviderKind::OpenRouter;

    fn wire() -> Arc<dyn ChatWire> {
        Arc::new(OpenAi { dialect: Family::OpenRouter })
    }

    fn auth() -> Arc<dyn Authorize> {
        Arc::new(Key::Bearer(Secret::new("or-test")))
    }

    fn headers() -> Vec<(String, String)> {
        [("HTTP-Referer", "https://lab.example"), ("X-Title", "Lab")].map(|(n, v)| (n.to_owned(), v.to_owned())).into()
    }

    fn whole(text: &str, finish: FinishReason, reported: Option<(u64, u64)>) -> String {
        let mut body = whole(text, &finish, reported);
        (body["id"], body["provider"]) = (json!("gen-1"), json!("Somebody"));
        if reported.is_some() {
            body["usage"]["cost"] = json!(0.00014);
        }
        body.to_string()
    }

    /// Comments keep the connection open until the first chunk, and between chunks.
    fn frames(pieces: &[&str], reported: Option<(u64, u64)>) -> Vec<String> {
        frames(pieces, reported).into_iter().map(|frame| format!(": OPENROUTER PROCESSING\n\n{frame}")).collect()
    }

    fn error(message: &str) -> String {
        json!({ "error": { "code": 400, "message": message, "metadata": { "provider_name": "Somebody" } } }).to_string()
    }

    fn check(asked: &Asked, streamed: bool) {
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/chat/completions"));
        assert_eq!(asked.header("authorization"), Some("Bearer or-test"));
        assert_eq!(asked.header("content-type"), Some("application/json"));
        assert_eq!((asked.header("http-referer"), asked.header("x-title")), (Some("https://lab.example"), Some("Lab")));
        let mut expected = asked_for(streamed);
        expected["model"] = json!(MODEL);
        expected["max_tokens"] = json!(77);
        expected["usage"] = json!({ "include": true });
        assert_eq!(asked.json(), expected);
    }

    fn absurd(text: &str) -> String {
        absurd(text)
    }
}

mod router {
    super::chat_suite!(super::Router);
}

#[tokio::test]
async fn the_cost_that_the_router_reports_is_kept() {
    let body = Router::whole("Ada.", FinishReason::Stop, Some((21, 5)));
    let (outcome, _) = ask::<Router>(vec![Reply::body(200, "application/json", body)]).await;
    let completion = outcome.unwrap();
    assert_eq!((completion.usage.reported_cost, completion.id.as_deref()), (Some(140_000), Some("gen-1")));
}

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

async fn errors_inside_answers<D: Dialect>() {
    let body = json!({ "error": { "code": 429, "message": "the upstream is rate limited" } });
    let (outcome, _) = ask::<D>(vec![Reply::json(200, &body)]).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.fault, ModelFault::RateLimited { after: None });
    assert_eq!(error.message, "the upstream is rate limited");
    let delta = json!([{ "index": 0, "delta": { "content": "" }, "finish_reason": "error" }]);
    let gone = json!({ "code": "server_error", "message": "gone" });
    for choices in [json!([]), delta] {
        let stream = Reply::open(200, "text/event-stream")
            .send(": OPENROUTER PROCESSING\n\n")
            .send(frames(&["It was "], None)[1].clone())
            .send(format!("data: {}\n\n", json!({ "id": "gen-1", "error": gone, "choices": choices })));
        let (pieces, outcome, _) = listen::<D>(stream).await;
        assert_eq!((pieces.concat().as_str(), outcome.unwrap_err().message.as_str()), ("It was ", "gone"));
    }
}

#[tokio::test]
async fn errors_inside_answers_are_errors() {
    errors_inside_answers::<Plain>().await;
    errors_inside_answers::<Router>().await;
}
