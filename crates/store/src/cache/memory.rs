//! The cache in this process's memory: as fast as can be, and gone with the process.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lorekeep_types::{CacheKey, CacheKind, CacheSize, ModelCache, WorkspaceName};
use moka::Expiry;
use moka::sync::Cache;

use super::limits::{CacheLimits, Jitter, pack, unpack};

/// Bytes of a key and its place, about.
const OVERHEAD: u64 = 96;

/// A kept value.
#[derive(Clone)]
struct Value {
    bytes: Arc<[u8]>,
    packed: bool,
    lifetime: Option<Duration>,
}

/// Values that nobody asked for lately make room for others; which, TinyLFU decides (Einziger et al., 2017).
pub struct MemoryCache {
    answers: Cache<CacheKey, Value>,
    others: Cache<CacheKey, Value>,
    jitter: Jitter,
    answer_lifetime: Duration,
}

impl fmt::Debug for MemoryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCache").finish_non_exhaustive()
    }
}

/// Each value ends with its own lifetime.
struct Own;

impl Expiry<CacheKey, Value> for Own {
    fn expire_after_create(&self, _: &CacheKey, value: &Value, _: Instant) -> Option<Duration> {
        value.lifetime
    }

    fn expire_after_update(&self, _: &CacheKey, value: &Value, _: Instant, _: Option<Duration>) -> Option<Duration> {
        value.lifetime
    }
}

impl MemoryCache {
    /// A cache within `limits`: answers, which are limited in number, have a quarter of the bytes, all else has the rest.
    #[must_use]
    pub fn new(limits: CacheLimits) -> Self {
        let of_answers = limits.bytes / 4;
        // No answer weighs less than its share, so that their number is kept, too.
        let share = of_answers / limits.answers.max(1);
        let weigh = |value: &Value| value.bytes.len() as u64 + OVERHEAD;
        let clamped = |weight: u64| u32::try_from(weight).unwrap_or(u32::MAX);
        let weigh_answer = move |_: &CacheKey, value: &Value| clamped(weigh(value).max(share));
        let weigh_other = move |_: &CacheKey, value: &Value| clamped(weigh(value));
        let others = limits.bytes - of_answers;
        Self {
            answers: Cache::builder().max_capacity(of_answers).weigher(weigh_answer).expire_after(Own).build(),
            others: Cache::builder().max_capacity(others).weigher(weigh_other).expire_after(Own).build(),
            jitter: Jitter::default(),
            answer_lifetime: limits.answer_lifetime,
        }
    }

    fn of(&self, kind: CacheKind) -> &Cache<CacheKey, Value> {
        if kind == CacheKind::Answer { &self.answers } else { &self.others }
    }
}

impl ModelCache for MemoryCache {
    fn get(&self, key: &CacheKey) -> lorekeep_types::Result<Option<Vec<u8>>> {
        let Some(value) = self.of(key.kind).get(key) else { return Ok(None) };
        Ok(Some(unpack(value.bytes.to_vec(), value.packed)?))
    }

    fn puts_at_once(&self) -> bool {
        true
    }

    fn put(&self, key: &CacheKey, value: &[u8], lifetime: Option<Duration>) -> lorekeep_types::Result<()> {
        let (bytes, packed) = pack(value);
        let lifetime = lifetime.or((key.kind == CacheKind::Answer).then_some(self.answer_lifetime));
        let lifetime = lifetime.map(|lifetime| self.jitter.spread(lifetime, &key.hash));
        self.of(key.kind).insert(key.clone(), Value { bytes: Arc::from(bytes.as_ref()), packed, lifetime });
        Ok(())
    }

    fn forget(&self, workspace: Option<&WorkspaceName>, kind: Option<CacheKind>) -> lorekeep_types::Result<u64> {
        let mut forgotten = 0;
        for cache in [&self.answers, &self.others] {
            let is_meant = |key: &CacheKey| {
                workspace.is_none_or(|workspace| key.workspace == *workspace)
                    && kind.is_none_or(|kind| key.kind == kind)
            };
            let meant: Vec<_> = cache.iter().filter(|(key, _)| is_meant(key)).map(|(key, _)| key).collect();
            for key in meant {
                forgotten += u64::from(cache.remove(key.as_ref()).is_some());
            }
        }
        Ok(forgotten)
    }

    fn sizes(&self) -> lorekeep_types::Result<Vec<CacheSize>> {
        // What was put in lately may have to make room yet.
        [&self.answers, &self.others].into_iter().for_each(Cache::run_pending_tasks);
        let mut sizes = CacheKind::ALL.map(|kind| CacheSize { kind, entries: 0, bytes: 0 });
        for (key, value) in self.answers.iter().chain(&self.others) {
            if let Some(size) = sizes.iter_mut().find(|size| size.kind == key.kind) {
                size.entries += 1;
                size.bytes += value.bytes.len() as u64;
            }
        }
        Ok(sizes.into_iter().filter(|size| size.entries > 0).collect())
    }
}
