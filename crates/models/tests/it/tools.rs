//! Tools over every wire that has them: what is sent, field by field, and how calls are read, whole and streamed.

use std::sync::Arc;

use futures::StreamExt as _;
use lorekeep_models::layer::kept::Kept;
use lorekeep_store::{CacheLimits, SqliteCache};
use lorekeep_testkit::upstream::{Asked, Reply};
use lorekeep_types::{
    CacheKind, ChatEvent, ChatMessage, ChatModel as _, ChatRequest, ChatRole, Completion, FinishReason, ModelCache,
    ModelDesk as _, ModelError, ModelFault, ModelId, Models as _, Part, Role, Tool, ToolCall, ToolChoice,
};
use serde_json::{Value, json};

use crate::anthropic::Messages;
use crate::conformance::{Dialect, asked, call, model_at, start};
use crate::gateway::{Bench, Fixed, upstream};
use crate::gemini::GenerateContent;
use crate::generate::Local;
use crate::ollama::Native;
use crate::openai::{Azure, Plain, Router};
use crate::watsonx::Project;

/// How a wire has tools.
trait Tools: Dialect {
    /// The parts of the body of [`request`] that tell of tools and their calls.
    fn sent() -> Value;
    /// The part of the body that says a choice; `null` where nothing is said.
    fn choice(body: &Value) -> &Value;
    /// What it holds for `Auto`, `None`, `Required` and the tool `weather`; `Err` for what cannot be said.
    fn choices() -> [Result<Value, ModelFault>; 4];
    /// An answer with the calls of [`expected`].
    fn calling() -> Value;
    /// The same piece by piece.
    fn calling_frames() -> Vec<String>;
    /// The ids of the calls.
    const IDS: [&str; 2] = ["c-1", "c-2"];
}

fn schema() -> Value {
    json!({ "type": "object", "properties": { "city": { "type": "string" } }, "required": ["city"] })
}

pub fn tool() -> Tool {
    Tool { name: "weather".to_owned(), description: "Tells the weather.".to_owned(), parameters: schema().to_string() }
}

/// A conversation with a call and its result.
fn request() -> ChatRequest {
    let earlier = ToolCall {
        id: "c-0".to_owned(),
        name: "weather".to_owned(),
        arguments: "{\"city\":\"Bern\"}".to_owned(),
        signature: Some("sign".to_owned()),
    };
    let result = Part::ToolResult { id: "c-0".to_owned(), name: "weather".to_owned(), text: "4 degrees".to_owned() };
    ChatRequest {
        messages: vec![
            ChatMessage::text(ChatRole::User, "How warm is it?"),
            ChatMessage {
                role: ChatRole::Assistant,
                parts: vec![Part::Text("I look.".to_owned()), Part::ToolCall(earlier)],
            },
            ChatMessage { role: ChatRole::Tool, parts: vec![result] },
        ],
        tools: vec![tool()],
        ..ChatRequest::default()
    }
}

async fn ask<D: Tools>(reply: Reply, request: &ChatRequest) -> (Result<Completion, ModelError>, Vec<Asked>) {
    let upstream = start::<D>([reply]).await;
    let outcome = model_at::<D>(&upstream.url()).chat(&call(), request).await;
    (outcome, asked::<D>(&upstream))
}

fn expected<D: Tools>(completion: &Completion) {
    let calls: Vec<(&str, &str, Value)> = completion
        .tool_calls
        .iter()
        .map(|call| (call.id.as_str(), call.name.as_str(), serde_json::from_str(&call.arguments).unwrap()))
        .collect();
    let [first, second] = D::IDS;
    let named = [(first, "weather", json!({ "city": "Oslo" })), (second, "weather", json!({ "city": "Rome" }))];
    assert_eq!(calls, named);
    assert_eq!((completion.text.as_str(), &completion.finish), ("", &FinishReason::ToolCalls));
}

async fn tools_and_calls_are_sent<D: Tools>() {
    let (outcome, asked) = ask::<D>(Reply::json(200, &D::calling()), &request()).await;
    expected::<D>(&outcome.unwrap());
    let body = asked[0].json();
    for (key, value) in D::sent().as_object().unwrap() {
        assert_eq!(&body[key], value, "{key}");
    }
}

