//! The one thread that writes the ledger's file: what was decided and is in the journal, in groups, some milliseconds
//! later; and whatever is asked of it, after everything that was recorded before.

use std::fs::File;
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lorekeep_types::{Error, ErrorCode};
use rusqlite::Connection;

use super::calls::Desk;
use super::checkpoint::{Checkpoints, REST};
use super::journal::Journal;
use super::record::{Change, Record};
use crate::error::{Result, StoreError};
use crate::truth::connection::Place;

/// How long records wait for company: each group is one commit, and a call that began and ended meanwhile one row written
/// once.
const PATIENCE: Duration = Duration::from_millis(25);

/// How long the thread waits after a failure before it tries again.
const PAUSE: Duration = Duration::from_secs(1);

/// Calls are refused while so many records wait; calls that were admitted are always closed.
const MOST_WAITING: usize = 10_000;

/// Tells whoever asked how it went, given why the transaction failed if it did.
type Answer = Box<dyn FnOnce(Option<&StoreError>) + Send>;

/// Does what was asked if there is a desk for it; `false` when it failed and has to be undone.
type Question = Box<dyn FnOnce(Option<&Desk<'_>>) -> (bool, Answer) + Send>;

/// Something for the thread to do.
enum Task {
    Write(Record),
    Answer(Question),
}

/// The thread and the way to it.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    /// There until `drop`.
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

struct Queue {
    tasks: Vec<Task>,
    journal: Option<Journal>,
    /// Of the last record.
    place: i64,
    /// Whether somebody waits.
    is_urgent: bool,
    /// Whether this is the end.
    is_closed: bool,
    /// Why the file cannot be written, as long as it cannot.
    fault: Option<Error>,
}

impl Queue {
    fn next(&self, change: Change) -> Record {
        Record { place: self.place + 1, change }
    }

    fn keep(&mut self, record: &Record) -> Result<()> {
        self.journal.as_mut().map_or(Ok(()), |journal| journal.append(record))
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("tasks", &self.tasks.len()).field("place", &self.place).finish_non_exhaustive()
    }
}

/// What is done at once.
struct Group {
    tasks: Vec<Task>,
    /// The part of the journal that will be of no use when the group is written.
    spent: Option<Arc<File>>,
}

impl Writer {
    /// Writes with `connection` what comes after record `place`.
    pub(super) fn start(
        connection: Connection,
        location: &Place,
        journal: Option<Journal>,
        place: i64,
    ) -> Result<Self> {
        let (tasks, is_urgent, is_closed, fault) = (Vec::new(), false, false, None);
        let queue = Mutex::new(Queue { tasks, journal, place, is_urgent, is_closed, fault });
        let shared = Arc::new(Shared { queue, changed: Condvar::new() });
        let state = Arc::clone(&shared);
        let checkpoints = Checkpoints::start(&connection, location)?;
        let thread = thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || run(&connection, &state, checkpoints))
            .map_err(|source| StoreError::Io { action: "start the thread of", path: location.path(), source })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Records what is about to happen: it survives the process when this returns.
    ///
    /// # Errors
    /// `Busy` while too much waits; otherwise why neither journal nor file can be written. Then nothing is recorded.
    pub(super) fn record(&self, change: Change) -> lorekeep_types::Result<()> {
        let mut queue = self.shared.queue();
        if let Some(fault) = &queue.fault {
            return Err(again(fault));
        }
        if queue.tasks.len() >= MOST_WAITING {
            let message = "too many calls wait for the ledger of model calls";
            return Err(Error::new(ErrorCode::Busy, message).hint("ask again in a moment"));
        }
        let record = queue.next(change);
        queue.keep(&record).map_err(|error| refused(&error))?;
        self.shared.push(queue, record);
        Ok(())
    }

    /// Records what has happened. Where the journal cannot be written, which the log tells, the file alone has to do.
    pub(super) fn record_past(&self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            let mut queue = self.shared.queue();
            let record = queue.next(change);
            if let Err(error) = queue.keep(&record) {
                tracing::error!(%error, "the journal of the ledger of model calls cannot be written");
            }
            self.shared.push(queue, record);
        }
    }

    /// Has `work` done in a transaction after everything that was recorded, alone undone when it fails; waits for it.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Desk<'_>) -> Result<T> + Send + 'static,
    ) -> lorekeep_types::Result<T> {
        let (sender, answer) = mpsc::sync_channel(1);
        let question: Question = Box::new(move |desk| {
            let outcome = desk.map(work);
            let done = matches!(outcome, Some(Ok(_)));
            let tell: Answer = Box::new(move |failure| {
                let told = match (failure, outcome) {
                    (None, Some(outcome)) => outcome.map_err(Error::from),
                    (None, None) => Err(stopped()),
                    (Some(failure), _) => Err(refused(failure)),
                };
                // Fails only when the asking thread died.
                sender.send(told).ok();
            });
            (done, tell)
        });
        let mut queue = self.shared.queue();
        queue.tasks.push(Task::Answer(question));
        queue.is_urgent = true;
        drop(queue);
        self.shared.changed.notify_one();
        answer.recv().unwrap_or_else(|_| Err(stopped()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.queue().is_closed = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the ledger of model calls panicked");
        }
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, mut queue: MutexGuard<'_, Queue>, record: Record) {
        queue.place = record.place;
        queue.tasks.push(Task::Write(record));
        if queue.tasks.len() == 1 {
            drop(queue);
            self.changed.notify_one();
        }
    }

    /// Waits for something to do, and a moment longer for company where nobody waits; `None` when `limit` passed before.
    fn wait(&self, limit: Duration) -> Option<Group> {
        let queue = self.queue();
        let idle = |queue: &mut Queue| queue.tasks.is_empty() && !queue.is_closed;
        let (queue, waited) =
            self.changed.wait_timeout_while(queue, limit, idle).unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return None;
        }
        let calm = |queue: &mut Queue| !queue.is_urgent && !queue.is_closed;
        let gathered = self.changed.wait_timeout_while(queue, PATIENCE, calm);
        let (mut queue, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        queue.is_urgent = false;
        let spent = queue.journal.as_mut().and_then(Journal::turn);
        Some(Group { tasks: std::mem::take(&mut queue.tasks), spent })
    }

    /// Gives records back that could not be written, and rests.
    fn failed(&self, records: Vec<Record>, error: &StoreError) {
        let mut queue = self.queue();
        queue.fault = Some(refused(error));
        let since = std::mem::take(&mut queue.tasks);
        queue.tasks = records.into_iter().map(Task::Write).chain(since).collect();
        let calm = |queue: &mut Queue| !queue.is_urgent && !queue.is_closed;
        drop(self.changed.wait_timeout_while(queue, PAUSE, calm));
    }

    /// Notes that all that was taken is in the file.
    fn written(&self, emptied: bool) {
        let mut queue = self.queue();
        queue.fault = None;
        if let Some(journal) = queue.journal.as_mut().filter(|_| emptied)
            && let Err(error) = journal.emptied()
        {
            tell_of_long(&error);
        }
    }

    /// Whether all is written and nothing will follow. Then the journal is of no use.
    fn is_over(&self) -> bool {
        let mut queue = self.queue();
        let is_over = queue.is_closed && queue.tasks.is_empty();
        if let Some(journal) = queue.journal.as_mut().filter(|_| is_over)
            && let Err(error) = journal.clear()
        {
            tell_of_long(&error);
        }
        is_over
    }
}

