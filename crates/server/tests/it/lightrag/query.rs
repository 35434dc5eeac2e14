//! `/query`, `/query/stream`, `/query/data`.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::with_texts;
use crate::support::Server;

#[tokio::test]
async fn a_context_holds_entities_relations_chunks_and_references() {
    let server = with_texts().await;
    let body = json!({"query": "Who founded the Harbour Institute?", "mode": "mix", "only_need_context": true});
    let answer = server.post("/query", &body).await.ok();
    assert_eq!(answer["llm_generated"], false);
    assert!(answer["response_time"].is_f64() || answer["response_time"].is_u64());
    assert_eq!(answer["references"][0]["content"], Value::Null);
    assert!(answer["references"][0].as_object().unwrap().contains_key("content"));
    let context = answer["response"].as_str().unwrap();
    let titles = [
        "Knowledge Graph Data (Entity):",
        "Knowledge Graph Data (Relationship):",
        "Document Chunks",
        "Reference Document List",
    ];
    let places: Vec<usize> =
        titles.iter().map(|title| context.find(title).unwrap_or_else(|| panic!("{title}: {context}"))).collect();
    assert!(places.is_sorted());
    assert!(context.contains("\n[1] "), "{context}");
    let chunk = context.lines().find(|line| line.starts_with("{\"reference_id\": ")).unwrap();
    let chunk: Value = serde_json::from_str(chunk).unwrap();
    assert!(chunk["content"].is_string());
    assert!(
        context.lines().any(|line| line.starts_with("{\"entity\": \"Harbour Institute\", \"type\": ")),
        "{context}"
    );
    assert!(context.lines().any(|line| line.starts_with("{\"entity1\": ")), "{context}");
}

#[tokio::test]
async fn naive_contexts_have_no_graph_and_chunks_can_be_sent_along() {
    let server = with_texts().await;
    let body = json!({
        "query": "tidal turbine", "mode": "naive", "only_need_context": true, "include_chunk_content": true, "chunk_top_k": 1
    });
    let answer = server.post("/query", &body).await.ok();
    assert!(!answer["response"].as_str().unwrap().contains("Knowledge Graph"));
    assert_eq!(answer["references"].as_array().unwrap().len(), 1, "{answer}");
    assert!(!answer["references"][0]["content"][0].as_str().unwrap().is_empty());
    let body = json!({"query": "tidal turbine", "only_need_context": true, "include_references": false});
    assert_eq!(server.post("/query", &body).await.ok()["references"], Value::Null);
}

#[tokio::test]
async fn an_answer_quotes_with_references_at_its_end() {
    let server = with_texts().await;
    let answer = server.post("/query", &json!({"query": "Who founded the Harbour Institute?"})).await.ok();
    let response = answer["response"].as_str().unwrap();
    assert!(response.contains("founded by Maria Alvarez") && response.contains("[1]"), "{response}");
    assert!(response.contains("### References\n\n- [1] "), "{response}");
    assert_eq!(answer["references"][0]["reference_id"], "1");
    assert_eq!(answer["llm_generated"], false);
}

#[tokio::test]
async fn a_prompt_is_shown_with_context_and_question() {
    let server = with_texts().await;
    let body =
        json!({"query": "Who founded it?", "only_need_prompt": true, "user_prompt": "Be brief.", "mode": "naive"});
    let prompt = server.post("/query", &body).await.ok()["response"].as_str().unwrap().to_owned();
    assert!(prompt.contains("Be brief.") && prompt.contains("Document Chunks"));
    assert!(prompt.ends_with("---User Query---\n\nWho founded it?"));
}

#[tokio::test]
async fn without_a_model_bypass_is_refused_with_its_own_status() {
    let server = with_texts().await;
    for path in ["/query", "/query/stream"] {
        let reply = server.post(path, &json!({"query": "Hello", "mode": "bypass"})).await;
        assert_eq!(reply.status, StatusCode::NOT_IMPLEMENTED, "{}", reply.text());
        assert!(reply.json()["detail"].as_str().unwrap().contains("model"));
    }
}

