//! What writes the cache: values wait in memory, where they can be got already, until a thread of its own writes all
//! that wait in one transaction and makes room where there is too much.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lorekeep_types::{CacheKey, CacheKind, CacheSize, Clock, WorkspaceName};
use rusqlite::{Connection, params};

use super::limits::CacheLimits;
use crate::error::Result;

/// Bytes that may wait; whoever puts more waits for them to be written …
const MOST_WAITING: usize = 32 << 20;
/// … at most this long, after which the value is not kept.
const PATIENCE: Duration = Duration::from_secs(5);
/// Uses that are written down together, and most that wait.
const TOUCHES: usize = 256;
const MOST_TOUCHES: usize = 8_192;
/// Where there is too much, a further part in this many goes, so that not every value makes room for itself.
const SPARE: u64 = 20;

/// A value to be written.
#[derive(Clone)]
pub(super) struct Waiting {
    pub(super) value: Vec<u8>,
    pub(super) packed: bool,
    pub(super) used_at: i64,
    pub(super) expires: Option<i64>,
}

#[derive(Default)]
struct Queue {
    values: HashMap<CacheKey, Waiting>,
    bytes: usize,
    touched: HashSet<CacheKey>,
    /// Being written at this moment.
    writing: Arc<HashMap<CacheKey, Waiting>>,
    stopping: bool,
}

/// The connection that writes, and what waits for it. Where both are locked, the connection comes first: what is being
/// forgotten cannot come back out of the queue.
pub(super) struct Desk {
    sql: Mutex<Connection>,
    queue: Mutex<Queue>,
    wake: Condvar,
    room: Condvar,
    clock: Arc<dyn Clock>,
    limits: CacheLimits,
}

impl Desk {
    pub(super) fn new(connection: Connection, clock: Arc<dyn Clock>, limits: CacheLimits) -> Self {
        Self {
            sql: Mutex::new(connection),
            queue: Mutex::default(),
            wake: Condvar::new(),
            room: Condvar::new(),
            clock,
            limits,
        }
    }

