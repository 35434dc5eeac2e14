//! What models were used for and what that cost.

use axum::Json;
use axum::extract::State;
use lorekeep_control::advice::advise;
use lorekeep_types::{CallPage, Error, ErrorCode, Ledger, Result, UsageFilter, UsageKey, UsageQuery};
use serde::Deserialize;
use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime, format_description};

use crate::dto::{self, rfc3339};
use crate::error::ApiResult;
use crate::extract::Args;
use crate::routes::openapi::Failures;
use crate::state::{App, Shared};

/// Calls of one export.
const MOST_EXPORTED: usize = 100_000;
/// Alerts of one answer.
const MOST_ALERTS: usize = 200;
/// Calls read at once.
const PAGE: usize = 5_000;

#[derive(Deserialize)]
pub(crate) struct UsageArgs {
    by: Option<String>,
    since: Option<String>,
    until: Option<String>,
    model: Option<String>,
    operation: Option<String>,
    workspace_name: Option<String>,
}

/// Sums over calls of models.
#[utoipa::path(get, path = "/v1/usage", operation_id = "getUsage", tag = "models",
    params(("by" = Option<String>, Query, description = "`day` (default), `model`, `operation`, `workspace`, `principal` or `provider`"),
        ("since" = Option<String>, Query, description = "a date or moment (RFC 3339); default 30 days ago"),
        ("until" = Option<String>, Query, description = "a date or moment (RFC 3339); default now"),
        ("model" = Option<String>, Query, description = "only this model, `provider/model`"),
        ("operation" = Option<String>, Query, description = "only this operation"),
        ("workspace_name" = Option<String>, Query, description = "only this workspace")),
    responses((status = 200, body = dto::UsageAnswer), Failures))]
pub(crate) async fn usage(State(app): State<Shared>, Args(args): Args<UsageArgs>) -> ApiResult<Json<dto::UsageAnswer>> {
    let by = key_of(args.by.as_deref().unwrap_or("day"))?;
    let query = args.query(&app, by)?;
    let (since, until) = (rfc3339(query.since_ms), rfc3339(query.until_ms));
    let (report, operations) = reading(&app, move |ledger| {
        let operations = ledger.usage(&UsageQuery { by: UsageKey::Operation, ..query.clone() })?;
        Ok((ledger.usage(&query)?, operations))
    })
    .await?;
    let (answers, cost_per_answer_usd) = dto::answered(&report);
    let (rows, total) = dto::sums(report);
    let by = args.by.unwrap_or_else(|| "day".to_owned());
    let advice = advise(&operations);
    Ok(Json(dto::UsageAnswer { by, since, until, rows, total, answers, cost_per_answer_usd, advice }))
}

/// The history of calls, oldest first, with its sums.
#[utoipa::path(get, path = "/v1/usage/export", operation_id = "exportUsage", tag = "models",
    params(("since" = Option<String>, Query, description = "a date or moment (RFC 3339); default 30 days ago"),
        ("until" = Option<String>, Query, description = "a date or moment (RFC 3339); default now")),
    responses((status = 200, body = dto::UsageExport), Failures))]
pub(crate) async fn export(
    State(app): State<Shared>,
    Args(args): Args<UsageArgs>,
) -> ApiResult<Json<dto::UsageExport>> {
    let query = args.query(&app, UsageKey::Operation)?;
    let (report, history) = reading(&app, move |ledger| Ok((ledger.usage(&query)?, history(ledger, &query)?))).await?;
    let advice = advise(&report);
    let (answers, cost_per_answer_usd) = dto::answered(&report);
    let (operations, summary) = dto::sums(report);
    let truncated = history.len() >= MOST_EXPORTED;
    Ok(Json(dto::UsageExport {
        export_timestamp: rfc3339(app.state.clock.now_ms()),
        summary,
        operations,
        answers,
        cost_per_answer_usd,
        advice,
        call_history: history,
        truncated,
    }))
}

fn history(ledger: &dyn Ledger, query: &UsageQuery) -> Result<Vec<dto::CallRecord>> {
    let mut history: Vec<dto::CallRecord> = Vec::new();
    let mut after = None;
    loop {
        let page = CallPage { since_ms: query.since_ms, until_ms: query.until_ms, after, limit: PAGE };
        let rows = ledger.calls(&page)?;
        after = rows.last().map(|row| row.number);
        let last = rows.len() < PAGE;
        history.extend(rows.into_iter().map(Into::into));
        if last || history.len() >= MOST_EXPORTED {
            history.truncate(MOST_EXPORTED);
            return Ok(history);
        }
    }
}

/// Budgets, what is left of them, and the last levels that they reached.
#[utoipa::path(get, path = "/v1/budgets", operation_id = "getBudgets", tag = "models",
    responses((status = 200, body = dto::Budgets), Failures))]
pub(crate) async fn budgets(State(app): State<Shared>) -> ApiResult<Json<dto::Budgets>> {
    let now = app.state.clock.now_ms();
    let (states, alerts) = reading(&app, move |ledger| Ok((ledger.budgets(now)?, ledger.alerts(MOST_ALERTS)?))).await?;
    Ok(Json(dto::Budgets {
        budgets: states.into_iter().map(Into::into).collect(),
        alerts: alerts.into_iter().map(Into::into).collect(),
    }))
}

async fn reading<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&dyn Ledger) -> Result<T> + Send + 'static,
) -> Result<T> {
    let ledger = std::sync::Arc::clone(&app.state.ledger);
    tokio::task::spawn_blocking(move || work(ledger.as_ref()))
        .await
        .unwrap_or_else(|fault| Err(Error::new(ErrorCode::Internal, "the ledger could not be read").caused_by(fault)))
}

impl UsageArgs {
    fn query(&self, app: &App, by: UsageKey) -> Result<UsageQuery> {
        let now = app.state.clock.now_ms();
        let since_ms = self.since.as_deref().map(moment_of).transpose()?.unwrap_or(now - 30 * 86_400_000);
        // The present millisecond belongs to it.
        let until_ms = self.until.as_deref().map(moment_of).transpose()?.unwrap_or(now + 1);
        let filter = UsageFilter {
            model: self.model.as_deref().map(super::gateway::model_of).transpose()?,
            operation: self.operation.clone(),
            workspace: self.workspace_name.clone(),
            ..UsageFilter::default()
        };
        Ok(UsageQuery { since_ms, until_ms, by, filter })
    }
}

fn key_of(name: &str) -> Result<UsageKey> {
    Ok(match name {
        "day" => UsageKey::Day,
        "model" => UsageKey::Model,
        "operation" => UsageKey::Operation,
        "workspace" => UsageKey::Workspace,
        "principal" => UsageKey::Principal,
        "provider" => UsageKey::Provider,
        _ => {
            return Err(Error::invalid(format!("usage cannot be summed by `{name}`"))
                .hint("use one of day, model, operation, workspace, principal, provider"));
        }
    })
}

/// A date at its beginning in UTC, or a moment.
fn moment_of(text: &str) -> Result<i64> {
    let date = format_description::parse_borrowed::<2>("[year]-[month]-[day]").ok();
    let date = date.and_then(|format| Date::parse(text, &format).ok()).map(|date| date.midnight().assume_utc());
    let moment = date.or_else(|| OffsetDateTime::parse(text, &Rfc3339).ok());
    let moment = moment.ok_or_else(|| {
        Error::invalid(format!("`{text}` is no date")).hint("write 2026-11-21 or 2026-11-21T10:00:00Z")
    })?;
    Ok(i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).unwrap_or_default())
}
