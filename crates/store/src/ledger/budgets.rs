//! Budgets: the counters of what was spent and reserved, the decision about a call, and the alerts.
//!
//! A counter is a sum over calls and can always be computed again: that is how a new budget learns what its window
//! has already spent, and how [`drift`] checks the others.

use lorekeep_types::{
    ALERT_LEVELS, BudgetAlert, BudgetRule, BudgetScope, BudgetState, BudgetWindow, ModelId, Refusal, UnknownPrice,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::writer::Desk;
use crate::error::{Result, StoreError};

const SUM: &str = "SELECT coalesce(sum(charged), 0), coalesce(sum(CASE state WHEN 'open' THEN reserved END), 0) \
    FROM calls WHERE opened_at >= ?1 AND opened_at < ?2 AND CASE ?3 WHEN 'total' THEN 1 \
    WHEN 'workspace' THEN workspace = ?4 WHEN 'principal' THEN principal = ?4 WHEN 'provider' THEN provider = ?4 \
    ELSE provider || '/' || model = ?4 END";

const COUNTER: &str = "SELECT settled, reserved, alerted, alert_limit FROM counters \
    WHERE scope = ?1 AND name = ?2 AND span = ?3 AND start = ?4";

/// The last two windows of a budget, present and past.
const RECENT: &str = "SELECT start, settled, reserved FROM counters WHERE scope = ?1 AND name = ?2 AND span = ?3 \
    ORDER BY start DESC LIMIT 2";

/// Whose budgets a call is charged to, and in which windows.
pub(super) struct Spender {
    at_ms: i64,
    scopes: Vec<BudgetScope>,
}

impl Spender {
    /// A call opened at `at_ms`.
    pub(super) fn new(at_ms: i64, model: &ModelId, workspace: &str, principal: Option<&str>) -> Self {
        let mut scopes = vec![
            BudgetScope::Total,
            BudgetScope::Workspace(workspace.to_owned()),
            BudgetScope::Model(model.clone()),
            BudgetScope::Provider(model.provider.clone()),
        ];
        scopes.extend(principal.map(|name| BudgetScope::Principal(name.to_owned())));
        Self { at_ms, scopes }
    }

    fn rules<'r>(&self, rules: &'r [BudgetRule]) -> impl Iterator<Item = &'r BudgetRule> {
        rules.iter().filter(|rule| self.scopes.contains(&rule.scope))
    }
}

/// What becomes of a call.
pub(super) enum Decision {
    /// It may be made; so much is set aside.
    Reserve(i64),
    /// It may not.
    Refuse(Box<Refusal>),
}

