//! `/documents/*`.

use std::sync::Arc;
use std::sync::Mutex;

use axum::http::{Method, StatusCode};
use lorekeep_server::{ScanFolder, ServerSettings};
use lorekeep_types::{Result, WorkspaceName};
use serde_json::{Value, json};

use super::{processed, with_texts};
use crate::support::Server;

#[tokio::test]
async fn an_upload_is_tracked_to_its_end() {
    let server = Server::new();
    let reply =
        server.upload("/documents/upload", &[], &[("pier.txt", b"Pier Nine was built by Anna Berg in 1931.")]).await;
    insta::assert_json_snapshot!(reply.ok());
    let track = reply.json()["track_id"].as_str().unwrap().to_owned();
    insta::assert_json_snapshot!(processed(&server, &track).await);
    let again = server.upload("/documents/upload", &[], &[("pier.txt", b"Other words.")]).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert_eq!(
        again.json()["detail"],
        "Document storage already contains 'pier.txt' (Status: processed). Delete the existing record before re-inserting."
    );
    let none = server.get("/documents/track_status/none").await.ok();
    assert_eq!(none, json!({"track_id": "none", "documents": [], "total_count": 0, "status_summary": {}}));
}

#[tokio::test]
async fn uploads_that_cannot_be_are_refused() {
    let server = Server::new();
    for name in ["../x.txt", "a/b.txt", " x.txt", "c:x.txt"] {
        let reply = server.upload("/documents/upload", &[], &[(name, b"x")]).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{name}: {}", reply.text());
    }
    let reply = server.upload("/documents/upload", &[], &[("x.exe", b"MZ")]).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert!(reply.json()["detail"].as_str().unwrap().starts_with("Unsupported file type. Supported types: ."));
    let reply = server.upload("/documents/upload", &[("other", "x")], &[]).await;
    assert_eq!(
        (reply.status, &reply.json()["detail"][0]["type"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("missing"))
    );
    let server = Server::with(ServerSettings { max_upload_bytes: 1_000, ..ServerSettings::default() }, None);
    let reply = server.upload("/documents/upload", &[], &[("x.txt", &[b'x'; 2_000])]).await;
    assert_eq!(reply.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn texts_need_sources() {
    let server = Server::new();
    for body in [
        json!({"text": "x"}),
        json!({"text": "x", "file_source": " "}),
        json!({"text": "x", "file_source": "no-file-path"}),
    ] {
        let reply = server.post("/documents/text", &body).await;
        assert_eq!(
            (reply.status, reply.json()),
            (StatusCode::BAD_REQUEST, json!({"detail": "A valid file_source is required for text insertion"}))
        );
    }
    for (sources, status) in [(json!(["a"]), 400), (json!(["a", "x/a"]), 400), (json!("a"), 422)] {
        let reply = server.post("/documents/texts", &json!({"texts": ["One.", "Two."], "file_sources": sources})).await;
        assert_eq!(reply.status.as_u16(), status, "{}", reply.text());
    }
    assert_eq!(server.post("/documents/texts", &json!({"texts": [], "file_sources": []})).await.status.as_u16(), 422);
    let chunking = json!({"text": "x", "file_source": "a.txt", "chunking": {"strategy": "magic", "colour": 1}});
    assert_eq!(server.post("/documents/text", &chunking).await.json()["detail"].as_array().unwrap().len(), 2);
}

/// The texts of a document's chunks after it was sent with `chunking`.
async fn cut_as(server: &Server, name: &str, text: &str, chunking: Value) -> Vec<String> {
    let body = json!({"text": text, "file_source": name, "chunking": chunking});
    let added = server.post("/documents/text", &body).await.ok();
    let rows = processed(server, added["track_id"].as_str().unwrap()).await;
    let id = rows["documents"][0]["id"].as_str().unwrap().to_owned();
    let chunks = server.get(&format!("/v1/documents/{id}/chunks")).await.ok();
    chunks["chunks"].as_array().unwrap().iter().map(|chunk| chunk["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_text_is_cut_as_its_sender_asks() {
    let server = Server::new();
    let text = "Pier one was built in 1931.\n\nPier two was built in 1932.\n\nPier three was built in 1933.";
    let split =
        json!({"strategy": "fixed_token", "params": {"split_by_character": "\n\n", "split_by_character_only": true}});
    let found = cut_as(&server, "split.txt", text, split).await;
    assert_eq!(found, text.split("\n\n").collect::<Vec<_>>());
    let small =
        json!({"strategy": "recursive_character", "params": {"chunk_token_size": 12, "chunk_overlap_token_size": 0}});
    let quays = text.replace("Pier", "Quay");
    assert_eq!(cut_as(&server, "recursive.txt", &quays, small).await, quays.split("\n\n").collect::<Vec<_>>());
    let windows = json!({"params": {"chunk_token_size": 8, "chunk_overlap_token_size": 2}});
    let found = cut_as(&server, "windows.txt", &format!("{text}!"), windows).await;
    assert!(found.len() > 3 && found.iter().all(|chunk| chunk.len() < 60), "{found:?}");
    assert_eq!(cut_as(&server, "usual.txt", &format!("{text}?"), json!({})).await.len(), 1);
}

#[tokio::test]
async fn chunking_that_cannot_be_is_named() {
    let server = Server::new();
    for (chunking, places) in [
        (json!({"params": {"chunk_token_size": 0, "colour": 1}}), vec!["chunk_token_size", "colour"]),
        (json!({"params": {"chunk_token_size": "9"}}), vec!["chunk_token_size"]),
        (json!({"params": {"chunk_token_size": 10, "chunk_overlap_token_size": 10}}), vec!["chunk_overlap_token_size"]),
        (json!({"params": {"separators": ["a"]}}), vec!["separators"]),
        (json!({"strategy": "recursive_character", "params": {"separators": ["a", 1]}}), vec!["separators"]),
        (json!({"strategy": "paragraph_semantic", "params": {"drop_references": "yes"}}), vec!["drop_references"]),
        (
            json!({"strategy": "semantic_vector", "params": {
                "breakpoint_threshold_type": "guess", "breakpoint_threshold_amount": 0, "buffer_size": 0,
                "chunk_overlap_token_size": 1,
            }}),
            vec!["breakpoint_threshold_type", "breakpoint_threshold_amount", "buffer_size", "chunk_overlap_token_size"],
        ),
    ] {
        let body = json!({"text": "x", "file_source": "a.txt", "chunking": chunking});
        let reply = server.post("/documents/text", &body).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{chunking}");
        let faults = reply.json()["detail"].as_array().unwrap().clone();
        let mut named: Vec<&str> = faults.iter().map(|fault| fault["loc"][3].as_str().unwrap()).collect();
        let mut expected = places.clone();
        named.sort_unstable();
        expected.sort_unstable();
        assert_eq!(named, expected, "{chunking}");
    }
}

#[tokio::test]
async fn a_text_may_carry_the_name_of_any_file() {
    let server = Server::new();
    for (n, name) in ["paper.pdf", "sheet.xlsx", "no extension", "page.html"].iter().enumerate() {
        let body = json!({"text": format!("Quay number {n} was repaired in 1999."), "file_source": name});
        let added = server.post("/documents/text", &body).await.ok();
        let rows = processed(&server, added["track_id"].as_str().unwrap()).await;
        assert_eq!(rows["documents"][0]["status"], "processed", "{rows}");
    }
}

#[tokio::test]
async fn a_duplicate_is_a_failed_row() {
    let server = with_texts().await;
    let added =
        server.post("/documents/text", &json!({"text": crate::support::CHARTER, "file_source": "copy.md"})).await.ok();
    let rows = processed(&server, added["track_id"].as_str().unwrap()).await;
    let row = &rows["documents"][0];
    assert!(row["id"].as_str().unwrap().starts_with("dup-"), "{rows}");
    assert_eq!((&row["status"], &row["metadata"]["is_duplicate"]), (&json!("failed"), &json!(true)));
    assert_eq!(rows["status_summary"], json!({"DocStatus.FAILED": 1}));
}

#[tokio::test]
async fn lists_are_paged_sorted_and_counted() {
    let server = with_texts().await;
    let list =
        server.post("/documents/paginated", &json!({"sort_field": "file_path", "sort_direction": "asc"})).await.ok();
    let names: Vec<&Value> = list["documents"].as_array().unwrap().iter().map(|row| &row["file_path"]).collect();
    assert_eq!(names, ["charter.md", "may.md"]);
    assert_eq!(
        list["pagination"],
        json!({"page": 1, "page_size": 50, "total_count": 2, "total_pages": 1, "has_next": false, "has_prev": false})
    );
    let counts = json!({
        "pending": 0, "parsing": 0, "analyzing": 0, "processing": 0, "preprocessed": 0, "processed": 2, "failed": 0, "all": 2
    });
    assert_eq!(list["status_counts"], counts);
    assert_eq!(server.get("/documents/status_counts").await.ok()["status_counts"], counts);
    let parsing = server.post("/documents/paginated", &json!({"status_filter": "parsing"})).await.ok();
    assert_eq!((&parsing["documents"], &parsing["pagination"]["total_count"]), (&json!([]), &json!(0)));
    let done = server
        .post("/documents/paginated", &json!({"status_filters": ["processed"], "page": 2, "page_size": 10}))
        .await
        .ok();
    assert_eq!((&done["pagination"]["total_count"], &done["documents"]), (&json!(2), &json!([])));
    assert_eq!(
        server.post("/documents/paginated", &json!({"page_size": 9})).await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
}

#[tokio::test]
async fn the_pipeline_is_idle_when_nothing_is_to_do() {
    let server = with_texts().await;
    insta::assert_json_snapshot!(server.get("/documents/pipeline_status").await.ok());
    let cancel = server.post("/documents/cancel_pipeline", &json!({})).await.ok();
    assert_eq!(cancel["status"], "not_busy");
}

#[tokio::test]
async fn documents_are_deleted_by_id_and_all() {
    let server = with_texts().await;
    let list = server.post("/documents/paginated", &json!({})).await.ok();
    let id = list["documents"][0]["id"].as_str().unwrap();
    let path = "/documents/delete_document";
    let deleted = server.call(Method::DELETE, path, &json!({"doc_ids": [id, "doc-unknown"]})).await.ok();
    assert_eq!(
        (&deleted["status"], &deleted["doc_id"]),
        (&json!("deletion_started"), &json!(format!("{id}, doc-unknown")))
    );
    for ids in [json!([]), json!(["a", "a"]), json!([" "]), json!("a")] {
        let reply = server.call(Method::DELETE, path, &json!({ "doc_ids": ids })).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{ids}");
    }
    let cleared = server.delete("/documents").await.ok();
    assert_eq!(
        cleared,
        json!({"status": "success", "message": "All documents cleared successfully. Deleted 1 files."})
    );
    assert_eq!(server.get("/documents/status_counts").await.ok()["status_counts"]["all"], 0);
}

#[tokio::test]
async fn nothing_needs_repair() {
    let server = with_texts().await;
    let reprocess = server.post("/documents/reprocess_failed", &json!({})).await.ok();
    assert_eq!((&reprocess["status"], &reprocess["track_id"]), (&json!("reprocessing_started"), &json!("")));
    assert_eq!(server.post("/documents/clear_cache", &json!({})).await.ok()["status"], "success");
    assert_eq!(server.post("/documents/recovery/force_reset", &json!({})).await.status, StatusCode::BAD_REQUEST);
    let reset = server.post("/documents/recovery/force_reset", &json!({"confirm": true})).await.ok();
    assert_eq!(reset["status"], "no_recovery_required");
    assert_eq!(server.get("/documents/source_conflicts").await.ok(), json!({"conflicts": [], "next_cursor": null}));
    let repair = json!({"canonical_source_key": "a.txt", "primary_doc_id": "x"});
    assert_eq!(server.post("/documents/source_conflicts/repair", &repair).await.status, StatusCode::CONFLICT);
    let types = server.get("/documents/supported_file_types").await;
    assert_eq!(types.header("cache-control"), "no-store");
    assert!(types.ok()["supported_extensions"].as_array().unwrap().contains(&json!(".pdf")));
}

#[derive(Default)]
struct Folder(Mutex<Vec<String>>);

impl ScanFolder for Folder {
    fn scan(&self, workspace: &WorkspaceName, label: &str) -> Result<usize> {
        self.0.lock().unwrap().push(format!("{workspace} {label}"));
        Ok(3)
    }

    fn folder(&self) -> String {
        "inputs".to_owned()
    }
}

#[tokio::test]
async fn a_scan_goes_to_the_configured_folder() {
    let folder = Arc::new(Folder::default());
    let server = Server::with(ServerSettings::default(), Some(folder.clone()));
    let scan = server.post("/documents/scan", &json!({})).await.ok();
    let track = scan["track_id"].as_str().unwrap();
    assert!(track.starts_with("scan_20260503_120000_"), "{track}");
    assert_eq!(scan["status"], "scanning_started");
    assert_eq!(*folder.0.lock().unwrap(), [format!("default {track}")]);
    assert_eq!(server.get("/documents/scan/status/scan_x").await.status, StatusCode::NOT_FOUND);
    assert_eq!(Server::new().post("/documents/scan", &json!({})).await.status, StatusCode::NOT_IMPLEMENTED);
}