fn tell_of_long(error: &StoreError) {
    tracing::warn!(%error, "the journal of the ledger of model calls is longer than it has to be");
}

/// Until the ledger is dropped and nothing waits.
fn run(connection: &Connection, shared: &Shared, mut checkpoints: Checkpoints) {
    while !shared.is_over() {
        let limit = if checkpoints.wait_for_rest() { REST } else { Duration::MAX };
        let Some(Group { tasks, spent }) = shared.wait(limit) else {
            checkpoints.ask();
            continue;
        };
        let done = tasks.len();
        let (records, failure) = write(connection, tasks);
        if let Some(error) = failure {
            tracing::warn!(%error, "the ledger of model calls could not be written; what is in its journal is not lost");
            if shared.queue().is_closed {
                return;
            }
            shared.failed(records, &error);
            continue;
        }
        // Only now that they are in the file.
        let emptied = spent.is_some_and(|part| part.set_len(0).is_ok());
        shared.written(emptied);
        checkpoints.written(done);
    }
}

/// Does a group of tasks and answers who asked; returns its records and why they could not be written.
fn write(connection: &Connection, tasks: Vec<Task>) -> (Vec<Record>, Option<StoreError>) {
    let mut answers = Vec::new();
    let mut records = Vec::with_capacity(tasks.len());
    let mut tasks = tasks.into_iter();
    let failure = work_through(connection, &mut tasks, (&mut records, &mut answers)).err();
    for task in tasks {
        match task {
            Task::Write(record) => records.push(record),
            Task::Answer(question) => answers.push(question(None).1),
        }
    }
    for answer in answers {
        answer(failure.as_ref());
    }
    (records, failure)
}

fn work_through(
    sql: &Connection,
    tasks: &mut impl Iterator<Item = Task>,
    done: (&mut Vec<Record>, &mut Vec<Answer>),
) -> Result<()> {
    // Statements that are kept: rusqlite's own transactions compile theirs anew each time, which costs as much as a call.
    sql.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let worked = tasks_done(sql, tasks, done).and_then(|()| Ok(sql.prepare_cached("COMMIT")?.execute([])?));
    if worked.is_err() && !sql.is_autocommit() {
        sql.execute_batch("ROLLBACK")?;
    }
    worked.map(|_| ())
}

fn tasks_done(
    sql: &Connection,
    tasks: &mut impl Iterator<Item = Task>,
    (records, answers): (&mut Vec<Record>, &mut Vec<Answer>),
) -> Result<()> {
    let desk = Desk::new(sql);
    for task in tasks {
        match task {
            Task::Write(record) => {
                records.push(record);
                records.last().map_or(Ok(()), |record| desk.write(record))?;
            }
            Task::Answer(question) => {
                desk.settle()?;
                sql.prepare_cached("SAVEPOINT task")?.execute([])?;
                let (done, answer) = question(Some(&desk));
                answers.push(answer);
                if !done {
                    // A full disk makes SQLite roll back the whole transaction; then this fails, and so does the group.
                    sql.prepare_cached("ROLLBACK TO task")?.execute([])?;
                }
                sql.prepare_cached("RELEASE task")?.execute([])?;
            }
        }
    }
    desk.settle()?;
    records.last().map_or(Ok(()), |record| desk.applied(record.place))
}

fn refused(failure: &StoreError) -> Error {
    let error = Error::new(failure.code(), format!("the ledger of model calls cannot be written: {failure}"));
    failure.hint().into_iter().fold(error, Error::hint)
}

/// The same error once more.
fn again(fault: &Error) -> Error {
    let error = Error::new(fault.code(), fault.message());
    fault.remedy().into_iter().fold(error, Error::hint)
}

/// The error of what was never done.
fn stopped() -> Error {
    Error::new(ErrorCode::Storage, "the ledger of model calls has stopped")
}
