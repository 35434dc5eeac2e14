//! Adding, listing, reading, tagging, deleting and retrying documents.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::json;

use crate::support::{CHARTER, Server};

#[tokio::test]
async fn files_are_added_listed_read_and_deleted() {
    let server = Server::new();
    let before = [("tags", "rules, 1987"), ("label", "first")];
    let reply = server.upload("/v1/documents", &before, &[("charter.md", CHARTER.as_bytes())]).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text());
    let added = reply.json();
    assert_eq!(added["documents"][0]["source"], "upload:charter.md");
    assert_eq!(added["job"]["label"], "first");
    let job = server.finished(added["job"]["id"].as_str().unwrap()).await;
    assert_eq!(job["counts"]["ready"], 1);

    let id = added["documents"][0]["id"].as_str().unwrap().to_owned();
    let document = server.get(&format!("/v1/documents/{id}")).await.ok();
    assert_eq!(document["state"], "ready");
    assert_eq!(document["tags"], json!(["rules", "1987"]));
    assert_eq!(document["created_at"], "2026-05-03T12:00:00Z");
    assert_eq!(document["bytes"], CHARTER.len());

    let list = server.get("/v1/documents?state=ready&tag=rules&sort=name&order=asc").await.ok();
    assert_eq!((&list["total"], &list["counts"]["ready"]), (&json!(1), &json!(1)));
    assert_eq!(server.get("/v1/documents?tag=none").await.ok()["total"], 0);

    let deleted = server.delete(&format!("/v1/documents/{id}")).await.ok();
    assert_eq!(deleted["deleted"], json!([id]));
    assert_eq!(server.delete(&format!("/v1/documents/{id}")).await.problem(), (404, "E-NOT-FOUND".to_owned()));
    assert_eq!(server.get("/v1/documents").await.ok()["total"], 0);
}

#[tokio::test]
async fn spans_of_pages_headings_and_chunks_fit_the_text() {
    let server = Server::new();
    let text = "# Übersicht\n\nDie Brücke wurde 1931 gebaut. 漢字 🦀 stehen hier.\n\n## Zweck\n\nSie trägt Züge.\n";
    let ids = server.add(&[("bruecke.md", text)]).await;
    let read = server.get(&format!("/v1/documents/{}/text", ids[0])).await.ok();
    let letters: Vec<char> = read["text"].as_str().unwrap().chars().collect();
    let cut = |span: &serde_json::Value| -> String {
        let (start, end) = (span[0].as_u64().unwrap() as usize, span[1].as_u64().unwrap() as usize);
        letters[start..end].iter().collect()
    };
    let headings = read["headings"].as_array().unwrap();
    assert_eq!(headings.len(), 2);
    assert!(cut(&headings[1]["span"]).contains("Zweck"));
    assert!(cut(&headings[1]["span"]).contains("Sie trägt Züge."));
    let chunks = server.get(&format!("/v1/documents/{}/chunks", ids[0])).await.ok();
    for chunk in chunks["chunks"].as_array().unwrap() {
        assert_eq!(cut(&chunk["span"]), chunk["text"].as_str().unwrap());
    }
}

#[tokio::test]
async fn the_bare_text_and_the_original_are_served_safely() {
    let server = Server::new();
    let page = "<html><body><script>alert(1)</script><p>The quay is old.</p></body></html>";
    let reply = server.upload("/v1/documents", &[("name", "a/quay.html")], &[("x.html", page.as_bytes())]).await;
    let added = reply.ok();
    server.finished(added["job"]["id"].as_str().unwrap()).await;
    let id = added["documents"][0]["id"].as_str().unwrap();
    let plain = Request::get(format!("/v1/documents/{id}/text")).header("accept", "text/plain");
    let plain = server.send(plain.body(Body::empty()).unwrap()).await;
    assert!(plain.header("content-type").starts_with("text/plain"));
    assert!(plain.text().contains("The quay is old."));

    let original = server.get(&format!("/v1/documents/{id}/original?inline=true")).await;
    assert_eq!(original.text(), page);
    assert_eq!(original.header("content-type"), "application/octet-stream");
    assert_eq!(original.header("content-security-policy"), "sandbox; default-src 'none'");
    assert_eq!(original.header("x-content-type-options"), "nosniff");
    assert!(original.header("content-disposition").starts_with("attachment; filename=\"quay.html\""));
}

#[tokio::test]
async fn tags_are_replaced_and_checked() {
    let server = Server::with_library().await;
    let id = server.get("/v1/documents?limit=1").await.ok()["documents"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/documents/{id}");
    let tagged = server.call(Method::PATCH, &path, &json!({"tags": ["a", "b"]})).await.ok();
    assert_eq!(tagged["tags"], json!(["a", "b"]));
    assert_eq!(server.call(Method::PATCH, &path, &json!({"tags": [" "]})).await.problem().0, 400);
}

#[tokio::test]
async fn many_are_deleted_by_id_or_all_at_once() {
    let server = Server::with_library().await;
    let list = server.get("/v1/documents").await.ok();
    let id = &list["documents"][0]["id"];
    assert_eq!(server.call(Method::DELETE, "/v1/documents", &json!({"ids": []})).await.problem().0, 400);
    assert_eq!(server.call(Method::DELETE, "/v1/documents", &json!({"ids": [id]})).await.ok()["count"], 1);
    assert_eq!(server.delete("/v1/documents?all=true").await.ok()["count"], 1);
    assert_eq!(server.get("/v1/documents").await.ok()["total"], 0);
}

#[tokio::test]
async fn a_job_can_be_extended_while_it_is_open_only() {
    let server = Server::new();
    let added = server.post("/v1/documents", &json!({"documents": [{"name": "a.txt", "text": "One."}]})).await.ok();
    let job = added["job"]["id"].as_str().unwrap();
    server.finished(job).await;
    let more = json!({"documents": [{"name": "b.txt", "text": "Two."}], "job": job});
    assert_eq!(server.post("/v1/documents", &more).await.problem(), (409, "E-CONFLICT".to_owned()));
}

#[tokio::test]
async fn broken_files_fail_alone_and_can_be_retried() {
    let server = Server::new();
    let files: [(&str, &[u8]); 3] =
        [("good.txt", b"All is well at Pier Nine."), ("bad.pdf", b"%PDF-1.4 broken"), ("x.bin", b"\0\x01\x02")];
    let added = server.upload("/v1/documents", &[], &files).await.ok();
    let job = server.finished(added["job"]["id"].as_str().unwrap()).await;
    assert_eq!((&job["counts"]["ready"], &job["counts"]["failed"]), (&json!(1), &json!(2)));
    let failed = server.get("/v1/documents?state=failed").await.ok();
    for document in failed["documents"].as_array().unwrap() {
        assert!(document["problem"]["code"].as_str().unwrap().starts_with("E-"), "{document}");
        assert!(!document["problem"]["message"].as_str().unwrap().is_empty());
    }
    let again = server.post("/v1/documents/retry", &json!({"ids": []})).await;
    assert_eq!(again.status, StatusCode::ACCEPTED);
    let again = server.finished(again.json()["job"]["id"].as_str().unwrap()).await;
    assert_eq!(again["counts"]["total"], 2);
    let ready = server.get("/v1/documents?state=ready").await.ok();
    let id = ready["documents"][0]["id"].as_str().unwrap();
    let nothing = server.post(&format!("/v1/documents/{id}/retry"), &json!({})).await.ok();
    assert_eq!(nothing["job"], json!(null));
}
