//! Budgets: what may be spent by whom in which time, and what is said when that is used up.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::{Date, OffsetDateTime};

use super::report::usd;
use crate::error::{Error, ErrorCode, Result};
use crate::model_port::ModelId;

const DAY_MS: i64 = 86_400_000;

/// 9999-12-31: the last day that has a name.
const LAST_DAY: i64 = 2_932_896;

/// The shares of a limit, in percent, that are announced when they are spent.
pub const ALERT_LEVELS: [u8; 3] = [75, 90, 100];

/// Whose calls a budget counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetScope {
    /// All.
    Total,
    /// Those of one workspace.
    Workspace(String),
    /// Those of one principal.
    Principal(String),
    /// Those of one model at one provider.
    Model(ModelId),
    /// Those of one provider.
    Provider(String),
}

impl BudgetScope {
    /// The kind of scope, e.g. `workspace`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Workspace(_) => "workspace",
            Self::Principal(_) => "principal",
            Self::Model(_) => "model",
            Self::Provider(_) => "provider",
        }
    }

    /// Which one of its kind; empty for [`Self::Total`].
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Total => String::new(),
            Self::Workspace(name) | Self::Principal(name) | Self::Provider(name) => name.clone(),
            Self::Model(model) => model.to_string(),
        }
    }

    /// The scope with this kind and name; `None` when there is no such.
    #[must_use]
    pub fn of(kind: &str, name: &str) -> Option<Self> {
        match kind {
            "total" => Some(Self::Total),
            "workspace" => Some(Self::Workspace(name.to_owned())),
            "principal" => Some(Self::Principal(name.to_owned())),
            "model" => ModelId::parse(name).map(Self::Model),
            "provider" => Some(Self::Provider(name.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for BudgetScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Total => f.write_str("all calls"),
            _ => write!(f, "{} `{}`", self.kind(), self.name()),
        }
    }
}

/// The time that a limit is for: days and months of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetWindow {
    /// From midnight to midnight.
    Day,
    /// A calendar month.
    Month,
}

impl BudgetWindow {
    /// Every window.
    pub const ALL: [Self; 2] = [Self::Day, Self::Month];

    /// `day` or `month`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// The window called `name`.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.name() == name)
    }

    /// When the window around `at_ms` began.
    #[must_use]
    pub fn start_ms(self, at_ms: i64) -> i64 {
        match self {
            Self::Day => day_of(at_ms) * DAY_MS,
            Self::Month => first_of_month(day_of(at_ms)) * DAY_MS,
        }
    }

    /// When the window around `at_ms` ends, which is when the next one begins.
    #[must_use]
    pub fn end_ms(self, at_ms: i64) -> i64 {
        match self {
            Self::Day => (day_of(at_ms) + 1) * DAY_MS,
            // The 32nd day after a first of month always lies in the next month.
            Self::Month => first_of_month(first_of_month(day_of(at_ms)) + 31) * DAY_MS,
        }
    }
}

/// The day of UTC, `2026-11-21`.
#[must_use]
pub fn day_name(at_ms: i64) -> String {
    let date = date_of(day_of(at_ms));
    format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
}

/// Days since 1970-01-01, within the years that have a name.
fn day_of(at_ms: i64) -> i64 {
    at_ms.div_euclid(DAY_MS).clamp(0, LAST_DAY)
}

fn date_of(day: i64) -> Date {
    OffsetDateTime::from_unix_timestamp(day * 86_400).unwrap_or(OffsetDateTime::UNIX_EPOCH).date()
}

fn first_of_month(day: i64) -> i64 {
    day - i64::from(date_of(day).day()) + 1
}

/// What becomes of a call that a budget does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetAction {
    /// The request fails with status 402.
    Refuse402,
    /// The request fails with status 429 and the time of the next window.
    Refuse429,
    /// The request is answered without a model, by quoting.
    Quote,
}

/// What a budget does about a model without a price; never take it for free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPrice {
    /// The call is refused.
    Refuse,
    /// The call counts as costing this much, nano-USD, until its cost becomes known.
    Ceiling(i64),
}

/// A limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetRule {
    /// Whose calls count.
    pub scope: BudgetScope,
    /// In which time.
    pub window: BudgetWindow,
    /// The most that may be spent, nano-USD.
    pub limit: i64,
    /// What happens then.
    pub action: BudgetAction,
    /// What happens to calls of unknown cost.
    pub unknown_price: UnknownPrice,
}

