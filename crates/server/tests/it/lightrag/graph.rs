//! `/graphs` and `/graph/*`.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::with_texts;

fn keys(value: &Value) -> Vec<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

#[tokio::test]
async fn labels_are_listed_and_searched() {
    let server = with_texts().await;
    let all = server.get("/graph/label/list").await.ok();
    let names: Vec<&str> = all.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(names.contains(&"Maria Alvarez") && names.is_sorted(), "{names:?}");
    assert_eq!(server.get("/graph/label/popular?limit=1").await.ok().as_array().unwrap().len(), 1);
    assert_eq!(server.get("/graph/label/search?q=maria").await.ok()[0], "Maria Alvarez");
    for path in ["/graph/label/popular?limit=0", "/graph/label/search", "/graph/label/search?q=a&limit=101", "/graphs"]
    {
        let reply = server.get(path).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert_eq!(reply.json()["detail"][0]["loc"][0], "query");
    }
    assert_eq!(server.get("/graph/entity/exists?name=Maria+Alvarez").await.ok(), json!({"exists": true}));
    assert_eq!(server.get("/graph/entity/exists?name=Nobody").await.ok(), json!({"exists": false}));
}

#[tokio::test]
async fn graphs_have_nodes_and_edges() {
    let server = with_texts().await;
    let graph = server.get("/graphs?label=Maria%20Alvarez&max_depth=1").await.ok();
    let node = &graph["nodes"][0];
    assert_eq!((&node["id"], &node["labels"]), (&json!("Maria Alvarez"), &json!(["Maria Alvarez"])));
    assert_eq!(
        keys(&node["properties"]),
        ["created_at", "description", "entity_id", "entity_type", "file_path", "source_id", "truncate"]
    );
    let edge = &graph["edges"][0];
    assert_eq!(keys(edge), ["id", "properties", "source", "target", "type"]);
    assert_eq!(edge["id"], format!("{}-{}", edge["source"].as_str().unwrap(), edge["target"].as_str().unwrap()));
    assert!(edge["source"].as_str() < edge["target"].as_str());
    assert_eq!(graph["is_truncated"], false);
    let empty = server.get("/graphs?label=Nobody").await.ok();
    assert_eq!(empty, json!({"nodes": [], "edges": [], "is_truncated": false}));
    let whole = server.get("/graphs?label=*&max_nodes=2").await.ok();
    assert_eq!((whole["nodes"].as_array().unwrap().len(), &whole["is_truncated"]), (2, &json!(true)));
}

#[tokio::test]
async fn entities_are_created_edited_merged_and_deleted() {
    let server = with_texts().await;
    let bob = json!({"entity_name": "Bob", "entity_data": {"description": "A diver.", "entity_type": "person"}});
    let created = server.post("/graph/entity/create", &bob).await.ok();
    assert_eq!(created["message"], "Entity 'Bob' created successfully");
    assert_eq!(created["data"]["graph_data"]["description"], "A diver.");
    assert_eq!(server.post("/graph/entity/create", &bob).await.status, StatusCode::BAD_REQUEST);

    let taken = json!({"entity_name": "Bob", "updated_data": {"entity_name": "Maria Alvarez"}, "allow_rename": true});
    let reply = server.post("/graph/entity/edit", &taken).await;
    assert_eq!(
        (reply.status, &reply.json()["detail"]),
        (StatusCode::BAD_REQUEST, &json!("Entity name 'Maria Alvarez' already exists, cannot rename"))
    );
    let rename = json!({"entity_name": "Bob", "updated_data": {"entity_name": "Robert", "description": "Dives."}, "allow_rename": true});
    let renamed = server.post("/graph/entity/edit", &rename).await.ok();
    assert_eq!(renamed["data"]["entity_name"], "Robert");
    assert_eq!(renamed["operation_summary"]["renamed"], true);

    let relation = json!({"source_entity": "Robert", "target_entity": "Maria Alvarez", "relation_data": {"description": "Works for her.", "keywords": "works for", "weight": 2.0}});
    let related = server.post("/graph/relation/create", &relation).await.ok();
    assert_eq!(related["data"]["graph_data"]["weight"], 2.0);
    assert_eq!(server.post("/graph/relation/create", &relation).await.status, StatusCode::BAD_REQUEST);
    let edit = json!({"source_id": "Robert", "target_id": "Maria Alvarez", "updated_data": {"keywords": "dives for"}});
    assert_eq!(server.post("/graph/relation/edit", &edit).await.ok()["data"]["graph_data"]["keywords"], "dives for");
    let ends = json!({"source_entity": "Robert", "target_entity": "Maria Alvarez"});
    let gone = server.call(Method::DELETE, "/graph/relation/delete", &ends).await.ok();
    assert_eq!(
        (&gone["status"], &gone["status_code"], &gone["file_path"]),
        (&json!("success"), &json!(200), &json!(null))
    );
    let missing = server.call(Method::DELETE, "/graph/relation/delete", &ends).await;
    assert_eq!(
        (missing.status, missing.json()),
        (StatusCode::NOT_FOUND, json!({"detail": "Relation from 'Robert' to 'Maria Alvarez' does not exist"}))
    );

    let merge = json!({"entities_to_change": ["Robert"], "entity_to_change_into": "Maria Alvarez"});
    let merged = server.post("/graph/entities/merge", &merge).await.ok();
    assert_eq!(merged["message"], "Successfully merged 1 entities into 'Maria Alvarez'");
    let delete = json!({"entity_name": "Jonas Weber"});
    assert_eq!(server.call(Method::DELETE, "/graph/entity/delete", &delete).await.ok()["status"], "success");
    assert_eq!(server.call(Method::DELETE, "/graph/entity/delete", &delete).await.status, StatusCode::NOT_FOUND);
}
