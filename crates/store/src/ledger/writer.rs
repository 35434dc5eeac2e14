//! The one thread that writes the ledger: whatever waits is done in one transaction, and each caller is answered
//! after its commit.

use std::mem;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lorekeep_types::{BudgetRule, Error, ErrorCode};
use rusqlite::Connection;

use super::checkpoint::{Checkpoints, REST};
use crate::error::{Result, StoreError};
use crate::truth::connection::Place;

/// The most tasks of one transaction.
const GROUP: usize = 512;

/// How long what nobody waits for may wait for company, so that one commit does for the end of a call and the beginning of
/// the next.
const PATIENCE: Duration = Duration::from_millis(5);

/// Calls are refused while so many tasks wait; calls that were admitted are always closed.
const MOST_WAITING: usize = 10_000;

/// What a task works with: a transaction and the budgets that hold in it.
pub(super) struct Desk<'t> {
    pub(super) sql: &'t Connection,
    pub(super) rules: &'t [BudgetRule],
}

/// Tells the caller how its task ended, given why the transaction failed if it did. May leave a further task.
type Answer = Box<dyn FnOnce(Option<&StoreError>) -> Option<Task> + Send>;

/// Does the work if there is a desk for it; `false` when it failed and has to be undone.
type Work = Box<dyn FnOnce(Option<&Desk<'_>>) -> (bool, Answer) + Send>;

/// Something to write.
pub(super) struct Task {
    work: Work,
    /// Whether nobody waits for it.
    is_patient: bool,
}

impl Task {
    /// `work` is done in a transaction, alone undone when it fails; `answer` is called when that is committed.
    pub(super) fn new<T: Send + 'static>(
        work: impl FnOnce(&Desk<'_>) -> Result<T> + Send + 'static,
        answer: impl FnOnce(lorekeep_types::Result<T>) -> Option<Self> + Send + 'static,
    ) -> Self {
        let work: Work = Box::new(move |desk| {
            let outcome = desk.map(work);
            let done = matches!(outcome, Some(Ok(_)));
            let tell: Answer = Box::new(move |failure| {
                answer(match (failure, outcome) {
                    (None, Some(outcome)) => outcome.map_err(Error::from),
                    (None, None) => Err(stopped()),
                    (Some(failure), _) => Err(refused(failure)),
                })
            });
            (done, tell)
        });
        Self { work, is_patient: false }
    }

    /// The same for a task that nobody waits for.
    pub(super) fn patient(self) -> Self {
        Self { is_patient: true, ..self }
    }
}

/// The thread and the way to it.
#[derive(Debug)]
pub(super) struct Writer {
    /// There until `drop`.
    tasks: Option<Sender<Task>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    rules: RwLock<Arc<[BudgetRule]>>,
    waiting: AtomicUsize,
}

impl Shared {
    fn rules(&self) -> Arc<[BudgetRule]> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Writer {
    pub(super) fn start(connection: Connection, place: &Place) -> Result<Self> {
        let shared = Arc::new(Shared { rules: RwLock::new(Arc::from([])), waiting: AtomicUsize::new(0) });
        let (tasks, queue) = mpsc::channel();
        let state = Arc::clone(&shared);
        let checkpoints = Checkpoints::start(&connection, place)?;
        let thread = thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || run(connection, &queue, &state, checkpoints))
            .map_err(|source| StoreError::Io { action: "start the thread of", path: place.path(), source })?;
        Ok(Self { tasks: Some(tasks), thread: Some(thread), shared })
    }

    /// Queues a task. Whoever waits for one that cannot be queued finds its channel closed.
    pub(super) fn send(&self, task: Task) {
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        if self.tasks.as_ref().is_none_or(|tasks| tasks.send(task).is_err()) {
            tracing::error!("the thread of the ledger of model calls has ended");
        }
    }

    /// Queues work and waits for its end.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Desk<'_>) -> Result<T> + Send + 'static,
    ) -> lorekeep_types::Result<T> {
        let (sender, answer) = mpsc::sync_channel(1);
        self.send(Task::new(work, move |outcome| {
            // Fails only when the asking thread died.
            sender.send(outcome).ok();
            None
        }));
        answer.recv().unwrap_or_else(|_| Err(stopped()))
    }

    pub(super) fn is_full(&self) -> bool {
        self.shared.waiting.load(Ordering::Relaxed) >= MOST_WAITING
    }

    pub(super) fn rules(&self) -> Arc<[BudgetRule]> {
        self.shared.rules()
    }

    /// Tasks queued from now on work by these.
    pub(super) fn set_rules(&self, rules: Vec<BudgetRule>) {
        *self.shared.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::from(rules);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.tasks = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the ledger of model calls panicked");
        }
    }
}

