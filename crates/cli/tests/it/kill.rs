//! SIGKILL at many moments of ingest, update, delete, reindex and view merge: nothing acknowledged is lost, nothing
//! half done is seen, nothing has to be repaired by hand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Api, Place};

/// Moments per operation, spread over its usual duration.
const MOMENTS: u32 = 9;

/// What the server has acknowledged: the word that each document must hold, `None` for deleted ones, and the words that
/// an operation in flight may have put in their place.
#[derive(Clone, Debug, Default)]
struct Promised {
    held: BTreeMap<String, Option<String>>,
    in_flight: BTreeMap<String, Option<String>>,
}

type Ledger = Arc<Mutex<Promised>>;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Ingest,
    Update,
    Delete,
    Reindex,
    Merge,
}

/// A document about `word` in three paragraphs, so that it has several sentences to lose.
fn text(name: &str, word: &str) -> String {
    let filler = "The harbour of Brackwater keeps its own calendar of tides and repairs. ".repeat(6);
    format!(
        "# {name}\n\n{filler}\n\nThe watchword of {name} is {word}.\n\n{filler}\n\nThe keeper of {name} was born in Port Averil."
    )
}

async fn put(api: &Api, ledger: &Ledger, name: &str, word: &str) -> reqwest::Result<()> {
    ledger.lock().unwrap().in_flight.insert(name.to_owned(), Some(word.to_owned()));
    api.add(name, &text(name, word)).await?;
    let mut promised = ledger.lock().unwrap();
    promised.in_flight.remove(name);
    promised.held.insert(name.to_owned(), Some(word.to_owned()));
    Ok(())
}

async fn run(api: &Api, ledger: &Ledger, operation: Operation, round: u32) -> reqwest::Result<()> {
    match operation {
        Operation::Ingest => {
            for number in 0..6 {
                put(api, ledger, &format!("new-{round}-{number}.md"), &format!("wordnew{round}x{number}")).await?;
            }
            api.idle().await
        }
        Operation::Update => {
            for number in 0..4 {
                put(api, ledger, &format!("base-{number}.md"), &format!("wordupdated{round}x{number}")).await?;
            }
            api.idle().await
        }
        Operation::Delete => {
            let name = format!("base-{}.md", round % 8);
            let listed = api.get(&format!("/v1/documents?document={name}")).await?;
            let Some(id) = listed["documents"][0]["id"].as_str() else { return Ok(()) };
            ledger.lock().unwrap().in_flight.insert(name.clone(), None);
            api.delete(&format!("/v1/documents/{id}")).await?;
            {
                let mut promised = ledger.lock().unwrap();
                promised.in_flight.remove(&name);
                promised.held.insert(name.clone(), None);
            }
            put(api, ledger, &name, &format!("wordback{round}")).await?;
            api.idle().await
        }
        Operation::Reindex => {
            let told = api.drain("/v1/reindex").await?;
            assert!(told.contains("\"done\""), "{told}");
            Ok(())
        }
        // Many small commits leave many segments, which the text view merges in the background.
        Operation::Merge => {
            for number in 0..10 {
                put(api, ledger, "merge.md", &format!("wordmerge{round}x{number}")).await?;
                api.idle().await?;
            }
            Ok(())
        }
    }
}

/// Restarts and compares everything that was promised with what is there.
async fn verify(place: &Place, ledger: &Ledger, moment: &str) {
    let server = place.serve();
    let api = server.api();
    api.idle().await.unwrap();
    let report = api.get("/v1/check").await.unwrap();
    assert_eq!(report["problems"].as_array().map(Vec::len), Some(0), "{moment}: {report}");
    let mut promised = ledger.lock().unwrap().clone();
    for (name, word) in std::mem::take(&mut promised.in_flight) {
        // Either outcome is right for what was never acknowledged; what is there must be whole.
        let now = watchword(&api, &name).await;
        let before = promised.held.get(&name).cloned().flatten();
        assert!(now == word || now == before, "{moment}: {name} says {now:?}, expected {before:?} or {word:?}");
        promised.held.insert(name, now);
    }
    for (name, word) in &promised.held {
        assert_eq!(&watchword(&api, name).await, word, "{moment}: {name}");
    }
    *ledger.lock().unwrap() = promised;
    assert!(server.stop(), "{moment}: the server did not stop cleanly");
}

