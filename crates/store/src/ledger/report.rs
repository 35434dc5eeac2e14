//! What is read from the ledger: sums over calls, and the calls.

use std::collections::{BTreeMap, HashMap};

use lorekeep_types::{
    ANSWER_OPERATION, Answered, CALL_OK, CallNumber, CallPage, CallRow, MOST_CALLS, ModelId, Saved, Times, TokenUsage,
    UsageKey, UsageQuery, UsageReport, UsageRow, day_name, tokens_per_second,
};
use rusqlite::{Connection, Row, params};

use crate::error::Result;

const CLOSED: &str = "SELECT * FROM calls WHERE state <> 'open' AND opened_at >= ?1 AND opened_at < ?2 \
    AND (?3 IS NULL OR provider || '/' || model = ?3) AND (?4 IS NULL OR operation = ?4) \
    AND (?5 IS NULL OR workspace = ?5) AND (?6 IS NULL OR principal = ?6) AND (?7 IS NULL OR provider = ?7)";

const PAGE: &str = "SELECT * FROM calls WHERE id > ?1 AND opened_at >= ?2 AND opened_at < ?3 ORDER BY id LIMIT ?4";

/// Sums over closed calls.
pub(super) fn usage(sql: &Connection, query: &UsageQuery) -> Result<UsageReport> {
    let filter = &query.filter;
    let model = filter.model.as_ref().map(ToString::to_string);
    let mut statement = sql.prepare_cached(CLOSED)?;
    let mut rows = statement.query(params![
        query.since_ms,
        query.until_ms,
        model,
        filter.operation,
        filter.workspace,
        filter.principal,
        filter.provider
    ])?;
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut total = Tally::default();
    let mut requests: HashMap<String, Request> = HashMap::new();
    while let Some(row) = rows.next()? {
        let call = call(row)?;
        tallies.entry(key(&call, query.by)).or_default().add(&call);
        total.add(&call);
        requests.entry(call.request_id.clone()).or_default().add(&call);
    }
    let rows = tallies.into_iter().map(|(key, tally)| tally.finish(key)).collect();
    let answered =
        requests.into_values().filter(|request| request.answers).fold(Answered::default(), |sum, request| Answered {
            requests: sum.requests + 1,
            cost: sum.cost.saturating_add(request.cost),
        });
    Ok(UsageReport { rows, total: total.finish(String::new()), answered })
}

/// The calls of one request.
#[derive(Default)]
struct Request {
    answers: bool,
    cost: i64,
}

impl Request {
    fn add(&mut self, call: &CallRow) {
        self.answers |= call.operation == ANSWER_OPERATION;
        self.cost = self.cost.saturating_add(call.cost.unwrap_or(0));
    }
}

/// A page of calls, oldest first.
pub(super) fn calls(sql: &Connection, page: &CallPage) -> Result<Vec<CallRow>> {
    let after = page.after.map_or(0, |call| call.0);
    let limit = page.limit.min(MOST_CALLS) as u64;
    let mut statement = sql.prepare_cached(PAGE)?;
    let rows = statement.query_map(params![after, page.since_ms, page.until_ms, limit], call)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn key(call: &CallRow, by: UsageKey) -> String {
    match by {
        UsageKey::Day => day_name(call.opened_at_ms),
        UsageKey::Model => call.model.to_string(),
        UsageKey::Operation => call.operation.clone(),
        UsageKey::Workspace => call.workspace.clone(),
        UsageKey::Principal => call.principal.clone().unwrap_or_default(),
        UsageKey::Provider => call.model.provider.clone(),
    }
}

/// Sums in the making.
#[derive(Default)]
struct Tally {
    sums: UsageRow,
    times: Times,
}

impl Tally {
    fn add(&mut self, call: &CallRow) {
        let (sums, usage) = (&mut self.sums, &call.usage);
        sums.calls += 1;
        sums.failed += u64::from(call.status != CALL_OK);
        sums.cache_hits += u64::from(call.cache_hit);
        sums.saved.tokens += call.saved.tokens;
        sums.saved.cost = sums.saved.cost.saturating_add(call.saved.cost);
        sums.retries += u64::from(call.retries);
        sums.prompt += usage.prompt;
        sums.completion += usage.completion;
        sums.cached += usage.cached;
        sums.reasoning += usage.reasoning;
        sums.texts += call.texts;
        sums.estimated_calls += u64::from(usage.estimated);
        match call.cost {
            Some(cost) => sums.cost = sums.cost.saturating_add(cost),
            None => sums.unknown_calls += 1,
        }
        if let Some((own, reported)) = call.cost.zip(usage.reported_cost) {
            sums.compared_cost = sums.compared_cost.saturating_add(own);
            sums.reported_cost = sums.reported_cost.saturating_add(reported);
        }
        sums.api_ms += call.api_ms.unwrap_or(0.0);
        self.times.push(call.total_ms.unwrap_or(f64::NAN));
    }

    fn finish(self, key: String) -> UsageRow {
        let Self { sums, times } = self;
        let total_ms = times.sum();
        UsageRow {
            key,
            total_ms,
            tokens_per_second: tokens_per_second(sums.total_tokens(), total_ms),
            avg_ms: times.mean(),
            min_ms: times.min(),
            max_ms: times.max(),
            median_ms: times.median(),
            std_dev_ms: times.std_dev(),
            ..sums
        }
    }
}

fn call(row: &Row<'_>) -> rusqlite::Result<CallRow> {
    Ok(CallRow {
        number: CallNumber(row.get("id")?),
        opened_at_ms: row.get("opened_at")?,
        closed_at_ms: row.get("closed_at")?,
        request_id: row.get("request")?,
        model: ModelId { provider: row.get("provider")?, model: row.get("model")? },
        operation: row.get("operation")?,
        workspace: row.get("workspace")?,
        principal: row.get("principal")?,
        streamed: row.get("streamed")?,
        estimate: row.get("estimate")?,
        reserved: row.get("reserved")?,
        charged: row.get("charged")?,
        status: row.get("status")?,
        usage: tokens(row)?,
        texts: row.get("texts")?,
        cost: row.get("cost")?,
        finish: row.get("finish")?,
        total_ms: row.get("total_ms")?,
        api_ms: row.get("api_ms")?,
        first_token_ms: row.get("first_token_ms")?,
        retries: row.get("retries")?,
        fallback_from: row.get("fallback_from")?,
        fallback_reason: row.get("fallback_reason")?,
        cache_hit: row.get("cache_hit")?,
        saved: Saved { tokens: row.get("saved_tokens")?, cost: row.get("saved_cost")? },
        provider_model: row.get("provider_model")?,
    })
}

fn tokens(row: &Row<'_>) -> rusqlite::Result<TokenUsage> {
    Ok(TokenUsage {
        prompt: row.get("prompt")?,
        completion: row.get("completion")?,
        cached: row.get("cached")?,
        cache_written: row.get("cache_written")?,
        reasoning: row.get("reasoning")?,
        searches: row.get("searches")?,
        estimated: row.get("estimated")?,
        reported_cost: row.get("reported_cost")?,
    })
}
