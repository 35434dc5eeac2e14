//! What is reserved for a call is enough for it, whatever becomes of the call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::{FutureExt as _, StreamExt as _};
use lorekeep_models::gateway::settings::{GatewaySettings, ProviderKind};
use lorekeep_models::price::Prices;
use lorekeep_models::provider::usage;
use lorekeep_testkit::upstream::{Asked, Reply, Step, Upstream};
use lorekeep_types::{
    BudgetAction, BudgetRule, BudgetScope, BudgetWindow, CallRow, ChatRequest, Clock as _, EmbedKind, FinishReason,
    ModelFault, ModelId, Models as _, Role, UnknownPrice,
};
use serde_json::json;

use crate::conformance::call;
use crate::gateway::{Bench, Fixed, question, upstream};
use crate::openai::whole;

/// A thousand nano-USD for each token, a fee for each call, and `more`.
fn prices(more: &str) -> Arc<Prices> {
    let text = format!("[prices.m]\ninput_per_mtok = 1\noutput_per_mtok = 1\nper_request = 0.0001\n{more}");
    Arc::new(Prices::from_toml(&text).unwrap())
}

fn rule(scope: BudgetScope, limit: i64) -> BudgetRule {
    let (window, action, unknown_price) = (BudgetWindow::Day, BudgetAction::Refuse402, UnknownPrice::Refuse);
    BudgetRule { scope, window, limit, action, unknown_price }
}

/// A bench with prices, a budget of `limit` and other changes.
fn bench(upstreams: &[&Upstream], limit: i64, change: impl FnOnce(&mut GatewaySettings)) -> Bench {
    Bench::new(upstreams, |settings| {
        settings.prices = prices("");
        settings.budgets = vec![rule(BudgetScope::Total, limit)];
        change(settings);
    })
}

/// An answer of as many tokens as are foreseen for it.
fn exact() -> Reply {
    let prompt = usage::count_request(&question());
    Reply::json(200, &whole("Ada.", &FinishReason::Stop, Some((prompt, 100))))
}

/// A model that breaks off so many times before it answers.
async fn breaking(times: usize) -> Upstream {
    let count = AtomicUsize::new(0);
    let is_over = move || count.fetch_add(1, Ordering::Relaxed) >= times;
    upstream(move |_| Some(if is_over() { exact() } else { Reply::raw(vec![Step::Reset]) })).await
}

/// The one call, closed, whose charge was covered by what budgets had reserved.
async fn covered(bench: &Bench) -> CallRow {
    let rows = bench.closed().await;
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    assert!(row.charged.is_some_and(|charged| charged <= row.reserved), "{row:?}");
    let state = bench.ledger.budgets(Fixed.now_ms()).unwrap().remove(0);
    assert_eq!((Some(state.settled), state.reserved, bench.ledger.drift().unwrap()), (row.charged, 0, 0));
    row.clone()
}

const PLENTY: i64 = 1_000_000_000;

#[tokio::test]
async fn what_failed_attempts_took_is_reserved_anew() {
    let provider = breaking(2).await;
    let bench = bench(&[&provider], PLENTY, |_| ());
    bench.model().chat(&call(), &question()).await.unwrap();
    let row = covered(&bench).await;
    let prompt = usage::count_request(&question()) as i64;
    // A request and its prompt per broken attempt.
    assert_eq!(row.reserved - row.estimate.unwrap(), 2 * (1_000 * prompt + 100_000));
    assert_eq!((row.retries, row.usage.prompt), (2, 3 * prompt as u64));
    assert_eq!(row.cost, Some(3 * (1_000 * prompt + 100_000) + 100_000));
}

#[tokio::test]
async fn a_call_is_not_made_again_when_the_budget_has_no_room_for_it() {
    let provider = breaking(1).await;
    let prompt = usage::count_request(&question()) as i64;
    // Room for one attempt.
    let limit = 1_000 * (prompt + 100) + 100_000;
    let bench = bench(&[&provider], limit, |_| ());
    let error = bench.model().chat(&call(), &question()).await.unwrap_err();
    assert_eq!((error.fault, provider.asked().len()), (ModelFault::Cut { began: false }, 1));
    let row = covered(&bench).await;
    assert_eq!((row.status.as_str(), row.retries, row.charged), ("cut", 0, Some(1_000 * prompt + 100_000)));
}

