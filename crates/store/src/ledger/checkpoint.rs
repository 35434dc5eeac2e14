//! The thread that brings what the ledger has logged into its file, so that no call waits for the disk.
//!
//! SQLite would do it within a commit, with three syncs, once per thousand pages: at some hundred calls per second most
//! of the slow calls are slow for that. A sync holds writers up from another thread as well, by milliseconds for each
//! megabyte that was logged, so that it waits for a moment in which nobody calls, and is otherwise rare.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::Connection;

use crate::error::{Result, StoreError};
use crate::truth::connection::Place;

/// Tasks between two rounds where calls never rest. Each changes some four pages, so that about 64 MB are logged.
const EVERY: usize = 16_000;

/// Tasks that are worth a round when calls rest, and how long that is.
const AT_REST: usize = 500;
pub(super) const REST: Duration = Duration::from_millis(300);

/// Pages of the log (128 MB; four times that in a ledger of before, whose pages are of 4 KiB) above which writers have to
/// wait until all of it is in the file and it can begin anew: while they write without a pause, no round finds an end.
const MOST_PAGES: i64 = 131_072;

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
        if self.tasks >= EVERY {
            self.ask();
        }
    }

    /// Whether a moment in which nobody calls is worth waiting for.
    pub(super) fn wait_for_rest(&self) -> bool {
        self.rounds.is_some() && self.tasks >= AT_REST
    }

    /// Asks for a round.
    pub(super) fn ask(&mut self) {
        if let Some(rounds) = &self.rounds {
            // A full channel means that one is asked for already.
            let _ = rounds.try_send(());
        }
        self.tasks = 0;
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
        if let Err(error) = round(connection) {
            tracing::warn!(%error, "the log of the ledger could not be brought into its file; it is tried again later");
        }
    }
}

fn round(connection: &Connection) -> rusqlite::Result<()> {
    const BESIDE: &str = "PRAGMA wal_checkpoint(PASSIVE)";
    if checkpoint(connection, BESIDE)? > MOST_PAGES {
        // What was logged meanwhile is little; what writers wait for is less still.
        checkpoint(connection, BESIDE)?;
        checkpoint(connection, "PRAGMA wal_checkpoint(RESTART)")?;
    }
    Ok(())
}

/// Pages in the log.
fn checkpoint(connection: &Connection, sql: &str) -> rusqlite::Result<i64> {
    connection.query_row(sql, [], |row| row.get(1))
}
