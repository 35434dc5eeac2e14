//! Credentials that a provider refused. Nobody is called with one again until the configuration changes, which makes
//! everything anew, or a long pause is over; then one call finds out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a refused credential is left alone.
const PAUSE: Duration = Duration::from_secs(600);

/// How long the others wait for the call that finds out.
const PROBE: Duration = Duration::from_secs(60);

/// Whether a credential is refused. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Credential(Arc<Mutex<Option<Refused>>>);

/// A refusal, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// When a call finds out whether it still holds.
    pub until: Instant,
    /// The provider's words.
    pub reason: String,
}

impl Credential {
    /// Whether a call may be made with it; else why not. After the pause one call is let through.
    ///
    /// # Errors
    /// The refusal.
    pub fn admit(&self, now: Instant) -> Result<(), Refused> {
        match &mut *self.state() {
            Some(refused) if now < refused.until => Err(refused.clone()),
            Some(refused) => {
                refused.until = now + PROBE;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The provider refused it; whether that is news.
    pub fn refuse(&self, now: Instant, reason: &str) -> bool {
        let refused = Refused { until: now + PAUSE, reason: reason.to_owned() };
        self.state().replace(refused).is_none()
    }

    /// The provider took it, or it is to be tried at once.
    pub fn clear(&self) {
        self.state().take();
    }

    /// The refusal, if there is one.
    #[must_use]
    pub fn refused(&self) -> Option<Refused> {
        self.state().clone()
    }

    fn state(&self) -> MutexGuard<'_, Option<Refused>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_pause_one_call_finds_out() {
        let (credential, now) = (Credential::default(), Instant::now());
        assert!(credential.admit(now).is_ok());
        assert!(credential.refuse(now, "HTTP 401: wrong key") && !credential.refuse(now, "HTTP 401: wrong key"));
        assert_eq!(
            credential.admit(now + PAUSE / 2).err().map(|refused| refused.reason).as_deref(),
            Some("HTTP 401: wrong key")
        );
        let later = now + PAUSE;
        let admitted = (0..100).filter(|_| credential.admit(later).is_ok()).count();
        assert_eq!(admitted, 1);
        assert!(credential.admit(later + PROBE).is_ok(), "a probe whose caller went away is made up for");
        credential.clear();
        assert!(credential.admit(now).is_ok() && credential.refused().is_none());
    }
}
