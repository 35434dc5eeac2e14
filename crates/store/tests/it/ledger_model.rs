//! The ledger against a model of it: ten thousand random schedules of openings, second reservations, closings, sweeps and crashes.

use std::cell::RefCell;
use std::path::Path;

use lorekeep_store::SqliteLedger;
use lorekeep_types::{
    Admission, BudgetRule, BudgetScope, BudgetWindow, CallNumber, ErrorCode, Ledger, Opening, WorkspaceName,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::ledger::{DAY, closing, counters, opening, rule, wait};
use crate::support::NOW;

const SCHEDULES: u32 = 10_000;
/// Longer than any lease of a schedule.
const AN_HOUR: i64 = 3_600_000;

#[derive(Clone, Debug)]
enum Step {
    /// In the first or second workspace, with an estimate and a lease in minutes.
    Open { second: bool, estimate: i64, lease: i64 },
    /// So much more for the nth call of the schedule.
    Reserve { call: usize, more: i64 },
    /// The nth call of the schedule, at a part of its estimate in percent; `None` is an unknown cost.
    Close { call: usize, percent: Option<i64> },
    /// So many minutes later.
    Sweep { minutes: i64 },
    /// The handle goes and the file is opened again.
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        60 => (any::<bool>(), 0..60_i64, 1..30_i64)
            .prop_map(|(second, estimate, lease)| Step::Open { second, estimate, lease }),
        20 => (0..8_usize, 0..40_i64).prop_map(|(call, more)| Step::Reserve { call, more }),
        50 => (0..8_usize, proptest::option::weighted(0.8, 0..=100_i64))
            .prop_map(|(call, percent)| Step::Close { call, percent }),
        10 => (1..20_i64).prop_map(|minutes| Step::Sweep { minutes }),
        1 => Just(Step::Crash),
    ]
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    Lost,
    Closed,
}

/// What the ledger should know of a call.
struct Known {
    number: CallNumber,
    second: bool,
    estimate: i64,
    lease_until: i64,
    state: State,
    charged: i64,
}

/// One schedule: a day of its own in the common file.
struct Schedule {
    now: i64,
    rules: Vec<BudgetRule>,
    calls: Vec<Known>,
}

impl Schedule {
    /// Settled and reserved of the budgets: all calls, then those of the second workspace.
    fn expected(&self) -> Vec<(i64, i64)> {
        let sum = |only_second: bool| {
            let counted = self.calls.iter().filter(|call| call.second || !only_second);
            counted.fold((0, 0), |(settled, reserved), call| match call.state {
                State::Open => (settled, reserved + call.estimate),
                State::Lost | State::Closed => (settled + call.charged, reserved),
            })
        };
        vec![sum(false), sum(true)]
    }

    fn admits(&self, second: bool, estimate: i64) -> bool {
        let fits = |(rule, (settled, reserved)): (&BudgetRule, (i64, i64))| settled + reserved + estimate <= rule.limit;
        estimate == 0 || self.rules.iter().zip(self.expected()).take(if second { 2 } else { 1 }).all(fits)
    }

    fn take(&mut self, ledger: &RefCell<Option<SqliteLedger>>, folder: &Path, step: &Step) {
        match step {
            Step::Open { second, estimate, lease } => self.open(ledger, *second, *estimate, *lease),
            Step::Reserve { call, more } => self.reserve(ledger, *call, *more),
            Step::Close { call, percent } => self.close(ledger, *call, *percent),
            Step::Sweep { minutes } => self.sweep(ledger, minutes * 60_000),
            Step::Crash => {
                ledger.take();
                *ledger.borrow_mut() = Some(SqliteLedger::open(folder, self.now).unwrap());
                self.lose(i64::MAX);
                set_rules(ledger, &self.rules);
            }
        }
    }

    fn open(&mut self, ledger: &RefCell<Option<SqliteLedger>>, second: bool, estimate: i64, lease: i64) {
        let workspace = WorkspaceName::parse(if second { "second" } else { "first" }).unwrap();
        let lease_ms = lease * 60_000;
        let opening = Opening { workspace, lease_ms, ..opening(self.now, Some(estimate)) };
        let ledger = ledger.borrow();
        let admission = wait(ledger.as_ref().unwrap().open(opening)).unwrap();
        assert_eq!(matches!(admission, Admission::Admitted(_)), self.admits(second, estimate));
        if let Admission::Admitted(number) = admission {
            let lease_until = self.now + lease_ms;
            self.calls.push(Known { number, second, estimate, lease_until, state: State::Open, charged: 0 });
        }
    }

