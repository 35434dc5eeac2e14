//! Equal work that is under way is done once: whoever asks for it meanwhile waits for the same result.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};

/// Work under way by what it is. It goes on as long as anybody waits for it, not only the one who began it, and is
/// dropped with the last of them.
pub(super) struct Flights<K, T: Clone>(Mutex<HashMap<K, WeakShared<BoxFuture<'static, T>>>>);

impl<K, T: Clone> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, T: Clone> Flights<K, T> {
    /// The work of `key`, begun with `make` unless it is under way; `true` when it begins here.
    pub(super) fn join(
        &self,
        key: K,
        make: impl FnOnce() -> BoxFuture<'static, T>,
    ) -> (Shared<BoxFuture<'static, T>>, bool) {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What has ended is not joined: its result may be a failure that need not happen again.
        let under_way = flights.get(&key).and_then(WeakShared::upgrade).filter(|flight| flight.peek().is_none());
        if let Some(flight) = under_way {
            return (flight, false);
        }
        let flight = make().shared();
        flights.retain(|_, flight| flight.upgrade().is_some());
        flights.extend(flight.downgrade().map(|weak| (key, weak)));
        (flight, true)
    }

    /// The work of each key: that which is under way, and for all other keys one that begins with `make`, which is given
    /// their places. These places are returned, too.
    pub(super) fn join_each(
        &self,
        keys: &[K],
        make: impl FnOnce(&[usize]) -> BoxFuture<'static, T>,
    ) -> (Vec<Shared<BoxFuture<'static, T>>>, Vec<usize>)
    where
        K: Clone,
    {
        let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = |key| flights.get(key).and_then(WeakShared::upgrade).filter(|flight| flight.peek().is_none());
        let joined: Vec<_> = keys.iter().map(under_way).collect();
        let own: Vec<usize> = (0..keys.len()).filter(|at| joined.get(*at).is_some_and(Option::is_none)).collect();
        if own.is_empty() {
            return (joined.into_iter().flatten().collect(), own);
        }
        let flight = make(&own).shared();
        flights.retain(|_, flight| flight.upgrade().is_some());
        let weak = own.iter().filter_map(|at| Some((keys.get(*at)?.clone(), flight.downgrade()?)));
        flights.extend(weak);
        (joined.into_iter().map(|one| one.unwrap_or_else(|| flight.clone())).collect(), own)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use futures::channel::oneshot;

    #[test]
    fn equal_work_is_begun_once_and_ends_with_the_last_who_waits() {
        let flights = Flights::<u8, bool>::default();
        let (done, waits) = oneshot::channel::<()>();
        let (first, began) = flights.join(1, || async { waits.await.is_ok() }.boxed());
        let (second, again) = flights.join(1, || async { unreachable!() }.boxed());
        assert!(began && !again);
        drop(first);
        assert!(!done.is_canceled(), "the second still waits");
        drop(second);
        assert!(done.is_canceled(), "nobody waits any more");
        assert!(flights.join(1, || async { true }.boxed()).1, "what was given up is begun anew");
    }

    #[test]
    fn what_has_ended_is_not_joined() {
        let flights = Flights::<u8, bool>::default();
        let (flight, _) = flights.join(1, || async { true }.boxed());
        let kept = flight.clone();
        assert!(flight.now_or_never().unwrap());
        assert!(flights.join(1, || async { false }.boxed()).1);
        drop(kept);
    }
}