/// Until nobody can send any more and nothing waits.
fn run(connection: Connection, queue: &Receiver<Task>, shared: &Shared, mut checkpoints: Checkpoints) {
    let mut left: Vec<Task> = Vec::new();
    loop {
        let mut group = mem::take(&mut left);
        let own = group.len();
        if own == 0 {
            let wait = if checkpoints.wait_for_rest() { REST } else { Duration::MAX };
            match queue.recv_timeout(wait) {
                Ok(task) => group.push(task),
                Err(RecvTimeoutError::Timeout) => {
                    checkpoints.ask();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        group.extend(queue.try_iter().take(GROUP));
        gather(queue, &mut group);
        shared.waiting.fetch_sub(group.len() - own, Ordering::Relaxed);
        // Read after the tasks were taken: whoever set rules and then sent a task finds them applied to it.
        let tasks = group.len();
        left = write(&connection, &shared.rules(), group);
        checkpoints.written(tasks);
    }
}

/// Lets a group for which nobody waits grow for a moment.
fn gather(queue: &Receiver<Task>, group: &mut Vec<Task>) {
    let until = Instant::now() + PATIENCE;
    let mut all_patient = group.iter().all(|task| task.is_patient);
    while all_patient && group.len() < GROUP {
        let Ok(task) = queue.recv_timeout(until.saturating_duration_since(Instant::now())) else { return };
        all_patient = task.is_patient;
        group.push(task);
    }
}

/// Does a group of tasks and answers them; returns what is left to do.
fn write(connection: &Connection, rules: &[BudgetRule], group: Vec<Task>) -> Vec<Task> {
    let mut group = group.into_iter();
    let mut answers = Vec::with_capacity(group.len());
    let failure = work_through(connection, rules, &mut group, &mut answers).err();
    if let Some(error) = &failure {
        tracing::warn!(%error, "the ledger of model calls could not be written");
    }
    answers.extend(group.map(|task| (task.work)(None).1));
    answers.into_iter().filter_map(|answer| answer(failure.as_ref())).collect()
}

fn work_through(
    connection: &Connection,
    rules: &[BudgetRule],
    group: &mut impl Iterator<Item = Task>,
    answers: &mut Vec<Answer>,
) -> Result<()> {
    // Statements that are kept: rusqlite's own transactions compile theirs anew each time, which costs as much as a call.
    let sql = connection;
    sql.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let worked = tasks_done(sql, rules, group, answers).and_then(|()| Ok(sql.prepare_cached("COMMIT")?.execute([])?));
    if worked.is_err() && !sql.is_autocommit() {
        sql.execute_batch("ROLLBACK")?;
    }
    worked.map(|_| ())
}

fn tasks_done(
    sql: &Connection,
    rules: &[BudgetRule],
    group: &mut impl Iterator<Item = Task>,
    answers: &mut Vec<Answer>,
) -> Result<()> {
    let desk = Desk { sql, rules };
    for task in group {
        sql.prepare_cached("SAVEPOINT task")?.execute([])?;
        let (done, answer) = (task.work)(Some(&desk));
        answers.push(answer);
        if !done {
            // A full disk makes SQLite roll back the whole transaction; then this fails, and so does the group.
            sql.prepare_cached("ROLLBACK TO task")?.execute([])?;
        }
        sql.prepare_cached("RELEASE task")?.execute([])?;
    }
    Ok(())
}

fn refused(failure: &StoreError) -> Error {
    let error = Error::new(failure.code(), format!("the ledger of model calls cannot be written: {failure}"));
    failure.hint().into_iter().fold(error, Error::hint)
}

/// The error of a task that was never done.
pub(super) fn stopped() -> Error {
    Error::new(ErrorCode::Storage, "the ledger of model calls has stopped")
}
