//! The wire of a local `/v1/generate`.

use std::sync::Arc;

use lorekeep_models::gateway::settings::ProviderKind;
use lorekeep_models::provider::auth::{Authorize, Key};
use lorekeep_models::provider::generate::{Generate, Template};
use lorekeep_models::provider::wire::ChatWire;
use lorekeep_testkit::upstream::{Asked, Reply};
use lorekeep_types::{ChatMessage, ChatRequest, ChatRole, FinishReason, ModelFault, OutputFormat, Part};
use serde_json::{Value, json};

use crate::conformance::{Dialect, ask, question, whole_suite};

const PROMPT: &str = "System: Answer briefly.\nUser: Who?\nAssistant: Ada.\nUser: Was it \"Ada\" — 你好?\nAssistant: ";

pub struct Local;

impl Dialect for Local {
    const KIND: ProviderKind = ProviderKind::Generate;

    fn wire() -> Arc<dyn ChatWire> {
        Arc::new(Generate::default())
    }

    fn auth() -> Arc<dyn Authorize> {
        Arc::new(Key::None)
    }

    fn whole(text: &str, _finish: FinishReason, _usage: Option<(u64, u64)>) -> String {
        json!({ "text": text }).to_string()
    }

    fn stream_type() -> &'static str {
        "application/json"
    }

    fn frames(pieces: &[&str], _usage: Option<(u64, u64)>) -> Vec<String> {
        vec![json!({ "text": pieces.concat() }).to_string()]
    }

    fn error(message: &str) -> String {
        json!({ "detail": message }).to_string()
    }

    fn check(asked: &Asked, _streamed: bool) {
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/v1/generate"));
        assert_eq!(asked.header("authorization"), None);
        assert_eq!(asked.header("content-type"), Some("application/json"));
        let expected =
            json!({ "prompt": PROMPT, "max_tokens": 77, "temperature": 0.7, "top_p": 0.9, "do_sample": true });
        assert_eq!(asked.json(), expected);
    }

    fn absurd(text: &str) -> String {
        json!({ "text": text, "usage": { "prompt_tokens": -5 } }).to_string()
    }
}

whole_suite!(Local);

fn body(template: Template, request: &ChatRequest) -> Value {
    Generate { template }.request("m", request, false).unwrap().body
}

#[test]
fn what_the_request_leaves_open_is_set() {
    let messages = vec![ChatMessage::text(ChatRole::User, "Who?")];
    let request = ChatRequest { messages, ..ChatRequest::default() };
    let prompt = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nWho?<|eot_id|>\
                  <|start_header_id|>assistant<|end_header_id|>\n\n";
    let expected =
        json!({ "prompt": prompt, "max_tokens": 2048, "temperature": 0.7, "top_p": 0.95, "do_sample": true });
    assert_eq!(body(Template::Llama3, &request), expected);
    let cold = ChatRequest { temperature: Some(0.0), output: OutputFormat::Json, ..request };
    let body = body(Template::Plain, &cold);
    assert_eq!((&body["do_sample"], &body["temperature"]), (&json!(false), &json!(0.0)));
    assert_eq!(body["prompt"], json!("User: Who?\nSystem: Answer with one JSON object and nothing else.\nAssistant: "));
}

#[test]
fn pictures_and_schemas_are_refused() {
    let picture = Part::Image { media_type: "image/png".to_owned(), bytes: Arc::from(*b"png") };
    let messages = vec![ChatMessage { role: ChatRole::User, parts: vec![picture] }];
    let schema = OutputFormat::Schema { name: "a".to_owned(), schema: "{}".to_owned() };
    for request in [ChatRequest { messages, ..ChatRequest::default() }, ChatRequest { output: schema, ..question() }] {
        let fault = Generate::default().request("m", &request, false).unwrap_err().fault;
        assert_eq!(fault, ModelFault::Capability);
    }
}

#[tokio::test]
async fn the_echoed_prompt_is_not_part_of_the_answer() {
    let text = format!("{PROMPT}It was Ada.\nUser: Thanks!\nAssistant: Welcome.");
    let (outcome, _) = ask::<Local>(vec![Reply::json(200, &json!({ "text": text }))]).await;
    let completion = outcome.unwrap();
    assert_eq!((completion.text.as_str(), completion.finish), ("It was Ada.", FinishReason::Stop));
    assert_eq!((completion.usage.completion, completion.usage.estimated), (4, true));
    let (outcome, _) = ask::<Local>(vec![Reply::json(200, &json!({ "text": PROMPT }))]).await;
    assert!(matches!(outcome.unwrap_err().fault, ModelFault::Empty { .. }));
}

#[tokio::test]
async fn a_list_of_details_is_quoted() {
    let detail = json!([{ "loc": ["body", "prompt"], "msg": "field required", "type": "missing" }]);
    let (outcome, _) = ask::<Local>(vec![Reply::json(422, &json!({ "detail": detail }))]).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.fault, error.message.as_str()), (ModelFault::Request, "HTTP 422: field required"));
    let (outcome, _) = ask::<Local>(vec![Reply::json(200, &json!({ "output": "Ada." }))]).await;
    assert_eq!(outcome.unwrap_err().fault, ModelFault::Malformed);
}
