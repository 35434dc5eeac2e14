//! The ledger of model calls, in the file `gateway.sqlite` beside the workspaces: the port
//! [`lorekeep_types::Ledger`] over SQLite.
//!
//! - [`writer`]: the thread that writes, many callers to one commit;
//! - [`checkpoint`]: the thread that brings the log into the file;
//! - [`calls`]: opening, closing and losing calls;
//! - [`budgets`]: counters, admission and alerts;
//! - [`report`]: what is read;
//! - [`settings`]: what was set while the program ran.
//!
//! A call that was admitted survives a killed process. Its end is written some milliseconds later: killed before that, it
//! is taken for lost and charged what was reserved for it. The file is not synced at every commit
//! (`synchronous=NORMAL`): a power cut may take the last moments' rows with it, and with them what these calls spent, but
//! never leaves the file inconsistent.

mod budgets;
mod calls;
mod checkpoint;
mod report;
mod settings;
mod writer;

use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::channel::oneshot;
use futures::future::{self, BoxFuture};
use lorekeep_types::{
    Admission, BudgetAlert, BudgetRule, BudgetState, CALL_CANCELLED, CallNumber, CallPage, CallRow, Closing, Error,
    ErrorCode, Ledger, Opening, UsageQuery, UsageReport,
};
use rusqlite::{Connection, TransactionBehavior};

use self::writer::{Desk, Task, Writer, stopped};
use crate::error::{Result, StoreError};
use crate::folder::Folder;
use crate::format::Format;
use crate::truth::connection::{Place, Readers};

/// Bytes of a page of a new ledger. A call changes a few rows of some hundred bytes in five places, and each page is logged
/// whole.
const PAGE: u32 = 1_024;

/// Its mark is "LorG".
const FORMAT: Format = Format {
    name: "ledger",
    mark: 0x4C6F_7247,
    steps: &[include_str!("schema/0001.sql"), include_str!("schema/0002.sql"), include_str!("schema/0003.sql")],
};

/// The ledger of one data folder. Dropping it waits until everything that was asked for is written.
#[derive(Debug)]
pub struct SqliteLedger {
    writer: Writer,
    readers: Readers,
    /// Keeps the folder held for as long as the ledger is written.
    _folder: Option<Arc<Folder>>,
}

impl SqliteLedger {
    /// Opens the ledger in `folder`, creating or migrating it, and takes the calls that were left open for lost. Only
    /// one may be open per folder; the lock of [`crate::Store`] sees to that.
    ///
    /// # Errors
    /// When the file cannot be opened, or was written by a newer release.
    pub fn open(folder: &Path, now_ms: i64) -> lorekeep_types::Result<Self> {
        fs::create_dir_all(folder).map_err(StoreError::io("create", folder))?;
        Ok(Self::start(Place::File(folder.join("gateway.sqlite")), None, now_ms)?)
    }

    /// A ledger without a file.
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn in_memory() -> lorekeep_types::Result<Self> {
        Ok(Self::start(Place::memory(), None, 0)?)
    }

    /// The ledger of a folder that this process holds.
    pub(crate) fn of(folder: Arc<Folder>, now_ms: i64) -> Result<Self> {
        let place = Place::File(folder.path().join("gateway.sqlite"));
        Self::start(place, Some(folder), now_ms)
    }

    fn start(place: Place, folder: Option<Arc<Folder>>, now_ms: i64) -> Result<Self> {
        let mut connection = place.writer_of_pages(PAGE)?;
        connection.pragma_update(None, "synchronous", "normal")?;
        FORMAT.migrate(&mut connection)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Who opened them has died: nobody else can hold the folder, so nobody will close them.
        calls::sweep(&Desk { sql: &transaction, rules: &[] }, i64::MAX, now_ms)?;
        transaction.commit()?;
        let writer = Writer::start(connection, &place)?;
        Ok(Self { writer, readers: Readers::new(place), _folder: folder })
    }

    /// What was set under `key` while the program ran.
    pub(crate) fn setting(&self, key: &str) -> lorekeep_types::Result<Option<String>> {
        self.read(|sql| settings::get(sql, key))
    }

    /// Keeps `value` under `key`; `None` removes it.
    pub(crate) fn set_setting(&self, key: &'static str, value: Option<String>) -> lorekeep_types::Result<()> {
        self.writer.ask(move |desk| settings::put(desk.sql, key, value.as_deref()))
    }

