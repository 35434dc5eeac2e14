//! The ledger of model calls: budgets that concurrency cannot overspend, exactly one settlement per call, and
//! figures that add up.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use lorekeep_store::{SqliteLedger, Store};
use lorekeep_types::{
    Admission, BudgetAction, BudgetRule, BudgetScope, BudgetWindow, CALL_CANCELLED, CALL_LOST, CALL_OK, CallNumber,
    CallPage, CallRow, Closing, ErrorCode, Ledger, ModelId, Opening, Refusal, Store as _, TokenUsage, UnknownPrice,
    UsageFilter, UsageKey, UsageQuery, WorkspaceName,
};

use crate::support::{NOW, refusal};

/// 0.01 USD.
pub(crate) const CENT: i64 = 10_000_000;
pub(crate) const DAY: i64 = 86_400_000;
const MINUTE: i64 = 60_000;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(outcome) => return outcome,
            Poll::Pending => thread::park(),
        }
    }
}

pub(crate) fn opening(at_ms: i64, estimate: Option<i64>) -> Opening {
    Opening {
        at_ms,
        request_id: "r1".to_owned(),
        model: ModelId::new("upstream", "vendor/chat"),
        operation: "answer".to_owned(),
        workspace: WorkspaceName::default_workspace(),
        principal: None,
        streamed: false,
        estimate,
        lease_ms: MINUTE,
    }
}

pub(crate) fn closing(at_ms: i64, cost: Option<i64>) -> Closing {
    Closing { cost, ..Closing::new(at_ms, CALL_OK) }
}

pub(crate) fn open(ledger: &dyn Ledger, opening: Opening) -> Result<CallNumber, Refusal> {
    match wait(ledger.open(opening)).unwrap() {
        Admission::Admitted(call) => Ok(call),
        Admission::Refused(refusal) => Err(*refusal),
    }
}

fn close(ledger: &dyn Ledger, call: CallNumber, closing: Closing) {
    wait(ledger.close(call, closing)).unwrap();
}

pub(crate) fn rule(scope: BudgetScope, window: BudgetWindow, limit: i64) -> BudgetRule {
    let (action, unknown_price) = (BudgetAction::Refuse402, UnknownPrice::Refuse);
    BudgetRule { scope, window, limit, action, unknown_price }
}

pub(crate) fn daily(limit: i64) -> BudgetRule {
    rule(BudgetScope::Total, BudgetWindow::Day, limit)
}

/// `(settled, reserved)` of each budget.
pub(crate) fn counters(ledger: &dyn Ledger, now_ms: i64) -> Vec<(i64, i64)> {
    ledger.budgets(now_ms).unwrap().iter().map(|state| (state.settled, state.reserved)).collect()
}

pub(crate) fn every_call(ledger: &dyn Ledger) -> Vec<CallRow> {
    ledger.calls(&CallPage { since_ms: 0, until_ms: i64::MAX, after: None, limit: 1_000 }).unwrap()
}

pub(crate) fn reopened(folder: &Path, rules: &[BudgetRule], now_ms: i64) -> SqliteLedger {
    let ledger = SqliteLedger::open(folder, now_ms).unwrap();
    ledger.set_budgets(rules.to_vec()).unwrap();
    ledger
}

#[test]
fn two_hundred_callers_share_a_budget_to_the_cent() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = reopened(folder.path(), &[daily(100 * CENT)], NOW);
    let admitted = thread::scope(|scope| {
        let callers: Vec<_> = (0..200)
            .map(|_| {
                scope.spawn(|| {
                    let call = open(&ledger, opening(NOW, Some(CENT))).ok()?;
                    close(&ledger, call, closing(NOW, Some(CENT)));
                    Some(call)
                })
            })
            .collect();
        callers.into_iter().filter_map(|caller| caller.join().unwrap()).count()
    });
    assert_eq!(admitted, 100);
    assert_eq!(counters(&ledger, NOW), [(100 * CENT, 0)]);
    assert_eq!(ledger.drift().unwrap(), 0);
}