async fn choices_are_said<D: Tools>() {
    let choices = [ToolChoice::Auto, ToolChoice::None, ToolChoice::Required, ToolChoice::Named("weather".to_owned())];
    for (tool_choice, expected) in choices.into_iter().zip(D::choices()) {
        let request = ChatRequest { tool_choice: tool_choice.clone(), ..request() };
        let (outcome, asked) = ask::<D>(Reply::json(200, &D::calling()), &request).await;
        match expected {
            Ok(said) => assert_eq!(D::choice(&asked[0].json()), &said, "{tool_choice:?}"),
            Err(fault) => {
                assert_eq!((outcome.unwrap_err().fault, asked.len()), (fault, 0), "{tool_choice:?}");
            }
        }
    }
    // Without tools nothing is said of them.
    let none = ChatRequest { tools: Vec::new(), ..request() };
    let (_, asked) = ask::<D>(Reply::json(200, &D::calling()), &none).await;
    let body = asked[0].json();
    assert!(body["tools"].is_null() && D::choice(&body).is_null(), "{body}");
}

async fn streamed_calls_are_put_together<D: Tools>() {
    let reply = D::calling_frames()
        .iter()
        .fold(Reply::open(200, D::stream_type()), |reply, frame| reply.send(frame.as_bytes()));
    let upstream = start::<D>([reply]).await;
    let mut events = model_at::<D>(&upstream.url()).stream(&call(), &request()).await.unwrap();
    let Some(Ok(ChatEvent::Done(completion))) = events.next().await else { panic!("no text comes before the end") };
    expected::<D>(&completion);
    assert!(events.next().await.is_none());
}

async fn parameters_have_to_be_json<D: Tools>() {
    let broken = ChatRequest { tools: vec![Tool { parameters: "{".to_owned(), ..tool() }], ..request() };
    let (outcome, asked) = ask::<D>(Reply::json(200, &D::calling()), &broken).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.fault.clone(), asked.len()), (ModelFault::Request, 0));
    assert!(error.message.contains("the parameters of the tool `weather` are not JSON"), "{error}");
}

macro_rules! tool_suite {
    ($module:ident, $dialect:ty) => {
        mod $module {
            super::tool_suite!($dialect: tools_and_calls_are_sent, choices_are_said, streamed_calls_are_put_together,
                parameters_have_to_be_json);
        }
    };
    ($dialect:ty: $($name:ident),+) => {
        $(#[tokio::test]
        async fn $name() {
            super::$name::<$dialect>().await;
        })+
    };
}
use tool_suite;

/// OpenAI's list of tools and its messages of [`request`].
fn openai_sent() -> Value {
    let function = json!({ "name": "weather", "description": "Tells the weather.", "parameters": schema() });
    let earlier = json!({ "name": "weather", "arguments": "{\"city\":\"Bern\"}" });
    json!({
        "tools": [{ "type": "function", "function": function }],
        "messages": [
            { "role": "user", "content": "How warm is it?" },
            { "role": "assistant", "content": "I look.",
                "tool_calls": [{ "id": "c-0", "type": "function", "function": earlier }] },
            { "role": "tool", "tool_call_id": "c-0", "content": "4 degrees" },
        ],
    })
}

fn openai_choices() -> [Result<Value, ModelFault>; 4] {
    let named = json!({ "type": "function", "function": { "name": "weather" } });
    [Ok(Value::Null), Ok(json!("none")), Ok(json!("required")), Ok(named)]
}

fn openai_message() -> Value {
    let call = |id: &str, city: &str| {
        let function = json!({ "name": "weather", "arguments": format!("{{\"city\": \"{city}\"}}") });
        json!({ "id": id, "type": "function", "function": function })
    };
    json!({ "role": "assistant", "content": null, "tool_calls": [call("c-1", "Oslo"), call("c-2", "Rome")] })
}

