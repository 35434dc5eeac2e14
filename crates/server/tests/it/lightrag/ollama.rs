//! Ollama's surface: the form of its messages, with and without a model.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use lorekeep_testkit::upstream::{Asked, Reply};
use serde_json::{Value, json};

use crate::support::Server;
use crate::written::{numbered, served};

const QUESTION: &str = "Who founded the Harbour Institute?";
const TEXT: &str = "Maria Alvarez founded the Harbour Institute in 1987 [{charter}].";

fn chat(content: &str, more: Value) -> Value {
    let mut body = json!({ "model": "lightrag:latest", "messages": [{ "role": "user", "content": content }] });
    let fields = more.as_object().cloned().unwrap_or_default();
    fields.into_iter().for_each(|(name, value)| body[name] = value);
    body
}

fn answering(asked: &Asked) -> Reply {
    let text = numbered(asked, TEXT);
    if asked.json()["stream"] == true { Reply::streamed(&text) } else { Reply::written(&text) }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_chat_streams_messages_and_ends_with_what_it_took() {
    let (server, _upstream) = served(answering).await;
    // Other modes find more once the vectors of the graph are there.
    let question = format!("/naive {QUESTION}");
    let reply = server.post("/api/chat", &chat(&question, json!({}))).await;
    assert_eq!((reply.status, reply.header("content-type")), (StatusCode::OK, "application/x-ndjson"));
    let lines = lines(&reply.text());
    let text: String = lines.iter().filter_map(|line| line["message"]["content"].as_str()).collect();
    assert!(text.starts_with("Maria Alvarez founded") && text.contains("### References"), "{text}");
    let (last, others) = lines.split_last().unwrap();
    assert!(
        others.len() > 3 && others.iter().all(|line| line["done"] == false && line["message"]["role"] == "assistant")
    );
    assert_eq!((&last["done"], &last["done_reason"], &last["eval_count"]), (&json!(true), &json!("stop"), &json!(50)));
    assert_eq!(last["prompt_eval_count"], 1000);
    let whole = server.post("/api/chat", &chat(&question, json!({ "stream": false }))).await.ok();
    assert_eq!(whole["message"]["content"].as_str().unwrap().trim(), text.trim());
    assert!(whole["total_duration"].as_u64().unwrap() > 0 && whole["message"]["images"].is_null(), "{whole}");
}

#[tokio::test]
async fn prefixes_choose_mode_context_and_wishes() {
    let (server, upstream) = served(answering).await;
    server
        .post("/api/chat", &chat(&format!("/naive[Name the year.] {QUESTION}"), json!({ "stream": false })))
        .await
        .ok();
    let sent = upstream.asked()[0].json()["messages"].to_string();
    assert!(sent.contains("Name the year.") && sent.contains(&format!("Question: {QUESTION}")), "{sent}");
    let context =
        server.post("/api/chat", &chat(&format!("/context {QUESTION}"), json!({ "stream": false }))).await.ok();
    assert!(context["message"]["content"].as_str().unwrap().contains("Document Chunks"), "{context}");
    assert_eq!(upstream.asked().len(), 1, "a context is made without the model");
    server.post("/api/chat", &chat("/bypass Say hello.", json!({ "stream": false, "system": "Be kind." }))).await.ok();
    let sent = upstream.asked()[1].json()["messages"].to_string();
    assert!(sent.contains("Be kind.") && !sent.contains("Passages:"), "{sent}");
    let title = "Make a title.\n<chat_history>\nUSER: hello";
    server.post("/api/chat", &chat(title, json!({ "stream": false }))).await.ok();
    assert!(!upstream.asked()[2].json()["messages"].to_string().contains("Passages:"));
    let generated = server.post("/api/generate", &json!({ "model": "x", "prompt": "Say hello." })).await.ok();
    assert!(
        generated["response"].as_str().unwrap().starts_with("Maria") && generated["context"] == json!([]),
        "{generated}"
    );
}

#[tokio::test]
async fn trouble_has_its_status_before_the_first_message() {
    let (server, _upstream) = served(|_| Reply::json(500, &json!({ "error": { "message": "boom" } }))).await;
    for stream in [true, false] {
        let failed = server.post("/api/chat", &chat(QUESTION, json!({ "stream": stream }))).await;
        assert_eq!(failed.status, StatusCode::BAD_GATEWAY);
        assert!(failed.json()["detail"].as_str().unwrap().contains("boom"), "{}", failed.text());
    }
    let (server, _upstream) =
        served(|asked| Reply::begun(&numbered(asked, TEXT)).then(lorekeep_testkit::upstream::Step::Reset)).await;
    let lines = lines(&server.post("/api/chat", &chat(QUESTION, json!({}))).await.text());
    let [.., failure, end] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(failure["error"].as_str().unwrap().contains("E-UPSTREAM"), "{failure}");
    assert_eq!((&end["done"], &end["message"]["content"]), (&json!(true), &json!("")));
}

#[tokio::test]
async fn without_a_model_chats_are_answered_with_quotes() {
    let server = Server::with_library().await;
    let answer = server.post("/api/chat", &chat(QUESTION, json!({ "stream": false }))).await.ok();
    assert!(answer["message"]["content"].as_str().unwrap().contains("founded by Maria Alvarez"), "{answer}");
    let alone = server.post("/api/generate", &json!({ "model": "x", "prompt": "Say hello." })).await;
    assert_eq!(alone.status, StatusCode::NOT_IMPLEMENTED);
    assert_eq!(server.get("/api/version").await.ok(), json!({ "version": "0.9.3" }));
    assert_eq!(server.get("/api/tags").await.ok()["models"][0]["name"], "lightrag:latest");
    assert_eq!(server.get("/api/ps").await.ok()["models"][0]["details"]["family"], "llama");
}

#[tokio::test]
async fn bodies_are_read_whatever_their_type_and_faults_are_named() {
    let server = Server::with_library().await;
    let octets = Request::post("/api/chat").header("content-type", "application/octet-stream");
    let body = chat(QUESTION, json!({ "stream": false })).to_string();
    server.send(octets.body(Body::from(body)).unwrap()).await.ok();
    let long = "x".repeat(40_000);
    let assistant = json!({ "model": "x", "messages": [{ "role": "assistant", "content": "Hello." }] });
    for (body, what) in [
        (json!({ "messages": [] }), "Invalid request body: missing field `model`"),
        (json!({ "model": "x", "messages": [] }), "No messages provided"),
        (assistant, "Last message must be from user"),
        (chat(&long, json!({})), "messages.content is longer than 32768 characters"),
    ] {
        let refused = server.post("/api/chat", &body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(refused.json()["detail"].as_str().unwrap().contains(what), "{}", refused.text());
    }
}