#[tokio::test]
async fn a_refusal_with_a_status_costs_nothing() {
    let provider = upstream(|_| Some(Reply::with_headers(400, &[], "{\"error\":{\"message\":\"no\"}}"))).await;
    let bench = bench(&[&provider], PLENTY, |_| ());
    bench.model().chat(&call(), &question()).await.unwrap_err();
    assert_eq!(covered(&bench).await.charged, Some(0));
}

#[tokio::test]
async fn an_answer_without_a_limit_gets_one_where_budgets_are_set() {
    let provider = upstream(|_| Some(exact())).await;
    let endless = ChatRequest { max_tokens: None, ..question() };
    let sent = |asked: &Asked| asked.json()["max_tokens"].clone();
    let bench = bench(&[&provider], PLENTY, |settings| settings.attempts = 1);
    bench.model().chat(&call(), &endless).await.unwrap();
    // The scripted answer is no stream; what was sent is what counts.
    assert!(bench.model().stream(&call(), &endless).await.is_err());
    bench.model().chat(&call(), &question()).await.unwrap();
    let free = Bench::new(&[&provider], |_| ());
    free.model().chat(&call(), &endless).await.unwrap();
    let limits: Vec<_> = provider.asked().iter().map(sent).collect();
    assert_eq!(limits, [json!(4_096), json!(4_096), json!(100), json!(null)]);
}

#[tokio::test]
async fn questions_are_read_anew_with_every_text_of_an_order() {
    let results = json!([{ "index": 1, "relevance_score": 0.9 }, { "index": 0, "relevance_score": 0.1 }]);
    let provider = upstream(move |_| Some(Reply::json(200, &json!({ "results": results })))).await;
    let bench = bench(&[&provider], PLENTY, |settings| {
        settings.roles = BTreeMap::from([(Role::Rerank, vec![ModelId::new("p0", "m")])]);
    });
    let model = bench.gateway.rerank().unwrap();
    let long_question = "Who founded the Harbour Institute, and when was that? ".repeat(20);
    model.rerank(&call(), &long_question, &["Ada did.", "Nobody knows."], 2).await.unwrap();
    let row = covered(&bench).await;
    assert!(row.usage.estimated && row.usage.prompt > 2 * usage::count(&long_question), "{row:?}");
}

#[tokio::test]
async fn what_is_written_before_a_text_is_foreseen() {
    let data = json!([{ "index": 0, "embedding": [1.0, 2.0] }]);
    let provider = upstream(move |_| Some(Reply::json(200, &json!({ "data": data, "model": "m" })))).await;
    let bench = bench(&[&provider], PLENTY, |settings| {
        settings.roles = BTreeMap::from([(Role::Embed, vec![ModelId::new("p0", "m")])]);
        let prefix = "Instruct: find passages that answer the question.\nQuery: ".to_owned();
        settings.providers[0].options = BTreeMap::from([("query_prefix".to_owned(), prefix)]);
    });
    let model = bench.gateway.embed().unwrap().unwrap();
    model.embed(&call(), &["Who?"], EmbedKind::Query).await.unwrap();
    let row = covered(&bench).await;
    assert!(row.usage.prompt > usage::count("Who?") + 5, "{row:?}");
}

#[tokio::test]
async fn several_searches_are_foreseen() {
    let provider = upstream(|_| {
        let mut body = whole("Ada.", &FinishReason::Stop, Some((5, 10)));
        body["usage"]["num_search_queries"] = json!(4);
        Some(Reply::json(200, &body))
    })
    .await;
    let bench = bench(&[&provider], PLENTY, |settings| {
        settings.providers[0].kind = ProviderKind::Perplexity;
        settings.prices = prices("per_search = 0.005\n");
    });
    bench.model().chat(&call(), &question()).await.unwrap();
    let row = covered(&bench).await;
    assert_eq!((row.usage.searches, row.cost), (4, Some(15_000 + 100_000 + 4 * 5_000_000)));
}

