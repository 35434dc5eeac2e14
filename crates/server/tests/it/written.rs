//! Answers that a model writes, over HTTP: their form on each surface, what happens when the provider is in trouble, and
//! what happens when the client goes away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures::StreamExt as _;
use lorekeep_models::gateway::settings::{GatewaySettings, PerRequest, ProviderKind, ProviderSettings};
use lorekeep_models::price::Prices;
use lorekeep_models::provider::http::Timeouts;
use lorekeep_server::ServerSettings;
use lorekeep_testkit::upstream::{Asked, Reply, Step, Upstream};
use lorekeep_types::{CallPage, ModelId, Role};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::Server;

const QUESTION: &str = "Who founded the Harbour Institute?";
const SUPPORTED: &str = "Maria Alvarez founded the Harbour Institute in 1987 [{charter}].";
const UNSUPPORTED: &str = "Its cellar houses forty-seven purple elephants.";
/// The same as the model writes it, with a citation of nothing.
const MADE_UP: &str = "Its cellar houses forty-seven purple elephants [99].";

/// 1000 × 2 USD + 50 × 8 USD per million, in nano-USD.
const COST: i64 = 2_400_000;

pub fn settings(url: String) -> GatewaySettings {
    GatewaySettings {
        providers: vec![ProviderSettings {
            name: "llm".to_owned(),
            kind: ProviderKind::Compatible,
            base_url: Some(url),
            api_key: None,
            options: BTreeMap::new(),
        }],
        roles: BTreeMap::from([(Role::Answer, vec![ModelId::new("llm", "small")])]),
        prices: Arc::new(Prices::from_toml("[prices.small]\ninput_per_mtok = 2.0\noutput_per_mtok = 8.0").unwrap()),
        attempts: 1,
        ..GatewaySettings::default()
    }
}

/// A server with the library of the tests, whose model answers as told.
pub async fn served(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Server, Upstream) {
    patient(Timeouts::default().first_byte, reply).await
}

