//! A stream that several read: equal streams under way are made once, and whoever comes later reads from the beginning
//! what the others have read.

use std::collections::HashMap;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use futures::stream::BoxStream;
use futures::{Stream, StreamExt as _};

/// Streams under way by what they are. One goes on as long as anybody reads it, not only the one who began it, and is
/// dropped with the last of them.
pub(super) struct Fans<K, T>(Mutex<HashMap<K, Weak<Fan<T>>>>);

/// What was read of a stream, and the rest of it.
struct Fan<T> {
    state: Mutex<State<T>>,
    waiting: Arc<Waiting>,
    /// Of the next reader.
    number: AtomicU64,
}

struct State<T> {
    read: Vec<T>,
    /// `None` when it has ended.
    rest: Option<BoxStream<'static, T>>,
}

/// Readers that wait for the next item, by number.
#[derive(Default)]
struct Waiting(Mutex<HashMap<u64, Waker>>);

/// A reader of a stream.
pub(super) struct Reader<T> {
    fan: Arc<Fan<T>>,
    number: u64,
    /// Items that it has read.
    at: usize,
}

impl<K, T> Default for Fans<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, T> Fans<K, T> {
    /// Reads the stream of `key`, begun with `make` unless it is under way; `true` when it begins here.
    pub(super) fn join(&self, key: K, make: impl FnOnce() -> BoxStream<'static, T>) -> (Reader<T>, bool) {
        let mut fans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What has ended is not joined: it may have failed in a way that need not happen again.
        let under_way = fans.get(&key).and_then(Weak::upgrade).filter(|fan| fan.state().rest.is_some());
        if let Some(fan) = under_way {
            return (Reader::new(fan), false);
        }
        let state = Mutex::new(State { read: Vec::new(), rest: Some(make()) });
        let fan = Arc::new(Fan { state, waiting: Arc::default(), number: AtomicU64::new(0) });
        fans.retain(|_, fan| fan.strong_count() > 0);
        fans.insert(key, Arc::downgrade(&fan));
        (Reader::new(fan), true)
    }
}

impl<T> Fan<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn wakers(&self) -> MutexGuard<'_, HashMap<u64, Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_all(&self) {
        let wakers = std::mem::take(&mut *self.wakers());
        wakers.into_values().for_each(Waker::wake);
    }
}

/// The stream is read by whoever asks first: when it can go on, all who wait may.
impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }
}

impl<T> Reader<T> {
    fn new(fan: Arc<Fan<T>>) -> Self {
        let number = fan.number.fetch_add(1, Ordering::Relaxed);
        Self { fan, number, at: 0 }
    }
}

impl<T: Clone> Stream for Reader<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let reader = self.get_mut();
        let mut state = reader.fan.state();
        if let Some(item) = state.read.get(reader.at) {
            reader.at += 1;
            return Poll::Ready(Some(item.clone()));
        }
        let Some(rest) = &mut state.rest else { return Poll::Ready(None) };
        reader.fan.waiting.wakers().insert(reader.number, context.waker().clone());
        let waker = Waker::from(Arc::clone(&reader.fan.waiting));
        let Poll::Ready(next) = rest.poll_next_unpin(&mut Context::from_waker(&waker)) else { return Poll::Pending };
        match &next {
            Some(item) => {
                state.read.push(item.clone());
                reader.at += 1;
            }
            None => state.rest = None,
        }
        drop(state);
        reader.fan.waiting.wake_all();
        Poll::Ready(next)
    }
}

impl<T> Drop for Reader<T> {
    fn drop(&mut self) {
        self.fan.waiting.wakers().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use futures::FutureExt as _;
    use futures::channel::mpsc;
    use futures::stream::FuturesUnordered;

    use super::*;

    #[test]
    fn all_read_the_same_and_the_last_ends_it() {
        let fans = Fans::<u8, u8>::default();
        let (items, stream) = mpsc::unbounded();
        let (mut first, began) = fans.join(1, || stream.boxed());
        items.unbounded_send(1).unwrap();
        assert_eq!((first.next().now_or_never(), began), (Some(Some(1)), true));
        let (mut late, began) = fans.join(1, || unreachable!());
        assert_eq!((late.next().now_or_never(), began), (Some(Some(1)), false), "from the beginning");
        assert_eq!(late.next().now_or_never(), None);
        items.unbounded_send(2).unwrap();
        drop(first);
        assert_eq!(late.next().now_or_never(), Some(Some(2)), "whoever began it may go");
        assert!(!items.is_closed());
        drop(late);
        assert!(items.is_closed(), "nobody reads any more");
        assert!(fans.join(1, || futures::stream::empty().boxed()).1, "what was given up is begun anew");
    }

    #[tokio::test]
    async fn whoever_waits_is_woken_whoever_reads() {
        let fans = Fans::<u8, u8>::default();
        let (items, stream) = mpsc::unbounded();
        let (reader, _) = fans.join(1, || stream.boxed());
        let others = (0..20).map(|_| fans.join(1, || unreachable!()).0);
        // Each of them is polled only when it was woken.
        let readers: FuturesUnordered<_> = others.chain([reader]).map(|one| one.collect::<Vec<u8>>()).collect();
        let write = async {
            for item in 0..100 {
                tokio::task::yield_now().await;
                items.unbounded_send(item).unwrap();
            }
            drop(items);
        };
        let (read, ()) = futures::join!(readers.collect::<Vec<_>>(), write);
        assert_eq!(read.len(), 21);
        assert!(read.iter().all(|read| read == &(0..100).collect::<Vec<u8>>()), "{read:?}");
    }

    #[test]
    fn what_has_ended_is_not_joined() {
        let fans = Fans::<u8, u8>::default();
        let (mut held, _) = fans.join(1, || futures::stream::empty().boxed());
        assert_eq!(held.next().now_or_never(), Some(None));
        assert!(fans.join(1, || futures::stream::empty().boxed()).1);
    }
}