#[test]
fn two_hundred_reservations_are_held_against_the_limit() {
    let ledger = SqliteLedger::in_memory().unwrap();
    ledger.set_budgets(vec![daily(100 * CENT)]).unwrap();
    let waiting: Vec<_> = (0..200).map(|_| ledger.open(opening(NOW, Some(CENT)))).collect();
    let answers: Vec<_> = waiting.into_iter().map(|answer| wait(answer).unwrap()).collect();
    let refused = answers.iter().filter(|answer| matches!(answer, Admission::Refused(_))).count();
    assert_eq!((refused, counters(&ledger, NOW)), (100, vec![(0, 100 * CENT)]));
}

#[test]
fn a_call_settles_once() {
    let ledger = SqliteLedger::in_memory().unwrap();
    ledger.set_budgets(vec![daily(100 * CENT)]).unwrap();
    let call = open(&ledger, opening(NOW, Some(5 * CENT))).unwrap();
    close(&ledger, call, closing(NOW + 1, Some(3 * CENT)));
    close(&ledger, call, closing(NOW + 2, Some(4 * CENT)));
    assert_eq!(counters(&ledger, NOW), [(3 * CENT, 0)]);
    assert_eq!(every_call(&ledger)[0].closed_at_ms, Some(NOW + 1));
    assert_eq!(refusal(wait(ledger.close(CallNumber(99), closing(NOW, None)))), ErrorCode::NotFound);
}

#[test]
fn an_unknown_cost_is_charged_as_it_was_reserved() {
    let ledger = SqliteLedger::in_memory().unwrap();
    ledger.set_budgets(vec![daily(100 * CENT)]).unwrap();
    let call = open(&ledger, opening(NOW, Some(5 * CENT))).unwrap();
    close(&ledger, call, closing(NOW, None));
    let row = every_call(&ledger).remove(0);
    assert_eq!((row.cost, row.charged), (None, Some(5 * CENT)));
    assert_eq!(counters(&ledger, NOW), [(5 * CENT, 0)]);
}

#[test]
fn a_crash_never_frees_money_that_may_have_been_spent() {
    let folder = tempfile::tempdir().unwrap();
    let rules = [daily(100 * CENT)];
    let call = {
        let ledger = reopened(folder.path(), &rules, NOW);
        let extended = open(&ledger, opening(NOW, Some(7 * CENT))).unwrap();
        ledger.extend(extended, NOW + 10 * MINUTE);
        let call = open(&ledger, opening(NOW, Some(5 * CENT))).unwrap();
        assert_eq!(ledger.sweep(NOW + MINUTE + 1).unwrap(), 1);
        assert_eq!(counters(&ledger, NOW), [(5 * CENT, 7 * CENT)], "a lease that was extended runs on");
        call
    };
    let ledger = reopened(folder.path(), &rules, NOW + 2);
    assert_eq!(counters(&ledger, NOW), [(12 * CENT, 0)], "no call outlives its process");
    let lost: Vec<_> = every_call(&ledger).into_iter().map(|row| (row.status, row.cost, row.charged)).collect();
    assert_eq!(lost, [7, 5].map(|cents| (CALL_LOST.to_owned(), None, Some(cents * CENT))));

    close(&ledger, call, closing(NOW + 11 * MINUTE, Some(2 * CENT)));
    assert_eq!(counters(&ledger, NOW), [(9 * CENT, 0)], "the truth about a lost call is believed");
    assert_eq!(ledger.drift().unwrap(), 0);
}

/// What is logged has to reach the file while calls go on: nobody closes the ledger of a running server.
#[test]
fn the_log_is_brought_into_the_file_under_way() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(folder.path(), NOW).unwrap();
    let size = || fs::metadata(folder.path().join("gateway.sqlite")).unwrap().len();
    let before = size();
    let mut calls = 0;
    while size() < before + (64 << 10) {
        assert!(calls < 20_000, "the file has not grown");
        let opened: Vec<_> = (0..200).map(|_| ledger.open(opening(NOW, Some(0)))).collect();
        for opened in opened {
            let Admission::Admitted(call) = wait(opened).unwrap() else { panic!("a free call was refused") };
            drop(ledger.close(call, closing(NOW, Some(0))));
        }
        // As fast as they are written, not faster.
        ledger.alerts(0).unwrap();
        calls += 200;
    }
    drop(ledger);
    let ledger = SqliteLedger::open(folder.path(), NOW).unwrap();
    assert_eq!(ledger.usage(&query(UsageKey::Model, UsageFilter::default())).unwrap().total.calls, calls);
}

