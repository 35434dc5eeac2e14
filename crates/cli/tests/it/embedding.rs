//! A model of the role `embed` behind the binary: switching to it, making vectors anew, being killed meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use lorekeep_testkit::upstream::{Asked, Reply, Step, Upstream};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::harness::Place;

/// A service of OpenAI's shape that embeds texts by their letters.
struct Service {
    _runtime: Runtime,
    upstream: Upstream,
    /// Texts embedded.
    texts: Arc<AtomicUsize>,
    /// Answers with 401.
    locked: Arc<AtomicBool>,
}

impl Service {
    /// Each answer takes at least `wait`.
    fn new(wait: Duration) -> Self {
        let (texts, locked) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, refuses) = (Arc::clone(&texts), Arc::clone(&locked));
        let answer = move |asked: &Asked| {
            if asked.path != "/v1/embeddings" || refuses.load(Ordering::Relaxed) {
                return Some(Reply::json(401, &json!({ "error": { "message": "wrong key" } })));
            }
            let body = asked.json();
            let input: Vec<&str> = body["input"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            count.fetch_add(input.len(), Ordering::Relaxed);
            let data: Vec<Value> = input
                .iter()
                .enumerate()
                .map(|(index, text)| json!({ "index": index, "embedding": letters(text) }))
                .collect();
            let usage = json!({ "prompt_tokens": 5 * input.len(), "total_tokens": 5 * input.len() });
            let reply = Reply::json(200, &json!({ "data": data, "model": "letters-1", "usage": usage }));
            Some(Reply::raw(std::iter::once(Step::Wait(wait)).chain(reply.steps).collect()))
        };
        let runtime = Runtime::new().unwrap();
        let upstream = runtime.block_on(Upstream::start_with([], answer)).unwrap();
        Self { _runtime: runtime, upstream, texts, locked }
    }

    fn texts(&self) -> usize {
        self.texts.load(Ordering::Relaxed)
    }

    /// The configuration that names it; `more` goes into the table of roles.
    fn configure(&self, place: &Place, role: &str) {
        let file = format!("[providers.lab]\nbase_url = \"{}/v1\"\n[roles]\n{role}\n", self.upstream.url());
        place.write("lorekeep.toml", file);
    }
}

fn letters(text: &str) -> Vec<f64> {
    let mut vector = vec![0.01; 26];
    for byte in text.bytes().map(|byte| byte.to_ascii_lowercase()).filter(u8::is_ascii_lowercase) {
        vector[usize::from(byte - b'a')] += 1.0;
    }
    vector
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn papers(place: &Place, count: usize) {
    for number in 0..count {
        let text =
            format!("# Village {number}\n\nVillage {number} has a mill. The mill of village {number} grinds rye.\n");
        place.write(&format!("papers/{number}.md"), text);
    }
    let added = place.run(&["add", "papers"]);
    assert!(added.status.success(), "{}", stderr(&added));
}

const EMBED: &str = "embed = \"lab/letters\"";

#[test]
fn another_model_is_refused_until_the_vectors_are_made_anew() {
    let service = Service::new(Duration::ZERO);
    let place = Place::new();
    papers(&place, 3);
    service.configure(&place, EMBED);
    for command in [["ask", "What does the mill grind?"], ["search", "mill"], ["add", "lorekeep.toml"]] {
        let refused = place.run(&command);
        let told = stderr(&refused);
        assert!(!refused.status.success(), "{command:?}");
        for part in ["static-en-256", "256 dimensions", "lab/letters", "(26)", "lorekeep reindex --vectors"] {
            assert!(told.contains(part), "{command:?}: {told}");
        }
    }
    let made = place.run(&["reindex", "--vectors"]);
    assert!(made.status.success() && stderr(&made).contains("vectors made anew"), "{}", stderr(&made));
    let answer = place.json(&["ask", "What does the mill of village 1 grind?"]);
    assert!(answer["answer"].as_str().unwrap().contains("grinds rye"), "{answer}");

    // Nothing is paid for twice, not even when the same file comes back.
    let embedded = service.texts();
    assert!(place.run(&["--yes", "docs", "rm", "1.md"]).status.success());
    assert!(place.run(&["add", "papers/1.md"]).status.success());
    assert_eq!(service.texts(), embedded);
    let usage = place.json(&["usage", "--by", "operation"]);
    let row = usage["rows"].as_array().unwrap().iter().find(|row| row["key"] == "embed").unwrap();
    assert_eq!(row["prompt_tokens"].as_u64().unwrap(), 5 * embedded as u64, "{usage}");

    // Back to the built-in model.
    service.configure(&place, "");
    assert!(!place.run(&["search", "mill"]).status.success());
    assert!(place.run(&["reindex", "--vectors"]).status.success());
    assert!(place.run(&["search", "mill"]).status.success());
    assert_eq!(service.texts(), embedded, "the built-in model asks nobody");
}

#[test]
fn a_service_that_fails_fails_the_file_and_leaves_questions_their_words() {
    let service = Service::new(Duration::ZERO);
    let place = Place::new();
    service.configure(&place, EMBED);
    papers(&place, 2);
    service.locked.store(true, Ordering::Relaxed);
    let new = place.write("papers/new.md", "# Harbour\n\nThe harbour has a crane.\n");
    let added = place.run(&["add", &new.display().to_string()]);
    assert!(!added.status.success() && stderr(&added).contains("wrong key"), "{}", stderr(&added));
    let found = place.json(&["search", "mill of village 1"]);
    assert!(!found["results"].as_array().unwrap().is_empty());
    assert!(found["notices"].to_string().contains("only words were compared"), "{found}");
    service.locked.store(false, Ordering::Relaxed);
    let again = place.run(&["jobs", "retry"]);
    assert!(again.status.success(), "{}", stderr(&again));
    assert_eq!(place.json(&["search", "crane"])["notices"], json!([]));
}

#[test]
fn a_killed_server_goes_on_making_vectors_anew() {
    let service = Service::new(Duration::from_millis(30));
    Runtime::new().unwrap().block_on(killed_and_restarted(&service));
}

async fn killed_and_restarted(service: &Service) {
    let place = Place::new();
    papers(&place, 40);
    service.configure(&place, EMBED);
    let mut server = place.serve();
    let job = server.api().post("/v1/reindex?vectors=true", &json!({})).await.unwrap();
    assert_eq!((&job["kind"], &job["state"]), (&json!("reindex"), &json!("queued")), "{job}");
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(45)).await;
        server.kill();
        server = place.serve();
        let report = server.api().get("/v1/check").await.unwrap();
        assert_eq!(report["problems"], json!([]));
    }
    let api = server.api();
    api.idle().await.unwrap();
    let ended = loop {
        let job = api.get(&path).await.unwrap();
        if job["state"] == "done" {
            break job;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!((&ended["problem"], &ended["counts"]["failed"]), (&Value::Null, &json!(0)), "{ended}");
    let found = api.post("/v1/search", &json!({ "query": "mill of village 7", "mode": "naive" })).await.unwrap();
    assert_eq!(found["notices"], json!([]), "{found}");
    let report = api.get("/v1/check").await.unwrap();
    assert_eq!(report["problems"], json!([]));
    // A killed process may lose the answers that were under way, not what it had kept.
    let texts = service.texts() as u64;
    let total = ended["counts"]["total"].as_u64().unwrap();
    assert!(texts < 3 * total, "{texts} texts were embedded for {total} vectors");
}
