//! Whether a model is worth calling: a circuit that opens when most calls of the last half minute failed, or nearly all
//! were slow, and lets a few probes through before it closes again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lorekeep_types::ModelFault;

/// Outcomes are counted in so many parts of so much time each.
const BUCKETS: usize = 10;
const BUCKET: Duration = Duration::from_secs(3);
/// Fewer calls in the window say nothing.
const LEAST_CALLS: u32 = 20;
/// Connections that fail one after the other before the circuit opens whatever the window says.
const MOST_CONNECT_FAULTS: u32 = 5;
/// How long the circuit stays open, at first and at most; it doubles each time that the probes fail.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// Calls that are let through to find out whether the model is well again.
const PROBES: u32 = 3;

/// What the circuit does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitState {
    /// Lets all through.
    Closed,
    /// Lets none through.
    Open,
    /// Lets a few through.
    HalfOpen,
}

/// The circuit of one model and credential.
#[derive(Debug)]
pub struct Breaker(Mutex<Circuit>);

#[derive(Debug)]
struct Circuit {
    started: Instant,
    buckets: [Bucket; BUCKETS],
    /// Calls that take longer are slow; `None` when none is.
    slow: Option<Duration>,
    connect_faults: u32,
    state: Inner,
    /// How often the circuit opened without closing in between.
    openings: u32,
    /// No call before this moment, whatever the state: the provider asked for it.
    cooldown: Option<Instant>,
}

/// What became of the calls of a few seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// Which seconds.
    number: u64,
    calls: u32,
    failures: u32,
    slow: u32,
}

#[derive(Clone, Copy, Debug)]
enum Inner {
    Closed,
    Open { until: Instant },
    HalfOpen { running: u32, good: u32 },
}

