//! The graph made by a model, through the binary and the real client of a provider.

use lorekeep_testkit::upstream::Reply;
use serde_json::{Value, json};

use crate::harness::Place;
use crate::models::{Provider, stderr};

const REPORT: &str = "# Retrofit report\n\nThe roof of the library was insulated in 2023. \
    The work was led by Maria Stenberg of the Harbour Institute.\n";

const GRAPH: &str = r#"{"entities": [
    {"name": "Maria Stenberg", "type": "person", "description": "Maria Stenberg led the insulation of the roof."},
    {"name": "Harbour Institute", "type": "organization", "description": "The employer of Maria Stenberg."}],
 "relationships": [{"source": "Maria Stenberg", "target": "Harbour Institute", "keywords": "employment",
    "description": "Maria Stenberg works for the Harbour Institute."}]}"#;

/// A provider whose model finds the same graph in whatever it is sent, and nothing more when it is asked again.
fn extractor() -> Provider {
    Provider::new(|asked| {
        let is_again = asked.json()["messages"].as_array().is_some_and(|messages| messages.len() > 2);
        let nothing = r#"{"entities": [], "relationships": []}"#;
        (asked.path == "/v1/chat/completions").then(|| Reply::written(if is_again { nothing } else { GRAPH }))
    })
}

/// A place with one document, whose configuration names a model at `url`.
fn place(url: &str, more: &str) -> Place {
    let place = Place::new();
    place.write("papers/retrofit.md", REPORT);
    assert_eq!(place.run(&["add", "papers"]).status.code(), Some(0));
    place.write(
        "lorekeep.toml",
        format!("[llm]\nbase_url = \"{url}\"\nmodel = \"small\"\napi_key = \"sk-test\"\n{more}"),
    );
    place
}

const PRICES: &str = "[prices.small]\ninput_per_mtok = 2.0\noutput_per_mtok = 8.0\n";

#[test]
fn a_plan_a_build_and_what_it_cost() {
    let provider = extractor();
    let place = place(&provider.url(), &format!("{PRICES}[graph]\nresolve = \"off\"\n"));
    let plan = place.json(&["graph", "build", "--dry-run"]);
    assert_eq!((&plan["model"], &plan["passages"], &plan["cached"]), (&json!("llm/small"), &json!(1), &json!(0)));
    assert!(plan["cost_usd"].as_f64().unwrap() > 0.0 && plan["prompt_tokens"].as_u64().unwrap() > 200, "{plan}");
    assert!(provider.chats().is_empty(), "nothing is sent");

    let built = place.run(&["graph", "build"]);
    assert_eq!(built.status.code(), Some(0), "{}", stderr(&built));
    // Two calls of 1000 × $2 + 50 × $8 per million.
    assert!(stderr(&built).contains("2 calls, 0 kept   2.0 k in, 100 out   $0.0048"), "{}", stderr(&built));
    let entity = place.json(&["graph", "entity", "Maria Stenberg"]);
    assert_eq!(entity["entity"]["type"], "person");
    assert_eq!(entity["entity"]["description"], "Maria Stenberg led the insulation of the roof.");
    let relation = &entity["relations"][0];
    assert_eq!((&relation["target"], &relation["keywords"]), (&json!("Maria Stenberg"), &json!("employment")));
    assert_eq!(relation["evidence"][0]["quote"], "The work was led by Maria Stenberg of the Harbour Institute.");

    let sent = &provider.chats()[0];
    assert_eq!(sent["response_format"]["type"], "json_schema");
    assert!(sent["messages"][1]["content"].as_str().unwrap().contains("Maria Stenberg of the Harbour Institute"));
    let jobs = place.json(&["jobs", "list"]);
    let job = &jobs["jobs"][0];
    assert_eq!((&job["kind"], &job["state"], &job["counts"]["ready"]), (&json!("graph"), &json!("done"), &json!(1)));
    assert_eq!((&job["spending"]["calls"], &job["spending"]["spent_usd"]), (&json!(2), &json!(0.0048)));
    let usage = place.json(&["usage", "--by", "operation"]);
    assert_eq!((&usage["rows"][0]["key"], &usage["rows"][0]["calls"]), (&json!("entity_extraction"), &json!(2)));

    let again = place.run(&["graph", "build"]);
    assert!(stderr(&again).contains("Nothing to build"), "{}", stderr(&again));
    let named = place.run(&["graph", "build", "retrofit.md"]);
    assert!(stderr(&named).contains("0 calls, 2 kept"), "{}", stderr(&named));
    assert_eq!(provider.chats().len(), 2);
}