impl BudgetRule {
    /// Checks rules that are to hold together.
    ///
    /// # Errors
    /// `Configuration` for a negative limit or ceiling, or two rules for one scope and window.
    pub fn check(rules: &[Self]) -> Result<()> {
        for (index, rule) in rules.iter().enumerate() {
            let name = format!("the budget of {} per {}", rule.scope, rule.window.name());
            if rule.limit < 0 || matches!(rule.unknown_price, UnknownPrice::Ceiling(ceiling) if ceiling < 0) {
                let message = format!("{name} has a negative amount");
                return Err(Error::new(ErrorCode::Configuration, message).hint("amounts are 0 or more"));
            }
            let key = (&rule.scope, rule.window);
            if rules.iter().take(index).any(|earlier| (&earlier.scope, earlier.window) == key) {
                let message = format!("{name} is set twice");
                return Err(Error::new(ErrorCode::Configuration, message).hint("keep one of the two"));
            }
        }
        Ok(())
    }
}

/// A budget in one of its windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetState {
    /// The limit.
    pub rule: BudgetRule,
    /// When the window began, Unix milliseconds.
    pub window_start_ms: i64,
    /// When the next one begins.
    pub resets_at_ms: i64,
    /// What closed calls cost, nano-USD.
    pub settled: i64,
    /// The most that open calls can cost, nano-USD.
    pub reserved: i64,
}

impl BudgetState {
    /// What a further call may cost at most; never negative.
    #[must_use]
    pub fn left(&self) -> i64 {
        self.rule.limit.saturating_sub(self.settled).saturating_sub(self.reserved).max(0)
    }
}

/// Why a call may not be made. Where several budgets refuse it, this is the one that resets last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// When the call was refused, Unix milliseconds.
    pub at_ms: i64,
    /// The budget that refuses.
    pub scope: BudgetScope,
    /// Its window.
    pub window: BudgetWindow,
    /// Its limit, nano-USD.
    pub limit: i64,
    /// What closed calls cost.
    pub settled: i64,
    /// The most that open calls can cost.
    pub reserved: i64,
    /// The most that this call can cost; `None` when the model has no price and that is why it is refused.
    pub estimate: Option<i64>,
    /// When the next window begins, Unix milliseconds.
    pub resets_at_ms: i64,
    /// What the rule asks for.
    pub action: BudgetAction,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the budget of {} ({} USD per {}) ", self.scope, usd(self.limit), self.window.name())?;
        let Some(estimate) = self.estimate else { return f.write_str("allows no model without a price") };
        let (spent, reserved, estimate) = (usd(self.settled), usd(self.reserved), usd(estimate));
        write!(f, "has {spent} USD spent and {reserved} USD reserved; this call may cost {estimate} USD")
    }
}

impl Refusal {
    /// How long until the next window; `None` where that would not help, since the model has no price or the call alone
    /// may cost more than the limit.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let fits = self.estimate.is_some_and(|estimate| estimate <= self.limit);
        let wait = self.resets_at_ms.saturating_sub(self.at_ms);
        fits.then(|| Duration::from_millis(u64::try_from(wait).unwrap_or(0)))
    }

    /// Whether another model may be allowed: what is used up, or what has no price, is this one's.
    #[must_use]
    pub const fn is_of_model(&self) -> bool {
        matches!(self.scope, BudgetScope::Model(_) | BudgetScope::Provider(_)) || self.estimate.is_none()
    }

    /// [`ErrorCode::BudgetWait`] where the rule asks for it and waiting helps.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self.retry_after() {
            Some(_) if self.action == BudgetAction::Refuse429 => ErrorCode::BudgetWait,
            _ => ErrorCode::BudgetExceeded,
        }
    }

    /// What the caller can do.
    #[must_use]
    pub fn remedy(&self) -> String {
        match (self.estimate, self.retry_after()) {
            (None, _) => "set a price for the model (`prices.*`), or what a call without one counts as \
                          (`budgets.*.unpriced_usd`)"
                .to_owned(),
            (Some(_), None) => {
                "raise the budget, or ask for less: the call alone may cost more than all of it".to_owned()
            }
            (Some(_), Some(_)) => {
                let until = day_name(self.resets_at_ms);
                format!("raise the budget, or wait until {until} 00:00 UTC, when it is renewed: `lorekeep usage`")
            }
        }
    }
}

