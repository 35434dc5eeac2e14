//! All layers together, over HTTP, with a real ledger.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::join_all;
use lorekeep_models::gateway::Gateway;
use lorekeep_models::gateway::settings::{GatewaySettings, PerRequest, ProviderKind, ProviderSettings};
use lorekeep_models::price::Prices;
use lorekeep_models::provider::http::Timeouts;
use lorekeep_store::SqliteLedger;
use lorekeep_testkit::upstream::{Asked, Reply, Step, Upstream};
use lorekeep_types::{
    BudgetAction, BudgetRule, BudgetScope, BudgetWindow, CallPage, CallRow, ChatEvent, ChatMessage, ChatModel,
    ChatRequest, ChatRole, Clock, ErrorCode, Ledger, ModelDesk as _, ModelFault, ModelId, Models as _, Role,
    UnknownPrice,
};

use crate::conformance::call;
use crate::openai::{frames, whole};

pub(crate) struct Fixed;

impl Clock for Fixed {
    fn now_ms(&self) -> i64 {
        1_795_262_400_000
    }
}

const ALWAYS: CallPage = CallPage { since_ms: 0, until_ms: i64::MAX, after: None, limit: 10_000 };

pub(crate) struct Bench {
    pub(crate) gateway: Gateway,
    pub(crate) ledger: Arc<dyn Ledger>,
}