impl Breaker {
    /// A closed circuit.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self(Mutex::new(Circuit {
            started: now,
            buckets: [Bucket::default(); BUCKETS],
            slow: None,
            connect_faults: 0,
            state: Inner::Closed,
            openings: 0,
            cooldown: None,
        }))
    }

    /// Takes calls that last longer than this for slow.
    pub fn call_slow(&self, limit: Option<Duration>) {
        self.circuit().slow = limit;
    }

    /// Asks to make a call; every permission must be answered by [`Breaker::report`] or [`Breaker::forget`].
    ///
    /// # Errors
    /// How long to wait.
    pub fn admit(&self, now: Instant) -> Result<(), Duration> {
        let mut circuit = self.circuit();
        if let Some(until) = circuit.cooldown.filter(|until| *until > now) {
            return Err(until - now);
        }
        match circuit.state {
            Inner::Closed => Ok(()),
            Inner::Open { until } if now < until => Err(until - now),
            Inner::Open { .. } => {
                circuit.state = Inner::HalfOpen { running: 1, good: 0 };
                Ok(())
            }
            Inner::HalfOpen { running, good } if running + good < PROBES => {
                circuit.state = Inner::HalfOpen { running: running + 1, good };
                Ok(())
            }
            Inner::HalfOpen { .. } => Err(BUCKET),
        }
    }

    /// Tells how an admitted call ended that took so long until its answer, or the first piece of it, had come; `None` is
    /// success.
    pub fn report(&self, now: Instant, took: Duration, fault: Option<&ModelFault>) {
        let mut circuit = self.circuit();
        // 429 is the provider's way to say "later", not "broken"; 503 and 529 may say both.
        if let Some(ModelFault::RateLimited { after: Some(after) } | ModelFault::Overloaded { after: Some(after) }) =
            fault
        {
            circuit.cooldown = circuit.cooldown.max(Some(now + *after));
        }
        let failed = fault.is_some_and(counts);
        let slow = circuit.slow.is_some_and(|limit| took > limit);
        circuit.connect_faults = match fault {
            Some(ModelFault::Connect) => circuit.connect_faults + 1,
            _ => 0,
        };
        match circuit.state {
            Inner::HalfOpen { .. } if failed || slow => circuit.open(now),
            Inner::HalfOpen { good, .. } if good + 1 >= PROBES => circuit.close(),
            Inner::HalfOpen { running, good } => {
                circuit.state = Inner::HalfOpen { running: running.saturating_sub(1), good: good + 1 };
            }
            Inner::Closed => {
                circuit.count(now, failed, slow);
                let Bucket { calls, failures, slow, .. } = circuit.window(now);
                let mostly = calls >= LEAST_CALLS && (failures * 2 >= calls || slow * 5 >= calls * 4);
                if mostly || circuit.connect_faults >= MOST_CONNECT_FAULTS {
                    circuit.open(now);
                }
            }
            Inner::Open { .. } => {}
        }
    }

    /// An admitted call ended without saying anything about the model: its caller went away.
    pub fn forget(&self) {
        let mut circuit = self.circuit();
        if let Inner::HalfOpen { running, good } = circuit.state {
            circuit.state = Inner::HalfOpen { running: running.saturating_sub(1), good };
        }
    }

    /// What it does now.
    #[must_use]
    pub fn state(&self, now: Instant) -> CircuitState {
        match self.circuit().state {
            Inner::Closed => CircuitState::Closed,
            Inner::Open { until } if now < until => CircuitState::Open,
            Inner::Open { .. } | Inner::HalfOpen { .. } => CircuitState::HalfOpen,
        }
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Faults that tell of a model in trouble; those of the request or the caller do not.
fn counts(fault: &ModelFault) -> bool {
    matches!(
        fault,
        ModelFault::Connect
            | ModelFault::Timeout(_)
            | ModelFault::Overloaded { .. }
            | ModelFault::Server
            | ModelFault::Malformed
            | ModelFault::Cut { .. }
    )
}

impl Circuit {
    fn number(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).as_secs() / BUCKET.as_secs() + 1
    }

    fn count(&mut self, now: Instant, failed: bool, slow: bool) {
        let number = self.number(now);
        let Some(bucket) = self.buckets.get_mut((number % BUCKETS as u64) as usize) else { return };
        if bucket.number != number {
            *bucket = Bucket { number, ..Bucket::default() };
        }
        bucket.calls += 1;
        bucket.failures += u32::from(failed);
        bucket.slow += u32::from(slow);
    }

    /// The sum of what is not older than the window.
    fn window(&self, now: Instant) -> Bucket {
        let oldest = self.number(now).saturating_sub(BUCKETS as u64 - 1);
        let recent = self.buckets.iter().filter(|bucket| bucket.number >= oldest.max(1));
        recent.fold(Bucket::default(), |sum, bucket| Bucket {
            number: bucket.number,
            calls: sum.calls + bucket.calls,
            failures: sum.failures + bucket.failures,
            slow: sum.slow + bucket.slow,
        })
    }

    fn open(&mut self, now: Instant) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.openings.min(8)).min(LONGEST_PAUSE);
        // Spread, so that many nodes do not probe at once.
        let pause = pause.mul_f64(0.9 + 0.2 * fastrand::f64());
        self.openings += 1;
        self.connect_faults = 0;
        self.state = Inner::Open { until: now + pause };
    }

    fn close(&mut self) {
        (self.state, self.openings, self.connect_faults) = (Inner::Closed, 0, 0);
        self.buckets = [Bucket::default(); BUCKETS];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(5);

    fn failing(breaker: &Breaker, now: Instant, calls: u32, failures: u32) {
        for number in 0..calls {
            assert!(breaker.admit(now).is_ok());
            breaker.report(now, QUICK, (number < failures).then_some(&ModelFault::Server));
        }
    }

    #[test]
    fn it_opens_when_half_of_enough_calls_fail() {
        let now = Instant::now();
        let breaker = Breaker::new(now);
        failing(&breaker, now, 19, 19);
        assert_eq!(breaker.state(now), CircuitState::Closed);
        failing(&breaker, now, 1, 0);
        assert_eq!(breaker.state(now), CircuitState::Open);
        let wait = breaker.admit(now).err();
        assert!(
            wait.is_some_and(|wait| wait >= Duration::from_secs(27) && wait <= Duration::from_secs(33)),
            "{wait:?}"
        );
    }

    #[test]
    fn old_failures_are_forgotten() {
        let now = Instant::now();
        let breaker = Breaker::new(now);
        failing(&breaker, now, 19, 19);
        failing(&breaker, now + Duration::from_secs(31), 1, 1);
        assert_eq!(breaker.state(now + Duration::from_secs(31)), CircuitState::Closed);
    }

    #[test]
    fn few_probes_decide() {
        let start = Instant::now();
        let breaker = Breaker::new(start);
        failing(&breaker, start, 20, 20);
        let later = start + Duration::from_secs(34);
        let admitted = (0..100).filter(|_| breaker.admit(later).is_ok()).count();
        assert_eq!(admitted, 3);
        breaker.report(later, QUICK, None);
        breaker.forget();
        assert!(breaker.admit(later).is_ok(), "a probe whose caller went away leaves its place");
        breaker.report(later, QUICK, None);
        assert_eq!(breaker.state(later), CircuitState::HalfOpen);
        breaker.report(later, QUICK, None);
        assert_eq!(breaker.state(later), CircuitState::Closed);
    }

    #[test]
    fn a_failed_probe_opens_it_for_longer() {
        let start = Instant::now();
        let breaker = Breaker::new(start);
        failing(&breaker, start, 20, 20);
        let later = start + Duration::from_secs(34);
        assert!(breaker.admit(later).is_ok());
        breaker.report(later, QUICK, Some(&ModelFault::Server));
        assert!(breaker.admit(later).err().is_some_and(|wait| wait >= Duration::from_secs(54)));
    }

    #[test]
    fn connections_that_fail_one_after_the_other_open_it() {
        let now = Instant::now();
        let breaker = Breaker::new(now);
        (0..5).for_each(|_| breaker.report(now, QUICK, Some(&ModelFault::Connect)));
        assert_eq!(breaker.state(now), CircuitState::Open);
    }

    #[test]
    fn faults_of_the_request_do_not_count() {
        let now = Instant::now();
        let breaker = Breaker::new(now);
        for fault in [ModelFault::Request, ModelFault::Credential, ModelFault::Cancelled] {
            (0..50).for_each(|_| breaker.report(now, QUICK, Some(&fault)));
        }
        assert_eq!(breaker.state(now), CircuitState::Closed);
    }

    #[test]
    fn a_rate_limit_is_a_pause_and_no_failure() {
        let now = Instant::now();
        let breaker = Breaker::new(now);
        let after = Some(Duration::from_secs(47));
        (0..50).for_each(|_| breaker.report(now, QUICK, Some(&ModelFault::RateLimited { after })));
        assert_eq!(breaker.state(now), CircuitState::Closed);
        assert_eq!(breaker.admit(now).err(), after);
        assert!(breaker.admit(now + Duration::from_secs(48)).is_ok());
    }

    #[test]
    fn a_pause_that_was_asked_for_is_kept() {
        let now = Instant::now();
        let breaker = Breaker::new(now);
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        breaker.report(now, QUICK, Some(&ModelFault::Overloaded { after: seconds(20) }));
        assert_eq!(breaker.admit(now).err(), seconds(20));
        for after in [None, seconds(3)] {
            breaker.report(now, QUICK, Some(&ModelFault::RateLimited { after }));
            assert_eq!(breaker.admit(now).err(), seconds(20), "whoever says no more says nothing else");
        }
        breaker.report(now, QUICK, Some(&ModelFault::RateLimited { after: seconds(30) }));
        assert_eq!(breaker.admit(now).err(), seconds(30));
    }

    #[test]
    fn it_opens_when_nearly_all_calls_are_slow() {
        let (now, slow) = (Instant::now(), Duration::from_secs(3));
        let breaker = Breaker::new(now);
        let calls = |slow_ones: u32| {
            (0..20).for_each(|number| breaker.report(now, if number < slow_ones { slow } else { QUICK }, None));
            breaker.state(now)
        };
        assert_eq!(calls(20), CircuitState::Closed, "no limit is set");
        let breaker = Breaker::new(now);
        breaker.call_slow(Some(Duration::from_secs(2)));
        let calls = |slow_ones: u32, others: u32| {
            (0..slow_ones).for_each(|_| breaker.report(now, slow, None));
            (0..others).for_each(|_| breaker.report(now, QUICK, None));
            breaker.state(now)
        };
        assert_eq!(calls(15, 5), CircuitState::Closed);
        assert_eq!(calls(4, 0), CircuitState::Closed);
        assert_eq!(calls(1, 0), CircuitState::Open, "20 of 25");
        let later = now + Duration::from_secs(34);
        assert!(breaker.admit(later).is_ok());
        breaker.report(later, slow, None);
        assert_eq!(breaker.state(later), CircuitState::Open, "a slow probe says that it is not well yet");
    }
}
