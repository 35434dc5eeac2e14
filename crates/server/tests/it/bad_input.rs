//! What clients may send by mistake or malice: each has a clear error or a sound answer.

use axum::body::Body;
use axum::http::{Method, Request};
use lorekeep_server::ServerSettings;
use serde_json::json;

use crate::support::{Server, form};

#[tokio::test]
async fn wrong_types_missing_and_unknown_fields_are_named() {
    let server = Server::new();
    for (body, named) in [
        (json!({}), "question"),
        (json!({"question": 7}), "question"),
        (json!({"question": "x", "sentences": "three"}), "sentences"),
        (json!({"question": "x", "colour": "red"}), "colour"),
        (json!({"question": "x", "mode": "psychic"}), "psychic"),
        (json!({"question": "x", "sentences": 11}), "sentences"),
        (json!({"question": "x", "top_k": 0}), "top_k"),
        (json!({"question": "  "}), "question"),
        (json!({"question": "x", "filter": {"since": "May"}}), "May"),
        (json!({"question": "x", "filter": {"states": ["lost"]}}), "lost"),
        (json!(["x"]), "body"),
    ] {
        let reply = server.post("/v1/ask", &body).await;
        assert_eq!(reply.problem(), (400, "E-INVALID-REQUEST".to_owned()), "{body}");
        assert!(reply.text().contains(named), "{named}: {}", reply.text());
    }
}

#[tokio::test]
async fn bodies_that_are_not_json_are_refused() {
    let server = Server::new();
    let send = |kind: &'static str, body: Vec<u8>| {
        server.send(Request::post("/v1/ask").header("content-type", kind).body(Body::from(body)).unwrap())
    };
    assert_eq!(send("application/json", b"{\"question\":".to_vec()).await.problem().0, 400);
    assert_eq!(send("application/json", b"{\"question\":\"\xff\xfe\"}".to_vec()).await.problem().0, 400);
    let deep = "[".repeat(100_000);
    assert_eq!(send("application/json", deep.into_bytes()).await.problem().0, 400);
    assert_eq!(send("text/plain", b"hello".to_vec()).await.problem(), (415, "E-UNSUPPORTED".to_owned()));
}

#[tokio::test]
async fn bodies_over_their_limit_are_refused_by_name() {
    let settings = ServerSettings {
        max_json_bytes: 1_000,
        max_text_bytes: 2_000,
        max_upload_bytes: 3_000,
        ..ServerSettings::default()
    };
    let server = Server::with(settings, None);
    let reply = server.post("/v1/ask", &json!({"question": "x".repeat(1_000)})).await;
    assert_eq!(reply.problem(), (413, "E-TOO-LARGE".to_owned()));
    assert!(reply.text().contains("1000 bytes"), "{}", reply.text());
    let reply = server.post("/v1/documents", &json!({"documents": [{"name": "a", "text": "x".repeat(2_000)}]})).await;
    assert_eq!(reply.problem().0, 413);
    let reply = server.upload("/v1/documents", &[], &[("a.txt", &[b'x'; 3_000])]).await;
    assert_eq!(reply.problem().0, 413);
    // Without a declared length the limit holds while reading.
    let (parts, body) = form("/v1/documents", &[], &[("a.txt", &[b'x'; 3_000])]).into_parts();
    let pieces = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let pieces = futures::stream::iter(
        pieces.chunks(100).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect::<Vec<_>>(),
    );
    let reply = server.send(Request::from_parts(parts, Body::from_stream(pieces))).await;
    assert_eq!(reply.problem().0, 413);
}

#[tokio::test]
async fn questions_of_any_kind_get_a_sound_answer() {
    let server = Server::with_library().await;
    let mebibyte = "quay ".repeat(200_000);
    assert_eq!(server.post("/v1/ask", &json!({"question": mebibyte})).await.problem().0, 413);
    let long = "quay ".repeat(13_200);
    assert_eq!(server.post("/v1/ask", &json!({"question": long})).await.problem(), (413, "E-TOO-LARGE".to_owned()));
    for question in ["the of and", "谁创立了研究所？", "?", "\u{0}", "🦀🦀🦀", "\" OR 1=1 --", "*:* AND (", "الميناء"]
    {
        let answer = server.post("/v1/ask", &json!({ "question": question })).await.ok();
        assert!(matches!(answer["kind"].as_str(), Some("quoted" | "abstained")), "{question}: {answer}");
    }
}

#[tokio::test]
async fn forms_that_make_no_sense_are_named() {
    let server = Server::new();
    let file: (&str, &[u8]) = ("a.txt", b"x");
    assert_eq!(server.upload("/v1/documents", &[], &[]).await.problem().0, 400);
    assert_eq!(server.upload("/v1/documents", &[("colour", "red")], &[file]).await.problem().0, 400);
    assert_eq!(server.upload("/v1/documents", &[], &[("", b"x")]).await.problem().0, 400);
    assert_eq!(server.upload("/v1/documents", &[("job", "nonsense")], &[file]).await.problem().0, 404);
    let broken = Request::post("/v1/documents").header("content-type", "multipart/form-data; boundary=x");
    let reply = server
        .send(
            broken
                .body(Body::from("--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nhalf"))
                .unwrap(),
        )
        .await;
    assert_eq!(reply.problem().0, 400);
    let unbounded = Request::post("/v1/documents").header("content-type", "multipart/form-data");
    assert_eq!(server.send(unbounded.body(Body::from("x")).unwrap()).await.problem().0, 400);
}

#[tokio::test]
async fn ids_and_windows_that_cannot_be_are_refused() {
    let server = Server::new();
    for path in [
        "/v1/documents/../etc",
        "/v1/documents/doc_x",
        "/v1/documents/doc_000000000000000000000000/text",
        "/v1/jobs/x",
        "/v1/jobs/job_x",
    ] {
        assert_eq!(server.get(path).await.problem(), (404, "E-NOT-FOUND".to_owned()), "{path}");
    }
    for path in [
        "/v1/documents?limit=1001",
        "/v1/documents?limit=x",
        "/v1/documents?sort=colour",
        "/v1/jobs?state=lost",
        "/v1/jobs?limit=0",
        "/v1/graph/path?from=a",
    ] {
        assert_eq!(server.get(path).await.problem(), (400, "E-INVALID-REQUEST".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_say_so() {
    let server = Server::new();
    assert_eq!(server.get("/v1/nothing").await.problem(), (404, "E-NOT-FOUND".to_owned()));
    let reply = server.call(Method::PUT, "/v1/ask", &json!({})).await;
    assert_eq!(reply.problem().0, 405);
    assert!(reply.header("allow").contains("POST"), "{}", reply.header("allow"));
}

#[tokio::test]
async fn uploads_share_a_bounded_memory() {
    let settings = ServerSettings { max_upload_bytes: 3_000, max_upload_memory: 3_000, ..ServerSettings::default() };
    let server = Server::with(settings, None);
    // A slow client that never says how much it sends holds all the room.
    let (parts, _) = form("/v1/documents", &[], &[]).into_parts();
    let endless = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let slow = server.send(Request::from_parts(parts, endless));
    let other = async { server.upload("/v1/documents", &[], &[("a.txt", &[b'x'; 2_000])]).await };
    tokio::select! {
        biased;
        _ = slow => panic!("it cannot end"),
        reply = other => assert_eq!(reply.problem(), (429, "E-BUSY".to_owned())),
    }
    assert_eq!(server.upload("/v1/documents", &[], &[("a.txt", &[b'x'; 2_000])]).await.status.as_u16(), 202);
}