impl Bench {
    /// Providers `p0`, `p1` … at the upstreams, whose models `m` fill the role `answer` in that order.
    pub(crate) fn new(upstreams: &[&Upstream], change: impl FnOnce(&mut GatewaySettings)) -> Self {
        let provider = |(number, upstream): (usize, &&Upstream)| ProviderSettings {
            name: format!("p{number}"),
            kind: ProviderKind::Compatible,
            base_url: Some(upstream.url()),
            api_key: None,
            options: BTreeMap::new(),
        };
        let models = (0..upstreams.len()).map(|number| ModelId::new(format!("p{number}"), "m")).collect();
        let mut settings = GatewaySettings {
            providers: upstreams.iter().enumerate().map(provider).collect(),
            roles: BTreeMap::from([(Role::Answer, models)]),
            timeouts: Timeouts { total: Duration::from_secs(20), ..Timeouts::default() },
            ..GatewaySettings::default()
        };
        change(&mut settings);
        let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::in_memory().unwrap());
        let gateway = Gateway::new(settings, BTreeMap::new(), Arc::clone(&ledger), Arc::new(Fixed)).unwrap();
        Self { gateway, ledger }
    }

    pub(crate) fn model(&self) -> Arc<dyn ChatModel> {
        self.gateway.chat(Role::Answer).unwrap()
    }

    fn rows(&self) -> Vec<CallRow> {
        self.ledger.calls(&ALWAYS).unwrap()
    }

    /// The rows, once every call is closed: what was dropped is closed without anybody waiting for it.
    pub(crate) async fn closed(&self) -> Vec<CallRow> {
        let patience = Instant::now() + Duration::from_secs(5);
        loop {
            let rows = self.rows();
            if rows.iter().all(|row| row.status != "open") {
                return rows;
            }
            assert!(Instant::now() < patience, "a call stays open: {rows:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

pub(crate) fn question() -> ChatRequest {
    ChatRequest {
        messages: vec![ChatMessage::text(ChatRole::User, "Who?")],
        max_tokens: Some(100),
        ..ChatRequest::default()
    }
}

pub(crate) fn good() -> Reply {
    Reply::json(200, &whole("Ada.", &lorekeep_types::FinishReason::Stop, Some((10, 100))))
}

fn refusing(status: u16, headers: &[(&str, &str)]) -> Reply {
    Reply::with_headers(status, headers, "{\"error\":{\"message\":\"no\"}}")
}

pub(crate) async fn upstream(choose: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static) -> Upstream {
    Upstream::start_with([], choose).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_503_is_ridden_out_with_few_repetitions() {
    let count = AtomicUsize::new(0);
    let provider = upstream(move |_| {
        Some(if count.fetch_add(1, Ordering::Relaxed).is_multiple_of(10) { refusing(503, &[]) } else { good() })
    })
    .await;
    let bench = Bench::new(&[&provider], |_| ());
    let model = bench.model();
    let (call, question) = (call(), question());
    let outcomes = join_all((0..400).map(|_| model.chat(&call, &question))).await;
    let good = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let asked = provider.asked().len();
    assert!(asked <= 443, "{asked} calls for 400 questions");
    assert!(good >= 390, "{good} of 400 answered");
    let rows = bench.closed().await;
    assert_eq!(rows.len(), 400);
    let attempts: usize = rows.iter().map(|row| row.retries as usize + 1).sum();
    assert_eq!(attempts, asked, "every attempt is on record");
}

#[tokio::test]
async fn a_long_retry_after_is_a_reason_to_ask_the_next_model_at_once() {
    let busy = upstream(|_| Some(refusing(429, &[("retry-after", "47")]))).await;
    let other = upstream(|_| Some(good())).await;
    let bench = Bench::new(&[&busy, &other], |_| ());
    let started = Instant::now();
    assert_eq!(bench.model().chat(&call(), &question()).await.unwrap().text, "Ada.");
    assert!(started.elapsed() < Duration::from_secs(2));
    // While the pause lasts, the first is not called at all.
    bench.model().chat(&call(), &question()).await.unwrap();
    assert_eq!((busy.asked().len(), other.asked().len()), (1, 2));
    let rows = bench.closed().await;
    let last = rows.last().unwrap();
    assert_eq!((last.fallback_from.as_deref(), last.fallback_reason.as_deref()), (Some("p0/m"), Some("circuit_open")));
}

#[tokio::test]
async fn a_wrong_request_is_sent_once() {
    let provider = upstream(|_| Some(refusing(400, &[]))).await;
    let bench = Bench::new(&[&provider], |_| ());
    let error = bench.model().chat(&call(), &question()).await.unwrap_err();
    assert_eq!((error.fault, provider.asked().len()), (ModelFault::Request, 1));
}

#[tokio::test]
async fn an_open_circuit_makes_no_call() {
    let provider = upstream(|_| Some(refusing(500, &[]))).await;
    let bench = Bench::new(&[&provider], |settings| settings.attempts = 1);
    for _ in 0..20 {
        bench.model().chat(&call(), &question()).await.unwrap_err();
    }
    let before = provider.asked().len();
    let error = bench.model().chat(&call(), &question()).await.unwrap_err();
    assert!(matches!(error.fault, ModelFault::CircuitOpen { .. }), "{error}");
    assert_eq!(provider.asked().len(), before);
    assert_eq!(bench.gateway.overview().models[0].circuit, "open");
}

#[tokio::test]
async fn a_stream_is_repeated_before_its_first_piece_and_never_after() {
    let count = AtomicUsize::new(0);
    let provider = upstream(move |_| {
        Some(match count.fetch_add(1, Ordering::Relaxed) {
            0 => Reply::raw(vec![Step::Reset]),
            1 => frames(&["Ada", "."], Some((10, 2)))
                .into_iter()
                .fold(Reply::open(200, "text/event-stream"), Reply::send),
            _ => Reply::open(200, "text/event-stream").send(frames(&["Ada"], None)[1].clone()).then(Step::Reset),
        })
    })
    .await;
    let bench = Bench::new(&[&provider], |_| ());
    let good: Vec<_> = bench.model().stream(&call(), &question()).await.unwrap().collect().await;
    assert!(matches!(good.last(), Some(Ok(ChatEvent::Done(_)))));
    let cut: Vec<_> = bench.model().stream(&call(), &question()).await.unwrap().collect().await;
    assert!(
        matches!(cut.as_slice(), [Ok(ChatEvent::Text(_)), Err(error)] if error.fault == ModelFault::Cut { began: true })
    );
    assert_eq!(provider.asked().len(), 3);
    let rows = bench.closed().await;
    assert_eq!((rows[0].retries, rows[0].status.as_str(), rows[0].usage.completion), (1, "ok", 2));
    assert!(rows[0].first_token_ms.is_some());
    assert_eq!((rows[1].retries, rows[1].status.as_str(), rows[1].usage.estimated), (0, "cut", true));
}

#[tokio::test]
async fn a_stream_that_nobody_reads_on_is_closed_and_charged() {
    let provider = upstream(|_| {
        Some(Reply::open(200, "text/event-stream").send(frames(&["Ada said much"], None)[1].clone()).then(Step::Hang))
    })
    .await;
    let prices = Prices::from_toml("[prices.m]\ninput_per_mtok = 1\noutput_per_mtok = 1\n").unwrap();
    let bench = Bench::new(&[&provider], |settings| settings.prices = Arc::new(prices));
    let mut stream = bench.model().stream(&call(), &question()).await.unwrap();
    assert!(matches!(stream.next().await, Some(Ok(ChatEvent::Text(_)))));
    drop(stream);
    let row = bench.closed().await.remove(0);
    assert_eq!((row.status.as_str(), row.usage.completion, row.usage.estimated), ("cancelled", 3, true));
    assert!(row.cost.is_some_and(|cost| cost > 0), "{row:?}");
    let patience = Instant::now() + Duration::from_secs(1);
    while provider.abandoned() == 0 {
        assert!(Instant::now() < patience, "the connection is still open");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_callers_cannot_overspend() {
    let provider = upstream(|_| Some(good())).await;
    // A cent per answer of 100 tokens, which is exactly what is reserved for one.
    let prices = Prices::from_toml("[prices.m]\ninput_per_mtok = 0\noutput_per_mtok = 100\n").unwrap();
    let rule = BudgetRule {
        scope: BudgetScope::Total,
        window: BudgetWindow::Day,
        limit: 1_000_000_000,
        action: BudgetAction::Refuse429,
        unknown_price: UnknownPrice::Refuse,
    };
    let bench = Bench::new(&[&provider], |settings| {
        settings.prices = Arc::new(prices);
        settings.budgets = vec![rule];
        settings.concurrent = 50;
    });
    let model = bench.model();
    let (call, question) = (call(), question());
    let outcomes = join_all((0..200).map(|_| model.chat(&call, &question))).await;
    let refused = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
    assert!(refused.clone().all(
        |error| matches!(&error.fault, ModelFault::OverBudget(refusal) if refusal.action == BudgetAction::Refuse429)
    ));
    assert_eq!((refused.count(), provider.asked().len()), (100, 100));
    let state = bench.ledger.budgets(Fixed.now_ms()).unwrap().remove(0);
    assert_eq!((state.settled, state.reserved), (1_000_000_000, 0));
    assert_eq!(bench.ledger.drift().unwrap(), 0);
}

#[tokio::test]
async fn the_ledger_has_every_token_of_every_call() {
    let count = AtomicUsize::new(0);
    let provider = upstream(move |asked| {
        let number = count.fetch_add(1, Ordering::Relaxed) as u64;
        let usage = Some((number, 2 * number));
        Some(if asked.json()["stream"] == true {
            frames(&["Ada."], usage).into_iter().fold(Reply::open(200, "text/event-stream"), Reply::send)
        } else {
            Reply::json(200, &whole("Ada.", &lorekeep_types::FinishReason::Stop, usage))
        })
    })
    .await;
    let bench = Bench::new(&[&provider], |_| ());
    for number in 0..60 {
        if number % 2 == 0 {
            bench.model().chat(&call(), &question()).await.unwrap();
        } else {
            assert_eq!(bench.model().stream(&call(), &question()).await.unwrap().count().await, 2);
        }
    }
    let rows = bench.closed().await;
    let sum = |value: fn(&CallRow) -> u64| rows.iter().map(value).sum::<u64>();
    assert_eq!((sum(|row| row.usage.prompt), sum(|row| row.usage.completion)), (60 * 59 / 2, 60 * 59));
    assert!(rows.iter().all(|row| row.operation == "answer" && row.request_id == "request-1" && !row.usage.estimated));
}

#[tokio::test]
async fn roles_are_switched_at_run_time_and_only_to_what_is_there() {
    let (one, other) = (upstream(|_| Some(good())).await, upstream(|_| Some(good())).await);
    let bench = Bench::new(&[&one, &other], |_| ());
    bench.gateway.set_role(Role::Answer, vec![ModelId::new("p1", "x")]).unwrap();
    bench.model().chat(&call(), &question()).await.unwrap();
    assert_eq!((one.asked().len(), other.asked().len()), (0, 1));
    assert!(bench.gateway.set_role(Role::Answer, vec![ModelId::new("nowhere", "x")]).is_err());
    assert!(bench.gateway.set_role(Role::Speak, vec![ModelId::new("nowhere", "x")]).is_err());
    bench.gateway.set_role(Role::Answer, Vec::new()).unwrap();
    bench.model().chat(&call(), &question()).await.unwrap();
    assert_eq!((one.asked().len(), other.asked().len()), (1, 1));
}

#[tokio::test]
async fn a_refused_key_is_not_used_again_and_the_next_model_is_asked() {
    let refuses = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let state = Arc::clone(&refuses);
    let locked = upstream(move |_| Some(if state.load(Ordering::Relaxed) { refusing(401, &[]) } else { good() })).await;
    let other = upstream(|_| Some(good())).await;
    let bench = Bench::new(&[&locked, &other], |_| ());
    for _ in 0..3 {
        assert_eq!(bench.model().chat(&call(), &question()).await.unwrap().text, "Ada.");
    }
    assert_eq!((locked.asked().len(), other.asked().len()), (1, 3));
    let rows = bench.closed().await;
    let stand_ins = rows.iter().filter(|row| row.model.to_string() == "p1/m");
    assert!(stand_ins.clone().all(|row| row.fallback_reason.as_deref() == Some("credential")), "{rows:?}");
    // It is the key of the provider that was refused, whichever of its models is asked for.
    let sibling = bench.gateway.chat_by_id(&ModelId::new("p0", "n")).unwrap();
    let error = sibling.chat(&call(), &question()).await.unwrap_err();
    assert_eq!(error.fault, ModelFault::Credential);
    assert!(error.message.contains("not called") && error.message.contains("HTTP 401: no"), "{error}");
    assert_eq!(locked.asked().len(), 1);
    let states = bench.gateway.overview().models;
    let refused: Vec<_> = states.iter().map(|state| (state.model.to_string(), state.refused.is_some())).collect();
    assert_eq!(refused, [("p0/m".to_owned(), true), ("p0/n".to_owned(), true), ("p1/m".to_owned(), false)]);
    // Trying it finds out at once.
    refuses.store(false, Ordering::Relaxed);
    assert!(
        bench.gateway.test(&ModelId::new("p0", "m"), Role::Answer).await.error.is_some(),
        "the scripted answer is no stream"
    );
    assert!(bench.gateway.overview().models.iter().all(|state| state.refused.is_none()));
    bench.model().chat(&call(), &question()).await.unwrap();
    assert_eq!(other.asked().len(), 3);
}

#[tokio::test]
async fn a_key_that_may_not_use_one_model_is_used_for_others() {
    let provider = upstream(|asked| Some(if asked.json()["model"] == "m" { refusing(403, &[]) } else { good() })).await;
    let bench = Bench::new(&[&provider], |_| ());
    for _ in 0..2 {
        let error = bench.model().chat(&call(), &question()).await.unwrap_err();
        assert_eq!(error.fault, ModelFault::Credential);
    }
    assert_eq!(provider.asked().len(), 1);
    let sibling = bench.gateway.chat_by_id(&ModelId::new("p0", "n")).unwrap();
    sibling.chat(&call(), &question()).await.unwrap();
}

/// What a whole answer had cost when it broke off.
#[tokio::test]
async fn a_call_that_breaks_off_is_charged_what_was_seen() {
    let body =
        serde_json::to_string(&whole("Ada said much of this.", &lorekeep_types::FinishReason::Stop, None)).unwrap();
    let part = body.split_inclusive("much").next().unwrap().to_owned();
    let count = AtomicUsize::new(0);
    let provider = upstream(move |_| {
        let head = || Reply::open(200, "application/json");
        Some(match count.fetch_add(1, Ordering::Relaxed) {
            0 => head().send(part.clone()).then(Step::Reset),
            1 => Reply::json(200, &serde_json::json!("no answer")),
            2 => Reply::raw(vec![Step::Hang]),
            3 => refusing(400, &[]),
            _ => refusing(503, &[]),
        })
    })
    .await;
    let prices = Prices::from_toml("[prices.m]\ninput_per_mtok = 1\noutput_per_mtok = 1\n").unwrap();
    let bench = Bench::new(&[&provider], |settings| {
        settings.prices = Arc::new(prices);
        settings.attempts = 1;
        settings.timeouts = Timeouts { first_byte: Duration::from_millis(200), ..settings.timeouts };
    });
    for _ in 0..5 {
        bench.model().chat(&call(), &question()).await.unwrap_err();
    }
    let rows = bench.closed().await;
    let found = |row: &CallRow| (row.status.clone(), row.usage.prompt, row.usage.completion, row.usage.estimated);
    let seen: Vec<_> = rows.iter().map(found).collect();
    let prompt = lorekeep_models::provider::usage::count_request(&question());
    let read = |status: &str, completion| (status.to_owned(), prompt, completion, true);
    let nothing = |status: &str| (status.to_owned(), 0, 0, false);
    assert_eq!(
        seen,
        [read("cut", 3), read("malformed", 2), read("timeout", 0), nothing("request"), nothing("overloaded")]
    );
    let costs: Vec<_> = rows.iter().map(|row| row.cost.unwrap()).collect();
    assert_eq!(costs, rows.iter().map(|row| 1_000 * row.usage.total() as i64).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_a_repeated_call_lost_before_is_charged_too() {
    let count = AtomicUsize::new(0);
    let provider = upstream(move |_| {
        Some(if count.fetch_add(1, Ordering::Relaxed) == 0 { Reply::raw(vec![Step::Reset]) } else { good() })
    })
    .await;
    let bench = Bench::new(&[&provider], |_| ());
    let answer = bench.model().chat(&call(), &question()).await.unwrap();
    assert_eq!((answer.usage.prompt, answer.usage.estimated), (10, false), "the answer tells its own");
    let row = bench.closed().await.remove(0);
    let prompt = lorekeep_models::provider::usage::count_request(&question());
    assert_eq!((row.retries, row.usage.prompt, row.usage.completion), (1, 10 + prompt, 100));
    assert!(row.usage.estimated);
}

/// Requests name any model unless told otherwise; trials are no requests.
#[tokio::test]
async fn requests_name_only_models_that_they_may() {
    let provider = upstream(|_| Some(Reply::streamed("Ada."))).await;
    let of_role = ModelId::new("p0", "m");
    let (other, unknown) = (ModelId::new("p0", "other"), ModelId::new("nowhere", "m"));
    let named = PerRequest::Named(vec![other.clone()]);
    for (rule, expected) in [
        (PerRequest::All, [true, true]),
        (PerRequest::Roles, [true, false]),
        (PerRequest::None, [false, false]),
        (named, [true, true]),
    ] {
        let bench = Bench::new(&[&provider], |settings| settings.per_request = rule.clone());
        for (id, allowed) in [&of_role, &other].into_iter().zip(expected) {
            let outcome = bench.gateway.chat_by_id(id);
            assert_eq!(outcome.is_ok(), allowed, "{id} with {rule:?}");
            let code = outcome.err().map(|error| error.code());
            assert!(code.is_none_or(|code| code == ErrorCode::Forbidden), "{code:?}");
        }
        assert!(bench.gateway.chat_by_id(&unknown).is_err());
        assert!(bench.gateway.test(&other, Role::Answer).await.ok, "{rule:?}");
    }
}
