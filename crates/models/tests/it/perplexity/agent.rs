//! The Agent API.

use std::sync::Arc;

use lorekeep_models::gateway::settings::ProviderKind;
use lorekeep_models::provider::auth::Authorize;
use lorekeep_models::provider::perplexity::{Form, Perplexity};
use lorekeep_models::provider::wire::ChatWire;
use lorekeep_testkit::upstream::{Asked, Reply, Step};
use lorekeep_types::{ChatMessage, ChatRequest, ChatRole, FinishReason, ModelFault, OutputFormat, Part, WebSource};
use serde_json::{Value, json};

use super::{result, source, web};
use crate::conformance::{Dialect, MODEL, ask, chat_suite, listen, question};

const WIRE: Perplexity = Perplexity { form: Form::Responses };

struct Agent;

fn usage(reported: Option<(u64, u64)>) -> Value {
    reported.map_or(Value::Null, |(input, output)| {
        json!({
            "input_tokens": input, "output_tokens": output, "total_tokens": input + output,
            "input_tokens_details": { "cache_read_input_tokens": 8, "cache_creation_input_tokens": 3 },
            "output_tokens_details": { "reasoning_tokens": 2 },
            "tool_calls_details": { "search_web": { "invocation": 3 } },
            "cost": { "currency": "USD", "input_cost": 0.001, "output_cost": 0.002, "total_cost": 0.018 },
        })
    })
}

fn message(text: &str) -> Value {
    let content = json!([{ "type": "output_text", "text": text, "annotations": [] }]);
    json!({ "id": "msg-1", "type": "message", "role": "assistant", "status": "completed", "content": content })
}

fn response(output: Value, finish: &FinishReason, reported: Option<(u64, u64)>) -> Value {
    let mut body = json!({
        "id": "resp-1", "object": "response", "created_at": 1, "model": "openai/gpt-x", "status": "completed",
        "output": output, "error": null, "usage": usage(reported),
    });
    if *finish == FinishReason::Length {
        body["status"] = json!("incomplete");
        body["incomplete_details"] = json!({ "reason": "max_output_tokens" });
    }
    body
}

fn event(kind: &str, mut body: Value) -> String {
    body["type"] = json!(kind);
    format!("event: {kind}\ndata: {body}\n\n")
}

fn delta(text: &str) -> String {
    event("response.output_text.delta", json!({ "item_id": "msg-1", "content_index": 0, "delta": text }))
}

impl Dialect for Agent {
    const KIND: ProviderKind = ProviderKind::PerplexityAgent;

    fn wire() -> Arc<dyn ChatWire> {
        Arc::new(WIRE)
    }

    fn auth() -> Arc<dyn Authorize> {
        Arc::new(super::key())
    }

    fn whole(text: &str, finish: FinishReason, usage: Option<(u64, u64)>) -> String {
        response(json!([message(text)]), &finish, usage).to_string()
    }

    fn frames(pieces: &[&str], usage: Option<(u64, u64)>) -> Vec<String> {
        let begun = json!({ "response": { "id": "resp-1", "model": "openai/gpt-x", "status": "in_progress" } });
        let mut frames = vec![event("response.created", begun.clone()), event("response.in_progress", begun)];
        frames.push(event("response.reasoning.started", json!({ "thought": "let me search" })));
        frames.extend(pieces.iter().map(|text| delta(text)));
        frames.push(event("response.output_text.done", json!({ "text": pieces.concat() })));
        let whole = response(json!([message(&pieces.concat())]), &FinishReason::Stop, usage);
        frames.push(event("response.completed", json!({ "response": whole })));
        frames
    }

    fn error(message: &str) -> String {
        super::error(message)
    }

    fn check(asked: &Asked, streamed: bool) {
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/v1/responses"));
        assert_eq!(asked.header("authorization"), Some("Bearer pplx-test"));
        let mut expected = json!({
            "model": MODEL, "instructions": "Answer briefly.", "max_output_tokens": 77,
            "input": [
                { "type": "message", "role": "user", "content": "Who?" },
                { "type": "message", "role": "assistant", "content": "Ada." },
                { "type": "message", "role": "user", "content": "Was it \"Ada\" — 你好?" },
            ],
        });
        if streamed {
            expected["stream"] = json!(true);
        }
        assert_eq!(asked.json(), expected);
    }

    fn absurd(text: &str) -> String {
        let mut body = response(json!([message(text)]), &FinishReason::Stop, None);
        body["usage"] = json!({ "input_tokens": -5, "output_tokens": 1e18 });
        body.to_string()
    }
}

chat_suite!(Agent);

#[test]
fn limits_pictures_and_schemas_are_sent() {
    let picture = Part::Image { media_type: "image/png".to_owned(), bytes: Arc::from(*b"png") };
    let messages = vec![
        ChatMessage::text(ChatRole::System, "One."),
        ChatMessage { role: ChatRole::User, parts: vec![Part::Text("What?".to_owned()), picture] },
        ChatMessage::text(ChatRole::System, "Two."),
    ];
    let output = OutputFormat::Schema { name: "thing".to_owned(), schema: "{\"type\":\"object\"}".to_owned() };
    let request = ChatRequest { messages, output, web: Some(web()), ..ChatRequest::default() };
    let filters = json!({ "search_domain_filter": ["example.org", "-example.com"], "search_recency_filter": "month" });
    let content = json!([
        { "type": "input_text", "text": "What?" },
        { "type": "input_image", "image_url": "data:image/png;base64,cG5n" },
    ]);
    let expected = json!({
        "model": "perplexity/sonar", "instructions": "One.\n\nTwo.",
        "input": [{ "type": "message", "role": "user", "content": content }],
        "tools": [{ "type": "web_search", "filters": filters, "search_context_size": "low" }],
        "response_format": {
            "type": "json_schema", "json_schema": { "name": "thing", "schema": { "type": "object" } },
        },
    });
    assert_eq!(WIRE.request("perplexity/sonar", &request, false).unwrap().body, expected);
    let stopping = ChatRequest { stop: vec!["END".to_owned()], ..question() };
    assert_eq!(WIRE.request("m", &stopping, false).unwrap_err().fault, ModelFault::Capability);
}