/// Asks every budget that applies. Of those that refuse, the one that resets last is named.
pub(super) fn admit(desk: &Desk<'_>, spender: &Spender, estimate: Option<i64>) -> Result<Decision> {
    let ceiling = spender.rules(desk.rules).filter_map(ceiling_of).max();
    let amount = estimate.or(ceiling).unwrap_or(0);
    let mut refusal: Option<Refusal> = None;
    for rule in spender.rules(desk.rules) {
        let priceless = estimate.is_none() && ceiling_of(rule).is_none();
        let counter = counter(desk.sql, rule, spender.at_ms)?;
        let spent = counter.settled.saturating_add(counter.reserved).saturating_add(amount);
        // What costs nothing is never refused, not even by a budget that is overspent.
        if !priceless && (amount == 0 || spent <= rule.limit) {
            continue;
        }
        if !priceless {
            alert(desk, rule, &counter, When { opened_at: spender.at_ms, now_ms: spender.at_ms }, true)?;
        }
        let resets_at_ms = rule.window.end_ms(spender.at_ms);
        if refusal.as_ref().is_none_or(|former| former.resets_at_ms < resets_at_ms) {
            refusal = Some(Refusal {
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
    Ok(refusal.map_or(Decision::Reserve(amount), |refusal| Decision::Refuse(Box::new(refusal))))
}

fn ceiling_of(rule: &BudgetRule) -> Option<i64> {
    match rule.unknown_price {
        UnknownPrice::Refuse => None,
        UnknownPrice::Ceiling(ceiling) => Some(ceiling),
    }
}

/// Adds to the counters of a call's windows, of budgets that hold and of those that once held.
pub(super) fn book(desk: &Desk<'_>, spender: &Spender, settled: i64, reserved: i64) -> Result<()> {
    let update = "UPDATE counters SET settled = settled + ?5, reserved = reserved + ?6 \
                  WHERE scope = ?1 AND name = ?2 AND span = ?3 AND start = ?4";
    let mut update = desk.sql.prepare_cached(update)?;
    for scope in &spender.scopes {
        for window in BudgetWindow::ALL {
            let start = window.start_ms(spender.at_ms);
            update.execute(params![scope.kind(), scope.name(), window.name(), start, settled, reserved])?;
        }
    }
    Ok(())
}

/// Records the alerts that a settled call gives rise to.
pub(super) fn announce(desk: &Desk<'_>, spender: &Spender, now_ms: i64) -> Result<()> {
    for rule in spender.rules(desk.rules) {
        let counter = counter(desk.sql, rule, spender.at_ms)?;
        alert(desk, rule, &counter, When { opened_at: spender.at_ms, now_ms }, false)?;
    }
    Ok(())
}

/// A row of `counters`.
struct Counter {
    settled: i64,
    reserved: i64,
    alerted: u8,
    alert_limit: i64,
}

/// The counter of a budget in the window around `at_ms`, made from the calls when it is not there.
fn counter(sql: &Connection, rule: &BudgetRule, at_ms: i64) -> Result<Counter> {
    if let Some(counter) = stored(sql, rule, at_ms)? {
        return Ok(counter);
    }
    let (settled, reserved) = sum(sql, &rule.scope, rule.window, at_ms)?;
    let insert = "INSERT INTO counters (scope, name, span, start, settled, reserved) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let start = rule.window.start_ms(at_ms);
    let values = params![rule.scope.kind(), rule.scope.name(), rule.window.name(), start, settled, reserved];
    sql.prepare_cached(insert)?.execute(values)?;
    Ok(Counter { settled, reserved, alerted: 0, alert_limit: 0 })
}

fn stored(sql: &Connection, rule: &BudgetRule, at_ms: i64) -> Result<Option<Counter>> {
    let key = params![rule.scope.kind(), rule.scope.name(), rule.window.name(), rule.window.start_ms(at_ms)];
    let read = |row: &Row<'_>| {
        Ok(Counter { settled: row.get(0)?, reserved: row.get(1)?, alerted: row.get(2)?, alert_limit: row.get(3)? })
    };
    Ok(sql.prepare_cached(COUNTER)?.query_row(key, read).optional()?)
}

/// What the calls of a scope in the window around `at_ms` cost and have reserved.
fn sum(sql: &Connection, scope: &BudgetScope, window: BudgetWindow, at_ms: i64) -> Result<(i64, i64)> {
    let values = params![window.start_ms(at_ms), window.end_ms(at_ms), scope.kind(), scope.name()];
    Ok(sql.prepare_cached(SUM)?.query_row(values, |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// Each budget in the window around `now_ms`; writes nothing.
pub(super) fn states(sql: &Connection, rules: &[BudgetRule], now_ms: i64) -> Result<Vec<BudgetState>> {
    let state = |rule: &BudgetRule| {
        let (settled, reserved) = match stored(sql, rule, now_ms)? {
            Some(counter) => (counter.settled, counter.reserved),
            None => sum(sql, &rule.scope, rule.window, now_ms)?,
        };
        let (window_start_ms, resets_at_ms) = (rule.window.start_ms(now_ms), rule.window.end_ms(now_ms));
        Ok(BudgetState { rule: rule.clone(), window_start_ms, resets_at_ms, settled, reserved })
    };
    rules.iter().map(state).collect()
}

/// Corrects the recent counters by the calls; returns the sum of what they were off.
pub(super) fn drift(desk: &Desk<'_>) -> Result<i64> {
    let mut total: i64 = 0;
    for rule in desk.rules {
        let key = params![rule.scope.kind(), rule.scope.name(), rule.window.name()];
        let counters: Vec<(i64, i64, i64)> = desk
            .sql
            .prepare_cached(RECENT)?
            .query_map(key, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (start, settled, reserved) in counters {
            total = total.saturating_add(correct(desk, rule, start, (settled, reserved))?);
        }
    }
    Ok(total)
}

/// Sets a counter to what its calls say; returns by how much it was off.
fn correct(desk: &Desk<'_>, rule: &BudgetRule, start: i64, stored: (i64, i64)) -> Result<i64> {
    let real = sum(desk.sql, &rule.scope, rule.window, start)?;
    let off = (real.0 - stored.0).saturating_abs().saturating_add((real.1 - stored.1).saturating_abs());
    if off != 0 {
        tracing::error!(scope = %rule.scope, off, "the counter of a budget did not match its calls");
        let update = "UPDATE counters SET settled = ?5, reserved = ?6 \
                      WHERE scope = ?1 AND name = ?2 AND span = ?3 AND start = ?4";
        let (kind, name, window) = (rule.scope.kind(), rule.scope.name(), rule.window.name());
        desk.sql.prepare_cached(update)?.execute(params![kind, name, window, start, real.0, real.1])?;
    }
    Ok(off)
}

/// Scope, window and start, in the first four columns.
fn key(row: &Row<'_>) -> Result<(BudgetScope, BudgetWindow, i64)> {
    let (kind, name, window): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let unknown = || StoreError::Damaged(format!("the ledger has a budget of `{kind}` per `{window}`"));
    let scope = BudgetScope::of(&kind, &name).ok_or_else(unknown)?;
    Ok((scope, BudgetWindow::of(&window).ok_or_else(unknown)?, row.get(3)?))
}

/// Records an alert when the counter has reached a level that was not announced for this limit yet; the last one
/// in any case when a call was refused.
fn alert(desk: &Desk<'_>, rule: &BudgetRule, counter: &Counter, when: When, refused: bool) -> Result<()> {
    let announced = if counter.alert_limit == rule.limit { counter.alerted } else { 0 };
    let spent = |level: &u8| i128::from(counter.settled) * 100 >= i128::from(rule.limit) * i128::from(*level);
    let reached = match (refused, rule.limit) {
        (true, _) => Some(100),
        // A budget of nothing is used up from the start; only a refusal is worth a word.
        (false, 0) => None,
        (false, _) => ALERT_LEVELS.into_iter().filter(spent).max(),
    };
    let Some(percent) = reached.filter(|level| *level > announced) else { return Ok(()) };
    let (kind, name, window) = (rule.scope.kind(), rule.scope.name(), rule.window.name());
    let start = rule.window.start_ms(when.opened_at);
    let update = "UPDATE counters SET alerted = ?5, alert_limit = ?6 \
                  WHERE scope = ?1 AND name = ?2 AND span = ?3 AND start = ?4";
    desk.sql.prepare_cached(update)?.execute(params![kind, name, window, start, percent, rule.limit])?;
    let insert = "INSERT INTO alerts (at, scope, name, span, start, percent, most, settled) \
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let values = params![when.now_ms, kind, name, window, start, percent, rule.limit, counter.settled];
    desk.sql.prepare_cached(insert)?.execute(values)?;
    Ok(())
}

/// Which window an alert is about, and when it is raised.
#[derive(Clone, Copy)]
struct When {
    opened_at: i64,
    now_ms: i64,
}

/// Gives out the alerts that wait, oldest first.
pub(super) fn take_alerts(desk: &Desk<'_>) -> Result<Vec<BudgetAlert>> {
    let alerts = read_alerts(desk.sql, "WHERE taken = 0 ORDER BY id", usize::MAX)?;
    if !alerts.is_empty() {
        desk.sql.prepare_cached("UPDATE alerts SET taken = 1 WHERE taken = 0")?.execute([])?;
    }
    Ok(alerts)
}

/// The last alerts, newest first.
pub(super) fn alerts(sql: &Connection, limit: usize) -> Result<Vec<BudgetAlert>> {
    read_alerts(sql, "ORDER BY id DESC", limit)
}

fn read_alerts(sql: &Connection, which: &str, limit: usize) -> Result<Vec<BudgetAlert>> {
    let question = format!("SELECT scope, name, span, start, at, percent, most, settled FROM alerts {which} LIMIT ?1");
    let mut statement = sql.prepare_cached(&question)?;
    let mut rows = statement.query([i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut alerts = Vec::new();
    while let Some(row) = rows.next()? {
        let (scope, window, window_start_ms) = key(row)?;
        let (at_ms, percent, limit, settled) = (row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?);
        alerts.push(BudgetAlert { at_ms, scope, window, window_start_ms, percent, limit, settled });
    }
    Ok(alerts)
}