/// The watchword that a search for the document finds; `None` when the document is not there.
async fn watchword(api: &Api, name: &str) -> Option<String> {
    let listed = api.get(&format!("/v1/documents?document={name}")).await.unwrap();
    let document = listed["documents"].as_array().unwrap().first()?.clone();
    assert_eq!(document["state"], "ready", "{name}: {document}");
    let body = serde_json::json!({ "query": format!("watchword of {name}"), "filter": { "documents": [name] } });
    let found = api.post("/v1/search", &body).await.unwrap();
    let texts: Vec<&str> = found["results"].as_array().unwrap().iter().filter_map(|hit| hit["text"].as_str()).collect();
    let all = texts.join("\n");
    assert!(all.contains("was born in Port Averil"), "{name} is not whole: {found}");
    let after = all.split(" is word").nth(1).unwrap_or_else(|| panic!("{name} cannot be found: {found}"));
    Some(format!("word{}", after.split('.').next().unwrap()))
}

async fn usual_duration(api: &Api, ledger: &Ledger, operation: Operation) -> Duration {
    let started = std::time::Instant::now();
    run(api, ledger, operation, 999).await.unwrap();
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_process_is_killed() {
    let place = Place::new();
    let ledger = Ledger::default();
    let operations = [Operation::Ingest, Operation::Update, Operation::Delete, Operation::Reindex, Operation::Merge];
    let mut usual = BTreeMap::new();
    {
        let server = place.serve();
        let api = server.api();
        for number in 0..8 {
            put(&api, &ledger, &format!("base-{number}.md"), &format!("wordbase{number}")).await.unwrap();
        }
        api.idle().await.unwrap();
        for (index, operation) in operations.into_iter().enumerate() {
            usual.insert(index, usual_duration(&api, &ledger, operation).await);
        }
        assert!(server.stop());
    }
    let mut kills = 0;
    for moment in 0..MOMENTS {
        for (index, operation) in operations.into_iter().enumerate() {
            let server = place.serve();
            let (api, worker_ledger) = (server.api(), Arc::clone(&ledger));
            let work = tokio::spawn(async move { run(&api, &worker_ledger, operation, moment).await });
            tokio::time::sleep(usual[&index] * moment / MOMENTS).await;
            server.kill();
            // It ended early or was cut off; both are fine, a panic is not.
            let _: reqwest::Result<()> = work.await.unwrap();
            kills += 1;
            verify(&place, &ledger, &format!("{operation:?} at {moment}/{MOMENTS}")).await;
        }
    }
    assert!(kills >= 40, "only {kills} kill points");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_leaves_no_lock_behind() {
    let place = Place::new();
    place.serve().kill();
    let server = place.serve();
    let version: Value = server.api().get("/version").await.unwrap();
    assert_eq!(version["name"], "lorekeep");
}

/// An import that is killed leaves a whole workspace or none, and never stands in the way of the next.
#[test]
fn a_killed_import_leaves_a_whole_workspace_or_none() {
    let place = Place::new();
    for number in 0..20 {
        place.write(&format!("papers/{number}.md"), text(&format!("paper {number}"), &format!("word{number}")));
    }
    assert!(place.run(&["add", "papers"]).status.success());
    let archive = place.path().join("all.lorekeep").display().to_string();
    assert!(place.run(&["export", &archive]).status.success());
    for moment in 0..12_u32 {
        let name = format!("copy{moment}");
        let mut import = place.command().args(["-w", &name, "import", &archive]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(u64::from(moment * 8)));
        import.kill().unwrap();
        import.wait().unwrap();
        let all = place.json(&["workspace", "list"]);
        let rows = all["workspaces"].as_array().unwrap();
        let documents =
            |wanted: &str| rows.iter().find(|row| row["name"] == wanted).map(|row| row["documents"].clone());
        assert_eq!(documents("default"), Some(Value::from(20)), "{all}");
        match documents(&name) {
            Some(count) => assert_eq!(count, 20, "a part of a workspace is visible after {moment}"),
            None => assert!(place.run(&["-w", &name, "import", &archive]).status.success()),
        }
        let answer = place.json(&["-w", &name, "ask", &format!("What is the watchword of paper {moment}?")]);
        assert!(answer["answer"].as_str().unwrap().contains(&format!("word{moment}")), "{answer}");
        assert!(place.run(&["workspace", "rm", &name, "--yes"]).status.success());
    }
}
