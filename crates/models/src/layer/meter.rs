//! What calls take and cost: each is opened in the ledger before it is made, and closed once, however it ends.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lorekeep_types::{
    Admission, CALL_OK, Call, CallNumber, Clock, Closing, FinishReason, Ledger, ModelError, ModelFault, ModelId,
    Opening, Refusal, Saved, TokenUsage, price_drift,
};

use crate::price::Prices;

/// How long the ledger waits for word of an open call before it is taken for lost.
const LEASE: Duration = Duration::from_secs(90);
/// As long as somebody waits for a call, its lease is renewed so many times while it lasts.
const RENEWALS: u32 = 3;

/// The meter of one model. Cheap to clone.
#[derive(Clone)]
pub struct Meter {
    id: Arc<ModelId>,
    ledger: Arc<dyn Ledger>,
    prices: Arc<Prices>,
    clock: Arc<dyn Clock>,
    /// Whether any budget is set: only then is it worth knowing beforehand what a call may cost.
    reserves: bool,
    lease: Duration,
    /// Whether it was told that prices and provider disagree.
    told_drift: Arc<AtomicBool>,
}

/// Tokens that a call may take at most, for its reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Tokens of the request.
    pub prompt: u64,
    /// Most tokens of the answer.
    pub completion: u64,
}

/// What became of a call, as far as it is known when it ends.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Tokens.
    pub usage: TokenUsage,
    /// Why the model stopped.
    pub finish: Option<FinishReason>,
    /// The model as the provider names it.
    pub model: Option<String>,
    /// Texts that were embedded or ranked.
    pub texts: usize,
}

impl Meter {
    /// A meter that writes into `ledger`.
    #[must_use]
    pub fn new(id: ModelId, ledger: Arc<dyn Ledger>, prices: Arc<Prices>, clock: Arc<dyn Clock>) -> Self {
        let id = Arc::new(id);
        Self { id, ledger, prices, clock, reserves: false, lease: LEASE, told_drift: Arc::default() }
    }

    /// Leases of another length: so long does it take until the reservation of a process that died is free again.
    #[must_use]
    pub fn leasing(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    fn lease_ms(&self) -> i64 {
        i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX)
    }

    /// Whether calls reserve what they may cost, as budgets need it.
    #[must_use]
    pub fn reserving(self, reserves: bool) -> Self {
        Self { reserves, ..self }
    }

    /// Whether calls reserve what they may cost.
    pub(super) const fn reserves(&self) -> bool {
        self.reserves
    }

    /// Enters a call into the ledger and reserves what it may cost.
    ///
    /// # Errors
    /// `OverBudget` when a budget does not allow it; `Ledger` when the ledger cannot be written: no call is made that
    /// is not recorded.
    pub async fn open(&self, call: &Call, bound: impl FnOnce() -> Bound, streamed: bool) -> Result<Entry, ModelError> {
        let now = self.clock.now_ms();
        let estimate = self.reserves.then(|| {
            let bound = bound();
            self.prices.upper_bound(&self.id, bound.prompt, bound.completion, now)
        });
        let opening = Opening { estimate: estimate.flatten(), ..self.opening(call, now, streamed) };
        let started = Instant::now();
        match self.ledger.open(opening).await {
            Ok(Admission::Admitted(number)) => Ok(Entry {
                meter: self.clone(),
                number,
                operation: call.operation.clone(),
                started,
                api_ms: 0.0,
                first_token_ms: None,
                retries: 0,
                consumed: TokenUsage::default(),
                spent: Some(0),
                unreserved: 0,
                fallback: None,
                closed: false,
            }),
            Ok(Admission::Refused(refusal)) => Err(self.refused(refusal)),
            Err(error) => Err(ModelError::new(
                ModelFault::Ledger,
                &self.id,
                format!("the call cannot be recorded and was not made: {error}"),
            )),
        }
    }

