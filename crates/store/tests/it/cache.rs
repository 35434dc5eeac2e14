//! The cache: values come back over a restart, expire, and are forgotten by workspace and kind.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use lorekeep_store::SqliteCache;
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
        let cache = SqliteCache::open(folder.path(), clock.clone()).unwrap();
        cache.put(&kept, b"first", None).unwrap();
        cache.put(&kept, b"second", None).unwrap();
        cache.put(&brief, b"soon gone", Some(Duration::from_secs(1))).unwrap();
    }
    let cache = SqliteCache::open(folder.path(), clock.clone()).unwrap();
    assert_eq!(cache.get(&kept).unwrap().as_deref(), Some(&b"second"[..]));
    assert_eq!(cache.get(&brief).unwrap().as_deref(), Some(&b"soon gone"[..]));
    clock.0.store(1_000, Ordering::Relaxed);
    assert_eq!(cache.get(&brief).unwrap(), None);
    assert!(cache.get(&kept).unwrap().is_some());
}

#[test]
fn workspaces_share_nothing_and_are_forgotten_apart() {
    let cache = SqliteCache::in_memory(Arc::new(Hands::default())).unwrap();
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
