//! Models that search the web, over HTTP.

use std::collections::BTreeMap;

use lorekeep_models::gateway::settings::{GatewaySettings, ProviderKind, ProviderSettings};
use lorekeep_server::ServerSettings;
use lorekeep_testkit::upstream::{Asked, Reply, Upstream};
use lorekeep_types::{ModelId, Role, Secret};
use serde_json::{Value, json};

use crate::support::Server;

fn found(asked: &Asked) -> Reply {
    let results = json!([
        { "id": 1, "url": "https://example.org/ice", "title": "Ice <script>x()</script>", "date": "2026-02-01" },
        { "id": 2, "url": "javascript:alert(1)", "title": "No page" },
    ]);
    let text = json!({ "type": "output_text", "text": "It freezes in February [1]." });
    let message = json!({ "type": "message", "role": "assistant", "content": [text] });
    let searched = json!({ "type": "search_results", "results": results });
    let output = if asked.json()["tools"].is_array() { json!([searched, message]) } else { json!([message]) };
    Reply::json(
        200,
        &json!({
            "id": "r-1", "model": "sonar", "status": "completed", "output": output,
            "usage": { "input_tokens": 20, "output_tokens": 9 },
        }),
    )
}

async fn server() -> (Server, Upstream) {
    let upstream = Upstream::start_with([], |asked| Some(found(asked))).await.unwrap();
    let provider = ProviderSettings {
        name: "web".to_owned(),
        kind: ProviderKind::PerplexityAgent,
        base_url: Some(upstream.url()),
        api_key: Some(Secret::new("pplx-test")),
        options: BTreeMap::new(),
    };
    let models = GatewaySettings {
        providers: vec![provider],
        roles: BTreeMap::from([(Role::Answer, vec![ModelId::new("web", "sonar")])]),
        ..GatewaySettings::default()
    };
    (Server::with_models(models, ServerSettings::default()).stocked().await, upstream)
}

#[tokio::test]
async fn pages_are_listed_where_the_question_goes_to_the_model_alone() {
    let (server, upstream) = server().await;
    let question = "Who founded the Harbour Institute?";
    let ask = async |mode: &str| server.post("/v1/ask", &json!({ "question": question, "mode": mode })).await.ok();
    let alone = ask("bypass").await;
    assert_eq!(alone["answer"], "It freezes in February [1].");
    let pages = alone["web_sources"].as_array().unwrap();
    assert_eq!((pages.len(), &pages[0]["url"]), (2, &json!("https://example.org/ice")));
    assert_eq!(pages[0]["date"], "2026-02-01");
    assert!(!pages[0]["title"].as_str().unwrap().contains("<script"), "{alone}");
    assert_eq!(pages[1]["url"], "", "it holds its number and leads nowhere");
    assert_eq!(upstream.asked()[0].json()["tools"], json!([{ "type": "web_search" }]));

    let with_passages = ask("mix").await;
    assert_eq!((&with_passages["kind"], &with_passages["web_sources"]), (&json!("generated"), &Value::Null));
    assert_eq!(upstream.asked().last().unwrap().json().get("tools"), None, "[1] is a passage there");
}
