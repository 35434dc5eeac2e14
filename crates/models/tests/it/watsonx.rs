//! IBM watsonx.ai's wire.

use std::sync::Arc;

use lorekeep_models::gateway::settings::ProviderKind;
use lorekeep_models::provider::auth::Authorize;
use lorekeep_models::provider::chat::HttpChat;
use lorekeep_models::provider::http::{Http, Pool};
use lorekeep_models::provider::watsonx::{Scope, VERSION, WatsonX};
use lorekeep_models::provider::wire::ChatWire;
use lorekeep_testkit::upstream::{Asked, Reply, Upstream};
use lorekeep_types::{
    ChatMessage, ChatModel as _, ChatRequest, ChatRole, FinishReason, ModelFault, ModelId, OutputFormat, Part,
};
use serde_json::{Value, json};

use crate::conformance::{Dialect, MODEL, ask, call, chat_suite, listen, quick};
use crate::iam::{TOKEN_PATH, token, tokens_at};
use crate::openai::{messages, usage, word};

pub struct Project;

fn whole(message: &Value, finish: &FinishReason, reported: Option<(u64, u64)>) -> Value {
    let mut body = json!({
        "id": "chat-1", "model_id": "test/model-1", "model": "test/model-1", "created": 1, "model_version": "1.1.0",
        "choices": [{ "index": 0, "message": message, "finish_reason": word(finish) }],
        "system": { "warnings": [{ "message": "a notice", "id": "disclaimer_warning" }] },
    });
    if reported.is_some() {
        body["usage"] = usage(reported);
    }
    body
}

impl Dialect for Project {
    const KIND: ProviderKind = ProviderKind::WatsonX;

    fn wire() -> Arc<dyn ChatWire> {
        Arc::new(WatsonX::new(Scope::Project("project-1".to_owned())))
    }

    fn auth() -> Arc<dyn Authorize> {
        Self::auth_at("http://127.0.0.1:1")
    }

    fn auth_at(url: &str) -> Arc<dyn Authorize> {
        Arc::new(tokens_at(url))
    }

    fn beside(asked: &Asked) -> Option<Reply> {
        (asked.path == TOKEN_PATH).then(|| token("iam-1", 3600.0))
    }

    fn whole(text: &str, finish: FinishReason, usage: Option<(u64, u64)>) -> String {
        whole(&json!({ "role": "assistant", "content": text }), &finish, usage).to_string()
    }

    fn frames(pieces: &[&str], reported: Option<(u64, u64)>) -> Vec<String> {
        let mut number = 0;
        let mut frame = |choices: Value, usage: Value| {
            number += 1;
            let mut item = json!({ "id": "chat-1", "model_id": "test/model-1", "created": 1, "choices": choices });
            if !usage.is_null() {
                item["usage"] = usage;
            }
            format!("id: {number}\nevent: message\ndata: {item}\n\n")
        };
        let choice = |delta: Value, finish: Value| json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
        // Usage beside a delta is not that of the answer.
        let early = json!({ "prompt_tokens": 21, "completion_tokens": 1, "total_tokens": 22 });
        let mut frames = vec![frame(choice(json!({ "role": "assistant", "content": "" }), Value::Null), early)];
        frames.extend(pieces.iter().map(|text| frame(choice(json!({ "content": text }), Value::Null), Value::Null)));
        frames.push(frame(choice(json!({ "content": "" }), json!("stop")), Value::Null));
        if reported.is_some() {
            frames.push(frame(json!([]), usage(reported)));
        }
        frames
    }

    fn error(message: &str) -> String {
        let errors = json!([{ "code": "some_code", "message": message, "more_info": "https://example.com" }]);
        json!({ "trace": "t-1", "status_code": 400, "errors": errors }).to_string()
    }

    fn check(asked: &Asked, streamed: bool) {
        let (operation, accept) =
            if streamed { ("chat_stream", "text/event-stream") } else { ("chat", "application/json") };
        let path = format!("/ml/v1/text/{operation}?version={VERSION}");
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", path.as_str()));
        assert_eq!(asked.header("authorization"), Some("Bearer iam-1"));
        assert_eq!(asked.header("content-type"), Some("application/json"));
        assert_eq!(asked.header("accept"), Some(accept));
        let mut messages = messages();
        for at in [1, 3] {
            messages[at]["content"] = json!([{ "type": "text", "text": messages[at]["content"] }]);
        }
        let expected = json!({
            "model_id": MODEL, "project_id": "project-1", "messages": messages,
            "max_tokens": 77, "temperature": 0.7, "top_p": 0.9, "frequency_penalty": 0, "presence_penalty": 0,
        });
        assert_eq!(asked.json(), expected);
    }

    fn absurd(text: &str) -> String {
        let mut body = whole(&json!({ "content": text }), &FinishReason::Stop, None);
        body["usage"] = json!({ "prompt_tokens": -5, "completion_tokens": 1e18, "total_tokens": 3 });
        body.to_string()
    }
}

chat_suite!(Project);

async fn text_of(body: &Value) -> Result<String, ModelFault> {
    let (outcome, _) = ask::<Project>(vec![Reply::json(200, body)]).await;
    outcome.map(|completion| completion.text).map_err(|error| error.fault)
}

