//! When to call again: how long to wait, and how many calls may be repeated at all.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lorekeep_types::ModelFault;

/// Delays grow from the first to the last, doubling.
const FIRST_DELAY: Duration = Duration::from_millis(250);
const LONGEST_DELAY: Duration = Duration::from_secs(8);
/// Being asked to wait longer than this is a reason to ask another model instead.
const LONGEST_REQUESTED: Duration = Duration::from_secs(5);
/// So many repetitions are always allowed within [`MEMORY`], or one per ten calls where that is more.
const FREE_REPEATS: usize = 3;
const MEMORY: Duration = Duration::from_secs(10);

/// Keeps repetitions below a tenth of the calls, so that a provider in trouble is not called twice as often.
#[derive(Debug, Default)]
pub struct RetryBudget(Mutex<(VecDeque<Instant>, VecDeque<Instant>)>);

impl RetryBudget {
    /// Counts a first attempt.
    pub fn called(&self, now: Instant) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        forget(&mut counts.0, now);
        counts.0.push_back(now);
    }

    /// Takes a repetition, if one is left.
    pub fn take(&self, now: Instant) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        forget(&mut counts.0, now);
        forget(&mut counts.1, now);
        let allowed = (counts.0.len() / 10).max(FREE_REPEATS);
        let granted = counts.1.len() < allowed;
        if granted {
            counts.1.push_back(now);
        }
        granted
    }
}

fn forget(moments: &mut VecDeque<Instant>, now: Instant) {
    while moments.front().is_some_and(|moment| now.saturating_duration_since(*moment) > MEMORY) {
        moments.pop_front();
    }
}

/// How long to wait before attempt `attempt` (1 is the first repetition); `None` means not to repeat. Full jitter
/// (Brooker, "Exponential Backoff And Jitter"); what the provider asks for is waited for at least, and up to a fifth
/// longer. `random` lies in 0..1.
#[must_use]
pub fn delay(fault: &ModelFault, attempt: u32, remaining: Option<Duration>, random: f64) -> Option<Duration> {
    if !fault.is_retryable() {
        return None;
    }
    let delay = match fault.retry_after() {
        Some(after) if after > LONGEST_REQUESTED => return None,
        Some(after) => after.mul_f64(1.0 + 0.2 * random),
        None => FIRST_DELAY.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(LONGEST_DELAY).mul_f64(random),
    };
    remaining.is_none_or(|remaining| delay < remaining).then_some(delay)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lorekeep_types::Phase;

    fn ms(fault: &ModelFault, attempt: u32, random: f64) -> Option<u128> {
        delay(fault, attempt, None, random).map(|delay| delay.as_millis())
    }

    #[test]
    fn delays_double_up_to_a_limit() {
        let delays: Vec<_> = (1..=8).filter_map(|attempt| ms(&ModelFault::Server, attempt, 1.0)).collect();
        assert_eq!(delays, [250, 500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
        assert_eq!(ms(&ModelFault::Server, 3, 0.0), Some(0));
    }

    #[test]
    fn what_the_provider_asks_for_is_waited_for() {
        let limited = |seconds| ModelFault::RateLimited { after: Some(Duration::from_secs(seconds)) };
        assert_eq!((ms(&limited(2), 1, 0.0), ms(&limited(2), 1, 1.0)), (Some(2_000), Some(2_400)));
        assert_eq!(ms(&limited(47), 1, 0.5), None);
    }

    #[test]
    fn nothing_is_repeated_in_vain() {
        for fault in [ModelFault::Request, ModelFault::Cut { began: true }, ModelFault::Timeout(Phase::Idle)] {
            assert_eq!(ms(&fault, 1, 0.5), None, "{fault:?}");
        }
        assert_eq!(delay(&ModelFault::Server, 4, Some(Duration::from_secs(1)), 1.0), None);
    }

    #[test]
    fn repetitions_stay_below_a_tenth() {
        let budget = RetryBudget::default();
        let now = Instant::now();
        (0..100).for_each(|_| budget.called(now));
        assert_eq!((0..100).filter(|_| budget.take(now)).count(), 10);
        assert_eq!((0..100).filter(|_| budget.take(now + Duration::from_secs(11))).count(), 3);
    }
}