/// A budget reached one of [`ALERT_LEVELS`]. Announced once per budget and window, and again when its limit
/// changed. Where several levels are passed at once, only the highest is announced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetAlert {
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// The budget.
    pub scope: BudgetScope,
    /// Its window.
    pub window: BudgetWindow,
    /// When the window began.
    pub window_start_ms: i64,
    /// The level: 75 or 90 when that share is spent; 100 when all is, or when a call was refused.
    pub percent: u8,
    /// The limit, nano-USD.
    pub limit: i64,
    /// What closed calls cost by then.
    pub settled: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21T12:00:00Z.
    const NOON: i64 = 1_795_262_400_000;

    #[test]
    fn windows_are_days_and_months_of_utc() {
        assert_eq!(day_name(NOON), "2026-11-21");
        let day = BudgetWindow::Day;
        assert_eq!((day.start_ms(NOON), day.end_ms(NOON)), (NOON - DAY_MS / 2, NOON + DAY_MS / 2));
        assert_eq!(day.start_ms(day.end_ms(NOON)), day.end_ms(NOON), "the end of one is the start of the next");
        let month = BudgetWindow::Month;
        assert_eq!(day_name(month.start_ms(NOON)), "2026-11-01");
        assert_eq!(day_name(month.end_ms(NOON)), "2026-12-01");
        assert_eq!(day_name(month.end_ms(month.end_ms(NOON))), "2027-01-01");
    }

    #[test]
    fn every_month_ends_where_the_next_begins() {
        let mut start = 0;
        for _ in 0..1_200 {
            let end = BudgetWindow::Month.end_ms(start);
            assert!((28 * DAY_MS..=31 * DAY_MS).contains(&(end - start)), "{}", day_name(start));
            assert_eq!(BudgetWindow::Month.start_ms(end - 1), start);
            assert!(day_name(end).ends_with("-01"));
            start = end;
        }
        assert_eq!(day_name(start), "2070-01-01");
    }

    #[test]
    fn times_outside_the_calendar_do_no_harm() {
        for window in BudgetWindow::ALL {
            assert_eq!(window.start_ms(i64::MIN), 0);
            assert!(window.start_ms(i64::MAX) < window.end_ms(i64::MAX));
        }
        assert_eq!(day_name(i64::MAX), "9999-12-31");
    }

    #[test]
    fn scopes_and_windows_have_names() {
        for scope in [BudgetScope::Total, BudgetScope::Model(ModelId::new("a", "b/c")), BudgetScope::Principal(s("x"))]
        {
            assert_eq!(BudgetScope::of(scope.kind(), &scope.name()), Some(scope));
        }
        assert_eq!(BudgetScope::of("model", "nameless"), None);
        assert_eq!(BudgetWindow::ALL.map(|window| BudgetWindow::of(window.name())), BudgetWindow::ALL.map(Some));
    }

    fn s(text: &str) -> String {
        text.to_owned()
    }

    fn rule(scope: BudgetScope, limit: i64) -> BudgetRule {
        let (action, unknown_price) = (BudgetAction::Refuse402, UnknownPrice::Refuse);
        BudgetRule { scope, window: BudgetWindow::Day, limit, action, unknown_price }
    }

    #[test]
    fn rules_that_contradict_are_refused() {
        let twice = [rule(BudgetScope::Total, 1), rule(BudgetScope::Provider(s("p")), 1), rule(BudgetScope::Total, 2)];
        assert!(BudgetRule::check(&twice).unwrap_err().message().contains("all calls per day is set twice"));
        assert!(BudgetRule::check(&twice[..2]).is_ok());
        assert!(BudgetRule::check(&[rule(BudgetScope::Total, -1)]).is_err());
        let ceiling = BudgetRule { unknown_price: UnknownPrice::Ceiling(-1), ..rule(BudgetScope::Total, 1) };
        assert!(BudgetRule::check(&[ceiling]).is_err());
    }

    fn refusal() -> Refusal {
        Refusal {
            at_ms: NOON,
            scope: BudgetScope::Workspace(s("lab")),
            window: BudgetWindow::Month,
            limit: 1_000_000_000,
            settled: 980_000_000,
            reserved: 15_000_000,
            estimate: Some(10_000_000),
            resets_at_ms: BudgetWindow::Month.end_ms(NOON),
            action: BudgetAction::Refuse402,
        }
    }

    #[test]
    fn a_refusal_names_the_budget_and_its_figures() {
        assert_eq!(refusal().code(), ErrorCode::BudgetExceeded);
        assert_eq!(
            refusal().to_string(),
            "the budget of workspace `lab` (1.00 USD per month) has 0.98 USD spent and 0.015 USD reserved; \
             this call may cost 0.01 USD"
        );
        assert!(refusal().remedy().contains("2026-12-01"));
    }

    #[test]
    fn it_is_told_to_wait_only_where_that_helps() {
        let waits = Refusal { action: BudgetAction::Refuse429, ..refusal() };
        let nine_days_and_a_half = Duration::from_secs(9 * 86_400 + 43_200);
        assert_eq!((waits.code(), waits.retry_after()), (ErrorCode::BudgetWait, Some(nine_days_and_a_half)));
        let priceless = Refusal { estimate: None, ..waits.clone() };
        let too_dear = Refusal { estimate: Some(waits.limit + 1), ..waits };
        for (vain, remedy) in [(priceless, "set a price"), (too_dear, "ask for less")] {
            assert_eq!((vain.code(), vain.retry_after()), (ErrorCode::BudgetExceeded, None));
            assert!(vain.remedy().contains(remedy), "{}", vain.remedy());
        }
    }
}
