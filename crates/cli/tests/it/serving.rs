//! Commands beside a running server, watching, and an orderly end.

use std::time::Duration;

use crate::harness::Place;

#[tokio::test(flavor = "multi_thread")]
async fn commands_go_through_the_server_that_holds_the_folder() {
    let place = Place::new();
    place.write("note.txt", "The ferry to Port Averil leaves at nine.");
    let server = place.serve();
    let added = place.run(&["add", "note.txt"]);
    let notes = String::from_utf8_lossy(&added.stderr).into_owned();
    assert_eq!(added.status.code(), Some(0), "{notes}");
    assert!(notes.contains(&format!("using the server at {} (pid {})", server.url, server.pid())), "{notes}");
    let here = place.json(&["ask", "When does the ferry leave?"]);
    let there = place.json(&["--server", &server.url, "ask", "When does the ferry leave?"]);
    assert_eq!(here["citations"], there["citations"]);
    assert!(here["answer"].as_str().unwrap().contains("nine"), "{here}");
    assert!(server.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_folder_is_refused_with_the_holder_s_pid() {
    let place = Place::new();
    let server = place.serve();
    let output = place.run(&["serve", "--port", "0"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains(&server.pid().to_string()) && error.contains("E-LOCKED"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn watched_folders_follow_changes() {
    let place = Place::new();
    place.write("watched/one.txt", "The mooring of SA-2 was replaced by Lukas Brandt.");
    place.write("lorekeep.toml", "[ingest]\nwatch = [\"watched\"]\n");
    let server = place.serve();
    let api = server.api();
    let names = async || {
        let listed = api.get("/v1/documents?state=ready&sort=name&order=asc").await.unwrap();
        let documents = listed["documents"].as_array().unwrap().clone();
        documents.iter().map(|document| document["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let until = async |wanted: &[&str]| {
        for _ in 0..400 {
            if names().await == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{:?}, expected {wanted:?}", names().await);
    };
    until(&["one.txt"]).await;
    place.write("watched/two.txt", "The harbour commissioner is Alice Penhale.");
    until(&["one.txt", "two.txt"]).await;
    std::fs::remove_file(place.path().join("watched/one.txt")).unwrap();
    until(&["two.txt"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn start_indexes_the_samples_once() {
    let place = Place::new();
    let mut child = place
        .command()
        .args(["start", "--no-open", "--port", "0"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    let ready = lines.map_while(Result::ok).any(|line| line.contains("Ready"));
    assert!(ready);
    child.kill().unwrap();
    child.wait().unwrap();
    let list = place.json(&["docs", "list"]);
    assert_eq!(list["total"], 12, "{list}");
}