    /// Writes until it is stopped and nothing waits.
    pub(super) fn run(&self) {
        loop {
            let mut queue = self.queue();
            while queue.values.is_empty() && queue.touched.len() < TOUCHES && !queue.stopping {
                queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            let is_last = queue.stopping;
            drop(queue);
            if let Err(error) = self.write_waiting() {
                tracing::warn!(%error, "results of model calls could not be kept");
            }
            if is_last {
                return;
            }
        }
    }

    pub(super) fn stop(&self) {
        self.queue().stopping = true;
        self.wake.notify_all();
    }

    /// Whether there is room for many more values.
    pub(super) fn has_room(&self) -> bool {
        self.queue().bytes <= MOST_WAITING / 2
    }

    pub(super) fn put(&self, key: CacheKey, value: Waiting) {
        let bytes = value.value.len();
        let queue = self.queue();
        let is_full = |queue: &mut Queue| queue.bytes > 0 && queue.bytes + bytes > MOST_WAITING;
        let waited = self.room.wait_timeout_while(queue, PATIENCE, is_full);
        let (mut queue, outcome) = waited.unwrap_or_else(PoisonError::into_inner);
        if outcome.timed_out() {
            tracing::warn!("the cache is written too slowly; a result was not kept");
            return;
        }
        queue.bytes += bytes;
        if let Some(former) = queue.values.insert(key, value) {
            queue.bytes -= former.value.len();
        }
        self.wake.notify_all();
    }

    pub(super) fn touch(&self, key: CacheKey) {
        let mut queue = self.queue();
        if queue.touched.len() < MOST_TOUCHES {
            queue.touched.insert(key);
        }
        if queue.touched.len() >= TOUCHES {
            self.wake.notify_all();
        }
    }

    /// A value that is not written yet.
    pub(super) fn waiting(&self, key: &CacheKey) -> Option<Waiting> {
        let queue = self.queue();
        queue.values.get(key).or_else(|| queue.writing.get(key)).cloned()
    }

    /// Writes what waits; what cannot be written is dropped.
    pub(super) fn write_waiting(&self) -> Result<()> {
        let mut sql = self.sql();
        let (values, touched) = {
            let mut queue = self.queue();
            queue.writing = Arc::new(mem::take(&mut queue.values));
            queue.bytes = 0;
            (Arc::clone(&queue.writing), mem::take(&mut queue.touched))
        };
        self.room.notify_all();
        let written = self.write(&mut sql, &values, &touched);
        self.queue().writing = Arc::default();
        written
    }

    fn write(
        &self,
        sql: &mut Connection,
        values: &HashMap<CacheKey, Waiting>,
        touched: &HashSet<CacheKey>,
    ) -> Result<()> {
        let now = self.clock.now_ms();
        let transaction = sql.transaction()?;
        {
            let mut touch = transaction
                .prepare_cached("UPDATE entries SET used_at = ?4 WHERE workspace = ?1 AND kind = ?2 AND hash = ?3")?;
            for key in touched {
                touch.execute(params![key.workspace.as_str(), key.kind.name(), key.hash.as_slice(), now])?;
            }
            let mut put = transaction.prepare_cached(
                "INSERT INTO entries (workspace, kind, hash, value, packed, used_at, expires)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (workspace, kind, hash) DO UPDATE SET
                 value = excluded.value, packed = excluded.packed, used_at = excluded.used_at, expires = excluded.expires",
            )?;
            for (key, one) in values {
                let place = (key.workspace.as_str(), key.kind.name(), key.hash.as_slice());
                put.execute(params![place.0, place.1, place.2, one.value, one.packed, one.used_at, one.expires])?;
            }
        }
        if !values.is_empty() {
            self.make_room(&transaction, now)?;
        }
        Ok(transaction.commit()?)
    }

    /// Removes what is past its lifetime, then what was not used for longest, until the limits are kept.
    fn make_room(&self, sql: &Connection, now: i64) -> Result<()> {
        sql.prepare_cached("DELETE FROM entries WHERE expires <= ?1")?.execute([now])?;
        let answers = sizes(sql)?.iter().find(|size| size.kind == CacheKind::Answer).map_or(0, |size| size.entries);
        if answers > self.limits.answers {
            let excess = answers - self.limits.answers + self.limits.answers / SPARE;
            sql.prepare_cached(
                "DELETE FROM entries WHERE id IN
                 (SELECT id FROM entries WHERE kind = 'answer' ORDER BY used_at LIMIT ?1)",
            )?
            .execute([excess])?;
        }
        loop {
            let (entries, bytes) = sizes(sql)?.iter().fold((0, 0), |sum, one| (sum.0 + one.entries, sum.1 + one.bytes));
            if entries == 0 || (entries <= self.limits.entries && bytes <= self.limits.bytes) {
                return Ok(());
            }
            let excess = entries.saturating_sub(self.limits.entries) + (entries / SPARE).max(1);
            sql.prepare_cached("DELETE FROM entries WHERE id IN (SELECT id FROM entries ORDER BY used_at LIMIT ?1)")?
                .execute([excess])?;
        }
    }

    /// Removes values, those that wait included.
    pub(super) fn forget(&self, workspace: Option<&WorkspaceName>, kind: Option<CacheKind>) -> Result<u64> {
        self.write_waiting()?;
        let sql = self.sql();
        let is_kept = |key: &CacheKey| {
            workspace.is_some_and(|workspace| key.workspace != *workspace) || kind.is_some_and(|kind| key.kind != kind)
        };
        let mut queue = self.queue();
        let before = queue.values.len();
        queue.values.retain(|key, _| is_kept(key));
        queue.bytes = queue.values.values().map(|one| one.value.len()).sum();
        let waited = before - queue.values.len();
        drop(queue);
        self.room.notify_all();
        let mut remove = sql.prepare_cached(
            "DELETE FROM entries WHERE workspace = coalesce(?1, workspace) AND kind = coalesce(?2, kind)",
        )?;
        let removed = remove.execute(params![workspace.map(WorkspaceName::as_str), kind.map(CacheKind::name)])?;
        Ok((removed + waited) as u64)
    }

    fn sql(&self) -> MutexGuard<'_, Connection> {
        self.sql.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is written, by kind.
pub(super) fn sizes(sql: &Connection) -> Result<Vec<CacheSize>> {
    let mut measure = sql.prepare_cached("SELECT entries, bytes FROM totals WHERE kind = ?1 AND entries > 0")?;
    let mut sizes = Vec::new();
    for kind in CacheKind::ALL {
        let mut rows = measure.query([kind.name()])?;
        if let Some(row) = rows.next()? {
            sizes.push(CacheSize { kind, entries: row.get(0)?, bytes: row.get(1)? });
        }
    }
    Ok(sizes)
}