#[test]
fn a_server_that_knows_no_schemas_is_asked_in_plain_records() {
    let provider = Provider::new(|asked| {
        let body = asked.json();
        if !body["response_format"].is_null() {
            return Some(Reply::json(400, &json!({ "error": { "message": "response_format is not supported" } })));
        }
        let is_again = body["messages"].as_array().is_some_and(|messages| messages.len() > 2);
        let records = "entity<|#|>Maria Stenberg<|#|>person<|#|>A leader of works.\n<|COMPLETE|>";
        Some(Reply::written(if is_again { "<|COMPLETE|>" } else { records }))
    });
    let place = place(&provider.url(), "");
    let built = place.run(&["graph", "build"]);
    assert_eq!(built.status.code(), Some(0), "{}", stderr(&built));
    let entity = place.json(&["graph", "entity", "Maria Stenberg"]);
    assert_eq!(entity["entity"]["description"], "A leader of works.");
    let plan = place.run(&["graph", "build", "--dry-run"]);
    assert!(stderr(&plan).contains("Nothing to build"), "{}", stderr(&plan));
}

#[test]
fn limits_and_missing_models_are_told_with_their_remedies() {
    let provider = extractor();
    let unpriced = place(&provider.url(), "");
    let refused = unpriced.run(&["graph", "build", "--max-cost", "2"]);
    assert!(stderr(&refused).contains("the price of `llm/small` is not known"), "{}", stderr(&refused));
    let plan = unpriced.run(&["graph", "build", "--dry-run"]);
    let shown = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(shown.contains("not known: no price is configured for `llm/small`"), "{shown}");
    let place = place(&provider.url(), PRICES);
    for wrong in ["0", "-1", "1e9"] {
        let refused = place.run(&["graph", "build", &format!("--max-cost={wrong}")]);
        assert!(stderr(&refused).contains("max_cost_usd"), "{}", stderr(&refused));
    }
    let stopped = place.run(&["graph", "build", "--max-cost", "0.001"]);
    assert_eq!(stopped.status.code(), Some(7), "{}", stderr(&stopped));
    assert!(stderr(&stopped).contains("the limit of $0.001 was reached"), "{}", stderr(&stopped));
    let missing = place.run(&["graph", "build", "nowhere.pdf"]);
    assert_eq!(missing.status.code(), Some(3), "{}", stderr(&missing));
    assert!(provider.chats().is_empty());
    let without = Place::new();
    without.write("papers/a.md", REPORT);
    without.run(&["add", "papers"]);
    let refused = without.run(&["graph", "build"]);
    assert!(stderr(&refused).contains("lorekeep model set PROVIDER/MODEL --role extract"), "{}", stderr(&refused));
}

#[test]
fn a_build_that_was_killed_goes_on_when_the_server_starts_again() {
    use lorekeep_testkit::upstream::Step;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let silent = Arc::new(AtomicBool::new(true));
    let provider = {
        let silent = Arc::clone(&silent);
        Provider::new(move |asked| {
            if silent.load(Ordering::SeqCst) {
                return Some(Reply::raw(vec![Step::Hang]));
            }
            let is_again = asked.json()["messages"].as_array().is_some_and(|messages| messages.len() > 2);
            Some(Reply::written(if is_again { r#"{"entities": []}"# } else { GRAPH }))
        })
    };
    let place = place(&provider.url(), "");
    let server = place.serve();
    let accepted = place.run(&["graph", "build", "--no-wait"]);
    assert_eq!(accepted.status.code(), Some(0), "{}", stderr(&accepted));
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while provider.chats().is_empty() {
        assert!(std::time::Instant::now() < patience, "the model was never asked");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    server.kill();
    silent.store(false, Ordering::SeqCst);
    let _server = place.serve();
    let description = |place: &Place| -> Value {
        place.json(&["graph", "entity", "Maria Stenberg"])["entity"]["description"].clone()
    };
    while description(&place) != "Maria Stenberg led the insulation of the roof." {
        assert!(std::time::Instant::now() < patience, "{}", place.json(&["jobs", "list"]));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
