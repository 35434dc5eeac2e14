//! Budgets in the file: counters, which are sums over calls and can always be computed again, and alerts.

use lorekeep_types::{BudgetAlert, BudgetRule, BudgetScope, BudgetState, BudgetWindow, Opening};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::standing::Counter;
use crate::error::{Result, StoreError};

const SUM: &str = "SELECT coalesce(sum(charged), 0), coalesce(sum(CASE state WHEN 'open' THEN reserved END), 0) \
    FROM calls WHERE opened_at >= ?1 AND opened_at < ?2 AND CASE ?3 WHEN 'total' THEN 1 \
    WHEN 'workspace' THEN workspace = ?4 WHEN 'principal' THEN principal = ?4 WHEN 'provider' THEN provider = ?4 \
    ELSE provider || '/' || model = ?4 END";

const COUNTER: &str = "SELECT settled, reserved, alerted, alert_limit FROM counters \
    WHERE scope = ?1 AND name = ?2 AND span = ?3 AND start = ?4";

const INSERT: &str = "INSERT OR IGNORE INTO counters (scope, name, span, start, settled, reserved) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

/// The last two windows of a budget, present and past.
const RECENT: &str = "SELECT start, settled, reserved FROM counters WHERE scope = ?1 AND name = ?2 AND span = ?3 \
    ORDER BY start DESC LIMIT 2";

/// Begins a counter at zero.
pub(super) fn begin(sql: &Connection, scope: &BudgetScope, window: BudgetWindow, start: i64) -> Result<()> {
    sql.prepare_cached(INSERT)?.execute(params![scope.kind(), scope.name(), window.name(), start, 0, 0])?;
    Ok(())
}

/// Adds to the counters of a call's windows, of budgets that hold and of those that once held.
pub(super) fn book(sql: &Connection, opening: &Opening, settled: i64, reserved: i64) -> Result<()> {
    let update = "UPDATE counters SET settled = settled + ?5, reserved = reserved + ?6 \
                  WHERE scope = ?1 AND name = ?2 AND span = ?3 AND start = ?4";
    let mut update = sql.prepare_cached(update)?;
    for scope in scopes(opening) {
        for window in BudgetWindow::ALL {
            let start = window.start_ms(opening.at_ms);
            update.execute(params![scope.kind(), scope.name(), window.name(), start, settled, reserved])?;
        }
    }
    Ok(())
}

/// Whose budgets a call is charged to.
fn scopes(opening: &Opening) -> impl Iterator<Item = BudgetScope> {
    let all = [
        BudgetScope::Total,
        BudgetScope::Workspace(opening.workspace.as_str().to_owned()),
        BudgetScope::Model(opening.model.clone()),
        BudgetScope::Provider(opening.model.provider.clone()),
    ];
    all.into_iter().chain(opening.principal.clone().map(BudgetScope::Principal))
}

/// The counter of a budget in the window around `at_ms`, made from the calls when it is not there.
pub(super) fn counter(sql: &Connection, rule: &BudgetRule, at_ms: i64) -> Result<Counter> {
    if let Some(counter) = stored(sql, rule, at_ms)? {
        return Ok(counter);
    }
    let (settled, reserved) = sum(sql, &rule.scope, rule.window, at_ms)?;
    let start = rule.window.start_ms(at_ms);
    let values = params![rule.scope.kind(), rule.scope.name(), rule.window.name(), start, settled, reserved];
    sql.prepare_cached(INSERT)?.execute(values)?;
    Ok(Counter { settled, reserved, ..Counter::default() })
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
pub(super) fn drift(sql: &Connection, rules: &[BudgetRule]) -> Result<i64> {
    let mut total: i64 = 0;
    for rule in rules {
        let key = params![rule.scope.kind(), rule.scope.name(), rule.window.name()];
        let counters: Vec<(i64, i64, i64)> = sql
            .prepare_cached(RECENT)?
            .query_map(key, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<rusqlite::Result<_>>()?;
        for (start, settled, reserved) in counters {
            total = total.saturating_add(correct(sql, rule, start, (settled, reserved))?);
        }
    }
    Ok(total)
}

/// Sets a counter to what its calls say; returns by how much it was off.
fn correct(sql: &Connection, rule: &BudgetRule, start: i64, stored: (i64, i64)) -> Result<i64> {
    let real = sum(sql, &rule.scope, rule.window, start)?;
    let off = (real.0 - stored.0).saturating_abs().saturating_add((real.1 - stored.1).saturating_abs());
    if off != 0 {
        tracing::error!(scope = %rule.scope, off, "the counter of a budget did not match its calls");
        let update = "UPDATE counters SET settled = ?5, reserved = ?6 \
                      WHERE scope = ?1 AND name = ?2 AND span = ?3 AND start = ?4";
        let (kind, name, window) = (rule.scope.kind(), rule.scope.name(), rule.window.name());
        sql.prepare_cached(update)?.execute(params![kind, name, window, start, real.0, real.1])?;
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

/// Keeps an alert for whoever takes it, and remembers that its level was announced.
pub(super) fn announce(sql: &Connection, alert: &BudgetAlert) -> Result<()> {
    let (kind, name, window) = (alert.scope.kind(), alert.scope.name(), alert.window.name());
    let (start, percent, limit) = (alert.window_start_ms, alert.percent, alert.limit);
    let update = "UPDATE counters SET alerted = ?5, alert_limit = ?6 \
                  WHERE scope = ?1 AND name = ?2 AND span = ?3 AND start = ?4";
    sql.prepare_cached(update)?.execute(params![kind, name, window, start, percent, limit])?;
    let insert = "INSERT INTO alerts (at, scope, name, span, start, percent, most, settled) \
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let values = params![alert.at_ms, kind, name, window, start, percent, limit, alert.settled];
    sql.prepare_cached(insert)?.execute(values)?;
    Ok(())
}

/// Gives out the alerts that wait, oldest first.
pub(super) fn take_alerts(sql: &Connection) -> Result<Vec<BudgetAlert>> {
    let alerts = read_alerts(sql, "WHERE taken = 0 ORDER BY id", usize::MAX)?;
    if !alerts.is_empty() {
        sql.prepare_cached("UPDATE alerts SET taken = 1 WHERE taken = 0")?.execute([])?;
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
