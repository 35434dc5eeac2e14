//! Models and their use on the wire. Money is in USD; the ledger itself counts 10⁻⁹ USD.

use std::collections::BTreeMap;

use lorekeep_types::{BudgetState, CallRow, ModelTest, ModelsOverview, UsageReport, UsageRow};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Usage, rfc3339};

/// Providers, roles and models.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Gateway {
    /// Configured providers.
    pub providers: Vec<Provider>,
    /// Models of each role, in order of preference.
    pub roles: BTreeMap<String, Vec<String>>,
    /// Roles that were set at run time rather than in the configuration.
    pub set: Vec<String>,
    /// Models in use.
    pub models: Vec<ModelState>,
}

/// A provider.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Provider {
    /// Its name; models are named `provider/model`.
    pub name: String,
    /// What it speaks.
    pub kind: String,
    /// Its address.
    pub base_url: String,
    /// The end of its API key.
    pub key: Option<String>,
    /// What its models can do, as far as the kind tells.
    pub capabilities: Vec<String>,
    /// Why it cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// A model in use.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ModelState {
    /// `provider/model`.
    pub model: String,
    /// `closed` (it is called), `open` (it is not) or `half-open` (it is tried).
    pub circuit: String,
    /// Calls that wait for a place.
    pub waiting: usize,
    /// The provider's words when it refused the API key, because of which the model is not called for now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// Models for a role.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleBody {
    /// `provider/model`, in order of preference; empty takes the role back to the configuration.
    pub models: Vec<String>,
}

/// A model to try.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestBody {
    /// What to try it for; without it, a role that it fills.
    #[serde(default)]
    pub role: Option<String>,
    /// `provider/model`; without it, the first of the role, or of `answer`.
    #[serde(default)]
    pub model: Option<String>,
}

/// What a trial showed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Trial {
    /// The model.
    pub model: String,
    /// The role it was tried for.
    pub role: String,
    /// Whether it did it.
    pub ok: bool,
    /// How it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Milliseconds until the first piece of the answer.
    pub first_token_ms: Option<f64>,
    /// Milliseconds until the end.
    pub total_ms: f64,
    /// Whether the answer came in more than one piece.
    pub streams: bool,
    /// Whether the provider reported tokens.
    pub reports_usage: bool,
    /// Tokens and cost.
    pub usage: Usage,
    /// Whether it called the tool that it was offered; `null` for one whose provider's kind has none.
    pub tools: Option<bool>,
    /// The length of its vectors, for one that embeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<usize>,
    /// What it answered, shortened; for one that reranks, whether it put the right text first.
    pub answer: String,
    /// Models that the provider lists.
    pub listed: Vec<String>,
}

/// Use of models.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UsageAnswer {
    /// `day`, `model`, `operation`, `workspace`, `principal` or `provider`.
    pub by: String,
    /// Calls since then.
    pub since: String,
    /// Calls before then.
    pub until: String,
    /// One row per key.
    pub rows: Vec<UsageSum>,
    /// All together.
    pub total: UsageSum,
    /// Questions that a model answered.
    pub answers: u64,
    /// USD that one of them took on average, with all calls that were made for it; `null` without any.
    pub cost_per_answer_usd: Option<f64>,
    /// What the figures suggest.
    pub advice: Vec<String>,
}

/// Sums over calls.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UsageSum {
    /// What the calls have in common.
    pub key: String,
    /// Calls that ended.
    pub calls: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that a cache answered.
    pub cache_hits: u64,
    /// Tokens that were not read or written again because of that.
    pub saved_tokens: u64,
    /// USD that were not spent again, as far as prices were known.
    pub saved_usd: f64,
    /// Repetitions.
    pub retries: u64,
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// Read and written.
    pub total_tokens: u64,
    /// Part of the tokens read that came from a provider's cache.
    pub cached_tokens: u64,
    /// Part of the tokens written that is hidden reasoning.
    pub reasoning_tokens: u64,
    /// Texts that were embedded or ranked.
    pub texts: u64,
    /// Calls whose tokens were estimated.
    pub estimated_calls: u64,
    /// USD; `null` when the price of any call is unknown.
    pub cost_usd: Option<f64>,
    /// USD of the calls whose price is known.
    pub known_cost_usd: f64,
    /// Calls without a known price.
    pub unpriced_calls: u64,
    /// Milliseconds of all calls, waiting and repetitions included.
    pub total_ms: f64,
    /// Part of it at the provider.
    pub api_ms: f64,
    /// Tokens per second.
    pub tokens_per_second: Option<f64>,
    /// Mean time of a call.
    pub avg_ms: f64,
    /// The shortest.
    pub min_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// The middle one.
    pub median_ms: f64,
    /// Sample standard deviation.
    pub std_dev_ms: f64,
}