#[tokio::test]
async fn streams_are_lines_of_python_json() {
    let server = Server::new();
    let added = server
        .post(
            "/documents/text",
            &json!({"text": "Die Brücke über die Elbe wurde 1931 gebaut.", "file_source": "brücke.txt"}),
        )
        .await
        .ok();
    super::processed(&server, added["track_id"].as_str().unwrap()).await;
    let reply = server
        .post("/query/stream", &json!({"query": "Wann wurde die Brücke gebaut?", "include_progress": true}))
        .await;
    assert_eq!(reply.header("content-type"), "application/x-ndjson");
    assert_eq!((reply.header("cache-control"), reply.header("x-accel-buffering")), ("no-cache", "no"));
    assert!(reply.text().is_ascii());
    let lines: Vec<Value> = reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let keys: Vec<String> =
        lines.iter().map(|line| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join("+")).collect();
    assert_eq!(
        keys,
        ["progress", "progress", "progress", "progress", "references", "llm_generated+response", "response_time"]
    );
    let references = reply.text().lines().find(|line| line.contains("references")).unwrap().to_owned();
    assert_eq!(references, r#"{"references": [{"file_path": "br\u00fccke.txt", "reference_id": "1"}]}"#);

    let whole =
        server.post("/query/stream", &json!({"query": "Wann wurde die Brücke gebaut?", "stream": false})).await.text();
    assert_eq!(whole.lines().count(), 1);
    assert!(
        whole.starts_with("{\"response\": \"") && whole.contains("\"llm_generated\": false, \"references\": [{"),
        "{whole}"
    );
}

#[tokio::test]
async fn data_has_every_part() {
    let server = with_texts().await;
    let body =
        json!({"query": "Who founded the Harbour Institute?", "mode": "hybrid", "ll_keywords": ["Harbour Institute"]});
    let data = server.post("/query/data", &body).await.ok();
    assert_eq!((&data["status"], &data["metadata"]["query_mode"]), (&json!("success"), &json!("hybrid")));
    assert_eq!(data["metadata"]["keywords"]["low_level"], json!(["Harbour Institute"]));
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&data["data"]), ["chunks", "entities", "references", "relationships"]);
    assert_eq!(
        keys(&data["data"]["entities"][0]),
        ["created_at", "description", "entity_name", "entity_type", "file_path", "source_id"]
    );
    assert_eq!(
        keys(&data["data"]["relationships"][0]),
        ["created_at", "description", "file_path", "keywords", "source_id", "src_id", "tgt_id", "weight"]
    );
    assert_eq!(keys(&data["data"]["chunks"][0]), ["chunk_id", "content", "file_path", "reference_id"]);
    assert_eq!(keys(&data["metadata"]["processing_info"]).len(), 6);
    let naive = server.post("/query/data", &json!({"query": "tidal energy", "mode": "naive"})).await.ok();
    assert_eq!(keys(&naive["metadata"]["processing_info"]), ["final_chunks_count", "total_chunks_found"]);
    let empty = Server::new().post("/query/data", &json!({"query": "anything at all"})).await.ok();
    assert_eq!((&empty["status"], &empty["data"]), (&json!("failure"), &json!({})));
}

#[tokio::test]
async fn validation_faults_look_like_fastapis() {
    let server = Server::new();
    let invalid =
        server.post("/query", &json!({"query": "  ", "mode": "psychic", "top_k": 0, "hl_keywords": "x"})).await;
    assert_eq!(invalid.status, StatusCode::UNPROCESSABLE_ENTITY);
    insta::assert_json_snapshot!(invalid.json());
    let missing = server.post("/query", &json!({})).await.json();
    assert_eq!(
        missing,
        json!({"detail": [{"type": "missing", "loc": ["body", "query"], "msg": "Field required", "input": {}}]})
    );
    let short = server.post("/query", &json!({"query": "ab"})).await.json();
    assert!(short["detail"][0]["msg"].as_str().unwrap().starts_with("Value error, RAG query is too short."));
    assert_eq!(
        server.post("/query", &json!({"query": "漢字", "only_need_context": true})).await.status,
        StatusCode::OK
    );

    let data = server.post("/query/data", &json!({"query": "abc", "mode": "psychic"})).await;
    assert_eq!(data.status, StatusCode::BAD_REQUEST);
    insta::assert_json_snapshot!(data.json());
}

#[tokio::test]
async fn bodies_that_are_not_json_are_named() {
    let server = Server::new();
    let send = |body: &'static str| {
        let request = axum::http::Request::post("/query").body(axum::body::Body::from(body)).unwrap();
        server.send(request)
    };
    let broken = send("{\"query\": }").await;
    assert_eq!(broken.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(broken.json()["detail"][0]["type"], "json_invalid");
    assert_eq!(broken.json()["detail"][0]["loc"][0], "body");
    assert_eq!(send("").await.json()["detail"][0]["type"], "missing");
    assert_eq!(send("[1]").await.json()["detail"][0]["type"], "model_attributes_type");
}
