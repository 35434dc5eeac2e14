//! Questions and searches.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::Server;

/// Whether the quote of a citation is exactly what lies at its span.
async fn quote_fits(server: &Server, citation: &Value) -> bool {
    let id = citation["document_id"].as_str().unwrap();
    let text = server.get(&format!("/v1/documents/{id}/text")).await.ok();
    let (start, end) = (citation["span"][0].as_u64().unwrap(), citation["span"][1].as_u64().unwrap());
    let cut: String =
        text["text"].as_str().unwrap().chars().skip(start as usize).take((end - start) as usize).collect();
    cut == citation["quote"].as_str().unwrap()
}

#[tokio::test]
async fn an_answer_quotes_its_documents_to_the_letter() {
    let server = Server::with_library().await;
    let answer = server.post("/v1/ask", &json!({"question": "Who founded the Harbour Institute?"})).await.ok();
    assert_eq!(answer["kind"], "quoted", "{answer}");
    assert_eq!(answer["mode"], "auto");
    assert!(answer["answer"].as_str().unwrap().contains("Maria Alvarez"));
    let citations = answer["citations"].as_array().unwrap();
    assert!(!citations.is_empty());
    for citation in citations {
        assert!(quote_fits(&server, citation).await, "{citation}");
    }
    assert_eq!(answer["usage"]["total_tokens"], 0);
}

#[tokio::test]
async fn a_streamed_answer_ends_with_the_whole() {
    let server = Server::with_library().await;
    let question = json!({"question": "Who founded the Harbour Institute?"}).to_string();
    let request =
        Request::post("/v1/ask").header("accept", "text/event-stream").header("content-type", "application/json");
    let reply = server.send(request.body(Body::from(question)).unwrap()).await;
    assert_eq!(reply.header("content-type"), "text/event-stream");
    let events = reply.events();
    assert_eq!((events[0].0.as_str(), &events[0].1["stage"]), ("stage", &json!("searching")));
    let (name, done) = events.last().unwrap();
    assert_eq!(name, "done");
    let told: String =
        events.iter().filter(|(name, _)| name == "answer").map(|(_, data)| data["text"].as_str().unwrap()).collect();
    assert_eq!(told, done["answer"].as_str().unwrap());
    let citations = events.iter().filter(|(name, _)| name == "citation").count();
    assert_eq!(citations, done["citations"].as_array().unwrap().len());
}

#[tokio::test]
async fn a_failure_inside_a_stream_is_an_event() {
    let server = Server::new();
    let reply = server
        .post("/v1/ask?workspace=default", &json!({"question": "hello there", "mode": "bypass", "stream": true}))
        .await;
    let events = reply.events();
    let (name, problem) = events.last().unwrap();
    assert_eq!((name.as_str(), &problem["code"]), ("error", &json!("E-CAPABILITY-MISSING")), "{problem}");
}

#[tokio::test]
async fn what_no_document_answers_is_abstained_from() {
    let server = Server::with_library().await;
    let answer = server.post("/v1/ask", &json!({"question": "What is the capital of Mongolia?"})).await.ok();
    assert_eq!(answer["kind"], "abstained", "{answer}");
}

#[tokio::test]
async fn results_carry_score_place_and_reasons() {
    let server = Server::with_library().await;
    let found = server.post("/v1/search", &json!({"query": "tidal turbine availability", "limit": 1})).await.ok();
    assert_eq!(found["mode"], "auto");
    let results = found["results"].as_array().unwrap();
    assert_eq!(results.len(), 1);
    assert_eq!(results[0]["rank"], 1);
    assert_eq!(results[0]["document"]["name"], "minutes/may.md");
    assert!(!results[0]["reasons"].as_array().unwrap().is_empty(), "{}", results[0]);
    assert!(found["searched"].as_u64().unwrap() >= 2);
    let filter = json!({"query": "tidal", "filter": {"folders": ["minutes"]}});
    let found = server.post("/v1/search", &filter).await.ok();
    assert!(found["results"].as_array().unwrap().iter().all(|one| one["document"]["name"] == "minutes/may.md"));
}

#[tokio::test]
async fn graph_modes_list_entities() {
    let server = Server::with_library().await;
    let found = server.post("/v1/search", &json!({"query": "Maria Alvarez", "mode": "local"})).await.ok();
    assert!(!found["entities"].as_array().unwrap().is_empty(), "{found}");
}
