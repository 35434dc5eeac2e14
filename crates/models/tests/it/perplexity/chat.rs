//! Chat completions.

use std::sync::Arc;

use lorekeep_models::gateway::settings::ProviderKind;
use lorekeep_models::provider::auth::Authorize;
use lorekeep_models::provider::perplexity::{Form, Perplexity};
use lorekeep_models::provider::wire::ChatWire;
use lorekeep_testkit::upstream::{Asked, Reply};
use lorekeep_types::{ChatRequest, FinishReason, OutputFormat, WebSource};
use serde_json::{Value, json};

use super::{result, source, web};
use crate::conformance::{Dialect, MODEL, ask, chat_suite, listen, question};
use crate::openai::{self, messages};

const WIRE: Perplexity = Perplexity { form: Form::Chat };

struct Chat;

fn usage(reported: Option<(u64, u64)>) -> Value {
    let mut usage = openai::usage(reported);
    if reported.is_some() {
        usage["search_context_size"] = json!("low");
        usage["num_search_queries"] = json!(2);
        usage["cost"] = json!({ "input_tokens_cost": 0.0, "output_tokens_cost": 0.0, "total_cost": 0.00612 });
    }
    usage
}

fn whole(text: &str, finish: &FinishReason, reported: Option<(u64, u64)>) -> Value {
    let mut body = openai::whole(text, finish, None);
    body["usage"] = usage(reported);
    body
}

impl Dialect for Chat {
    const KIND: ProviderKind = ProviderKind::Perplexity;

    fn wire() -> Arc<dyn ChatWire> {
        Arc::new(WIRE)
    }

    fn auth() -> Arc<dyn Authorize> {
        Arc::new(super::key())
    }

    fn whole(text: &str, finish: FinishReason, usage: Option<(u64, u64)>) -> String {
        whole(text, &finish, usage).to_string()
    }

    /// Each chunk repeats the message so far and reports usage; no mark ends the answer.
    fn frames(pieces: &[&str], reported: Option<(u64, u64)>) -> Vec<String> {
        let frame = |so_far: &str, delta: &str, finish: Value, usage: Value| {
            let message = json!({ "role": "assistant", "content": so_far });
            let delta = json!({ "role": "assistant", "content": delta });
            let choices = json!([{ "index": 0, "message": message, "delta": delta, "finish_reason": finish }]);
            let chunk = json!({ "id": "p-1", "model": MODEL, "choices": choices, "usage": usage });
            format!("data: {chunk}\r\n\r\n")
        };
        let mut so_far = String::new();
        let mut frames: Vec<String> = Vec::new();
        for piece in pieces {
            so_far.push_str(piece);
            let early = json!({ "prompt_tokens": 21, "completion_tokens": 1, "cost": { "total_cost": 0.0 } });
            frames.push(frame(&so_far, piece, Value::Null, early));
        }
        frames.push(frame(&so_far, "", json!("stop"), usage(reported)));
        frames
    }

    fn error(message: &str) -> String {
        super::error(message)
    }

    fn check(asked: &Asked, streamed: bool) {
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/chat/completions"));
        assert_eq!(asked.header("authorization"), Some("Bearer pplx-test"));
        let mut expected =
            json!({ "model": MODEL, "messages": messages(), "max_tokens": 77, "temperature": 0.7, "top_p": 0.9 });
        expected["disable_search"] = json!(true);
        if streamed {
            expected["stream"] = json!(true);
        }
        assert_eq!(asked.json(), expected);
    }

    fn absurd(text: &str) -> String {
        let mut body = whole(text, &FinishReason::Stop, None);
        body["usage"] = json!({ "prompt_tokens": -5, "completion_tokens": 1e18, "cost": { "total_cost": -1 } });
        body.to_string()
    }
}

chat_suite!(Chat);

#[test]
fn limits_of_the_search_are_sent() {
    let request = ChatRequest { web: Some(web()), seed: Some(7), output: OutputFormat::Json, ..question() };
    let body = WIRE.request("sonar", &request, false).unwrap().body;
    assert_eq!(body["search_domain_filter"], json!(["example.org", "-example.com"]));
    assert_eq!(body["search_recency_filter"], json!("month"));
    assert_eq!(body["web_search_options"], json!({ "search_context_size": "low" }));
    let any_object = json!({ "name": "object", "schema": { "type": "object" } });
    assert_eq!(body["response_format"], json!({ "type": "json_schema", "json_schema": any_object }));
    assert_eq!((body.get("seed"), body.get("disable_search")), (None, None));
}

#[tokio::test]
async fn results_are_preferred_to_citations() {
    let mut body = whole("Ada [1] and Bob [2].", &FinishReason::Stop, Some((21, 5)));
    body["citations"] = json!(["https://a.example", "https://b.example"]);
    let (outcome, _) = ask::<Chat>(vec![Reply::json(200, &body)]).await;
    let bare = |url: &str| WebSource { url: url.to_owned(), ..WebSource::default() };
    assert_eq!(outcome.unwrap().sources, [bare("https://a.example"), bare("https://b.example")]);

    let updated = json!({ "url": "https://c.example", "title": "", "last_updated": "2026-03-04" });
    body["search_results"] = json!([result(None, "a"), { "title": "no address" }, updated]);
    let (outcome, _) = ask::<Chat>(vec![Reply::json(200, &body)]).await;
    let completion = outcome.unwrap();
    let updated = WebSource { date: Some("2026-03-04".to_owned()), ..bare("https://c.example") };
    assert_eq!(completion.sources, [source("a"), WebSource::default(), updated]);
    assert_eq!((completion.usage.searches, completion.usage.reported_cost), (2, Some(6_120_000)));
}

#[tokio::test]
async fn sources_of_a_streamed_answer() {
    let last = Chat::frames(&["Ada [1]."], Some((21, 5))).concat();
    let chunk = json!({ "choices": [], "search_results": [result(None, "a")], "citations": ["https://x.example"] });
    let stream = Reply::open(200, "text/event-stream").send(format!("data: {chunk}\n\n")).send(last);
    let (_, outcome, _) = listen::<Chat>(stream).await;
    let completion = outcome.unwrap();
    assert_eq!(completion.sources, [source("a")]);
    assert_eq!((completion.usage.searches, completion.usage.completion), (2, 5));
}
