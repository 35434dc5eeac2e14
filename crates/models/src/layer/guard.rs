//! All layers around one model: limit, circuit, retries and meter, in this order from the caller's side:
//! *place → circuit → ledger → attempts*. All ports share it.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lorekeep_types::{Call, ModelError, ModelFault, ModelId, Phase, TokenUsage};

use super::breaker::{Breaker, CircuitState};
use super::credential::{Credential, Refused};
use super::limit::{Limit, Permit};
use super::meter::{Bound, Entry, Meter};
use super::retry::{self, RetryBudget};

/// What guards the calls of one model. Cheap to clone; clones share all of it.
#[derive(Clone)]
pub struct Guard {
    shared: Arc<Inner>,
    /// Where the model is, as far as its answers depend on it.
    source: Arc<str>,
    /// The provider's key, which its models share.
    credential: Credential,
}

struct Inner {
    id: ModelId,
    limit: Limit,
    breaker: Breaker,
    /// Whether the key may be used for this model.
    access: Credential,
    repeats: RetryBudget,
    attempts: u32,
    meter: Meter,
}

/// A call that is being made: its place and its entry in the ledger.
pub(super) struct Running {
    _permit: Permit,
    pub(super) entry: Entry,
    pub(super) trial: Trial,
}

/// A permission of the circuit, which must be answered.
pub(super) struct Trial {
    guard: Guard,
    began: Instant,
    /// How long its answer, or the first piece of it, took.
    took: Option<Duration>,
    open: bool,
}

impl Trial {
    pub(super) fn report(&mut self, outcome: Result<(), &ModelError>) {
        self.open = false;
        let took = *self.took.get_or_insert_with(|| self.began.elapsed());
        self.guard.shared.breaker.report(Instant::now(), took, outcome.err().map(|error| &error.fault));
        self.guard.credential_was(outcome);
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if self.open {
            self.guard.shared.breaker.forget();
        }
    }
}

impl Guard {
    /// At most `places` calls at once, each of at most `attempts` attempts.
    #[must_use]
    pub fn new(id: ModelId, places: usize, attempts: u32, meter: Meter) -> Self {
        let shared = Arc::new(Inner {
            id,
            limit: Limit::new(places),
            breaker: Breaker::new(Instant::now()),
            access: Credential::default(),
            repeats: RetryBudget::default(),
            attempts: attempts.max(1),
            meter,
        });
        Self { shared, source: "".into(), credential: Credential::default() }
    }

    /// The same with a key that other models share: when the provider refuses it, none of them is called.
    #[must_use]
    pub fn sharing(self, credential: Credential) -> Self {
        Self { credential, ..self }
    }

    /// Takes calls for slow whose answer, or its first piece, takes longer: when nearly all are, the model is left alone.
    pub fn call_slow(&self, limit: Option<Duration>) {
        self.shared.breaker.call_slow(limit);
    }

    /// Why the key is not used, if the provider refused it: at all, or for this model.
    #[must_use]
    pub fn refused(&self) -> Option<Refused> {
        self.credential.refused().or_else(|| self.shared.access.refused())
    }

    /// Lets the next call find out what it would otherwise not be made for: whether the key is still refused.
    pub fn find_out(&self) {
        self.credential.clear();
        self.shared.access.clear();
    }

    /// The same for a model at `source`: address and whatever else tells two providers of one name apart. Answers that
    /// are kept are those of one source.
    #[must_use]
    pub fn of_source(self, source: &str) -> Self {
        Self { source: source.into(), ..self }
    }

    /// See [`Guard::of_source`].
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// What records its calls.
    pub(super) fn meter(&self) -> &Meter {
        &self.shared.meter
    }

    /// The state of the circuit.
    #[must_use]
    pub fn circuit(&self) -> CircuitState {
        self.shared.breaker.state(Instant::now())
    }