#[test]
fn a_call_that_spans_midnight_settles_where_it_reserved() {
    let ledger = SqliteLedger::in_memory().unwrap();
    ledger.set_budgets(vec![daily(10 * CENT)]).unwrap();
    let midnight = BudgetWindow::Day.end_ms(NOW);
    let call = open(&ledger, opening(midnight - 1, Some(9 * CENT))).unwrap();
    open(&ledger, opening(midnight, Some(9 * CENT))).unwrap();
    close(&ledger, call, closing(midnight + 1, Some(8 * CENT)));
    assert_eq!(counters(&ledger, midnight - 1), [(8 * CENT, 0)]);
    assert_eq!(counters(&ledger, midnight), [(0, 9 * CENT)]);
    assert_eq!(ledger.drift().unwrap(), 0);
}

#[test]
fn every_budget_that_applies_is_asked_and_the_longest_wait_is_named() {
    let ledger = SqliteLedger::in_memory().unwrap();
    let mine = BudgetScope::Workspace("default".to_owned());
    let model = BudgetScope::Model(ModelId::new("upstream", "vendor/chat"));
    let other = BudgetScope::Principal("bob".to_owned());
    let rules = vec![
        daily(10 * CENT),
        BudgetRule { action: BudgetAction::Quote, ..rule(mine.clone(), BudgetWindow::Month, 4 * CENT) },
        rule(other, BudgetWindow::Day, 0),
        rule(model, BudgetWindow::Day, 3 * CENT),
    ];
    ledger.set_budgets(rules).unwrap();
    open(&ledger, opening(NOW, Some(3 * CENT))).unwrap();
    let refusal = open(&ledger, opening(NOW, Some(2 * CENT))).unwrap_err();
    assert_eq!((refusal.scope, refusal.window, refusal.action), (mine, BudgetWindow::Month, BudgetAction::Quote));
    assert_eq!((refusal.limit, refusal.settled, refusal.reserved), (4 * CENT, 0, 3 * CENT));
    assert_eq!(refusal.resets_at_ms, BudgetWindow::Month.end_ms(NOW));
    let reserved: Vec<_> = counters(&ledger, NOW).into_iter().map(|(_, reserved)| reserved).collect();
    assert_eq!(reserved, [3 * CENT, 3 * CENT, 0, 3 * CENT], "a refused call reserves nothing anywhere");
    assert_eq!(every_call(&ledger).len(), 1);
    let bob = Opening { principal: Some("bob".to_owned()), ..opening(NOW, Some(1)) };
    assert_eq!(open(&ledger, bob).unwrap_err().limit, 0);
    assert!(open(&ledger, opening(NOW, Some(0))).is_ok(), "what costs nothing is never refused");
}

#[test]
fn a_model_without_a_price_is_refused_or_counted_at_the_ceiling() {
    let ledger = SqliteLedger::in_memory().unwrap();
    assert!(open(&ledger, opening(NOW, None)).is_ok(), "without budgets nothing is refused");
    ledger.set_budgets(vec![daily(10 * CENT)]).unwrap();
    let refusal = open(&ledger, opening(NOW, None)).unwrap_err();
    assert_eq!(refusal.estimate, None);
    assert!(refusal.to_string().contains("without a price"), "{refusal}");

    ledger
        .set_budgets(vec![BudgetRule { unknown_price: UnknownPrice::Ceiling(6 * CENT), ..daily(10 * CENT) }])
        .unwrap();
    let call = open(&ledger, opening(NOW, None)).unwrap();
    assert_eq!(open(&ledger, opening(NOW, None)).unwrap_err().estimate, Some(6 * CENT));
    close(&ledger, call, closing(NOW, None));
    assert_eq!(counters(&ledger, NOW), [(6 * CENT, 0)]);
}

