//! Results of model calls: [`lorekeep_types::ModelCache`] over a file of SQLite, or in memory ([`memory`]).
//!
//! The file can be deleted at any time while nobody holds the folder. It is not synced at every write, and is written
//! behind the caller's back ([`writer`]): what a crash takes is paid for again.

mod limits;
mod memory;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use lorekeep_types::{CacheKey, CacheKind, CacheSize, Clock, ModelCache, WorkspaceName};
use rusqlite::{Connection, OptionalExtension as _, params};

pub use self::limits::CacheLimits;
use self::limits::{Jitter, pack, unpack};
pub use self::memory::MemoryCache;
use self::writer::{Desk, Waiting};
use crate::error::{Result, StoreError};
use crate::format::Format;
use crate::truth::connection::{Place, Readers};

/// Its mark is "LorC".
const FORMAT: Format = Format {
    name: "cache",
    mark: 0x4C6F_7243,
    steps: &[include_str!("schema/0001.sql"), include_str!("schema/0002.sql")],
};

/// A use is written down when the last one written is older than this, in milliseconds.
const TOUCH_AFTER_MS: i64 = 60_000;

/// The cache of one data folder. Dropping it waits until everything that was put is written.
pub struct SqliteCache {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
    readers: Readers,
    clock: Arc<dyn Clock>,
    jitter: Jitter,
    answer_lifetime: Duration,
}

impl fmt::Debug for SqliteCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteCache").finish_non_exhaustive()
    }
}

impl SqliteCache {
    /// Opens the cache in `folder`, creating it.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer release.
    pub fn open(folder: &Path, clock: Arc<dyn Clock>, limits: CacheLimits) -> lorekeep_types::Result<Self> {
        Ok(Self::at(Place::File(folder.join("cache.sqlite")), clock, limits)?)
    }

    /// A cache without a file, as it would be in one.
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn in_memory(clock: Arc<dyn Clock>, limits: CacheLimits) -> lorekeep_types::Result<Self> {
        Ok(Self::at(Place::memory(), clock, limits)?)
    }

    fn at(place: Place, clock: Arc<dyn Clock>, limits: CacheLimits) -> Result<Self> {
        let mut connection = place.writer()?;
        connection.pragma_update(None, "synchronous", "normal")?;
        FORMAT.migrate(&mut connection)?;
        let desk = Arc::new(Desk::new(connection, Arc::clone(&clock), limits));
        let worker = Arc::clone(&desk);
        let thread = std::thread::Builder::new()
            .name("cache".to_owned())
            .spawn(move || worker.run())
            .map_err(|source| StoreError::Io { action: "start the thread of", path: place.path(), source })?;
        let (jitter, answer_lifetime) = (Jitter::default(), limits.answer_lifetime);
        Ok(Self { desk, thread: Some(thread), readers: Readers::new(place), clock, jitter, answer_lifetime })
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let connection = self.readers.take()?;
        let outcome = read(&connection)?;
        self.readers.give_back(connection);
        Ok(outcome)
    }

    fn find(&self, key: &CacheKey) -> Result<Option<Vec<u8>>> {
        let now = self.clock.now_ms();
        if let Some(waiting) = self.desk.waiting(key) {
            let is_alive = waiting.expires.is_none_or(|expires| expires > now);
            return if is_alive { unpack(waiting.value, waiting.packed).map(Some) } else { Ok(None) };
        }
        let found = self.read(|sql| {
            let mut find = sql.prepare_cached(
                "SELECT value, packed, used_at FROM entries WHERE workspace = ?1 AND kind = ?2 AND hash = ?3
                 AND coalesce(expires > ?4, 1)",
            )?;
            let bound = params![key.workspace.as_str(), key.kind.name(), key.hash.as_slice(), now];
            Ok(find.query_row(bound, |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, i64>(2)?))).optional()?)
        })?;
        let Some((value, packed, used_at)) = found else { return Ok(None) };
        if used_at < now - TOUCH_AFTER_MS {
            self.desk.touch(key.clone());
        }
        unpack(value, packed).map(Some)
    }
}

impl Drop for SqliteCache {
    fn drop(&mut self) {
        self.desk.stop();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the cache panicked");
        }
    }
}

impl ModelCache for SqliteCache {
    fn get(&self, key: &CacheKey) -> lorekeep_types::Result<Option<Vec<u8>>> {
        Ok(self.find(key)?)
    }

    fn puts_at_once(&self) -> bool {
        self.desk.has_room()
    }

    /// The value can be got at once, and is written soon.
    fn put(&self, key: &CacheKey, value: &[u8], lifetime: Option<Duration>) -> lorekeep_types::Result<()> {
        let lifetime = lifetime.or((key.kind == CacheKind::Answer).then_some(self.answer_lifetime));
        let lifetime = lifetime.map(|lifetime| self.jitter.spread(lifetime, &key.hash).as_millis());
        let lifetime = lifetime.map(|lifetime| i64::try_from(lifetime).unwrap_or(i64::MAX));
        let used_at = self.clock.now_ms();
        let (value, packed) = pack(value);
        let expires = lifetime.map(|lifetime| used_at.saturating_add(lifetime));
        self.desk.put(key.clone(), Waiting { value: value.into_owned(), packed, used_at, expires });
        Ok(())
    }

    fn forget(&self, workspace: Option<&WorkspaceName>, kind: Option<CacheKind>) -> lorekeep_types::Result<u64> {
        Ok(self.desk.forget(workspace, kind)?)
    }

    fn sizes(&self) -> lorekeep_types::Result<Vec<CacheSize>> {
        self.desk.write_waiting()?;
        Ok(self.read(writer::sizes)?)
    }
}
