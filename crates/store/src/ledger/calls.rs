//! The life of a call: opened, extended, closed once or lost.

use lorekeep_types::{Admission, CALL_LOST, CallNumber, Closing, ModelId, Opening};
use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::budgets::{self, Decision, Spender};
use super::writer::Desk;
use crate::error::{Result, StoreError};

/// The last millisecond of the year 9999.
const LAST_MS: i64 = 253_402_300_799_999;

/// More than any call costs, a million USD: keeps a wrong figure from breaking the sums.
const MOST_MONEY: i64 = 1_000_000_000_000_000;

/// More tokens than any call takes, for the same reason.
const MOST_TOKENS: u64 = 1_000_000_000_000;

const INSERT: &str = "INSERT INTO calls (state, opened_at, lease_until, request, provider, model, operation, \
    workspace, principal, streamed, estimate, reserved, status) VALUES ('open', :opened_at, :lease_until, :request, \
    :provider, :model, :operation, :workspace, :principal, :streamed, :estimate, :reserved, 'open')";

const UPDATE: &str = "UPDATE calls SET state = 'closed', closed_at = :closed_at, charged = :charged, \
    status = :status, prompt = :prompt, completion = :completion, cached = :cached, cache_written = :cache_written, \
    reasoning = :reasoning, searches = :searches, estimated = :estimated, reported_cost = :reported_cost, \
    cost = :cost, finish = :finish, total_ms = :total_ms, api_ms = :api_ms, first_token_ms = :first_token_ms, \
    retries = :retries, fallback_from = :fallback_from, fallback_reason = :fallback_reason, \
    cache_hit = :cache_hit, saved_tokens = :saved_tokens, saved_cost = :saved_cost, \
    provider_model = :provider_model WHERE id = :id";

const LOSE: &str = "UPDATE calls SET state = 'lost', closed_at = ?2, charged = reserved, status = ?3 WHERE id = ?1";

const KNOWN: &str = "SELECT id, state, opened_at, provider, model, workspace, principal, reserved, charged FROM calls";

/// What has to be known of a call to end it.
struct Known {
    number: i64,
    state: String,
    opened_at: i64,
    model: ModelId,
    workspace: String,
    principal: Option<String>,
    reserved: i64,
    charged: Option<i64>,
}

impl Known {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            number: row.get(0)?,
            state: row.get(1)?,
            opened_at: row.get(2)?,
            model: ModelId { provider: row.get(3)?, model: row.get(4)? },
            workspace: row.get(5)?,
            principal: row.get(6)?,
            reserved: row.get(7)?,
            charged: row.get(8)?,
        })
    }

    fn spender(&self) -> Spender {
        Spender::new(self.opened_at, &self.model, &self.workspace, self.principal.as_deref())
    }
}

/// Admits and records a call, or does neither.
pub(super) fn open(desk: &Desk<'_>, opening: &Opening) -> Result<Admission> {
    let at_ms = opening.at_ms.clamp(0, LAST_MS);
    let spender = Spender::new(at_ms, &opening.model, opening.workspace.as_str(), opening.principal.as_deref());
    let estimate = opening.estimate.map(money);
    let reserved = match budgets::admit(desk, &spender, estimate)? {
        Decision::Reserve(amount) => money(amount),
        Decision::Refuse(refusal) => return Ok(Admission::Refused(refusal)),
    };
    desk.sql.prepare_cached(INSERT)?.execute(named_params! {
        ":opened_at": at_ms,
        ":lease_until": at_ms.saturating_add(opening.lease_ms),
        ":request": opening.request_id,
        ":provider": opening.model.provider,
        ":model": opening.model.model,
        ":operation": opening.operation,
        ":workspace": opening.workspace.as_str(),
        ":principal": opening.principal,
        ":streamed": opening.streamed,
        ":estimate": estimate,
        ":reserved": reserved,
    })?;
    let number = CallNumber(desk.sql.last_insert_rowid());
    budgets::book(desk, &spender, 0, reserved)?;
    Ok(Admission::Admitted(number))
}