#[test]
fn a_new_budget_starts_with_what_is_spent() {
    let ledger = SqliteLedger::in_memory().unwrap();
    let call = open(&ledger, opening(NOW, Some(5 * CENT))).unwrap();
    close(&ledger, call, closing(NOW, Some(4 * CENT)));
    let running = open(&ledger, opening(NOW, Some(CENT))).unwrap();
    ledger.set_budgets(vec![daily(6 * CENT)]).unwrap();
    assert_eq!(counters(&ledger, NOW), [(4 * CENT, CENT)]);
    assert!(open(&ledger, opening(NOW, Some(2 * CENT))).is_err());
    ledger.set_budgets(Vec::new()).unwrap();
    close(&ledger, running, closing(NOW, Some(CENT)));
    ledger.set_budgets(vec![daily(6 * CENT)]).unwrap();
    assert_eq!(counters(&ledger, NOW), [(5 * CENT, 0)], "also of what ended while there was no budget");
    assert_eq!(ledger.drift().unwrap(), 0);
    assert_eq!(refusal(ledger.set_budgets(vec![daily(1), daily(2)])), ErrorCode::Configuration);
}

#[test]
fn a_caller_that_stops_waiting_leaves_no_reservation() {
    let ledger = SqliteLedger::in_memory().unwrap();
    ledger.set_budgets(vec![daily(100 * CENT)]).unwrap();
    for _ in 0..50 {
        drop(ledger.open(opening(NOW, Some(CENT))));
        let answered = ledger.open(opening(NOW, Some(CENT)));
        ledger.sweep(NOW).unwrap();
        drop(answered);
    }
    // Two rounds: the first leaves the give-ups behind everything that came before them.
    ledger.sweep(NOW).unwrap();
    ledger.sweep(NOW).unwrap();
    assert_eq!(counters(&ledger, NOW), [(0, 0)]);
    let calls = every_call(&ledger);
    assert_eq!(calls.len(), 100);
    assert!(calls.iter().all(|call| (call.status.as_str(), call.cost) == (CALL_CANCELLED, Some(0))));
}

#[test]
fn a_closing_needs_nobody_who_waits() {
    let folder = tempfile::tempdir().unwrap();
    let rules = [daily(100 * CENT)];
    {
        let ledger = reopened(folder.path(), &rules, NOW);
        let calls: Vec<_> = (0..50).map(|_| open(&ledger, opening(NOW, Some(CENT))).unwrap()).collect();
        for call in calls {
            drop(ledger.close(call, closing(NOW, Some(CENT))));
        }
    }
    let ledger = reopened(folder.path(), &rules, NOW);
    assert_eq!(counters(&ledger, NOW), [(50 * CENT, 0)]);
}

/// `(percent, settled)` of the alerts that wait.
fn alerts(ledger: &dyn Ledger) -> Vec<(u8, i64)> {
    ledger.take_alerts().unwrap().into_iter().map(|alert| (alert.percent, alert.settled)).collect()
}

fn spend(ledger: &dyn Ledger, at_ms: i64, cents: i64) {
    let call = open(ledger, opening(at_ms, Some(cents * CENT))).unwrap();
    close(ledger, call, closing(at_ms, Some(cents * CENT)));
}