    /// Enters a call that a cache answered. It costs nothing and is never refused; should the ledger fail, the answer
    /// is given all the same.
    pub(super) async fn hit(&self, call: &Call, saved: Saved, (began, streamed): (Instant, bool)) {
        let at_ms = self.clock.now_ms();
        let opening = Opening { estimate: Some(0), ..self.opening(call, at_ms, streamed) };
        match self.ledger.open(opening).await {
            Ok(Admission::Admitted(number)) => {
                let total_ms = began.elapsed().as_secs_f64() * 1e3;
                let closing = Closing { total_ms, cache_hit: true, saved, ..Closing::new(at_ms, CALL_OK) };
                // It is on its way; nothing depends on its end.
                drop(self.ledger.close(number, closing));
            }
            Ok(Admission::Refused(refusal)) => tracing::warn!(model = %self.id, %refusal, "a free call was refused"),
            Err(error) => tracing::warn!(model = %self.id, %error, "what the cache answered is not in the ledger"),
        }
    }

    fn opening(&self, call: &Call, at_ms: i64, streamed: bool) -> Opening {
        Opening {
            at_ms,
            request_id: call.request_id.clone(),
            model: self.id.as_ref().clone(),
            operation: call.operation.clone(),
            workspace: call.workspace.clone(),
            principal: call.principal.clone(),
            streamed,
            estimate: None,
            lease_ms: self.lease_ms(),
        }
    }

    fn refused(&self, refusal: Box<Refusal>) -> ModelError {
        let message = refusal.to_string();
        ModelError::new(ModelFault::OverBudget(refusal), &self.id, message)
    }
}

/// An open call. Dropped before it is closed, it is closed as cancelled.
pub struct Entry {
    meter: Meter,
    number: CallNumber,
    operation: String,
    started: Instant,
    /// Time spent waiting for the provider, all attempts together.
    pub api_ms: f64,
    /// Time until the first piece had come, from the opening.
    pub first_token_ms: Option<f64>,
    /// Attempts after the first.
    pub retries: u32,
    /// What attempts took that failed.
    consumed: TokenUsage,
    /// What that cost, nano-USD; `None` when the model has no price.
    spent: Option<i64>,
    /// The part of it that was taken from the reservation, which is for one attempt, and not reserved anew.
    unreserved: i64,
    /// The model that failed before, and how.
    pub fallback: Option<(ModelId, String)>,
    closed: bool,
}

impl Entry {
    /// Milliseconds since the opening.
    #[must_use]
    pub fn elapsed_ms(&self) -> f64 {
        self.started.elapsed().as_secs_f64() * 1e3
    }

    /// Waits for `step` and keeps the call from being taken for lost meanwhile.
    pub async fn held<T>(&self, step: impl Future<Output = T>) -> T {
        let mut step = pin!(step);
        let meter = &self.meter;
        loop {
            match tokio::time::timeout(meter.lease / RENEWALS, &mut step).await {
                Ok(outcome) => return outcome,
                Err(_) => meter.ledger.extend(self.number, meter.clock.now_ms().saturating_add(meter.lease_ms())),
            }
        }
    }

    /// Notes what an attempt took that did not succeed; it is charged when the call is closed.
    pub fn took(&mut self, usage: TokenUsage) {
        if usage == TokenUsage::default() {
            return;
        }
        // Each attempt has its own price: together they could reach another tier.
        let cost = self.cost(&usage);
        self.spent = self.spent.zip(cost).map(|(spent, cost)| spent.saturating_add(cost));
        self.unreserved = self.unreserved.saturating_add(cost.unwrap_or(0));
        self.consumed = self.with_consumed(usage);
    }

    /// Notes what an attempt took at least whose caller went away. Its provider may go on to write all that was asked for:
    /// where a budget is set, the whole reservation is charged.
    pub fn given_up(&mut self, usage: TokenUsage) {
        self.took(usage);
        if self.meter.reserves {
            self.spent = None;
        }
    }

    /// What an attempt took, and what those before it had taken.
    fn with_consumed(&self, usage: TokenUsage) -> TokenUsage {
        if self.consumed == TokenUsage::default() { usage } else { usage.and(self.consumed) }
    }