#[tokio::test]
async fn sources_stand_where_their_numbers_say() {
    let items = json!([
        { "type": "search_results", "queries": ["who"], "results": [result(Some(2), "b"), result(Some(1), "a")] },
        { "type": "search_results", "results": [result(Some(4), "d"), result(Some(1_000_000), "far")] },
        message("Ada [1], Bob [2], Dan [4]."),
    ]);
    let body = response(items, &FinishReason::Stop, Some((21, 5)));
    let (outcome, _) = ask::<Agent>(vec![Reply::json(200, &body)]).await;
    let completion = outcome.unwrap();
    assert_eq!(completion.sources, [source("a"), source("b"), WebSource::default(), source("d")]);
    let usage = completion.usage;
    assert_eq!((usage.cached, usage.cache_written, usage.reasoning), (8, 3, 2));
    assert_eq!((usage.searches, usage.reported_cost), (3, Some(18_000_000)));
    assert_eq!((completion.model.as_str(), completion.id.as_deref()), ("openai/gpt-x", Some("resp-1")));
}

#[tokio::test]
async fn annotations_stand_in_for_results() {
    let mut item = message("Ada [1], Bob [2], Ada [1].");
    let annotation =
        |kind: &str, name: &str| json!({ "type": kind, "url": format!("https://{name}.example"), "title": name });
    item["content"][0]["annotations"] =
        json!([annotation("url_citation", "a"), annotation("citation", "b"), annotation("url_citation", "a")]);
    let body = response(json!([item]), &FinishReason::Stop, None);
    let (outcome, _) = ask::<Agent>(vec![Reply::json(200, &body)]).await;
    let urls: Vec<String> = outcome.unwrap().sources.into_iter().map(|source| source.url).collect();
    assert_eq!(urls, ["https://a.example", "https://b.example"]);
}

/// The same results come up to three times: as they are found, as an item, and in the last event.
#[tokio::test]
async fn sources_of_a_streamed_answer_are_counted_once() {
    for id in [None, Some(1)] {
        let item = json!({ "type": "search_results", "results": [result(id, "a")] });
        let whole = response(json!([item, message("Ada [1].")]), &FinishReason::Length, Some((21, 5)));
        let stream = Reply::open(200, "text/event-stream")
            .send(event("response.reasoning.search_results", json!({ "results": [result(id, "a")] })))
            .send(event("response.output_item.done", json!({ "item": item })))
            .send(delta("Ada [1]."))
            .send(event("response.incomplete", json!({ "response": whole })));
        let (pieces, outcome, _) = listen::<Agent>(stream).await;
        let completion = outcome.unwrap();
        assert_eq!((pieces.concat().as_str(), completion.text.as_str()), ("Ada [1].", "Ada [1]."));
        assert_eq!((completion.sources, completion.finish), (vec![source("a")], FinishReason::Length));
    }
}

#[tokio::test]
async fn an_answer_that_comes_only_at_the_end_is_not_lost() {
    let whole = response(json!([message("Ada.")]), &FinishReason::Stop, Some((21, 5)));
    let last = event("response.completed", json!({ "response": whole }));
    let (pieces, outcome, _) = listen::<Agent>(Reply::open(200, "text/event-stream").send(last).then(Step::Hang)).await;
    assert_eq!((pieces, outcome.unwrap().finish), (vec!["Ada.".to_owned()], FinishReason::Stop));
}

#[tokio::test]
async fn failed_responses_are_errors() {
    let failed = json!({ "status": "failed", "output": [], "error": { "message": "no luck", "code": "429" } });
    let (outcome, _) = ask::<Agent>(vec![Reply::json(200, &failed)]).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.fault, error.message.as_str()), (ModelFault::RateLimited { after: None }, "no luck"));
    let events = [
        event("response.failed", json!({ "error": { "message": "no luck", "code": "server_error" } })),
        event("response.failed", json!({ "response": failed })).replace("429", "500"),
        event("error", json!({ "message": "no luck" })),
    ];
    for failure in events {
        let stream = Reply::open(200, "text/event-stream").send(delta("It was ")).send(failure);
        let (pieces, outcome, _) = listen::<Agent>(stream).await;
        let error = outcome.unwrap_err();
        assert_eq!((pieces.concat().as_str(), error.message.as_str()), ("It was ", "no luck"));
        assert_eq!(error.fault, ModelFault::Server);
    }
    let refusal = json!([{ "type": "message", "content": [{ "type": "refusal", "refusal": "I will not." }] }]);
    let body = response(refusal, &FinishReason::Stop, None);
    let (outcome, _) = ask::<Agent>(vec![Reply::json(200, &body)]).await;
    assert_eq!(outcome.unwrap_err().fault, ModelFault::ContentFilter);
}