#[test]
fn each_level_is_announced_once_per_window_a_restart_notwithstanding() {
    let folder = tempfile::tempdir().unwrap();
    let rules = [daily(100 * CENT)];
    let ledger = reopened(folder.path(), &rules, NOW);
    spend(&ledger, NOW, 74);
    assert_eq!(alerts(&ledger), []);
    spend(&ledger, NOW, 1);
    drop(ledger);

    let ledger = reopened(folder.path(), &rules, NOW);
    assert_eq!(alerts(&ledger), [(75, 75 * CENT)], "an alert nobody took waits");
    spend(&ledger, NOW, 1);
    drop(ledger);

    let ledger = reopened(folder.path(), &rules, NOW);
    spend(&ledger, NOW, 1);
    assert_eq!(alerts(&ledger), [], "75 was announced before the restart");
    spend(&ledger, NOW, 20);
    assert_eq!(alerts(&ledger), [(90, 97 * CENT)]);
    assert!(open(&ledger, opening(NOW, Some(4 * CENT))).is_err());
    assert!(open(&ledger, opening(NOW, Some(4 * CENT))).is_err());
    assert_eq!(alerts(&ledger), [(100, 97 * CENT)], "a refusal says that the budget is used up");
    spend(&ledger, NOW + DAY, 95);
    assert_eq!(alerts(&ledger), [(90, 95 * CENT)], "the next day is a new window");
    ledger.set_budgets(vec![daily(125 * CENT)]).unwrap();
    spend(&ledger, NOW + DAY, 1);
    assert_eq!(alerts(&ledger), [(75, 96 * CENT)], "a new limit is a new budget");
    let kept = |limit| ledger.alerts(limit).unwrap().into_iter().map(|alert| alert.percent).collect::<Vec<_>>();
    assert_eq!((kept(100), kept(2)), (vec![75, 90, 100, 90, 75], vec![75, 90]), "what was taken stays readable");
}

#[test]
fn drift_is_found_and_mended() {
    let folder = tempfile::tempdir().unwrap();
    let rules = [daily(100 * CENT)];
    let ledger = reopened(folder.path(), &rules, NOW);
    spend(&ledger, NOW, 10);
    drop(ledger);
    let file = rusqlite::Connection::open(folder.path().join("gateway.sqlite")).unwrap();
    file.execute("UPDATE counters SET settled = settled - 3, reserved = 4", []).unwrap();
    drop(file);
    let ledger = reopened(folder.path(), &rules, NOW);
    assert_eq!(ledger.drift().unwrap(), 7);
    assert_eq!((ledger.drift().unwrap(), counters(&ledger, NOW)), (0, vec![(10 * CENT, 0)]));
}

fn query(by: UsageKey, filter: UsageFilter) -> UsageQuery {
    UsageQuery { since_ms: NOW, until_ms: NOW + 2 * DAY, by, filter }
}

/// Four calls of two days, and one that has not ended.
fn some_usage(ledger: &dyn Ledger) {
    let usage = TokenUsage { prompt: 5_000, completion: 1_102, cached: 100, reasoning: 2, ..TokenUsage::default() };
    let ends = [
        (0, "answer", closing(NOW, Some(5)), 12_200.0, usage),
        (0, "answer", closing(NOW, None), 4_000.0, TokenUsage { prompt: 7, estimated: true, ..TokenUsage::default() }),
        (DAY, "answer", Closing::new(NOW, "timeout"), 6_000.0, TokenUsage::default()),
        (DAY, "embed", Closing { retries: 2, cache_hit: true, ..closing(NOW, Some(1)) }, 1.5, TokenUsage::default()),
    ];
    for (later, operation, closing, total_ms, usage) in ends {
        let opening = Opening { operation: operation.to_owned(), ..opening(NOW + later, Some(9)) };
        let call = open(ledger, opening).unwrap();
        let (api_ms, finish) = (total_ms / 2.0, Some("stop".to_owned()));
        close(ledger, call, Closing { usage, total_ms, api_ms, finish, ..closing });
    }
    open(ledger, opening(NOW, Some(9))).unwrap();
}

