//! What the documents of one graph job share: the money, and the reason to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lorekeep_types::{
    Call, ChatModel, ChatRequest, Completion, Error, ErrorCode, ModelError, ModelFault, Models, Priority, Problem,
    Spending, TokenCounter,
};
use tokio::sync::Notify;

use super::lock;
use crate::engine::EngineParts;
use crate::extract::model::MOST_WRITTEN;
use crate::ingest::prepare::problem;

/// Passages that fail in a row, without one that succeeds, before the job is given up.
const MOST_FAILURES: u32 = 20;

/// Further tries of a call that a provider was too busy for.
const TRIES: u32 = 3;
/// Longest pause before such a try.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// One job at work.
pub(super) struct Run {
    /// Who asked for it, if known.
    principal: Option<String>,
    state: Mutex<State>,
    /// Something that was reserved is free again.
    settled: Notify,
    /// The model refuses requests with a schema.
    plain: AtomicBool,
}

struct State {
    /// All that the job has spent, what its documents have yet to write down included.
    spending: Spending,
    /// What is not written down yet.
    unsaved: Spending,
    /// What calls under way may cost.
    reserved: i64,
    failures: u32,
    stopped: Option<Problem>,
}

impl Run {
    pub(super) fn new(spending: Spending, principal: Option<String>) -> Self {
        let state = State { spending, unsaved: Spending::default(), reserved: 0, failures: 0, stopped: None };
        Self { principal, state: Mutex::new(state), settled: Notify::new(), plain: AtomicBool::new(false) }
    }

    /// A call for who asked for the job.
    pub(super) fn paid(&self, call: Call) -> Call {
        Call { principal: self.principal.clone(), priority: Priority::Batch, ..call }
    }

    /// Whether the model refuses requests with a schema.
    pub(super) fn is_plain(&self) -> bool {
        self.plain.load(Ordering::Relaxed)
    }

    /// The model refuses requests with a schema, and takes others.
    pub(super) fn set_plain(&self) {
        self.plain.store(true, Ordering::Relaxed);
    }

    fn is_limited(&self) -> bool {
        lock(&self.state).spending.limit.is_some()
    }

    /// Why the job is stopped, if it is.
    pub(super) fn stopped(&self) -> Option<Problem> {
        lock(&self.state).stopped.clone()
    }

    /// Makes a call inside the limits of the job, and again where the provider was too busy.
    pub(super) async fn ask(
        &self,
        parts: &EngineParts,
        (model, call): (&dyn ChatModel, &Call),
        request: &ChatRequest,
    ) -> Result<Completion, ModelError> {
        let not_made = || ModelError::new(ModelFault::Cancelled, model.id(), "not asked: the job was stopped");
        let mut tries = 0;
        loop {
            if self.stopped().is_some() {
                return Err(not_made());
            }
            let most = self.most(parts, (model, call), request).await;
            if !self.reserve(most).await {
                return Err(not_made());
            }
            let outcome = model.chat(call, request).await;
            match &outcome {
                Ok(completion) => self.took(completion),
                Err(error) => self.failed(error),
            }
            self.release(most);
            let Some(pause) = outcome.as_ref().err().and_then(|error| pause(&error.fault, tries)) else {
                return outcome;
            };
            tries += 1;
            tokio::time::sleep(pause).await;
        }
    }

    /// What a call may cost at most, where that is limited and its answer is not kept.
    async fn most(&self, parts: &EngineParts, (model, call): (&dyn ChatModel, &Call), request: &ChatRequest) -> i64 {
        if !self.is_limited() || model.kept(call, request).await.is_some() {
            return 0;
        }
        let prompt = count(parts.prompt_tokens.as_ref(), request);
        let written = u64::from(request.max_tokens.unwrap_or(MOST_WRITTEN));
        // Another tokenizer than the model's own counts: a quarter more is on the safe side.
        let price = |models: &Arc<dyn Models>| models.price(model.id(), prompt + prompt / 4 + 64, written);
        parts.models.as_ref().and_then(price).unwrap_or(0)
    }

    /// Waits until a call that may cost `most` fits the limit; `false`, and the job is stopped, when it never will. Calls
    /// under way count with the most that they may cost, so that the limit is kept.
    async fn reserve(&self, most: i64) -> bool {
        loop {
            let settled = self.settled.notified();
            {
                let mut state = lock(&self.state);
                let Some(limit) = state.spending.limit else { return true };
                if state.stopped.is_some() {
                    return false;
                }
                if state.spending.spent.saturating_add(state.reserved).saturating_add(most) <= limit {
                    state.reserved += most;
                    return true;
                }
                if state.reserved == 0 {
                    state.stopped = Some(limit_reached(limit, state.spending.spent));
                    return false;
                }
            }
            settled.await;
        }
    }

    /// Gives back what a call reserved.
    fn release(&self, most: i64) {
        if most > 0 {
            lock(&self.state).reserved -= most;
            self.settled.notify_waiters();
        }
    }

    /// Adds what a call took.
    fn took(&self, completion: &Completion) {
        let usage = &completion.usage;
        let more = Spending {
            limit: None,
            spent: completion.cost.unwrap_or(0),
            calls: u64::from(!completion.cache_hit),
            kept: u64::from(completion.cache_hit),
            unpriced: u64::from(completion.cost.is_none()),
            prompt_tokens: usage.prompt,
            completion_tokens: usage.completion,
        };
        let mut state = lock(&self.state);
        state.failures = 0;
        state.spending.add(&more);
        state.unsaved.add(&more);
    }

    /// What was spent since it was last written down; it counts as written down now.
    pub(super) fn take_unsaved(&self) -> Spending {
        std::mem::take(&mut lock(&self.state).unsaved)
    }

    /// Notes a failure of a call; stops the job when the next call would fail in the same way.
    fn failed(&self, error: &ModelError) {
        let mut state = lock(&self.state);
        state.failures += 1;
        let for_good =
            matches!(error.fault, ModelFault::OverBudget(_) | ModelFault::Credential | ModelFault::Capability);
        if for_good || state.failures >= MOST_FAILURES {
            state.stopped.get_or_insert_with(|| problem(&Error::from(error.clone())));
            self.settled.notify_waiters();
        }
    }
}

fn limit_reached(limit: i64, spent: i64) -> Problem {
    let message = format!(
        "the limit of ${} was reached: ${} is spent, and the next call could exceed it",
        lorekeep_types::usd(limit),
        lorekeep_types::usd(spent)
    );
    let error = Error::new(ErrorCode::BudgetExceeded, message);
    problem(&error.hint("what was made is kept; go on with a higher limit: `lorekeep graph build --max-cost USD`"))
}

/// How long to wait before a call is tried again that the provider was too busy for.
fn pause(fault: &ModelFault, tries: u32) -> Option<Duration> {
    let busy = matches!(
        fault,
        ModelFault::RateLimited { .. }
            | ModelFault::Overloaded { .. }
            | ModelFault::CircuitOpen { .. }
            | ModelFault::QueueFull
    );
    let pause = fault.retry_after().unwrap_or(Duration::from_secs(1 << tries.min(4)));
    (busy && tries < TRIES).then_some(pause.min(LONGEST_PAUSE))
}

/// Tokens of a request, with a few for each message's frame.
pub(crate) fn count(counter: &dyn TokenCounter, request: &ChatRequest) -> u64 {
    request.messages.iter().map(|message| counter.count(&message.plain()) as u64 + 4).sum()
}