/// Waits until the model was asked.
async fn asked(provider: &Upstream) {
    let patience = Instant::now() + Duration::from_secs(5);
    while provider.asked().is_empty() {
        assert!(Instant::now() < patience, "the model was not asked");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_before_anything_came_is_charged_what_was_reserved() {
    let prompt = usage::count_request(&question());
    for streamed in [false, true] {
        let provider = upstream(|_| Some(Reply::raw(vec![Step::Hang]))).await;
        let bench = bench(&[&provider], PLENTY, |_| ());
        let (model, call, question) = (bench.model(), call(), question());
        let mut given_up = match streamed {
            false => model.chat(&call, &question).map(drop).boxed(),
            true => model.stream(&call, &question).map(drop).boxed(),
        };
        tokio::select! {
            () = &mut given_up => panic!("the model never answers"),
            () = asked(&provider) => {}
        }
        drop(given_up);
        let row = covered(&bench).await;
        let taken = (row.status.as_str(), row.usage.prompt, row.usage.completion, row.usage.estimated);
        assert_eq!(taken, ("cancelled", prompt, 0, true), "streamed: {streamed}");
        // The provider may write on: how much it costs is not known.
        assert_eq!((row.cost, row.charged), (None, Some(row.reserved)));
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_while_it_is_made_again_is_charged_both_attempts() {
    let count = AtomicUsize::new(0);
    let provider = upstream(move |_| {
        let is_first = count.fetch_add(1, Ordering::Relaxed) == 0;
        Some(Reply::raw(vec![if is_first { Step::Reset } else { Step::Hang }]))
    })
    .await;
    let bench = bench(&[&provider], PLENTY, |_| ());
    let (model, call, question) = (bench.model(), call(), question());
    let mut given_up = model.chat(&call, &question);
    let twice = async {
        while provider.asked().len() < 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        _ = &mut given_up => panic!("the model never answers"),
        () = twice => {}
    }
    drop(given_up);
    let row = covered(&bench).await;
    assert_eq!((row.retries, row.usage.prompt), (1, 2 * usage::count_request(&question)));
}

#[tokio::test]
async fn a_budget_of_one_model_lets_the_next_of_the_chain_answer() {
    let (dear, cheap) = (upstream(|_| Some(exact())).await, upstream(|_| Some(exact())).await);
    let bench = bench(&[&dear, &cheap], PLENTY, |settings| {
        settings.budgets.push(rule(BudgetScope::Model(ModelId::new("p0", "m")), 1));
    });
    assert_eq!(bench.model().chat(&call(), &question()).await.unwrap().text, "Ada.");
    assert_eq!((dear.asked().len(), cheap.asked().len()), (0, 1));
    let row = covered(&bench).await;
    let why = (row.model.to_string(), row.fallback_from.as_deref(), row.fallback_reason.as_deref());
    assert_eq!(why, ("p1/m".to_owned(), Some("p0/m"), Some("over_budget")));
    // What is used up for all is used up for the next one, too.
    let bench = self::bench(&[&dear, &cheap], 1, |_| ());
    let error = bench.model().chat(&call(), &question()).await.unwrap_err();
    assert!(matches!(&error.fault, ModelFault::OverBudget(refusal) if refusal.scope == BudgetScope::Total), "{error}");
    assert_eq!((error.model.to_string(), cheap.asked().len()), ("p0/m".to_owned(), 1));
}

#[tokio::test]
async fn a_model_that_begins_to_stream_is_charged_what_came() {
    let provider = upstream(|_| Some(Reply::begun("Ada wrote").then(Step::Hang))).await;
    let bench = bench(&[&provider], PLENTY, |_| ());
    let mut stream = bench.model().stream(&call(), &question()).await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    let row = covered(&bench).await;
    assert_eq!((row.status.as_str(), row.usage.prompt), ("cancelled", usage::count_request(&question())));
    assert!(row.usage.completion > 0, "{row:?}");
}