/// The same with a limit on the time to the first byte.
async fn patient(first_byte: Duration, reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> (Server, Upstream) {
    let upstream = Upstream::start_with([], move |asked| Some(reply(asked))).await.unwrap();
    let timeouts = Timeouts { first_byte, ..Timeouts::default() };
    let models = GatewaySettings { timeouts, ..settings(upstream.url()) };
    (Server::with_models(models, ServerSettings::default()).stocked().await, upstream)
}

/// `text` with the numbers that the prompt gave to the documents.
pub fn numbered(asked: &Asked, text: &str) -> String {
    let prompt = asked.json()["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap().to_owned();
    let line = prompt.lines().find(|line| line.starts_with("=== ") && line.contains("charter.md"));
    text.replace("{charter}", line.and_then(|line| line.split(['[', ']']).nth(1)).unwrap_or("1"))
}

/// One that writes a sentence with support, and one without that cites what it was not given.
async fn writing() -> (Server, Upstream) {
    served(|asked| {
        let text = numbered(asked, &format!("{SUPPORTED} {MADE_UP}"));
        if asked.json()["stream"] == true { Reply::streamed(&text) } else { Reply::written(&text) }
    })
    .await
}

async fn streamed(server: &Server, body: &Value) -> Vec<(String, Value)> {
    let request =
        Request::post("/v1/ask").header("accept", "text/event-stream").header("content-type", "application/json");
    server.send(request.body(Body::from(body.to_string())).unwrap()).await.events()
}

fn cut(text: &str, span: &Value) -> String {
    let at = |index: usize| span[index].as_u64().unwrap() as usize;
    text.chars().skip(at(0)).take(at(1) - at(0)).collect()
}

#[tokio::test]
async fn a_stream_tells_sources_first_and_citations_last() {
    let (server, upstream) = writing().await;
    let events = streamed(&server, &json!({ "question": QUESTION })).await;
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    let first = |wanted: &str| names.iter().position(|name| *name == wanted).unwrap();
    let last = |wanted: &str| names.iter().rposition(|name| *name == wanted).unwrap();
    assert!(first("sources") < first("answer") && last("answer") < first("citation"), "{names:?}");
    assert_eq!((names[0], names.last(), names.len() - 1), ("stage", Some(&"done"), last("done")));
    assert!(names.iter().filter(|name| **name == "answer").count() > 3, "{names:?}");
    let pieces: String =
        events.iter().filter(|(name, _)| name == "answer").map(|(_, data)| data["text"].as_str().unwrap()).collect();
    let done = &events.last().unwrap().1;
    let text = done["answer"].as_str().unwrap();
    assert_eq!((pieces.trim_end(), &done["kind"]), (text, &json!("generated")));
    assert!(!text.contains("[99]") && done["notices"].to_string().contains("was not given"), "{done}");

    // Every citation is one of the sources, and resolves to the sentence.
    let sources = &events[first("sources")].1["sources"];
    assert_eq!(sources, &done["sources"]);
    let citations = done["citations"].as_array().unwrap();
    assert_eq!((citations.len(), &citations[0]), (1, &events[first("citation")].1));
    let source = sources.as_array().unwrap().iter().find(|source| source["n"] == citations[0]["n"]).unwrap();
    assert_eq!(source["document_id"], citations[0]["document_id"]);
    assert_eq!(citations[0]["quote"], "The Harbour Institute was founded by Maria Alvarez in 1987.");

    // The sentence without support is marked, and its place is that of the shown text.
    let marked: Vec<String> = done["unsupported"].as_array().unwrap().iter().map(|span| cut(text, span)).collect();
    assert_eq!(marked, [UNSUPPORTED]);
    let usage = &done["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(1000), &json!(50)), "{usage}");
    assert_eq!(
        (&usage["cost_nano_usd"], &usage["estimated"], &done["cached"]),
        (&json!(COST), &json!(false), &json!(false))
    );
    assert!(done["first_token_ms"].as_f64().unwrap() <= done["took_ms"].as_f64().unwrap());
    assert_eq!((&done["model"], upstream.asked().len()), (&json!("small-0613"), 1));
}

#[tokio::test]
async fn an_answer_that_is_kept_is_whole_and_costs_nothing() {
    let (server, upstream) = writing().await;
    let first = server.post("/v1/ask", &json!({ "question": QUESTION })).await.ok();
    let again = server.post("/v1/ask", &json!({ "question": QUESTION })).await.ok();
    assert_eq!((&first["cached"], &again["cached"]), (&json!(false), &json!(true)));
    assert_eq!((&again["usage"]["total_tokens"], &again["usage"]["cost_nano_usd"]), (&json!(0), &json!(0)));
    for part in ["answer", "citations", "sources", "unsupported", "model"] {
        assert_eq!(first[part], again[part], "{part}");
    }
    let told = streamed(&server, &json!({ "question": QUESTION })).await;
    assert_eq!((&told.last().unwrap().1["cached"], upstream.asked().len()), (&json!(true), 1));
    let pieces: String =
        told.iter().filter(|(name, _)| name == "answer").map(|(_, data)| data["text"].as_str().unwrap()).collect();
    assert_eq!(pieces.trim_end(), first["answer"].as_str().unwrap());
    server.post("/v1/ask", &json!({ "question": QUESTION, "no_cache": true })).await.ok();
    assert_eq!(upstream.asked().len(), 2);
}

#[tokio::test]
async fn lightrags_query_cites_documents_and_lists_what_the_model_was_given() {
    let (server, upstream) = writing().await;
    let body = json!({ "query": QUESTION, "include_chunk_content": true, "user_prompt": "Name the year.", "response_type": "One Sentence" });
    let answer = server.post("/query", &body).await.ok();
    assert_eq!(answer["llm_generated"], true);
    let references = answer["references"].as_array().unwrap();
    let charter = references.iter().find(|one| one["file_path"] == "charter.md").unwrap();
    assert!(charter["content"].to_string().contains("founded by Maria Alvarez"), "{charter}");
    let response = answer["response"].as_str().unwrap();
    let number = charter["reference_id"].as_str().unwrap();
    assert!(
        response.starts_with(&format!("Maria Alvarez founded the Harbour Institute in 1987 [{number}].")),
        "{response}"
    );
    assert!(response.contains("\n\n### References\n\n- [1] ") && !response.contains("[99]"), "{response}");
    let sent = upstream.asked().iter().map(Asked::json).next_back().unwrap()["messages"].to_string();
    assert!(sent.contains("Name the year.") && sent.contains("Form of the answer: One Sentence"), "{sent}");
    for mode in ["local", "global", "hybrid", "naive", "mix", "bypass"] {
        let answer = server.post("/query", &json!({ "query": QUESTION, "mode": mode })).await.ok();
        let listed = answer["references"].as_array().is_some_and(|list| !list.is_empty());
        assert_eq!((&answer["llm_generated"], listed), (&json!(true), mode != "bypass"), "{mode}: {answer}");
    }
}

#[tokio::test]
async fn lightrags_stream_is_lines_from_references_to_the_list() {
    let (server, _upstream) = writing().await;
    // Other modes find more once the vectors of the graph are there.
    let body = json!({ "query": QUESTION, "mode": "naive" });
    let reply = server.post("/query/stream", &body).await;
    assert_eq!((reply.status, reply.header("content-type")), (StatusCode::OK, "application/x-ndjson"));
    let lines: Vec<Value> = reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines[0]["references"].is_array() && lines.len() > 4, "{lines:?}");
    let text: String = lines.iter().filter_map(|line| line["response"].as_str()).collect();
    assert!(text.starts_with("Maria Alvarez founded") && text.contains("### References"), "{text}");
    assert!(lines.iter().all(|line| line.get("error").is_none()));
    let whole = server.post("/query", &body).await.ok();
    let same = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(same(&text), same(whole["response"].as_str().unwrap()));
}

#[tokio::test]
async fn data_and_contexts_ask_no_model_to_write() {
    let (server, upstream) = writing().await;
    let data = server.post("/query/data", &json!({ "query": QUESTION })).await.ok();
    assert_eq!(data["status"], "success");
    server.post("/query", &json!({ "query": QUESTION, "only_need_context": true })).await.ok();
    server.post("/query", &json!({ "query": QUESTION, "only_need_prompt": true })).await.ok();
    server.post("/v1/ask", &json!({ "question": QUESTION, "quote_only": true })).await.ok();
    assert!(upstream.asked().is_empty());
}

/// Ways in which a provider fails, and the status of ours.
fn troubles() -> Vec<(&'static str, Reply, u16)> {
    let refusal = |status: u16, message: &str| Reply::json(status, &json!({ "error": { "message": message } }));
    vec![
        ("a wrong key", refusal(401, "wrong key"), 502),
        ("a fault", refusal(500, "boom"), 502),
        ("no JSON", Reply::body(200, "application/json", "<html>"), 502),
        ("overload", refusal(503, "overloaded"), 503),
        ("a limit of rate", Reply::with_headers(429, &[("retry-after", "60")], "{}"), 503),
        ("silence", Reply::raw(vec![Step::Hang]), 504),
    ]
}

#[tokio::test]
async fn trouble_has_its_status_and_reason_on_every_surface() {
    for (what, reply, status) in troubles() {
        // Only silence is waited for.
        let patience = if status == 504 { Duration::from_millis(100) } else { Duration::from_secs(60) };
        let (server, _upstream) = patient(patience, move |_| reply.clone()).await;
        let failed = server.post("/v1/ask", &json!({ "question": QUESTION })).await;
        assert_eq!(failed.problem().0, status, "{what}: {}", failed.text());
        assert!(failed.json()["detail"].as_str().unwrap().contains("llm/small"), "{what}: {}", failed.text());
        for path in ["/query", "/query/stream"] {
            let failed = server.post(path, &json!({ "query": QUESTION })).await;
            let detail = failed.json()["detail"].as_str().unwrap_or_default().to_owned();
            assert_eq!(failed.status.as_u16(), status, "{what}, {path}: {detail}");
            assert!(detail.contains("llm/small"), "{what}, {path}: {detail}");
        }
        let events = streamed(&server, &json!({ "question": QUESTION })).await;
        let (name, problem) = events.last().unwrap();
        assert_eq!((name.as_str(), &problem["status"]), ("error", &json!(status)), "{what}: {problem}");
        assert!(events.iter().all(|(name, _)| name != "answer" && name != "done"), "{what}: nothing is made up");
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_503() {
    let gone = { Upstream::start([]).await.unwrap().url() };
    let server = Server::with_models(settings(gone), ServerSettings::default()).stocked().await;
    let failed = server.post("/v1/ask", &json!({ "question": QUESTION })).await;
    assert_eq!(failed.problem(), (503, "E-UPSTREAM-UNAVAILABLE".to_owned()), "{}", failed.text());
    assert!(failed.json()["hint"].as_str().unwrap().contains("lorekeep model test"), "{}", failed.text());
}

#[tokio::test]
async fn quotes_come_instead_where_the_client_allows_it() {
    let (server, _upstream) = served(|_| Reply::json(500, &json!({ "error": { "message": "boom" } }))).await;
    let body = json!({ "question": QUESTION, "on_failure": "quote" });
    let answer = server.post("/v1/ask", &body).await.ok();
    assert_eq!((&answer["kind"], answer.get("model")), (&json!("quoted"), None));
    let notices = answer["notices"].to_string();
    assert!(notices.contains("boom") && notices.contains("the answer is quoted instead"), "{notices}");
    let events = streamed(&server, &body).await;
    assert_eq!(events.last().unwrap().1["kind"], "quoted");
    let wrong = server.post("/v1/ask", &json!({ "question": QUESTION, "on_failure": "guess" })).await;
    assert_eq!(wrong.problem().0, 400);
}

#[tokio::test]
async fn a_break_after_the_first_piece_is_an_error_and_never_an_end() {
    let (server, _upstream) = served(|asked| Reply::begun(&numbered(asked, SUPPORTED)).then(Step::Reset)).await;
    let events = streamed(&server, &json!({ "question": QUESTION, "on_failure": "quote" })).await;
    assert!(events.iter().any(|(name, _)| name == "answer"));
    assert_eq!((events.last().unwrap().0.as_str(), &events.last().unwrap().1["status"]), ("error", &json!(502)));
    let reply = server.post("/query/stream", &json!({ "query": QUESTION })).await;
    let last: Value = serde_json::from_str(reply.text().lines().last().unwrap()).unwrap();
    assert!(last["error"].as_str().unwrap().contains("E-UPSTREAM"), "{last}");
}

/// Waits until what is asked for holds.
async fn soon(what: &str, holds: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < patience, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_client_that_goes_away_closes_the_call() {
    for (path, body, pieces) in [
        ("/v1/ask", json!({ "question": QUESTION, "stream": true }), 3),
        ("/query/stream", json!({ "query": QUESTION }), 1),
        ("/v1/ask", json!({ "question": QUESTION }), 0),
        ("/query", json!({ "query": QUESTION }), 0),
    ] {
        let (server, upstream) = served(|asked| {
            let begun = if asked.json()["stream"] == true { Reply::begun(SUPPORTED) } else { Reply::raw(Vec::new()) };
            begun.then(Step::Hang)
        })
        .await;
        let request = Request::post(path).header("content-type", "application/json");
        let asking = server.router.clone().oneshot(request.body(Body::from(body.to_string())).unwrap());
        if pieces == 0 {
            let mut asking = Box::pin(asking);
            tokio::select! {
                _ = &mut asking => panic!("{path}: the model never answers"),
                () = soon("the model is asked", || !upstream.asked().is_empty()) => {}
            }
            drop(asking);
        } else {
            let mut body = asking.await.unwrap().into_body().into_data_stream();
            for _ in 0..pieces {
                body.next().await.unwrap().unwrap();
            }
            soon("the model is asked", || !upstream.asked().is_empty()).await;
            drop(body);
        }
        soon(&format!("{path}: the call is closed at the provider"), || upstream.abandoned() == 1).await;
        let page = CallPage { since_ms: 0, until_ms: i64::MAX, after: None, limit: 10 };
        let closed = || server.ledger.calls(&page).unwrap().iter().all(|row| row.status == "cancelled");
        soon(&format!("{path}: the call is closed in the ledger"), closed).await;
        // What had been written is paid for, as an estimate.
        let row = server.ledger.calls(&page).unwrap().remove(0);
        let paid = row.charged.is_some_and(|charged| charged > 0) && row.usage.estimated;
        assert!(pieces == 0 || paid, "{path}: {row:?}");
    }
}

#[tokio::test]
async fn a_request_names_only_a_model_that_it_may() {
    let upstream = Upstream::start_with([], |_| Some(Reply::written("Maria Alvarez."))).await.unwrap();
    let models = GatewaySettings { per_request: PerRequest::Roles, ..settings(upstream.url()) };
    let server = Server::with_models(models, ServerSettings::default()).stocked().await;
    let asked = |model: &str| json!({ "question": QUESTION, "model": model });
    server.post("/v1/ask", &asked("llm/small")).await.ok();
    let refused = server.post("/v1/ask", &asked("llm/large")).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let problem = refused.json();
    assert_eq!(problem["code"], "E-FORBIDDEN", "{problem}");
    assert!(
        problem.to_string().contains("`llm/large`") && problem.to_string().contains("`models.per_request`"),
        "{problem}"
    );
    assert_eq!(upstream.asked().len(), 1);
}
