//! Perplexity's two wires.

use lorekeep_models::provider::auth::Key;
use lorekeep_types::{Secret, WebSearch, WebSource};
use serde_json::{Value, json};

mod agent;
mod chat;

fn key() -> Key {
    Key::Bearer(Secret::new("pplx-test"))
}

fn error(message: &str) -> String {
    json!({ "error": { "message": message, "type": "some_type", "code": 400 } }).to_string()
}

fn web() -> WebSearch {
    WebSearch {
        domains: vec!["example.org".to_owned(), "-example.com".to_owned()],
        recency: Some("month".to_owned()),
        context_size: Some("low".to_owned()),
    }
}

fn result(id: Option<u64>, name: &str) -> Value {
    let mut result = json!({
        "url": format!("https://{name}.example"), "title": name, "date": "2026-01-02", "snippet": format!("of {name}"),
    });
    if let Some(id) = id {
        result["id"] = json!(id);
    }
    result
}

fn source(name: &str) -> WebSource {
    WebSource {
        url: format!("https://{name}.example"),
        title: Some(name.to_owned()),
        date: Some("2026-01-02".to_owned()),
        snippet: Some(format!("of {name}")),
    }
}
