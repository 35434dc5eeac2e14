//! The cache: values come back over a restart, expire, and are forgotten by workspace and kind.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use lorekeep_store::{CacheLimits, MemoryCache, SqliteCache};
use lorekeep_types::{CacheKey, CacheKind, CacheSize, Clock, ModelCache, WorkspaceName};

#[derive(Default)]
struct Hands(AtomicI64);

impl Clock for Hands {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn workspace(name: &str) -> WorkspaceName {
    WorkspaceName::parse(name).unwrap()
}

fn key(kind: CacheKind, name: &str, part: &str) -> CacheKey {
    CacheKey::new(kind, &workspace(name), [part.as_bytes()])
}

#[test]
fn values_outlive_the_process_and_end_with_their_lifetime() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hands::default());
    let (kept, brief) = (key(CacheKind::Extraction, "a", "kept"), key(CacheKind::Answer, "a", "brief"));
    {
        let cache = SqliteCache::open(folder.path(), clock.clone(), CacheLimits::default()).unwrap();
        cache.put(&kept, b"first", None).unwrap();
        cache.put(&kept, b"second", None).unwrap();
        cache.put(&brief, b"soon gone", Some(Duration::from_secs(1))).unwrap();
    }
    let cache = SqliteCache::open(folder.path(), clock.clone(), CacheLimits::default()).unwrap();
    assert_eq!(cache.get(&kept).unwrap().as_deref(), Some(&b"second"[..]));
    assert_eq!(cache.get(&brief).unwrap().as_deref(), Some(&b"soon gone"[..]));
    clock.0.store(1_101, Ordering::Relaxed);
    assert_eq!(cache.get(&brief).unwrap(), None);
    assert!(cache.get(&kept).unwrap().is_some());
}

#[test]
fn workspaces_share_nothing_and_are_forgotten_apart() {
    forgets(&SqliteCache::in_memory(Arc::new(Hands::default()), CacheLimits::default()).unwrap());
    forgets(&MemoryCache::new(CacheLimits::default()));
}

fn forgets(cache: &dyn ModelCache) {
    cache.put(&key(CacheKind::Answer, "a", "q"), b"of a", None).unwrap();
    assert_eq!(cache.get(&key(CacheKind::Answer, "b", "q")).unwrap(), None);
    cache.put(&key(CacheKind::Answer, "b", "q"), b"of b", None).unwrap();
    cache.put(&key(CacheKind::Summary, "b", "q"), b"short", None).unwrap();
    let answers = CacheSize { kind: CacheKind::Answer, entries: 2, bytes: 8 };
    assert!(cache.sizes().unwrap().contains(&answers));
    assert_eq!(cache.forget(Some(&workspace("b")), Some(CacheKind::Answer)).unwrap(), 1);
    assert!(cache.get(&key(CacheKind::Answer, "a", "q")).unwrap().is_some());
    assert!(cache.get(&key(CacheKind::Summary, "b", "q")).unwrap().is_some());
    assert_eq!(cache.forget(None, None).unwrap(), 2);
    assert_eq!(cache.sizes().unwrap(), []);
}

#[test]
fn long_values_take_less_room_and_come_back_whole() {
    for cache in [
        &SqliteCache::in_memory(Arc::new(Hands::default()), CacheLimits::default()).unwrap() as &dyn ModelCache,
        &MemoryCache::new(CacheLimits::default()),
    ] {
        let value = "entities and relations ".repeat(500);
        let key = key(CacheKind::Extraction, "a", "long");
        cache.put(&key, value.as_bytes(), None).unwrap();
        assert!(cache.sizes().unwrap()[0].bytes < 1_000);
        assert_eq!(cache.get(&key).unwrap().as_deref(), Some(value.as_bytes()));
    }
}

fn numbered(kind: CacheKind, number: u32) -> CacheKey {
    key(kind, "a", &number.to_string())
}

