//! Where budgets and open calls stand, in memory: everything about a call is decided here, and recorded afterwards.
//!
//! A counter is a sum over the calls of a window. One is read when it is first asked for and then kept up to date, since
//! all calls pass through here; a window that began after the last call needs no reading.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use lorekeep_types::{
    ALERT_LEVELS, BudgetAlert, BudgetRule, BudgetScope, CallNumber, Closing, Opening, Refusal, Result, UnknownPrice,
};

use super::record::{Change, Charge};

/// Windows of a budget that are remembered: the present one, and those in which calls may still run.
const WINDOWS: usize = 3;

/// More than any call costs, a million USD: keeps a wrong figure from breaking the sums.
const MOST_MONEY: i64 = 1_000_000_000_000_000;

/// What was spent and reserved in a window, and what was said about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counter {
    pub(super) settled: i64,
    pub(super) reserved: i64,
    /// The highest level that was announced, of the limit that follows.
    pub(super) alerted: u8,
    pub(super) alert_limit: i64,
}

/// Rules with their counters, and the calls that are open.
#[derive(Debug)]
pub(super) struct Standing {
    budgets: Vec<Budget>,
    open: HashMap<i64, Held>,
    /// Of the last call.
    number: i64,
    /// The latest moment at which a call was opened.
    latest_ms: i64,
}

#[derive(Debug)]
struct Budget {
    rule: BudgetRule,
    /// By the start of their window.
    counters: BTreeMap<i64, Counter>,
}

/// An open call.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) opening: Arc<Opening>,
    pub(super) reserved: i64,
    lease_until: i64,
}

/// What becomes of a call.
pub(super) enum Decision {
    /// It may be made; so much is set aside.
    Reserve(i64),
    /// It may not.
    Refuse(Box<Refusal>),
}

impl Standing {
    /// After call `number`, which like all before it was opened at `latest_ms` at the latest.
    pub(super) fn new(number: i64, latest_ms: i64) -> Self {
        Self { budgets: Vec::new(), open: HashMap::new(), number, latest_ms }
    }

    /// Replaces the rules. What is known of a budget that stays is kept.
    pub(super) fn set_rules(&mut self, rules: Vec<BudgetRule>) {
        let mut former = std::mem::take(&mut self.budgets);
        let counters_of = |rule: &BudgetRule, former: &mut Vec<Budget>| {
            let same = |budget: &&mut Budget| (&budget.rule.scope, budget.rule.window) == (&rule.scope, rule.window);
            former.iter_mut().find(same).map(|budget| std::mem::take(&mut budget.counters)).unwrap_or_default()
        };
        self.budgets = rules
            .into_iter()
            .map(|rule| {
                let counters = counters_of(&rule, &mut former);
                Budget { rule, counters }
            })
            .collect();
    }

    pub(super) fn rules(&self) -> Vec<BudgetRule> {
        self.budgets.iter().map(|budget| budget.rule.clone()).collect()
    }

    /// Asks every budget that applies to a call. Of those that refuse, the one that resets last is named. `read` finds a
    /// counter in the file, which has to know every call before this one. What there is to record goes to `changes`.
    pub(super) fn decide(
        &mut self,
        opening: &Opening,
        mut read: impl FnMut(&BudgetRule) -> Result<Counter>,
        changes: &mut Vec<Change>,
    ) -> Result<Decision> {
        let latest_ms = self.latest_ms;
        let budgets = || self.budgets.iter().filter(|budget| applies(&budget.rule.scope, opening));
        let estimate = opening.estimate.map(money);
        let amount = estimate.or_else(|| budgets().filter_map(|budget| ceiling_of(&budget.rule)).max()).unwrap_or(0);
        let mut refusal: Option<Refusal> = None;
        for Budget { rule, counters } in &mut self.budgets {
            if !applies(&rule.scope, opening) {
                continue;
            }
            let counter = present(rule, counters, opening.at_ms, latest_ms, &mut read, changes)?;
            let priceless = estimate.is_none() && ceiling_of(rule).is_none();
            let spent = counter.settled.saturating_add(counter.reserved).saturating_add(amount);
            // What costs nothing is never refused, not even by a budget that is overspent.
            if !priceless && (amount == 0 || spent <= rule.limit) {
                continue;
            }
            if !priceless {
                changes.extend(alert(rule, counter, (opening.at_ms, opening.at_ms), true));
            }
            let resets_at_ms = rule.window.end_ms(opening.at_ms);
            if refusal.as_ref().is_none_or(|former| former.resets_at_ms < resets_at_ms) {
                refusal = Some(Refusal {
                    at_ms: opening.at_ms,
                    scope: rule.scope.clone(),
                    window: rule.window,
                    limit: rule.limit,
                    settled: counter.settled,
                    reserved: counter.reserved,
                    estimate: (!priceless).then_some(amount),
                    resets_at_ms,
                    action: rule.action,
                });
            }
        }
        Ok(refusal.map_or(Decision::Reserve(money(amount)), |refusal| Decision::Refuse(Box::new(refusal))))
    }