#[test]
fn usage_adds_up() {
    let ledger = SqliteLedger::in_memory().unwrap();
    some_usage(&ledger);
    let report = ledger.usage(&query(UsageKey::Operation, UsageFilter::default())).unwrap();
    let keys: Vec<_> = report.rows.iter().map(|row| (row.key.as_str(), row.calls, row.failed)).collect();
    assert_eq!(keys, [("answer", 3, 1), ("embed", 1, 0)]);
    let answers = &report.rows[0];
    assert_eq!((answers.prompt, answers.completion, answers.cached, answers.reasoning), (5_007, 1_102, 100, 2));
    assert_eq!((answers.cost, answers.unknown_calls, answers.known_cost(), answers.estimated_calls), (5, 1, None, 1));
    assert_eq!((answers.total_ms, answers.api_ms, answers.min_ms, answers.max_ms), (22_200.0, 11_100.0, 4e3, 12_200.0));
    assert_eq!((answers.avg_ms, answers.median_ms), (7_400.0, 6_000.0));
    assert_eq!(format!("{:.1}", answers.std_dev_ms), "4275.5");
    assert_eq!((report.rows[1].retries, report.rows[1].cache_hits, report.rows[1].std_dev_ms), (2, 1, 0.0));
    assert_eq!((report.total.calls, report.total.cost, report.total.key.as_str()), (4, 6, ""));

    let days = ledger.usage(&query(UsageKey::Day, UsageFilter::default())).unwrap();
    assert_eq!(days.rows.iter().map(|row| row.key.as_str()).collect::<Vec<_>>(), ["2023-11-14", "2023-11-15"]);
    assert_eq!(format!("{:.1}", days.rows[0].tokens_per_second.unwrap()), "377.1");
    let embeds = UsageFilter { operation: Some("embed".to_owned()), ..UsageFilter::default() };
    let by_model = ledger.usage(&query(UsageKey::Model, embeds)).unwrap();
    assert_eq!((by_model.rows[0].key.as_str(), by_model.total.calls), ("upstream/vendor/chat", 1));
    for (by, key) in [(UsageKey::Workspace, "default"), (UsageKey::Principal, ""), (UsageKey::Provider, "upstream")] {
        let rows = ledger.usage(&query(by, UsageFilter::default())).unwrap().rows;
        assert_eq!(rows.iter().map(|row| (row.key.as_str(), row.calls)).collect::<Vec<_>>(), [(key, 4)]);
    }
}

#[test]
fn the_whole_history_comes_page_by_page() {
    let ledger = SqliteLedger::in_memory().unwrap();
    some_usage(&ledger);
    let mut page = CallPage { since_ms: NOW, until_ms: NOW + 2 * DAY, after: None, limit: 2 };
    let mut seen = Vec::new();
    loop {
        let calls = ledger.calls(&page).unwrap();
        let Some(last) = calls.last() else { break };
        page.after = Some(last.number);
        seen.extend(calls);
    }
    assert_eq!(seen, every_call(&ledger));
    let first = &seen[0];
    assert_eq!(format!("{:.1}", first.tokens_per_second().unwrap()), "500.2");
    assert_eq!((first.finish.as_deref(), first.estimate, first.charged), (Some("stop"), Some(9), Some(5)));
    assert_eq!((seen[4].status.as_str(), seen[4].closed_at_ms, seen[4].total_ms), ("open", None, None));
}

#[test]
fn a_store_has_a_ledger_that_outlives_workspaces() {
    let folder = tempfile::tempdir().unwrap();
    {
        let store = Store::open(folder.path(), NOW).unwrap();
        some_usage(&*store.ledger());
        store.remove_workspace(&WorkspaceName::default_workspace()).unwrap();
    }
    let ledger = {
        let store = Store::open(folder.path(), NOW).unwrap();
        assert_eq!(store.workspaces().unwrap(), [], "the ledger is no workspace");
        store.ledger()
    };
    assert_eq!(every_call(&*ledger).len(), 5);
    assert_eq!(refusal(Store::open(folder.path(), NOW)), ErrorCode::Locked, "whoever has the ledger has the folder");
    drop(ledger);
    drop(Store::open(folder.path(), NOW).unwrap());
}

#[test]
fn a_ledger_of_a_newer_release_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteLedger::open(folder.path(), NOW).unwrap());
    let file = rusqlite::Connection::open(folder.path().join("gateway.sqlite")).unwrap();
    file.pragma_update(None, "user_version", 999).unwrap();
    drop(file);
    let error = SqliteLedger::open(folder.path(), NOW).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Unprocessable);
    assert!(error.message().contains("the ledger has format 999"), "{error}");
}