/// Renews the lease of a call that is open.
pub(super) fn extend(desk: &Desk<'_>, call: CallNumber, lease_until_ms: i64) -> Result<()> {
    let update = "UPDATE calls SET lease_until = max(lease_until, ?2) WHERE id = ?1 AND state = 'open'";
    desk.sql.prepare_cached(update)?.execute((call.0, lease_until_ms))?;
    Ok(())
}

/// Ends a call that is open or was taken for lost; does nothing to one that has ended.
pub(super) fn close(desk: &Desk<'_>, call: CallNumber, closing: &Closing) -> Result<()> {
    let question = format!("{KNOWN} WHERE id = ?1");
    let known = desk.sql.prepare_cached(&question)?.query_row([call.0], Known::from_row).optional()?;
    let known = known.ok_or_else(|| StoreError::NotFound { kind: "model call", name: call.to_string() })?;
    if known.state == "closed" {
        return Ok(());
    }
    let charged = closing.cost.map_or(known.reserved, money);
    record_end(desk.sql, call, closing, charged)?;
    let released = if known.state == "open" { known.reserved } else { 0 };
    settle(desk, &known, charged - known.charged.unwrap_or(0), released, closing.at_ms)
}

fn record_end(sql: &Connection, call: CallNumber, closing: &Closing, charged: i64) -> Result<()> {
    let usage = &closing.usage;
    sql.prepare_cached(UPDATE)?.execute(named_params! {
        ":id": call.0,
        ":closed_at": closing.at_ms,
        ":charged": charged,
        ":status": closing.status,
        ":prompt": tokens(usage.prompt),
        ":completion": tokens(usage.completion),
        ":cached": tokens(usage.cached),
        ":cache_written": tokens(usage.cache_written),
        ":reasoning": tokens(usage.reasoning),
        ":searches": tokens(usage.searches),
        ":estimated": usage.estimated,
        ":reported_cost": usage.reported_cost.map(money),
        ":cost": closing.cost.map(money),
        ":finish": closing.finish,
        ":total_ms": closing.total_ms,
        ":api_ms": closing.api_ms,
        ":first_token_ms": closing.first_token_ms,
        ":retries": closing.retries,
        ":fallback_from": closing.fallback_from.as_ref().map(ToString::to_string),
        ":fallback_reason": closing.fallback_reason,
        ":cache_hit": closing.cache_hit,
        ":saved_tokens": tokens(closing.saved.tokens),
        ":saved_cost": money(closing.saved.cost),
        ":provider_model": closing.provider_model,
    })?;
    Ok(())
}

/// Takes calls whose lease ended before `leased_ms` for lost; returns their number.
pub(super) fn sweep(desk: &Desk<'_>, leased_ms: i64, now_ms: i64) -> Result<u64> {
    let question = format!("{KNOWN} WHERE state = 'open' AND lease_until < ?1");
    let expired: Vec<Known> = desk
        .sql
        .prepare_cached(&question)?
        .query_map([leased_ms], Known::from_row)?
        .collect::<rusqlite::Result<_>>()?;
    for call in &expired {
        desk.sql.prepare_cached(LOSE)?.execute((call.number, now_ms, CALL_LOST))?;
        settle(desk, call, call.reserved, call.reserved, now_ms)?;
    }
    Ok(expired.len() as u64)
}

/// Brings the end of a call, whose row is written, into the counters of its windows.
fn settle(desk: &Desk<'_>, call: &Known, charged: i64, released: i64, at_ms: i64) -> Result<()> {
    let spender = call.spender();
    budgets::book(desk, &spender, charged, -released)?;
    budgets::announce(desk, &spender, at_ms)
}

fn money(nano: i64) -> i64 {
    nano.clamp(0, MOST_MONEY)
}

fn tokens(count: u64) -> u64 {
    count.min(MOST_TOKENS)
}