/// The arguments of two calls, whose pieces alternate.
fn openai_deltas() -> Vec<Value> {
    let begun = |index: u32, id: &str| json!({ "index": index, "id": id, "type": "function", "function": { "name": "weather", "arguments": "" } });
    let more = |index: u32, arguments: &str| json!({ "index": index, "function": { "arguments": arguments } });
    [
        vec![begun(0, "c-1")],
        vec![more(0, "{\"city\":")],
        vec![begun(1, "c-2"), more(1, "{\"city\": \"Ro")],
        vec![more(0, " \"Oslo\"}"), more(1, "me\"}")],
    ]
    .into_iter()
    .map(|calls| json!({ "tool_calls": calls }))
    .collect()
}

fn choice_of(message: &Value) -> Value {
    json!([{ "index": 0, "message": message, "finish_reason": "tool_calls" }])
}

macro_rules! openai_tools {
    ($dialect:ty) => {
        impl Tools for $dialect {
            fn sent() -> Value {
                openai_sent()
            }

            fn choice(body: &Value) -> &Value {
                &body["tool_choice"]
            }

            fn choices() -> [Result<Value, ModelFault>; 4] {
                openai_choices()
            }

            fn calling() -> Value {
                json!({ "id": "chatcmpl-1", "model": "m", "choices": choice_of(&openai_message()) })
            }

            fn calling_frames() -> Vec<String> {
                let chunk = |delta: Value, finish: Value| {
                    let choices = json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
                    format!("data: {}\n\n", json!({ "id": "chatcmpl-1", "choices": choices }))
                };
                let deltas = openai_deltas().into_iter().map(|delta| chunk(delta, Value::Null));
                deltas.chain([chunk(json!({}), json!("tool_calls")), "data: [DONE]\n\n".to_owned()]).collect()
            }
        }
    };
}
openai_tools!(Plain);
openai_tools!(Azure);
openai_tools!(Router);
tool_suite!(openai, crate::openai::Plain);
tool_suite!(azure, crate::openai::Azure);
tool_suite!(router, crate::openai::Router);

impl Tools for Project {
    fn sent() -> Value {
        let mut sent = openai_sent();
        sent["messages"][0]["content"] = json!([{ "type": "text", "text": "How warm is it?" }]);
        sent
    }

    /// A word has a field of its own, which never stands beside the other.
    fn choice(body: &Value) -> &Value {
        let [word, named] = ["tool_choice_option", "tool_choice"].map(|field| &body[field]);
        assert!(named.is_null() || (word.is_null() && named.is_object()), "{body}");
        if word.is_null() { named } else { word }
    }

    fn choices() -> [Result<Value, ModelFault>; 4] {
        openai_choices()
    }

    fn calling() -> Value {
        json!({ "id": "chat-1", "model_id": "m", "choices": choice_of(&openai_message()) })
    }

    fn calling_frames() -> Vec<String> {
        let item = |delta: Value, finish: Value| {
            let choices = json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
            format!("event: message\ndata: {}\n\n", json!({ "id": "chat-1", "choices": choices }))
        };
        let deltas = openai_deltas().into_iter().map(|delta| item(delta, Value::Null));
        deltas.chain([item(json!({}), json!("tool_calls"))]).collect()
    }
}
tool_suite!(watsonx, crate::watsonx::Project);

impl Tools for Messages {
    fn sent() -> Value {
        json!({
            "tools": [{ "name": "weather", "description": "Tells the weather.", "input_schema": schema() }],
            "messages": [
                { "role": "user", "content": [{ "type": "text", "text": "How warm is it?" }] },
                { "role": "assistant", "content": [
                    { "type": "text", "text": "I look." },
                    { "type": "tool_use", "id": "c-0", "name": "weather", "input": { "city": "Bern" } },
                ] },
                { "role": "user", "content": [
                    { "type": "tool_result", "tool_use_id": "c-0", "content": "4 degrees" },
                ] },
            ],
        })
    }

    fn choice(body: &Value) -> &Value {
        &body["tool_choice"]
    }

    fn choices() -> [Result<Value, ModelFault>; 4] {
        let named = json!({ "type": "tool", "name": "weather" });
        [Ok(Value::Null), Ok(json!({ "type": "none" })), Ok(json!({ "type": "any" })), Ok(named)]
    }

    fn calling() -> Value {
        let block = |id: &str, city: &str| json!({ "type": "tool_use", "id": id, "name": "weather", "input": { "city": city } });
        json!({ "id": "msg_1", "content": [block("c-1", "Oslo"), block("c-2", "Rome")], "stop_reason": "tool_use" })
    }