    /// Reserves anew what failed attempts took of the reservation, so that it is enough for another one.
    ///
    /// # Errors
    /// `OverBudget` when a budget has no room for it; `Ledger` when that cannot be recorded.
    pub fn renew(&mut self) -> Result<(), ModelError> {
        if !self.meter.reserves || self.unreserved == 0 {
            return Ok(());
        }
        let more = std::mem::take(&mut self.unreserved);
        match self.meter.ledger.reserve(self.number, more) {
            Ok(None) => Ok(()),
            Ok(Some(refusal)) => Err(self.meter.refused(refusal)),
            Err(error) => {
                let message = format!("the call cannot be recorded and was not made again: {error}");
                Err(ModelError::new(ModelFault::Ledger, &self.meter.id, message))
            }
        }
    }

    /// Closes the call, which succeeded, and returns its cost in nano-USD. Nobody waits until the ledger has written it:
    /// whoever reads the ledger from now on finds it there, and a process that is killed before leaves the call to be
    /// taken for lost, for what was reserved.
    pub fn close(mut self, outcome: Outcome) -> Option<i64> {
        let cost = self.cost(&outcome.usage).zip(self.spent).map(|(cost, spent)| cost.saturating_add(spent));
        let usage = self.with_consumed(outcome.usage);
        self.finish(CALL_OK, Outcome { usage, ..outcome }, cost);
        cost
    }

    /// Closes the call, which failed, with what its attempts took.
    pub fn fail(mut self, fault: &ModelFault) {
        self.finish_failed(fault);
    }

    fn finish_failed(&mut self, fault: &ModelFault) {
        let outcome = Outcome { usage: self.consumed, ..Outcome::default() };
        self.finish(fault.name(), outcome, self.spent);
    }

    fn cost(&self, usage: &TokenUsage) -> Option<i64> {
        self.meter.prices.cost(&self.meter.id, usage, self.meter.clock.now_ms())
    }

    fn finish(&mut self, status: &str, outcome: Outcome, cost: Option<i64>) {
        self.closed = true;
        let (total_ms, usage) = (self.elapsed_ms(), outcome.usage);
        self.log(status, &usage, total_ms);
        self.compare(cost, usage.reported_cost);
        let (fallback_from, fallback_reason) = self.fallback.take().unzip();
        let closing = Closing {
            at_ms: self.meter.clock.now_ms(),
            status: status.to_owned(),
            usage,
            texts: outcome.texts as u64,
            cost,
            finish: outcome.finish.map(|finish| finish.name().to_owned()),
            total_ms,
            api_ms: self.api_ms,
            first_token_ms: self.first_token_ms,
            retries: self.retries,
            fallback_from,
            fallback_reason,
            cache_hit: false,
            saved: Saved::default(),
            provider_model: outcome.model,
        };
        // It is on its way; the ledger tells of its own if it cannot be written.
        drop(self.meter.ledger.close(self.number, closing));
    }

    /// Tells once that the prices are not those of the provider.
    fn compare(&self, own: Option<i64>, reported: Option<i64>) {
        let drift = own.zip(reported).and_then(|(own, reported)| price_drift(own, reported));
        if let Some(drift) = drift
            && !self.meter.told_drift.swap(true, Ordering::Relaxed)
        {
            let percent = format!("{:+.0}", drift * 100.0);
            tracing::warn!(model = %self.meter.id, percent, "the prices differ from what the provider says that a call cost: correct `prices.*`");
        }
    }

    /// The line that operators of WatsonX's token tracker know: model, operation, time, tokens, speed.
    fn log(&self, status: &str, usage: &TokenUsage, total_ms: f64) {
        let speed = lorekeep_types::tokens_per_second(usage.total(), total_ms).unwrap_or(0.0);
        tracing::info!(
            target: "lorekeep::usage",
            model = %self.meter.id,
            operation = self.operation,
            status,
            time_s = format!("{:.2}", total_ms / 1e3),
            prompt = usage.prompt,
            completion = usage.completion,
            total = usage.total(),
            speed = format!("{speed:.1}"),
            "model call"
        );
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.closed {
            self.finish_failed(&ModelFault::Cancelled);
        }
    }
}