/// One call.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CallRecord {
    /// Its number.
    pub number: i64,
    /// When it began.
    pub at: String,
    /// The request that it was a part of.
    pub request_id: String,
    /// `provider/model`.
    pub model: String,
    /// What for.
    pub operation: String,
    /// On whose behalf.
    pub workspace: String,
    /// Who asked.
    pub principal: Option<String>,
    /// `ok`, `open`, or how it failed.
    pub status: String,
    /// Whether it came piece by piece.
    pub streamed: bool,
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// Read and written.
    pub total_tokens: u64,
    /// Part read from a provider's cache.
    pub cached_tokens: u64,
    /// Part written into a provider's cache.
    pub cache_written_tokens: u64,
    /// Part written as hidden reasoning.
    pub reasoning_tokens: u64,
    /// Searches of the web.
    pub searches: u64,
    /// Texts that were embedded or ranked.
    pub texts: u64,
    /// Whether tokens were estimated.
    pub estimated: bool,
    /// USD; `null` when the price is unknown.
    pub cost_usd: Option<f64>,
    /// USD as the provider says; `null` when it says nothing.
    pub reported_cost_usd: Option<f64>,
    /// What budgets were charged, USD: the cost, or what was reserved where the cost is not known; `null` while open.
    pub charged_usd: Option<f64>,
    /// Why the model stopped.
    pub finish: Option<String>,
    /// The model as the provider names it.
    pub provider_model: Option<String>,
    /// Milliseconds from beginning to end.
    pub total_ms: Option<f64>,
    /// Part of it at the provider.
    pub api_ms: Option<f64>,
    /// Until the first piece.
    pub first_token_ms: Option<f64>,
    /// Tokens per second.
    pub tokens_per_second: Option<f64>,
    /// Repetitions.
    pub retries: u32,
    /// Whether a cache answered and no model was called.
    pub cache_hit: bool,
    /// Tokens that were not read or written again because of that.
    pub saved_tokens: u64,
    /// USD that were not spent again, as far as the price was known.
    pub saved_usd: f64,
    /// The model that failed before.
    pub fallback_from: Option<String>,
    /// How it failed.
    pub fallback_reason: Option<String>,
}

/// The history of calls with its sums.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UsageExport {
    /// When it was made.
    pub export_timestamp: String,
    /// All calls together.
    pub summary: UsageSum,
    /// Sums per operation.
    pub operations: Vec<UsageSum>,
    /// Questions that a model answered.
    pub answers: u64,
    /// USD that one of them took on average, with all calls that were made for it; `null` without any.
    pub cost_per_answer_usd: Option<f64>,
    /// What the figures suggest.
    pub advice: Vec<String>,
    /// The calls, oldest first.
    pub call_history: Vec<CallRecord>,
    /// Whether older calls than the last shown were left out.
    pub truncated: bool,
}

/// Budgets.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Budgets {
    /// Each in its present window.
    pub budgets: Vec<Budget>,
    /// Levels that budgets reached, newest first.
    pub alerts: Vec<BudgetAlert>,
}

/// A budget reached a level.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct BudgetAlert {
    /// When.
    pub at: String,
    /// `total`, `workspace`, `principal`, `model` or `provider`.
    pub scope: String,
    /// Which one.
    pub name: String,
    /// `day` or `month`, of UTC.
    pub window: String,
    /// When the window began.
    pub window_start: String,
    /// 75 or 90 when that part of the limit was spent; 100 when all was, or when a call was refused.
    pub percent: u8,
    /// The limit then, USD.
    pub limit_usd: f64,
    /// What was spent by then, USD.
    pub spent_usd: f64,
}

/// A budget in its present window.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Budget {
    /// `total`, `workspace`, `principal`, `model` or `provider`.
    pub scope: String,
    /// Which one.
    pub name: String,
    /// `day` or `month`, of UTC.
    pub window: String,
    /// Most that may be spent, USD.
    pub limit_usd: f64,
    /// What was spent, USD.
    pub spent_usd: f64,
    /// What open calls may still cost, USD.
    pub reserved_usd: f64,
    /// When the next window begins.
    pub resets_at: String,
}

#[expect(clippy::cast_precision_loss, reason = "amounts of money are shown, not counted, as floating point")]
/// Nano-USD as USD.
pub(super) fn usd(nano: i64) -> f64 {
    nano as f64 / 1e9
}

impl From<ModelsOverview> for Gateway {
    fn from(overview: ModelsOverview) -> Self {
        let names = |models: Vec<lorekeep_types::ModelId>| models.iter().map(ToString::to_string).collect();
        Self {
            providers: overview.providers.into_iter().map(Into::into).collect(),
            roles: overview.roles.into_iter().map(|(role, models)| (role.name().to_owned(), names(models))).collect(),
            set: overview.set.into_iter().map(|role| role.name().to_owned()).collect(),
            models: overview
                .models
                .into_iter()
                .map(|one| ModelState {
                    model: one.model.to_string(),
                    circuit: one.circuit,
                    waiting: one.waiting,
                    refused: one.refused,
                })
                .collect(),
        }
    }
}