    /// Calls that wait for a place.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.limit.waiting()
    }

    pub(super) async fn start(
        &self,
        call: &Call,
        bound: impl FnOnce() -> Bound,
        streamed: bool,
    ) -> Result<Running, ModelError> {
        let place = self.shared.limit.acquire(call.priority);
        let permit = match call.remaining() {
            None => place.await,
            Some(remaining) => tokio::time::timeout(remaining, place)
                .await
                .map_err(|_| self.fault(ModelFault::QueueFull, "no place became free before the deadline"))?,
        };
        let permit = permit.map_err(|_| self.fault(ModelFault::QueueFull, "too many calls wait for this model"))?;
        let trial = self.admit()?;
        let entry = self.shared.meter.open(call, bound, streamed).await?;
        self.shared.repeats.called(Instant::now());
        Ok(Running { _permit: permit, entry, trial })
    }

    fn admit(&self) -> Result<Trial, ModelError> {
        let now = Instant::now();
        if let Err(refused) = self.credential.admit(now).and_then(|()| self.shared.access.admit(now)) {
            let minutes = refused.until.saturating_duration_since(now).as_secs().div_ceil(60);
            let message = format!(
                "not called: the provider refused the API key ({}); it is tried again in {minutes} min, or when the \
                 configuration changes",
                refused.reason
            );
            return Err(self.fault(ModelFault::Credential, message));
        }
        self.shared.breaker.admit(Instant::now()).map_err(|after| {
            let message =
                format!("not called: it keeps failing, and is tried again in {:.0} s", after.as_secs_f64().ceil());
            self.fault(ModelFault::CircuitOpen { after }, message)
        })?;
        Ok(Trial { guard: self.clone(), began: Instant::now(), took: None, open: true })
    }

    /// Makes attempts until one succeeds or none may follow. The entry is closed on failure, left open on success. What
    /// an attempt consumed before it broke off is charged: `prompt` counts what was sent.
    pub(super) async fn attempts<T, F>(
        &self,
        call: &Call,
        mut running: Running,
        prompt: impl Fn() -> u64,
        attempt: impl Fn() -> F,
    ) -> Result<(T, Running), ModelError>
    where
        F: Future<Output = Result<T, ModelError>>,
    {
        loop {
            let error = match Sent::new(&mut running.entry, &prompt).until(attempt()).await {
                Ok(value) => {
                    running.trial.report(Ok(()));
                    return Ok((value, running));
                }
                Err(error) => error,
            };
            running.trial.report(Err(&error));
            running.entry.took(consumed(&error, &prompt));
            let Some(delay) = self.repeat_after(&error, &running, call) else {
                running.entry.fail(&error.fault);
                return Err(error);
            };
            running.entry.held(tokio::time::sleep(delay)).await;
            running.trial = match running.entry.renew().and_then(|()| self.admit()) {
                Ok(trial) => trial,
                // The circuit opened meanwhile, or a budget has no room for another attempt: what is told is why one is
                // needed.
                Err(refused) => {
                    tracing::info!(%refused, "the call is not made again");
                    running.entry.fail(&error.fault);
                    return Err(error);
                }
            };
            running.entry.retries += 1;
        }
    }

    /// Remembers a key that the provider refused or took. 403 may be about one model: others may still be called.
    fn credential_was(&self, outcome: Result<(), &ModelError>) {
        let Err(error) = outcome else {
            self.find_out();
            return;
        };
        if error.fault != ModelFault::Credential {
            return;
        }
        let credential = if error.status == Some(403) { &self.shared.access } else { &self.credential };
        if credential.refuse(Instant::now(), &error.message) {
            tracing::error!(model = %self.shared.id, reason = error.message, "the provider refused the API key; it is not used for now");
        }
    }

    fn repeat_after(&self, error: &ModelError, running: &Running, call: &Call) -> Option<Duration> {
        let attempt = running.entry.retries + 1;
        if attempt >= self.shared.attempts {
            return None;
        }
        let delay = retry::delay(&error.fault, attempt, call.remaining(), fastrand::f64())?;
        self.shared.repeats.take(Instant::now()).then_some(delay)
    }

    pub(super) fn fault(&self, fault: ModelFault, message: impl Into<String>) -> ModelError {
        ModelError::new(fault, &self.shared.id, message)
    }
}

/// An attempt that is under way. Given up by its caller, it is taken to have had its prompt read; what was written is not
/// known.
struct Sent<'e, P: Fn() -> u64> {
    entry: &'e mut Entry,
    prompt: &'e P,
    began: Instant,
    is_over: bool,
}

impl<'e, P: Fn() -> u64> Sent<'e, P> {
    fn new(entry: &'e mut Entry, prompt: &'e P) -> Self {
        Self { entry, prompt, began: Instant::now(), is_over: false }
    }

    async fn until<T>(mut self, attempt: impl Future<Output = T>) -> T {
        let outcome = self.entry.held(attempt).await;
        self.is_over = true;
        outcome
    }
}

impl<P: Fn() -> u64> Drop for Sent<'_, P> {
    fn drop(&mut self) {
        self.entry.api_ms += self.began.elapsed().as_secs_f64() * 1e3;
        if !self.is_over {
            self.entry.given_up(read(self.prompt));
        }
    }
}

/// A prompt that was read, as an estimate.
fn read(prompt: impl Fn() -> u64) -> TokenUsage {
    TokenUsage { prompt: prompt(), estimated: true, ..TokenUsage::default() }
}

/// What a failed attempt consumed, as far as it was seen. One that broke off after it was sent had its prompt read, at
/// least in part, and whatever had come of the answer was written; one that was refused with a status took nothing.
pub(super) fn consumed(error: &ModelError, prompt: impl Fn() -> u64) -> TokenUsage {
    let broke_off = matches!(
        error.fault,
        ModelFault::Timeout(Phase::FirstByte | Phase::Idle | Phase::Total)
            | ModelFault::Cut { .. }
            | ModelFault::Malformed
    );
    match error.usage {
        Some(seen) if seen.prompt > 0 || seen.completion == 0 || !broke_off => seen,
        None if !broke_off => TokenUsage::default(),
        None => read(prompt),
        Some(seen) => TokenUsage { prompt: prompt(), estimated: true, ..seen },
    }
}

/// A model with its guard, as a chain asks it.
pub trait Guarded {
    /// Which model.
    fn model_id(&self) -> &ModelId;
}
