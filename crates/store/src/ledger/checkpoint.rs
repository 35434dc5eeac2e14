//! The thread that brings what the ledger has logged into its file, so that no call waits for the disk.
//!
//! SQLite would do it within a commit, with three syncs, once per thousand pages: at some hundred calls per second most
//! of the slow calls are slow for that.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;

use crate::error::{Result, StoreError};
use crate::truth::connection::Place;

/// Tasks between two rounds. Each changes some four pages, so that about 64 MB are logged.
const EVERY: usize = 4_000;

/// Pages (of 4 KiB) of the log above which writers have to wait until all of it is in the file and it can begin anew:
/// while they write without a pause, no round finds an end.
const MOST_PAGES: i64 = 32_768;

/// How long they wait at most for somebody who still reads an older state, such as a long export. Without an end in this
/// time it is tried again with the next round.
const PATIENCE: Duration = Duration::from_millis(500);

/// The thread and the way to it.
#[derive(Debug)]
pub(super) struct Checkpoints {
    /// There until `drop`.
    rounds: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    tasks: usize,
}

impl Checkpoints {
    /// Takes the work over from `writer`. A ledger in memory has no log, and no thread.
    pub(super) fn start(writer: &Connection, place: &Place) -> Result<Self> {
        if !matches!(place, Place::File(_)) {
            return Ok(Self { rounds: None, thread: None, tasks: 0 });
        }
        writer.pragma_update(None, "wal_autocheckpoint", 0)?;
        let connection = place.writer()?;
        connection.pragma_update(None, "synchronous", "normal")?;
        connection.busy_timeout(PATIENCE)?;
        let (rounds, asked) = mpsc::sync_channel(1);
        let thread = thread::Builder::new()
            .name("ledger-file".to_owned())
            .spawn(move || run(&connection, &asked))
            .map_err(|source| StoreError::Io { action: "start a thread for", path: place.path(), source })?;
        Ok(Self { rounds: Some(rounds), thread: Some(thread), tasks: 0 })
    }

    /// Counts tasks that were committed; asks for a round when it is time.
    pub(super) fn written(&mut self, tasks: usize) {
        self.tasks += tasks;
        if let Some(rounds) = self.rounds.as_ref().filter(|_| self.tasks >= EVERY) {
            // A full channel means that one is asked for already.
            let _ = rounds.try_send(());
            self.tasks = 0;
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.rounds = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the ledger's file panicked");
        }
    }
}

fn run(connection: &Connection, asked: &Receiver<()>) {
    while asked.recv().is_ok() {
        let round = checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)").and_then(|logged| {
            if logged > MOST_PAGES { checkpoint(connection, "PRAGMA wal_checkpoint(RESTART)") } else { Ok(logged) }
        });
        if let Err(error) = round {
            tracing::warn!(%error, "the log of the ledger could not be brought into its file; it is tried again later");
        }
    }
}

/// Pages in the log.
fn checkpoint(connection: &Connection, sql: &str) -> rusqlite::Result<i64> {
    connection.query_row(sql, [], |row| row.get(1))
}
