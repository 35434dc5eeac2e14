//! Reading the truth: one consistent state per [`Reader`].
//!
//! - this file: the transaction and the change log;
//! - [`follow`]: what the views read to build and follow (versions, chunks, mentions, vectors, edges);
//! - [`chunks`]: chunks to show and filters to evaluate;
//! - [`graph`]: entities and relations as users see them.
//!
//! Methods named `each_…` call back per row instead of collecting, so that a rebuild needs no memory for rows.
//! A reader keeps a WAL snapshot alive: hold it for one piece of work, not for a lifetime.

pub(crate) mod chunks;
pub(crate) mod follow;
pub(crate) mod graph;

use rusqlite::Connection;

use super::Truth;
use super::changes::{self, ChangePage};
use crate::error::Result;

/// A read transaction. Dropping it ends it.
pub(crate) struct Reader<'t> {
    truth: &'t Truth,
    /// Always there until `drop`.
    connection: Option<Connection>,
    seq: u64,
}

impl<'t> Reader<'t> {
    pub(super) fn begin(truth: &'t Truth, connection: Connection) -> Result<Self> {
        connection.prepare_cached("BEGIN")?.execute([])?;
        // The first read is what fixes the state that this transaction sees.
        let seq = changes::last_seq(&connection)?;
        Ok(Self { truth, connection: Some(connection), seq })
    }

    /// The last change that this reader sees.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// At most `limit` changes after `seq`.
    pub(crate) fn changes_after(&self, seq: u64, limit: usize) -> Result<ChangePage> {
        changes::after(self.sql()?, seq, limit)
    }

    pub(super) fn sql(&self) -> Result<&Connection> {
        self.connection
            .as_ref()
            .ok_or_else(|| crate::error::StoreError::Damaged("a reader was used after its end".to_owned()))
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let ended = connection.prepare_cached("ROLLBACK").and_then(|mut statement| statement.execute([]));
            // A connection whose transaction could not be ended is closed instead of reused.
            if ended.is_ok() {
                self.truth.readers.give_back(connection);
            }
        }
    }
}
