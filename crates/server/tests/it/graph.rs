//! The graph's routes.

use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn entities_are_found_shown_and_walked() {
    let server = Server::with_library().await;
    let stats = server.get("/v1/graph/stats").await.ok();
    assert!(stats["entities"].as_u64().unwrap() > 2, "{stats}");
    let found = server.get("/v1/graph/entities?q=maria&limit=5").await.ok();
    assert_eq!(found["entities"][0]["name"], "Maria Alvarez");

    let page = server.get("/v1/graph/entities/Maria%20Alvarez").await.ok();
    assert!(page["entity"]["documents"].as_array().unwrap().len() == 2, "{page}");
    assert!(!page["passages"].as_array().unwrap().is_empty());
    for relation in page["relations"].as_array().unwrap() {
        for evidence in relation["evidence"].as_array().into_iter().flatten() {
            let id = evidence["document_id"].as_str().unwrap();
            let text = server.get(&format!("/v1/documents/{id}/text")).await.ok();
            let (start, end) = (evidence["span"][0].as_u64().unwrap(), evidence["span"][1].as_u64().unwrap());
            let letters = text["text"].as_str().unwrap().chars();
            let cut: String = letters.skip(start as usize).take((end - start) as usize).collect();
            assert_eq!(cut, evidence["quote"].as_str().unwrap());
        }
    }

    let around = server.get("/v1/graph/neighbourhood?entity=Maria+Alvarez").await.ok();
    assert!(around["entities"].as_array().unwrap().iter().any(|one| one["name"] == "Maria Alvarez"));
    let all = server.get("/v1/graph/neighbourhood?limit=3").await.ok();
    assert_eq!(all["entities"].as_array().unwrap().len(), 3);
    let path = server.get("/v1/graph/path?from=Maria+Alvarez&to=Harbour+Institute").await;
    assert!(!path.ok()["relations"].as_array().unwrap().is_empty(), "{}", path.text());
}

#[tokio::test]
async fn unknown_entities_and_numbers_out_of_range_are_refused() {
    let server = Server::with_library().await;
    assert_eq!(server.get("/v1/graph/entities/Nobody").await.problem(), (404, "E-NOT-FOUND".to_owned()));
    assert_eq!(server.get("/v1/graph/neighbourhood?depth=6").await.problem().0, 400);
    assert_eq!(server.get("/v1/graph/path?from=Maria+Alvarez&to=Nobody").await.problem().0, 404);
    assert_eq!(server.get("/v1/graph/entities?q=zzzz").await.ok()["entities"], json!([]));
}

#[tokio::test]
async fn communities_are_listed_and_summaries_need_a_model() {
    let server = Server::with_library().await;
    let found = server.get("/v1/graph/communities").await.ok();
    let communities = found["communities"].as_array().unwrap();
    assert_eq!((communities.len() as u64, &found["changes"]), (found["total"].as_u64().unwrap(), &json!(0)), "{found}");
    let first = &communities[0];
    assert!(first["size"].as_u64().unwrap() >= 3 && first["level"] == 0 && first.get("summary").is_none(), "{first}");
    assert!(!first["central"].as_array().unwrap().is_empty() && first["central"][0]["type"].is_string(), "{first}");
    assert_eq!(server.get("/v1/graph/communities?level=9").await.ok()["communities"], json!([]));
    assert_eq!(server.get("/v1/graph/communities?level=17").await.problem().0, 400);
    assert_eq!(server.get("/v1/graph/communities?limit=0").await.problem().0, 400);
    let refused = server.post("/v1/graph/communities/summaries", &json!({})).await;
    assert_eq!(refused.problem(), (501, "E-CAPABILITY-MISSING".to_owned()));
}
