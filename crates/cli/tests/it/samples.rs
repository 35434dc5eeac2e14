//! The sample library as a newcomer meets it: indexed by `start`, asked the committed questions.

use serde_json::Value;

use crate::harness::Place;

fn root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn questions() -> Vec<Value> {
    let text = std::fs::read_to_string(root().join("samples/questions.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn normal(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_questions_are_answered_from_the_right_document() {
    let place = Place::new();
    let library = root().join("samples/library");
    let added = place.run(&["add", &library.display().to_string()]);
    assert_eq!(added.status.code(), Some(0), "{}", String::from_utf8_lossy(&added.stderr));

    let server = place.serve();
    let api = server.api();
    let (mut first, mut cited) = (0, Vec::new());
    for question in questions() {
        let body = serde_json::json!({ "question": question["question"] });
        let answer = api.post("/v1/ask", &body).await.unwrap();
        let gold = normal(question["gold"].as_str().unwrap());
        let citations = answer["citations"].as_array().unwrap();
        let holds = |citation: &Value| {
            citation["name"] == question["document"] && normal(citation["quote"].as_str().unwrap()).contains(&gold)
        };
        first += u32::from(citations.first().is_some_and(holds));
        if !citations.iter().any(holds) {
            cited.push(format!("{}: {}", question["id"], answer["answer"]));
        }
        // Every quote is what stands at its span.
        for citation in citations {
            let id = citation["document_id"].as_str().unwrap();
            let text = api.get(&format!("/v1/documents/{id}/text")).await.unwrap();
            let characters: Vec<char> = text["text"].as_str().unwrap().chars().collect();
            let at = |index: usize| citation["span"][index].as_u64().unwrap() as usize;
            let quoted: String = characters[at(0)..at(1)].iter().collect();
            assert_eq!(citation["quote"], quoted);
            if let (true, Some(page)) = (holds(citation), question["page"].as_u64()) {
                assert_eq!(citation["page"], page);
            }
        }
    }
    assert!(cited.len() <= 2, "not answered: {cited:#?}");
    assert!(first >= 12, "only {first} of 20 begin with the gold sentence");
}

#[test]
fn the_graph_of_the_samples_has_communities() {
    let place = Place::new();
    place.run(&["add", &root().join("samples/library").display().to_string()]);
    let found = place.json(&["graph", "communities", "-n", "3"]);
    assert_eq!(found["communities"].as_array().unwrap().len(), 3, "{found}");
    assert!(found["total"].as_u64().unwrap() > 5, "{found}");
    let shown = place.run(&["graph", "communities", "-n", "1"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    let title = found["communities"][0]["title"].as_str().unwrap();
    assert!(text.starts_with(title) && text.contains("members in"), "{text}");
    let none = place.run(&["graph", "communities", "--summarize"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("no model fills the role `summarize`"));
    assert_eq!(place.run(&["graph", "communities", "--level", "16"]).status.code(), Some(3));
}