    /// The number of the next call.
    pub(super) const fn next(&self) -> i64 {
        self.number + 1
    }

    /// Takes call [`Standing::next`] in: it was recorded.
    pub(super) fn opened(&mut self, opening: Arc<Opening>, reserved: i64) {
        self.number += 1;
        self.latest_ms = self.latest_ms.max(opening.at_ms);
        self.book(&opening, 0, reserved);
        let lease_until = opening.at_ms.saturating_add(opening.lease_ms);
        self.open.insert(self.number, Held { opening, reserved, lease_until });
    }

    /// What is known of an open call.
    pub(super) fn held(&self, call: CallNumber) -> Option<&Held> {
        self.open.get(&call.0)
    }

    /// Sets so much more aside for an open call: it was recorded.
    pub(super) fn reserved(&mut self, call: CallNumber, opening: &Opening, more: i64) {
        if let Some(held) = self.open.get_mut(&call.0) {
            held.reserved += more;
        }
        self.book(opening, 0, more);
    }

    pub(super) fn extend(&mut self, call: CallNumber, lease_until: i64) {
        if let Some(held) = self.open.get_mut(&call.0) {
            held.lease_until = held.lease_until.max(lease_until);
        }
    }

    /// Ends an open call; gives the closing back when it is not open.
    pub(super) fn close(
        &mut self,
        call: CallNumber,
        closing: Closing,
    ) -> std::result::Result<Vec<Change>, Box<Closing>> {
        let Some(held) = self.open.remove(&call.0) else { return Err(Box::new(closing)) };
        let charged = closing.cost.map_or(held.reserved, money);
        let charge = Charge { charged, before: 0, released: held.reserved };
        Ok(self.settled(call.0, held.opening, charge, closing))
    }

    /// Ends a call of which the file knows that it was taken for lost.
    pub(super) fn close_lost(&mut self, call: CallNumber, lost: Lost, closing: Closing) -> Vec<Change> {
        let charged = closing.cost.map_or(lost.reserved, money);
        let charge = Charge { charged, before: lost.charged, released: 0 };
        self.settled(call.0, lost.opening, charge, closing)
    }

    fn settled(&mut self, number: i64, opening: Arc<Opening>, charge: Charge, closing: Closing) -> Vec<Change> {
        self.book(&opening, charge.settled(), -charge.released);
        let alerts = self.announced(&opening, closing.at_ms);
        let closed = Change::Closed { number, opening, closing: Box::new(closing), charge };
        std::iter::once(closed).chain(alerts).collect()
    }

    /// Takes the calls whose lease ended before `now_ms` for lost, and charges what they had reserved.
    pub(super) fn lose(&mut self, now_ms: i64) -> Vec<Change> {
        let mut expired: Vec<_> = self.open.extract_if(|_, held| held.lease_until < now_ms).collect();
        expired.sort_by_key(|(number, _)| *number);
        let mut changes = Vec::new();
        for (number, Held { opening, reserved, .. }) in expired {
            self.book(&opening, reserved, -reserved);
            let charge = Charge { charged: reserved, before: 0, released: reserved };
            let alerts = self.announced(&opening, now_ms);
            changes.push(Change::Lost { number, opening, at_ms: now_ms, charge });
            changes.extend(alerts);
        }
        changes
    }

    /// Adds to the counters of a call's windows. Those that were not read yet will be, with this in them.
    fn book(&mut self, opening: &Opening, settled: i64, reserved: i64) {
        for Budget { rule, counters } in &mut self.budgets {
            if applies(&rule.scope, opening)
                && let Some(counter) = counters.get_mut(&rule.window.start_ms(opening.at_ms))
            {
                counter.settled += settled;
                counter.reserved += reserved;
            }
        }
    }

