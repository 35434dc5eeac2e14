//! Results of model calls, in a file of their own: [`lorekeep_types::ModelCache`] over SQLite.
//!
//! The file can be deleted at any time while nobody holds the folder. It is not synced at every write: what a power cut
//! takes is paid for again.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lorekeep_types::{CacheKey, CacheKind, CacheSize, Clock, ModelCache, WorkspaceName};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::error::Result;
use crate::format::Format;
use crate::truth::connection::{Place, Readers};

/// Its mark is "LorC".
const FORMAT: Format = Format { name: "cache", mark: 0x4C6F_7243, steps: &[include_str!("schema/0001.sql")] };

/// The cache of one data folder.
pub struct SqliteCache {
    writer: Mutex<Connection>,
    readers: Readers,
    clock: Arc<dyn Clock>,
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
    pub fn open(folder: &Path, clock: Arc<dyn Clock>) -> lorekeep_types::Result<Self> {
        Ok(Self::at(Place::File(folder.join("cache.sqlite")), clock)?)
    }

    /// A cache without a file.
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn in_memory(clock: Arc<dyn Clock>) -> lorekeep_types::Result<Self> {
        Ok(Self::at(Place::memory(), clock)?)
    }

    fn at(place: Place, clock: Arc<dyn Clock>) -> Result<Self> {
        let mut connection = place.writer()?;
        connection.pragma_update(None, "synchronous", "normal")?;
        FORMAT.migrate(&mut connection)?;
        Ok(Self { writer: Mutex::new(connection), readers: Readers::new(place), clock })
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let connection = self.readers.take()?;
        let outcome = read(&connection)?;
        self.readers.give_back(connection);
        Ok(outcome)
    }

    fn find(&self, key: &CacheKey) -> Result<Option<Vec<u8>>> {
        let now = self.clock.now_ms();
        self.read(|sql| {
            let mut find = sql.prepare_cached(
                "SELECT value FROM entries WHERE workspace = ?1 AND kind = ?2 AND hash = ?3 AND coalesce(expires > ?4, 1)",
            )?;
            let bound = params![key.workspace.as_str(), key.kind.name(), key.hash.as_slice(), now];
            Ok(find.query_row(bound, |row| row.get(0)).optional()?)
        })
    }

    fn keep(&self, key: &CacheKey, value: &[u8], lifetime: Option<Duration>) -> Result<()> {
        let now = self.clock.now_ms();
        let lifetime = lifetime.map(|lifetime| i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX));
        let expires = lifetime.map(|lifetime| now.saturating_add(lifetime));
        let sql = self.writer();
        let mut put = sql.prepare_cached(
            "INSERT INTO entries (workspace, kind, hash, value, used_at, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (workspace, kind, hash) DO UPDATE
             SET value = excluded.value, used_at = excluded.used_at, expires = excluded.expires",
        )?;
        let bound = params![key.workspace.as_str(), key.kind.name(), key.hash.as_slice(), value, now, expires];
        put.execute(bound)?;
        Ok(())
    }

    fn remove(&self, workspace: Option<&WorkspaceName>, kind: Option<CacheKind>) -> Result<u64> {
        let sql = self.writer();
        let mut remove = sql.prepare_cached(
            "DELETE FROM entries WHERE workspace = coalesce(?1, workspace) AND kind = coalesce(?2, kind)",
        )?;
        let removed = remove.execute(params![workspace.map(WorkspaceName::as_str), kind.map(CacheKind::name)])?;
        Ok(removed as u64)
    }

    fn measure(&self) -> Result<Vec<CacheSize>> {
        self.read(|sql| {
            let mut measure = sql.prepare_cached(
                "SELECT count(*), coalesce(sum(length(value)), 0) FROM entries WHERE kind = ?1 HAVING count(*) > 0",
            )?;
            let mut sizes = Vec::new();
            for kind in CacheKind::ALL {
                let size = |row: &rusqlite::Row<'_>| Ok(CacheSize { kind, entries: row.get(0)?, bytes: row.get(1)? });
                sizes.extend(measure.query_row([kind.name()], size).optional()?);
            }
            Ok(sizes)
        })
    }
}

impl ModelCache for SqliteCache {
    fn get(&self, key: &CacheKey) -> lorekeep_types::Result<Option<Vec<u8>>> {
        Ok(self.find(key)?)
    }

    fn put(&self, key: &CacheKey, value: &[u8], lifetime: Option<Duration>) -> lorekeep_types::Result<()> {
        Ok(self.keep(key, value, lifetime)?)
    }

    fn forget(&self, workspace: Option<&WorkspaceName>, kind: Option<CacheKind>) -> lorekeep_types::Result<u64> {
        Ok(self.remove(workspace, kind)?)
    }

    fn sizes(&self) -> lorekeep_types::Result<Vec<CacheSize>> {
        Ok(self.measure()?)
    }
}