#[test]
fn what_was_not_used_for_longest_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hands::default());
    let limits = CacheLimits { entries: 100, ..CacheLimits::default() };
    let cache = SqliteCache::open(folder.path(), clock.clone(), limits).unwrap();
    for number in 0..100 {
        clock.0.store(i64::from(number), Ordering::Relaxed);
        cache.put(&numbered(CacheKind::Embedding, number), &[0; 16], None).unwrap();
    }
    cache.sizes().unwrap();
    // The oldest is used again, much later.
    clock.0.store(3_600_000, Ordering::Relaxed);
    assert!(cache.get(&numbered(CacheKind::Embedding, 0)).unwrap().is_some());
    cache.put(&numbered(CacheKind::Embedding, 100), &[0; 16], None).unwrap();
    let left = cache.sizes().unwrap()[0].entries;
    assert!((90..=100).contains(&left), "{left}");
    let is_there = |number| cache.get(&numbered(CacheKind::Embedding, number)).unwrap().is_some();
    assert!(is_there(0) && is_there(100) && is_there(99));
    assert!(!is_there(1));
}

#[test]
fn bytes_and_answers_have_limits_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hands::default());
    let limits = CacheLimits { bytes: 10_000, answers: 5, ..CacheLimits::default() };
    let cache = SqliteCache::open(folder.path(), clock.clone(), limits).unwrap();
    for number in 0..50 {
        clock.0.store(i64::from(number), Ordering::Relaxed);
        cache.put(&numbered(CacheKind::Answer, number), &[0; 100], None).unwrap();
        cache.put(&numbered(CacheKind::Extraction, number), &[0; 100], None).unwrap();
    }
    let of = |kind| cache.sizes().unwrap().iter().find(|size| size.kind == kind).map_or(0, |size| size.entries);
    assert_eq!((of(CacheKind::Answer), of(CacheKind::Extraction)), (5, 50));
    let random: Vec<u8> = (0_u32..400)
        .flat_map(|at| {
            *CacheKey::new(CacheKind::Answer, &workspace("a"), [&at.to_le_bytes()[..]])
                .hash
                .first_chunk::<16>()
                .unwrap()
        })
        .collect();
    cache.put(&numbered(CacheKind::Summary, 0), &random, None).unwrap();
    let bytes: u64 = cache.sizes().unwrap().iter().map(|size| size.bytes).sum();
    assert!(bytes <= 10_000, "{bytes}");
    assert!(cache.get(&numbered(CacheKind::Summary, 0)).unwrap().is_some());
}

#[test]
fn a_value_can_be_got_before_it_is_written_and_answers_do_not_live_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hands::default());
    let cache = SqliteCache::open(folder.path(), clock.clone(), CacheLimits::default()).unwrap();
    for number in 0..1_000 {
        let key = numbered(CacheKind::Answer, number);
        cache.put(&key, &number.to_le_bytes(), None).unwrap();
        assert_eq!(cache.get(&key).unwrap().as_deref(), Some(&number.to_le_bytes()[..]));
    }
    clock.0.store(3_600_000 * 11 / 10 + 1, Ordering::Relaxed);
    assert_eq!(cache.get(&numbered(CacheKind::Answer, 7)).unwrap(), None);
}

#[test]
fn a_memory_cache_forgets_what_it_has_no_room_for() {
    let cache = MemoryCache::new(CacheLimits { bytes: 10_000, ..CacheLimits::default() });
    for number in 0..1_000 {
        cache.put(&numbered(CacheKind::Embedding, number), &[7; 100], None).unwrap();
    }
    // Room is made behind the caller's back; looking asks for it to be done.
    let kept =
        (0..1_000).filter(|number| cache.get(&numbered(CacheKind::Embedding, *number)).unwrap().is_some()).count();
    assert!(kept < 1_000, "{kept}");
    let brief = key(CacheKind::Answer, "a", "brief");
    cache.put(&brief, b"gone", Some(Duration::ZERO)).unwrap();
    assert_eq!(cache.get(&brief).unwrap(), None);
}

#[test]
fn answers_in_memory_are_limited_in_number_and_in_bytes() {
    let kept = |limits: CacheLimits, bytes: usize| {
        let cache = MemoryCache::new(limits);
        for number in 0..200_u32 {
            // What looks random cannot be packed.
            let mut value = vec![0; bytes];
            blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut value);
            cache.put(&numbered(CacheKind::Answer, number), &value, None).unwrap();
        }
        cache.sizes().unwrap().first().map_or(0, |size| size.entries)
    };
    let few = kept(CacheLimits { answers: 10, ..CacheLimits::default() }, 10);
    assert!((1..=10).contains(&few), "{few}");
    let small = kept(CacheLimits { bytes: 40_000, ..CacheLimits::default() }, 1_000);
    assert!((1..=10).contains(&small), "{small}");
}
