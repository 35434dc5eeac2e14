//! Jobs and their events.

use serde_json::json;

use crate::support::Server;

#[tokio::test]
async fn events_begin_with_the_present_and_end_with_the_job() {
    let server = Server::new();
    let documents: Vec<_> = (0..12)
        .map(|n| json!({"name": format!("n{n}.txt"), "text": format!("Pier {n} was built by Anna Berg.")}))
        .collect();
    let added = server.post("/v1/documents", &json!({ "documents": documents, "label": "piers" })).await.ok();
    let id = added["job"]["id"].as_str().unwrap();
    let reply = server.get(&format!("/v1/jobs/{id}/events")).await;
    assert_eq!(reply.header("content-type"), "text/event-stream");
    let events = reply.events();
    assert_eq!(events[0].0, "progress");
    let (name, last) = events.last().unwrap();
    assert_eq!((name.as_str(), &last["state"], &last["counts"]["ready"]), ("progress", &json!("done"), &json!(12)));
    assert!(events.iter().all(|(name, data)| data["type"] == name.as_str() && data["job"] == id));

    let jobs = server.get("/v1/jobs?state=done").await.ok();
    assert_eq!(jobs["jobs"][0]["label"], "piers");
    let items = server.get(&format!("/v1/jobs/{id}/items?limit=5&offset=10")).await.ok();
    assert_eq!(items["items"].as_array().unwrap().len(), 2);
    assert_eq!(items["items"][0]["outcome"], "ready");
}

#[tokio::test]
async fn the_same_bytes_are_a_duplicate() {
    let server = Server::new();
    let first = server.add(&[("a.txt", "The same words.")]).await;
    let added =
        server.post("/v1/documents", &json!({"documents": [{"name": "b.txt", "text": "The same words."}]})).await.ok();
    let job = added["job"]["id"].as_str().unwrap();
    assert_eq!(server.finished(job).await["counts"]["duplicate"], 1);
    let items = server.get(&format!("/v1/jobs/{job}/items")).await.ok();
    assert_eq!(items["items"][0]["duplicate_of"], json!(first[0]));
}

#[tokio::test]
async fn a_job_that_ended_is_not_cancelled_again() {
    let server = Server::with_library().await;
    let job = server.get("/v1/jobs").await.ok()["jobs"][0]["id"].as_str().unwrap().to_owned();
    let cancelled = server.post(&format!("/v1/jobs/{job}/cancel"), &json!({})).await.ok();
    assert_eq!(cancelled["cancelled"], false);
    assert_eq!(server.post("/v1/jobs/job_unknown/cancel", &json!({})).await.problem().0, 404);
}

#[tokio::test]
async fn a_cancelled_job_ends_its_events() {
    let server = Server::new();
    let text = "Pier Nine was built by Anna Berg. ".repeat(3_000);
    let documents: Vec<_> =
        (0..40).map(|n| json!({"name": format!("n{n}.txt"), "text": format!("{n} {text}")})).collect();
    let added = server.post("/v1/documents", &json!({ "documents": documents })).await.ok();
    let id = added["job"]["id"].as_str().unwrap();
    server.post(&format!("/v1/jobs/{id}/cancel"), &json!({})).await.ok();
    let job = server.finished(id).await;
    assert_eq!(job["counts"]["open"], 0);
}
