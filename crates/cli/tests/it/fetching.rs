//! Documents from web addresses.

use lorekeep_testkit::upstream::{Reply, Upstream};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::harness::Place;

const PAGE: &str =
    "<html><title>Tides</title><body><h1>Tides</h1><p>The highest tide of Brackwater came in 1953.</p></body></html>";

fn site() -> (Runtime, Upstream) {
    let runtime = Runtime::new().unwrap();
    let upstream = runtime.block_on(Upstream::start_with([], |asked| {
        Some(match asked.path.as_str() {
            "/wiki/Tides" => Reply::body(200, "text/html; charset=utf-8", PAGE),
            "/moved" => Reply::with_headers(302, &[("location", "/wiki/Tides")], ""),
            "/huge" => Reply::body(200, "text/plain", vec![b'x'; 2 << 20]),
            _ => Reply::body(404, "text/plain", "no"),
        })
    }));
    (runtime, upstream.unwrap())
}

#[test]
fn a_page_is_added_by_its_address_and_updated_by_adding_it_again() {
    let (_runtime, site) = site();
    let place = Place::new();
    let address = format!("{}/wiki/Tides", site.url());
    assert_eq!(place.run(&["add", &address]).status.code(), Some(0));
    let answer = place.json(&["ask", "When did the highest tide of Brackwater come?"]);
    let citation = &answer["citations"][0];
    assert_eq!(
        (&citation["name"], &citation["quote"]),
        (&json!("Tides.html"), &json!("The highest tide of Brackwater came in 1953."))
    );
    assert_eq!(place.run(&["add", &address]).status.code(), Some(0));
    assert_eq!(place.json(&["docs", "list"])["documents"].as_array().unwrap().len(), 1);
    let dry = place.run(&["add", &address, "--dry-run"]);
    assert_eq!(String::from_utf8_lossy(&dry.stdout).trim(), address);
}

#[test]
fn what_cannot_be_fetched_is_named_and_the_rest_is_added() {
    let (_runtime, site) = site();
    let place = Place::new();
    let missing = format!("{}/nothing", site.url());
    let alone = place.run(&["add", &missing]);
    let text = String::from_utf8_lossy(&alone.stderr).into_owned();
    assert_eq!(alone.status.code(), Some(6), "{text}");
    assert!(text.contains(&missing) && text.contains("404"), "{text}");
    let moved = format!("{}/moved", site.url());
    assert_eq!(place.run(&["add", &missing, &moved]).status.code(), Some(4));
    assert_eq!(place.json(&["docs", "list"])["documents"][0]["name"], "Tides.html");
    place.write("lorekeep.toml", "[ingest]\nmax_file_mib = 1\n");
    let huge = place.run(&["add", &format!("{}/huge", site.url())]);
    assert!(String::from_utf8_lossy(&huge.stderr).contains("larger than 1 MiB"));
    let nobody = place.run(&["add", "http://127.0.0.1:9/x"]);
    assert_eq!(nobody.status.code(), Some(6));
}

#[test]
fn workspaces_are_copied_while_in_use_and_chosen() {
    let place = Place::new();
    place.write("papers/a.md", "# Tides\n\nThe highest tide of Brackwater came in 1953.\n");
    place.run(&["add", "papers"]);
    let _server = place.serve();
    assert_eq!(place.run(&["workspace", "copy", "default", "second"]).status.code(), Some(0));
    assert_ne!(
        place.run(&["workspace", "copy", "default", "second"]).status.code(),
        Some(0),
        "an existing one was replaced"
    );
    assert_eq!(place.run(&["workspace", "use", "nowhere"]).status.code(), Some(3));
    assert_eq!(place.run(&["workspace", "use", "second"]).status.code(), Some(0));
    place.run(&["docs", "rm", "a.md", "--yes"]);
    assert_eq!(place.json(&["docs", "list"])["documents"], json!([]));
    assert_eq!(place.json(&["-w", "default", "docs", "list"])["documents"].as_array().unwrap().len(), 1);
}