#[tokio::test]
async fn text_is_found_wherever_a_model_puts_it() {
    for field in ["content", "text", "generated_text", "output", "assistant", "response"] {
        for value in [json!("Ada."), json!([{ "type": "text", "text": "Ada." }])] {
            let body = whole(&json!({ "role": "assistant", field: value }), &FinishReason::Stop, None);
            assert_eq!(text_of(&body).await, Ok("Ada.".to_owned()), "{field}");
        }
    }
    let empty_first = json!({ "role": "assistant", "content": "", "text": null, "response": "Ada." });
    assert_eq!(text_of(&whole(&empty_first, &FinishReason::Stop, None)).await, Ok("Ada.".to_owned()));
    let others = [
        json!({ "choices": [{ "text": "Ada." }] }),
        json!({ "choices": [{ "message": { "role": "assistant" }, "generated_text": "Ada." }] }),
        json!({ "results": [{ "generated_text": "Ada.", "stop_reason": "eos_token" }] }),
        json!({ "generated_text": "Ada." }),
        json!({ "text": "Ada." }),
    ];
    for body in others {
        assert_eq!(text_of(&body).await, Ok("Ada.".to_owned()), "{body}");
    }
    assert_eq!(text_of(&json!({ "id": "chat-1" })).await, Err(ModelFault::Malformed));
}

#[tokio::test]
async fn a_message_of_a_role_alone_is_an_error_with_the_reason() {
    let body = whole(&json!({ "role": "assistant" }), &FinishReason::Length, Some((21, 8000)));
    let (outcome, _) = ask::<Project>(vec![Reply::json(200, &body)]).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.fault, ModelFault::Empty { finish: "length".to_owned() });
    assert_eq!(error.usage.map(|usage| usage.completion), Some(8000));
}

#[tokio::test]
async fn older_answers_report_usage_in_their_results() {
    let result = json!({
        "generated_text": "Ada.", "input_token_count": 21, "generated_token_count": 5, "stop_reason": "max_tokens",
    });
    let body = json!({ "model_id": "test/model-1", "results": [result] });
    let (outcome, _) = ask::<Project>(vec![Reply::json(200, &body)]).await;
    let completion = outcome.unwrap();
    assert_eq!((completion.usage.prompt, completion.usage.completion), (21, 5));
    assert_eq!((completion.finish, completion.model.as_str()), (FinishReason::Length, "test/model-1"));
}

#[tokio::test]
async fn errors_inside_answers_are_errors() {
    let error = json!({ "trace": "t", "status_code": 429, "errors": [{ "code": "busy", "message": "too many" }] });
    assert_eq!(text_of(&error).await, Err(ModelFault::RateLimited { after: None }));
    let stream = Reply::open(200, "text/event-stream")
        .send(Project::frames(&["It was "], None)[1].clone())
        .send("event: error\ndata: {\"errors\":[{\"message\":\"gone\"}]}\n\n");
    let (pieces, outcome, _) = listen::<Project>(stream).await;
    let failed = outcome.unwrap_err();
    assert_eq!((pieces.concat().as_str(), failed.message.as_str()), ("It was ", "gone"));
    assert_eq!(failed.fault, ModelFault::Server);
    let stopped = whole(&json!({ "content": "It was" }), &FinishReason::Other("error".to_owned()), None);
    assert_eq!(text_of(&stopped).await, Err(ModelFault::Server));
}

#[tokio::test]
async fn a_space_pictures_schemas_and_a_base_with_a_path() {
    let request = ChatRequest {
        messages: vec![ChatMessage {
            role: ChatRole::User,
            parts: vec![
                Part::Text("What is this?".to_owned()),
                Part::Image { media_type: "image/png".to_owned(), bytes: Arc::from(*b"png") },
            ],
        }],
        stop: vec!["END".to_owned()],
        seed: Some(7),
        output: OutputFormat::Schema { name: "thing".to_owned(), schema: "{\"type\":\"object\"}".to_owned() },
        ..ChatRequest::default()
    };
    let reply = Reply::body(200, "application/json", Project::whole("A dot.", FinishReason::Stop, None));
    let upstream = Upstream::start_with([reply], Project::beside).await.unwrap();
    let wire = WatsonX { scope: Scope::Space("space-1".to_owned()), version: "2024-10-08".to_owned() };
    let http = Http::new(&format!("{}/ml/v1/", upstream.url()), &[], quick(), Pool::default()).unwrap();
    let (id, can) = (ModelId::new("test", MODEL), Project::KIND.capabilities());
    let model = HttpChat::new(id, Arc::new(wire), can, http, Project::auth_at(&upstream.url()));
    model.chat(&call(), &request).await.unwrap();
    let asked = upstream.asked();
    assert_eq!(asked[1].path, "/ml/v1/text/chat?version=2024-10-08");
    let schema = json!({ "name": "thing", "schema": { "type": "object" }, "strict": true });
    let content = json!([
        { "type": "text", "text": "What is this?" },
        { "type": "image_url", "image_url": { "url": "data:image/png;base64,cG5n" } },
    ]);
    let expected = json!({
        "model_id": MODEL, "space_id": "space-1", "messages": [{ "role": "user", "content": content }],
        "stop": ["END"], "seed": 7, "response_format": { "type": "json_schema", "json_schema": schema },
        "top_p": 1, "frequency_penalty": 0, "presence_penalty": 0,
    });
    assert_eq!(asked[1].json(), expected);
}

#[test]
fn a_scope_is_a_project_or_a_space() {
    assert_eq!(Scope::new(Some(" p "), Some("")), Ok(Scope::Project("p".to_owned())));
    assert_eq!(Scope::new(None, Some("s")), Ok(Scope::Space("s".to_owned())));
    assert!(Scope::new(None, Some(" ")).is_err() && Scope::new(Some("p"), Some("s")).is_err());
}