    fn calling_frames() -> Vec<String> {
        let event = |body: Value| format!("event: {}\ndata: {body}\n\n", body["type"].as_str().unwrap());
        let begun = |index: u32, id: &str| {
            let block = json!({ "type": "tool_use", "id": id, "name": "weather", "input": {} });
            event(json!({ "type": "content_block_start", "index": index, "content_block": block }))
        };
        let more = |index: u32, json: &str| {
            let delta = json!({ "type": "input_json_delta", "partial_json": json });
            event(json!({ "type": "content_block_delta", "index": index, "delta": delta }))
        };
        vec![
            begun(0, "c-1"),
            more(0, ""),
            more(0, "{\"city\":"),
            more(0, " \"Oslo\"}"),
            begun(1, "c-2"),
            more(1, "{\"city\": \"Rome\"}"),
            event(json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" } })),
            event(json!({ "type": "message_stop" })),
        ]
    }
}
tool_suite!(anthropic, crate::anthropic::Messages);

fn gemini_part(id: &str, city: &str) -> Value {
    json!({ "functionCall": { "id": id, "name": "weather", "args": { "city": city } }, "thoughtSignature": "sign" })
}

impl Tools for GenerateContent {
    fn sent() -> Value {
        let function =
            json!({ "name": "weather", "description": "Tells the weather.", "parametersJsonSchema": schema() });
        let response = json!({ "id": "c-0", "name": "weather", "response": { "result": "4 degrees" } });
        json!({
            "tools": [{ "functionDeclarations": [function] }],
            "contents": [
                { "role": "user", "parts": [{ "text": "How warm is it?" }] },
                { "role": "model", "parts": [{ "text": "I look." }, gemini_part("c-0", "Bern")] },
                { "role": "user", "parts": [{ "functionResponse": response }] },
            ],
        })
    }

    fn choice(body: &Value) -> &Value {
        &body["toolConfig"]["functionCallingConfig"]
    }

    fn choices() -> [Result<Value, ModelFault>; 4] {
        let named = json!({ "mode": "ANY", "allowedFunctionNames": ["weather"] });
        [Ok(Value::Null), Ok(json!({ "mode": "NONE" })), Ok(json!({ "mode": "ANY" })), Ok(named)]
    }

    fn calling() -> Value {
        let parts = [gemini_part("c-1", "Oslo"), gemini_part("c-2", "Rome")];
        json!({ "candidates": [{ "content": { "role": "model", "parts": parts }, "finishReason": "STOP" }] })
    }

    fn calling_frames() -> Vec<String> {
        let chunk = |part: Value, finish: Value| {
            let content = json!({ "role": "model", "parts": [part] });
            format!("data: {}\r\n\r\n", json!({ "candidates": [{ "content": content, "finishReason": finish }] }))
        };
        vec![chunk(gemini_part("c-1", "Oslo"), Value::Null), chunk(gemini_part("c-2", "Rome"), json!("STOP"))]
    }
}
tool_suite!(gemini, crate::gemini::GenerateContent);

/// What Gemini says with a call is said again with it.
#[tokio::test]
async fn signatures_are_kept() {
    let (outcome, _) = ask::<GenerateContent>(Reply::json(200, &GenerateContent::calling()), &request()).await;
    let calls = outcome.unwrap().tool_calls;
    assert!(calls.iter().all(|call| call.signature.as_deref() == Some("sign")), "{calls:?}");
}

fn ollama_line(cities: &[&str], done: bool) -> Value {
    let call = |city: &&str| json!({ "function": { "name": "weather", "arguments": { "city": city } } });
    let calls: Vec<Value> = cities.iter().map(call).collect();
    let message = json!({ "role": "assistant", "content": "", "tool_calls": calls });
    let reason = if done { json!("stop") } else { Value::Null };
    json!({ "model": "m", "message": message, "done": done, "done_reason": reason })
}

impl Tools for Native {
    const IDS: [&str; 2] = ["call_0", "call_1"];