    /// The alerts that a settled call gives rise to.
    fn announced(&mut self, opening: &Opening, now_ms: i64) -> Vec<Change> {
        let mut changes = Vec::new();
        for Budget { rule, counters } in &mut self.budgets {
            if applies(&rule.scope, opening)
                && let Some(counter) = counters.get_mut(&rule.window.start_ms(opening.at_ms))
            {
                changes.extend(alert(rule, counter, (opening.at_ms, now_ms), false));
            }
        }
        changes
    }

    /// Sets the counters in memory to what `read` says of a budget's window; returns by how much they were off.
    pub(super) fn correct(&mut self, mut read: impl FnMut(&BudgetRule, i64) -> Result<Counter>) -> Result<i64> {
        let mut off: i64 = 0;
        for Budget { rule, counters } in &mut self.budgets {
            for (start, counter) in counters {
                let real = read(rule, *start)?;
                off = off.saturating_add((real.settled - counter.settled).saturating_abs());
                off = off.saturating_add((real.reserved - counter.reserved).saturating_abs());
                *counter = real;
            }
        }
        Ok(off)
    }
}

/// A call that was taken for lost, as the file knows it.
pub(super) struct Lost {
    pub(super) opening: Arc<Opening>,
    pub(super) reserved: i64,
    pub(super) charged: i64,
}

/// The counter of the window around `at_ms`.
fn present<'c>(
    rule: &BudgetRule,
    counters: &'c mut BTreeMap<i64, Counter>,
    at_ms: i64,
    latest_ms: i64,
    read: &mut impl FnMut(&BudgetRule) -> Result<Counter>,
    changes: &mut Vec<Change>,
) -> Result<&'c mut Counter> {
    let start = rule.window.start_ms(at_ms);
    if !counters.contains_key(&start) {
        let counter = if latest_ms < start {
            changes.push(Change::Began { scope: rule.scope.clone(), window: rule.window, start });
            Counter::default()
        } else {
            read(rule)?
        };
        while counters.len() >= WINDOWS {
            counters.pop_first();
        }
        counters.insert(start, counter);
    }
    Ok(counters.entry(start).or_default())
}

/// Whether calls like this one count against a budget of `scope`.
fn applies(scope: &BudgetScope, opening: &Opening) -> bool {
    match scope {
        BudgetScope::Total => true,
        BudgetScope::Workspace(name) => name == opening.workspace.as_str(),
        BudgetScope::Principal(name) => opening.principal.as_ref() == Some(name),
        BudgetScope::Model(model) => *model == opening.model,
        BudgetScope::Provider(name) => *name == opening.model.provider,
    }
}

fn ceiling_of(rule: &BudgetRule) -> Option<i64> {
    match rule.unknown_price {
        UnknownPrice::Refuse => None,
        UnknownPrice::Ceiling(ceiling) => Some(ceiling),
    }
}

/// The alert that is due when the counter has reached a level that was not announced for this limit yet; the last one in
/// any case when a call was refused. The call was opened at the first of the moments, the alert is raised at the second.
fn alert(rule: &BudgetRule, counter: &mut Counter, (opened_at, at_ms): (i64, i64), refused: bool) -> Option<Change> {
    let announced = if counter.alert_limit == rule.limit { counter.alerted } else { 0 };
    let spent = |level: &u8| i128::from(counter.settled) * 100 >= i128::from(rule.limit) * i128::from(*level);
    let reached = match (refused, rule.limit) {
        (true, _) => Some(100),
        // A budget of nothing is used up from the start; only a refusal is worth a word.
        (false, 0) => None,
        (false, _) => ALERT_LEVELS.into_iter().filter(spent).max(),
    };
    let percent = reached.filter(|level| *level > announced)?;
    (counter.alerted, counter.alert_limit) = (percent, rule.limit);
    Some(Change::Alert(BudgetAlert {
        at_ms,
        scope: rule.scope.clone(),
        window: rule.window,
        window_start_ms: rule.window.start_ms(opened_at),
        percent,
        limit: rule.limit,
        settled: counter.settled,
    }))
}

pub(super) fn money(nano: i64) -> i64 {
    nano.clamp(0, MOST_MONEY)
}