impl From<lorekeep_types::ProviderInfo> for Provider {
    fn from(info: lorekeep_types::ProviderInfo) -> Self {
        let can = info.capabilities;
        let all = [
            (can.chat, "chat"),
            (can.stream, "stream"),
            (can.json_schema, "json_schema"),
            (can.tools, "tools"),
            (can.vision, "vision"),
            (can.embed, "embed"),
            (can.rerank, "rerank"),
            (can.transcribe, "transcribe"),
            (can.speak, "speak"),
            (can.web, "web"),
        ];
        let capabilities = all.iter().filter(|(has, _)| *has).map(|(_, name)| (*name).to_owned()).collect();
        Self {
            name: info.name,
            kind: info.kind,
            base_url: info.base_url,
            key: info.key,
            capabilities,
            fault: info.fault,
        }
    }
}

impl From<ModelTest> for Trial {
    fn from(test: ModelTest) -> Self {
        Self {
            model: test.model.to_string(),
            role: test.role.name().to_owned(),
            ok: test.ok,
            error: test.error,
            first_token_ms: test.first_token_ms,
            total_ms: test.total_ms,
            streams: test.streams,
            reports_usage: test.reports_usage,
            usage: test.usage.into(),
            tools: test.tools,
            dimensions: test.dimensions,
            answer: test.answer,
            listed: test.listed,
        }
    }
}

impl From<UsageRow> for UsageSum {
    fn from(row: UsageRow) -> Self {
        Self {
            total_tokens: row.total_tokens(),
            cost_usd: row.known_cost().map(usd),
            known_cost_usd: usd(row.cost),
            key: row.key,
            calls: row.calls,
            failed: row.failed,
            cache_hits: row.cache_hits,
            saved_tokens: row.saved.tokens,
            saved_usd: usd(row.saved.cost),
            retries: row.retries,
            prompt_tokens: row.prompt,
            completion_tokens: row.completion,
            cached_tokens: row.cached,
            reasoning_tokens: row.reasoning,
            texts: row.texts,
            estimated_calls: row.estimated_calls,
            unpriced_calls: row.unknown_calls,
            total_ms: row.total_ms,
            api_ms: row.api_ms,
            tokens_per_second: row.tokens_per_second,
            avg_ms: row.avg_ms,
            min_ms: row.min_ms,
            max_ms: row.max_ms,
            median_ms: row.median_ms,
            std_dev_ms: row.std_dev_ms,
        }
    }
}

/// The rows and the total of a report.
pub(crate) fn sums(report: UsageReport) -> (Vec<UsageSum>, UsageSum) {
    (report.rows.into_iter().map(Into::into).collect(), report.total.into())
}

/// Questions that were answered, and what one took in USD on average.
pub(crate) fn answered(report: &UsageReport) -> (u64, Option<f64>) {
    (report.answered.requests, report.answered.each().map(usd))
}

impl From<CallRow> for CallRecord {
    fn from(row: CallRow) -> Self {
        Self {
            tokens_per_second: row.tokens_per_second(),
            number: row.number.0,
            at: rfc3339(row.opened_at_ms),
            request_id: row.request_id,
            model: row.model.to_string(),
            operation: row.operation,
            workspace: row.workspace,
            principal: row.principal,
            status: row.status,
            streamed: row.streamed,
            prompt_tokens: row.usage.prompt,
            completion_tokens: row.usage.completion,
            total_tokens: row.usage.total(),
            cached_tokens: row.usage.cached,
            cache_written_tokens: row.usage.cache_written,
            reasoning_tokens: row.usage.reasoning,
            searches: row.usage.searches,
            texts: row.texts,
            estimated: row.usage.estimated,
            cost_usd: row.cost.map(usd),
            reported_cost_usd: row.usage.reported_cost.map(usd),
            charged_usd: row.charged.map(usd),
            finish: row.finish,
            provider_model: row.provider_model,
            total_ms: row.total_ms,
            api_ms: row.api_ms,
            first_token_ms: row.first_token_ms,
            retries: row.retries,
            cache_hit: row.cache_hit,
            saved_tokens: row.saved.tokens,
            saved_usd: usd(row.saved.cost),
            fallback_from: row.fallback_from,
            fallback_reason: row.fallback_reason,
        }
    }
}

impl From<lorekeep_types::BudgetAlert> for BudgetAlert {
    fn from(alert: lorekeep_types::BudgetAlert) -> Self {
        Self {
            at: rfc3339(alert.at_ms),
            scope: alert.scope.kind().to_owned(),
            name: alert.scope.name(),
            window: alert.window.name().to_owned(),
            window_start: rfc3339(alert.window_start_ms),
            percent: alert.percent,
            limit_usd: usd(alert.limit),
            spent_usd: usd(alert.settled),
        }
    }
}

impl From<BudgetState> for Budget {
    fn from(state: BudgetState) -> Self {
        Self {
            scope: state.rule.scope.kind().to_owned(),
            name: state.rule.scope.name(),
            window: state.rule.window.name().to_owned(),
            limit_usd: usd(state.rule.limit),
            spent_usd: usd(state.settled),
            reserved_usd: usd(state.reserved),
            resets_at: rfc3339(state.resets_at_ms),
        }
    }
}