    fn reserve(&mut self, ledger: &RefCell<Option<SqliteLedger>>, call: usize, more: i64) {
        let Some(known) = self.calls.get(call) else { return };
        let is_open = known.state == State::Open;
        let fits = self.admits(known.second, more);
        let outcome = ledger.borrow().as_ref().unwrap().reserve(known.number, more);
        match outcome {
            Ok(refusal) => assert_eq!((is_open, refusal.is_none()), (true, fits)),
            Err(error) => assert_eq!((is_open, error.code()), (false, ErrorCode::Conflict)),
        }
        if is_open && fits {
            self.calls[call].estimate += more;
        }
    }

    /// Closings are not awaited: they meet the next step in one transaction, or the crash.
    fn close(&mut self, ledger: &RefCell<Option<SqliteLedger>>, call: usize, percent: Option<i64>) {
        let Some(known) = self.calls.get_mut(call) else { return };
        let cost = percent.map(|percent| known.estimate * percent / 100);
        drop(ledger.borrow().as_ref().unwrap().close(known.number, closing(self.now, cost)));
        if known.state != State::Closed {
            (known.state, known.charged) = (State::Closed, cost.unwrap_or(known.estimate));
        }
    }

    fn sweep(&mut self, ledger: &RefCell<Option<SqliteLedger>>, later: i64) {
        self.now += later;
        let swept = ledger.borrow().as_ref().unwrap().sweep(self.now).unwrap();
        assert_eq!(swept, self.lose(self.now));
    }

    fn lose(&mut self, leased: i64) -> u64 {
        let expired = self.calls.iter_mut().filter(|call| call.state == State::Open && call.lease_until < leased);
        expired.map(|call| (call.state, call.charged) = (State::Lost, call.estimate)).count() as u64
    }
}

fn set_rules(ledger: &RefCell<Option<SqliteLedger>>, rules: &[BudgetRule]) {
    ledger.borrow().as_ref().unwrap().set_budgets(rules.to_vec()).unwrap();
}

fn run(ledger: &RefCell<Option<SqliteLedger>>, folder: &Path, day: i64, limits: (i64, i64), steps: &[Step]) {
    let start = BudgetWindow::Day.start_ms(NOW + day * DAY);
    let rules = vec![
        rule(BudgetScope::Total, BudgetWindow::Day, limits.0),
        rule(BudgetScope::Workspace("second".to_owned()), BudgetWindow::Day, limits.1),
    ];
    set_rules(ledger, &rules);
    let mut schedule = Schedule { now: start + 1, rules, calls: Vec::new() };
    for step in steps {
        schedule.take(ledger, folder, step);
    }
    schedule.sweep(ledger, AN_HOUR);
    let held = ledger.borrow();
    let held = held.as_ref().unwrap();
    let found = counters(held, start);
    assert_eq!(found, schedule.expected());
    for ((settled, reserved), rule) in found.into_iter().zip(&schedule.rules) {
        assert_eq!(reserved, 0, "nothing stays reserved");
        assert!(settled <= rule.limit, "{settled} of {} spent", rule.limit);
    }
    assert_eq!(held.drift().unwrap(), 0);
}

#[test]
fn no_schedule_overspends_or_keeps_a_reservation() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = RefCell::new(Some(SqliteLedger::open(folder.path(), NOW).unwrap()));
    let day = RefCell::new(0);
    let config = Config { cases: SCHEDULES, failure_persistence: None, ..Config::default() };
    let limits = (0..200_i64, 0..100_i64);
    TestRunner::new(config)
        .run(&(limits, vec(step(), 1..10)), |(limits, steps)| {
            *day.borrow_mut() += 1;
            run(&ledger, folder.path(), *day.borrow(), limits, &steps);
            Ok(())
        })
        .unwrap();
}
