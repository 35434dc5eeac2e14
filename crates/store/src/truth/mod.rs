//! The truth of one workspace: one SQLite file, one writer, many readers.
//!
//! Everything else in this crate is derived from it. Writes go through [`Truth::write`], one transaction each;
//! reads through [`Truth::read`], a [`Reader`] that holds one consistent state until it is dropped. What
//! followers need to know is in [`changes`]; what they can ask is in [`reader`].

pub(crate) mod archive;
pub(crate) mod changes;
mod check;
mod commit;
pub(crate) mod connection;
mod delete;
mod documents;
mod filter;
mod fresh;
mod graph;
mod graph_edit;
mod graph_jobs;
mod items;
mod jobs;
mod merge;
mod names;
pub(crate) mod reader;
mod resolve;
pub(crate) mod schema;
mod sentences;
mod settings;
mod settle;
mod summaries;
mod vectors;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use self::changes::ChangeKind;
use self::connection::{Place, Readers};
use self::reader::Reader;
use crate::error::{Result, StoreError};

/// See the module's text. Shared behind an `Arc` by the workspace and its views.
#[derive(Debug)]
pub(crate) struct Truth {
    name: String,
    writer: Mutex<Connection>,
    readers: Readers,
    /// The last change that was committed.
    seq: AtomicU64,
    /// Transactions committed since it was opened, those without a log entry included.
    writes: AtomicU64,
    /// Set when the workspace is removed while somebody still holds it.
    closed: AtomicBool,
}

impl Truth {
    /// Opens the truth at `place`, creating or migrating it.
    pub(crate) fn open(name: &str, place: Place) -> Result<Self> {
        let mut writer = place.writer()?;
        schema::FORMAT.migrate(&mut writer)?;
        let seq = changes::last_seq(&writer)?;
        Ok(Self {
            name: name.to_owned(),
            readers: Readers::new(place),
            writer: Mutex::new(writer),
            seq: AtomicU64::new(seq),
            writes: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        })
    }

    /// The last committed change.
    pub(crate) fn seq(&self) -> u64 {
        self.seq.load(Ordering::Acquire)
    }

    /// Number of transactions committed since it was opened: what was read before it grew may be out of date.
    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Acquire)
    }

    /// Starts a read transaction: the reader sees the state of this moment for as long as it lives.
    pub(crate) fn read(&self) -> Result<Reader<'_>> {
        self.check_open()?;
        Reader::begin(self, self.readers.take()?)
    }

    /// Runs `work` in one transaction; its changes and the log entries it records become durable together.
    /// On an error nothing was written.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&mut Writing<'_>) -> Result<T>) -> Result<T> {
        self.check_open()?;
        let mut connection = self.writer();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut writing = Writing { transaction, changes: Vec::new() };
        let outcome = work(&mut writing)?;
        let Writing { transaction, changes } = writing;
        let seq = if changes.is_empty() { None } else { Some(changes::append(&transaction, &changes)?) };
        transaction.commit()?;
        self.writes.fetch_add(1, Ordering::AcqRel);
        if let Some(seq) = seq {
            self.seq.store(seq, Ordering::Release);
        }
        Ok(outcome)
    }

    /// Makes every later call fail with `NotFound`.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.readers.clear();
    }

    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::NotFound { kind: "workspace", name: self.name.clone() });
        }
        Ok(())
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        // A panic inside a transaction rolled it back, so the connection behind a poisoned lock is sound.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transaction in progress and the log entries it will leave.
pub(crate) struct Writing<'t> {
    transaction: Transaction<'t>,
    changes: Vec<ChangeKind>,
}

impl<'t> Writing<'t> {
    /// Records a log entry.
    fn changed(&mut self, kind: ChangeKind) {
        self.changes.push(kind);
    }

    fn sql(&self) -> &Transaction<'t> {
        &self.transaction
    }
}