    fn sent() -> Value {
        let earlier = json!({ "function": { "name": "weather", "arguments": { "city": "Bern" } } });
        json!({
            "tools": openai_sent()["tools"],
            "messages": [
                { "role": "user", "content": "How warm is it?" },
                { "role": "assistant", "content": "I look.", "tool_calls": [earlier] },
                { "role": "tool", "tool_name": "weather", "content": "4 degrees" },
            ],
        })
    }

    /// It is said by offering the tools or not.
    fn choice(body: &Value) -> &Value {
        &body["tool_choice"]
    }

    fn choices() -> [Result<Value, ModelFault>; 4] {
        [Ok(Value::Null), Ok(Value::Null), Err(ModelFault::Capability), Err(ModelFault::Capability)]
    }

    fn calling() -> Value {
        ollama_line(&["Oslo", "Rome"], true)
    }

    fn calling_frames() -> Vec<String> {
        let lines = [ollama_line(&["Oslo"], false), ollama_line(&["Rome"], false), ollama_line(&[], true)];
        lines.map(|line| format!("{line}\n")).into()
    }
}
tool_suite!(ollama, crate::ollama::Native);

#[tokio::test]
async fn ollama_is_not_offered_what_it_may_not_call() {
    let request = ChatRequest { tool_choice: ToolChoice::None, ..request() };
    let (_, asked) = ask::<Native>(Reply::json(200, &Native::calling()), &request).await;
    assert!(asked[0].json()["tools"].is_null());
}

#[tokio::test]
async fn a_provider_without_tools_says_so() {
    let upstream = start::<Local>([]).await;
    let model = model_at::<Local>(&upstream.url());
    for outcome in [model.chat(&call(), &request()).await.err(), model.stream(&call(), &request()).await.err()] {
        let error = outcome.unwrap();
        assert_eq!((error.fault.clone(), upstream.asked().len()), (ModelFault::Capability, 0));
        assert!(error.message.contains("call no tools"), "{error}");
    }
}

#[tokio::test]
async fn a_call_without_a_name_is_malformed() {
    let mut body = Plain::calling();
    body["choices"][0]["message"]["tool_calls"][0]["function"]["name"] = Value::Null;
    let (outcome, _) = ask::<Plain>(Reply::json(200, &body), &request()).await;
    assert_eq!(outcome.unwrap_err().fault, ModelFault::Malformed);
}

/// An answer that waits for its tools is none to keep.
#[tokio::test]
async fn calls_are_not_kept() {
    let provider = upstream(|_| Some(Reply::json(200, &Plain::calling()))).await;
    let bench = Bench::new(&[&provider], |_| ());
    let cache: Arc<dyn ModelCache> = Arc::new(SqliteCache::in_memory(Arc::new(Fixed), CacheLimits::default()).unwrap());
    let gateway = bench.gateway.keeping(Some(Kept::new(Arc::clone(&cache))));
    let model = gateway.chat(Role::Answer).unwrap();
    let call = call().kept(CacheKind::Extraction, "extract-1");
    for _ in 0..2 {
        assert_eq!(model.chat(&call, &request()).await.unwrap().tool_calls.len(), 2);
    }
    assert_eq!((provider.asked().len(), cache.sizes().unwrap().len()), (2, 0));
}

#[tokio::test]
async fn a_trial_tells_whether_tools_are_called() {
    for calls in [true, false] {
        let provider = upstream(move |asked| {
            let offered = asked.json()["tools"][0]["function"]["name"].clone();
            let mut called = Plain::calling();
            called["choices"][0]["message"]["tool_calls"][0]["function"]["name"] = offered.clone();
            Some(match (offered.is_string(), calls) {
                (false, _) => Reply::streamed("ready for your documents"),
                (true, true) => Reply::json(200, &called),
                (true, false) => Reply::written("It is noon."),
            })
        })
        .await;
        let bench = Bench::new(&[&provider], |_| ());
        let trial = bench.gateway.test(&ModelId::new("p0", "m"), Role::Answer).await;
        let chats = provider.asked().iter().filter(|asked| asked.path == "/chat/completions").count();
        assert_eq!((trial.ok, trial.tools, chats), (true, Some(calls), 2));
        assert!(trial.usage.prompt_tokens > 1_000, "both calls count: {:?}", trial.usage);
    }
}
