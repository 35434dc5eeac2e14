//! A budget that is used up, as each surface tells it: the budget, when it is renewed, and what to do.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use lorekeep_models::gateway::settings::GatewaySettings;
use lorekeep_models::price::Prices;
use lorekeep_server::{Callers, ServerSettings};
use lorekeep_testkit::upstream::{Asked, Reply as Answered, Upstream};
use lorekeep_types::{
    Admission, BudgetAction, BudgetRule, BudgetScope, BudgetState, BudgetWindow, CALL_OK, CallPage, CallRow, Closing,
    ModelId, Opening, Role, Secret, UnknownPrice, WorkspaceName,
};
use serde_json::{Value, json};

use crate::support::{NOW_MS, Reply, Server};
use crate::written::settings;

const QUESTION: &str = "Who founded the Harbour Institute?";
const LIMIT: i64 = 1_000_000_000;
const NAMED: &str = "the budget of all calls (1.00 USD per day)";

/// A server with the library, whose budget of a day is spent; it is noon.
async fn spent(action: BudgetAction, change: impl FnOnce(&mut GatewaySettings)) -> (Server, Upstream) {
    let upstream = Upstream::start_with([], |_| Some(Answered::written("Maria Alvarez."))).await.unwrap();
    let (scope, window, unknown_price) = (BudgetScope::Total, BudgetWindow::Day, UnknownPrice::Refuse);
    let model = ModelId::new("llm", "small");
    let mut models = GatewaySettings {
        budgets: vec![BudgetRule { scope, window, limit: LIMIT, action, unknown_price }],
        roles: BTreeMap::from([(Role::Answer, vec![model.clone()]), (Role::Speak, vec![model])]),
        ..settings(upstream.url())
    };
    change(&mut models);
    let server = Server::with_models(models, ServerSettings::default()).stocked().await;
    spend(&server, None).await;
    (server, upstream)
}

/// Spends all of the budget.
async fn spend(server: &Server, principal: Option<&str>) {
    let left: i64 = server.ledger.budgets(NOW_MS).unwrap().iter().map(BudgetState::left).sum();
    let opening = Opening {
        at_ms: NOW_MS,
        request_id: "before".to_owned(),
        model: ModelId::new("llm", "small"),
        operation: "answer".to_owned(),
        workspace: WorkspaceName::default_workspace(),
        principal: principal.map(str::to_owned),
        streamed: false,
        estimate: Some(left),
        lease_ms: 90_000,
    };
    let Admission::Admitted(number) = server.ledger.open(opening).await.unwrap() else { panic!("it is not spent yet") };
    let closing = Closing { cost: Some(left), ..Closing::new(NOW_MS, CALL_OK) };
    server.ledger.close(number, closing).await.unwrap();
}

async fn events(server: &Server, body: &Value) -> Vec<(String, Value)> {
    let request =
        Request::post("/v1/ask").header("accept", "text/event-stream").header("content-type", "application/json");
    server.send(request.body(Body::from(body.to_string())).unwrap()).await.events()
}

fn waits(reply: &Reply) {
    let told = (reply.status, reply.header("retry-after"));
    assert_eq!(told, (StatusCode::TOO_MANY_REQUESTS, "43200"), "{}", reply.text());
}

#[tokio::test]
async fn a_budget_that_asks_to_wait_says_until_when_on_every_surface() {
    let (server, upstream) = spent(BudgetAction::Refuse429, |_| ()).await;
    let question = json!({ "question": QUESTION });
    let refused = server.post("/v1/ask", &question).await;
    waits(&refused);
    assert_eq!(refused.problem(), (429, "E-BUDGET-WAIT".to_owned()));
    let problem = refused.json();
    assert_eq!(problem["retry_after_s"], 43_200);
    assert!(problem["detail"].as_str().unwrap().contains(NAMED), "{problem}");
    assert!(problem["hint"].as_str().unwrap().contains("2026-05-04 00:00 UTC"), "{problem}");

    let streamed = events(&server, &question).await;
    let (name, problem) = streamed.last().unwrap();
    assert_eq!((name.as_str(), &problem["status"], &problem["retry_after_s"]), ("error", &json!(429), &json!(43_200)));
    assert_eq!((&problem["code"], problem["detail"].to_string().contains(NAMED)), (&json!("E-BUDGET-WAIT"), true));

    for path in ["/query", "/query/stream"] {
        let refused = server.post(path, &json!({ "query": QUESTION })).await;
        waits(&refused);
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(NAMED) && detail.contains("2026-05-04") && !detail.contains("Pipeline"), "{detail}");
    }
    let told = server.post("/query/stream", &json!({ "query": QUESTION, "include_progress": true })).await.text();
    assert!(told.lines().last().unwrap().contains(NAMED) && told.contains("E-BUDGET-WAIT"), "{told}");

    let chat = |stream: bool| json!({ "model": "lorekeep", "stream": stream, "messages": [{ "role": "user", "content": QUESTION }] });
    for stream in [false, true] {
        let refused = server.post("/api/chat", &chat(stream)).await;
        waits(&refused);
        assert!(refused.text().contains(NAMED), "{}", refused.text());
    }

    let refused = server.post("/v1/audio/speech", &json!({ "input": "Hello." })).await;
    waits(&refused);
    let error = &refused.json()["error"];
    assert_eq!((&error["type"], &error["code"]), (&json!("rate_limit_error"), &json!("E-BUDGET-WAIT")));
    assert!(error["message"].as_str().unwrap().contains(NAMED), "{error}");
    assert!(upstream.asked().is_empty());
}