    /// Reads what was asked to be written until now.
    fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> lorekeep_types::Result<T> {
        // A ledger that cannot be written, which was told, can still be read.
        self.writer.ask(|_| Ok(())).ok();
        let connection = self.readers.take()?;
        let outcome = read(&connection)?;
        self.readers.give_back(connection);
        Ok(outcome)
    }
}

impl Ledger for SqliteLedger {
    fn open(&self, opening: Opening) -> BoxFuture<'_, lorekeep_types::Result<Admission>> {
        if self.writer.is_full() {
            let message = "too many calls wait for the ledger of model calls";
            return Box::pin(future::err(Error::new(ErrorCode::Busy, message).hint("ask again in a moment")));
        }
        let (sender, answer) = oneshot::channel();
        let at_ms = opening.at_ms;
        self.writer.send(Task::new(
            move |desk| calls::open(desk, &opening),
            move |outcome| match sender.send(outcome) {
                Err(Ok(Admission::Admitted(call))) => Some(give_up(call, at_ms)),
                _ => None,
            },
        ));
        Box::pin(Opened { writer: &self.writer, answer, at_ms })
    }

    fn extend(&self, call: CallNumber, lease_until_ms: i64) {
        self.writer.send(unwatched("extend", move |desk| calls::extend(desk, call, lease_until_ms)));
    }

    fn close(&self, call: CallNumber, closing: Closing) -> BoxFuture<'_, lorekeep_types::Result<()>> {
        let (sender, answer) = oneshot::channel();
        let task = Task::new(
            move |desk| calls::close(desk, call, &closing),
            move |outcome| {
                if let Err(Err(error)) = sender.send(outcome) {
                    tracing::error!(%error, %call, "a model call could not be closed in the ledger");
                }
                None
            },
        );
        self.writer.send(task.patient());
        Box::pin(async { answer.await.unwrap_or_else(|_| Err(stopped())) })
    }

    fn sweep(&self, now_ms: i64) -> lorekeep_types::Result<u64> {
        self.writer.ask(move |desk| calls::sweep(desk, now_ms, now_ms))
    }

    fn set_budgets(&self, rules: Vec<BudgetRule>) -> lorekeep_types::Result<()> {
        BudgetRule::check(&rules)?;
        self.writer.set_rules(rules);
        Ok(())
    }

    fn budgets(&self, now_ms: i64) -> lorekeep_types::Result<Vec<BudgetState>> {
        let rules = self.writer.rules();
        self.read(|sql| budgets::states(sql, &rules, now_ms))
    }

    fn take_alerts(&self) -> lorekeep_types::Result<Vec<BudgetAlert>> {
        self.writer.ask(budgets::take_alerts)
    }

    fn alerts(&self, limit: usize) -> lorekeep_types::Result<Vec<BudgetAlert>> {
        self.read(|sql| budgets::alerts(sql, limit))
    }

    fn usage(&self, query: &UsageQuery) -> lorekeep_types::Result<UsageReport> {
        self.read(|sql| report::usage(sql, query))
    }

    fn calls(&self, page: &CallPage) -> lorekeep_types::Result<Vec<CallRow>> {
        self.read(|sql| report::calls(sql, page))
    }

    fn drift(&self) -> lorekeep_types::Result<i64> {
        self.writer.ask(budgets::drift)
    }
}

/// The answer to an opening. A call that was admitted while nobody waited any more is closed again.
struct Opened<'l> {
    writer: &'l Writer,
    answer: oneshot::Receiver<lorekeep_types::Result<Admission>>,
    at_ms: i64,
}

impl Future for Opened<'_> {
    type Output = lorekeep_types::Result<Admission>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(context));
        Poll::Ready(answer.unwrap_or_else(|_| Err(stopped())))
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        // From here on the writer finds nobody waiting; what it had already answered is found here.
        self.answer.close();
        if let Ok(Some(Ok(Admission::Admitted(call)))) = self.answer.try_recv() {
            self.writer.send(give_up(call, self.at_ms));
        }
    }
}

fn give_up(call: CallNumber, at_ms: i64) -> Task {
    unwatched("give up", move |desk| calls::close(desk, call, &Closing::new(at_ms, CALL_CANCELLED)))
}

/// Work whose outcome nobody waits for.
fn unwatched(what: &'static str, work: impl FnOnce(&Desk<'_>) -> Result<()> + Send + 'static) -> Task {
    Task::new(work, move |outcome| {
        if let Err(error) = outcome {
            tracing::warn!(%error, what, "the ledger of model calls could not be written");
        }
        None
    })
    .patient()
}