#[tokio::test]
async fn a_budget_that_refuses_is_402_and_names_no_time_in_a_header() {
    let (server, _upstream) = spent(BudgetAction::Refuse402, |_| ()).await;
    let refused = server.post("/v1/ask", &json!({ "question": QUESTION })).await;
    assert_eq!(refused.problem(), (402, "E-BUDGET".to_owned()));
    assert!(refused.json()["hint"].as_str().unwrap().contains("raise the budget"), "{}", refused.text());
    assert_eq!(server.post("/query", &json!({ "query": QUESTION })).await.status, StatusCode::PAYMENT_REQUIRED);
}

#[tokio::test]
async fn waiting_is_not_advised_to_those_whom_it_does_not_help() {
    let unpriced = |models: &mut GatewaySettings| models.prices = Arc::new(Prices::default());
    let (server, _upstream) = spent(BudgetAction::Refuse429, unpriced).await;
    let refused = server.post("/v1/ask", &json!({ "question": QUESTION })).await;
    assert_eq!((refused.problem(), refused.header("retry-after")), ((402, "E-BUDGET".to_owned()), ""));
    let hint = refused.json()["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains("set a price") && !hint.contains("wait"), "{hint}");
}

#[tokio::test]
async fn quotes_come_instead_and_name_the_budget() {
    let (server, _upstream) = spent(BudgetAction::Quote, |_| ()).await;
    let answer = server.post("/v1/ask", &json!({ "question": QUESTION })).await.ok();
    assert_eq!(answer["kind"], "quoted");
    let notices = answer["notices"].to_string();
    assert!(notices.contains(NAMED) && notices.contains("the answer is quoted instead"), "{notices}");
    let streamed = events(&server, &json!({ "question": QUESTION })).await;
    assert!(streamed.last().unwrap().1["notices"].to_string().contains(NAMED));
}

/// OpenAI's answer: a vector for each text.
fn vectors(asked: &Asked) -> Answered {
    let texts = asked.json()["input"].as_array().unwrap().len();
    let data: Vec<Value> =
        (0..texts).map(|index| json!({ "index": index, "embedding": [1.0, f64::from(index as u32), 0.5] })).collect();
    Answered::json(
        200,
        &json!({ "data": data, "model": "small", "usage": { "prompt_tokens": 10, "total_tokens": 10 } }),
    )
}

/// Adds a text as `website`; the job's one document, when it has ended.
async fn added(server: &Server, name: &str) -> Value {
    let body = json!({ "documents": [{ "name": name, "text": format!("{name} speaks of Rotterdam.") }] });
    let request = Request::post("/v1/documents").header("x-api-key", "k-1").header("content-type", "application/json");
    let added = server.send(request.body(Body::from(body.to_string())).unwrap()).await.ok();
    let job = added["job"]["id"].as_str().unwrap().to_owned();
    server.finished(&job).await;
    server.get(&format!("/v1/jobs/{job}/items")).await.ok()["items"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_uploads_pays_for_the_vectors() {
    let upstream = Upstream::start_with([], |asked| Some(vectors(asked))).await.unwrap();
    let scope = BudgetScope::Principal("website".to_owned());
    let (window, unknown_price) = (BudgetWindow::Day, UnknownPrice::Refuse);
    let models = GatewaySettings {
        budgets: vec![BudgetRule { scope, window, limit: LIMIT, action: BudgetAction::Refuse402, unknown_price }],
        roles: BTreeMap::from([(Role::Embed, vec![ModelId::new("llm", "small")])]),
        ..settings(upstream.url())
    };
    let callers = Callers::new([("website".to_owned(), Secret::new("k-1"))]);
    let server = Server::with_models(models, ServerSettings { callers, ..ServerSettings::default() });
    let item = added(&server, "one.txt").await;
    assert_eq!(item["outcome"], "ready", "{item}");
    let page = CallPage { since_ms: 0, until_ms: i64::MAX, after: None, limit: 100 };
    let document = item["document_id"].as_str().unwrap();
    let paid = |row: &CallRow| row.principal.as_deref() == Some("website") && row.request_id == document;
    let rows = server.ledger.calls(&page).unwrap();
    assert!(rows.iter().any(|row| row.operation == "embed" && paid(row)), "{rows:?}");

    spend(&server, Some("website")).await;
    let item = added(&server, "two.txt").await;
    assert_eq!((&item["outcome"], &item["problem"]["code"]), (&json!("failed"), &json!("E-BUDGET")), "{item}");
    assert!(item["problem"]["message"].as_str().unwrap().contains("principal `website`"), "{item}");
    // Others are not concerned.
    server.add(&[("three.txt", "Three speaks of Delft.")]).await;
}
