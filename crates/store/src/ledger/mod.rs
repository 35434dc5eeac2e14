//! The ledger of model calls, in the file `gateway.sqlite` beside the workspaces: the port
//! [`lorekeep_types::Ledger`] over SQLite.
//!
//! - [`standing`]: budgets and open calls in memory, where everything is decided;
//! - [`record`]: what was decided; [`journal`]: where it is kept at once;
//! - [`writer`]: the thread that brings it into the file, many records to one commit;
//! - [`checkpoint`]: the thread that brings SQLite's own log into the file;
//! - [`calls`], [`budgets`]: what of it is written, and how;
//! - [`report`]: what is read;
//! - [`settings`]: what was set while the program ran.
//!
//! A call that was admitted survives a killed process, and so does its end. Neither journal nor file is synced each time
//! (`synchronous=NORMAL`): a power cut may take the last moments' records with it, and with them what these calls spent,
//! but never leaves the file inconsistent.

mod budgets;
mod calls;
mod checkpoint;
mod journal;
mod record;
mod report;
mod settings;
mod standing;
mod writer;

use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures::future::{self, BoxFuture};
use lorekeep_types::{
    Admission, BudgetAlert, BudgetRule, BudgetState, CALL_CANCELLED, CallNumber, CallPage, CallRow, Closing, Error,
    ErrorCode, Ledger, Opening, Refusal, UsageQuery, UsageReport,
};
use rusqlite::{Connection, TransactionBehavior};

use self::calls::Desk;
use self::journal::Journal;
use self::record::{Change, Record};
use self::standing::{Counter, Decision, Standing};
use self::writer::Writer;
use crate::error::{Result, StoreError};
use crate::folder::Folder;
use crate::format::Format;
use crate::truth::connection::{Place, Readers};

/// The last millisecond of the year 9999.
const LAST_MS: i64 = 253_402_300_799_999;

/// Bytes of a page of a new ledger. A call changes a few rows of some hundred bytes in five places, and each page is logged
/// whole.
const PAGE: u32 = 1_024;

/// Its mark is "LorG".
const FORMAT: Format = Format {
    name: "ledger",
    mark: 0x4C6F_7247,
    steps: &[
        include_str!("schema/0001.sql"),
        include_str!("schema/0002.sql"),
        include_str!("schema/0003.sql"),
        include_str!("schema/0004.sql"),
        include_str!("schema/0005.sql"),
    ],
};

/// The ledger of one data folder. Dropping it waits until everything that was asked for is written.
#[derive(Debug)]
pub struct SqliteLedger {
    /// Locked while something is decided and recorded, so that both happen in one order.
    standing: Mutex<Standing>,
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
        let mut journal = match &place {
            Place::File(path) => path.parent().map(Journal::open).transpose()?,
            Place::Memory(_) => None,
        };
        let applied = take_over(&mut connection, journal.as_ref(), now_ms)?;
        if let Some(journal) = &mut journal {
            journal.clear()?;
        }
        let (number, latest_ms) = calls::last(&connection)?;
        let writer = Writer::start(connection, &place, journal, applied)?;
        let standing = Mutex::new(Standing::new(number, latest_ms));
        Ok(Self { standing, writer, readers: Readers::new(place), _folder: folder })
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

/// Writes what an earlier process had decided but not written, and takes the calls that it left open for lost: it has
/// died, since nobody else can hold the folder, and nobody will close them. Returns the place of the last record.
fn take_over(connection: &mut Connection, journal: Option<&Journal>, now_ms: i64) -> Result<i64> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut place = calls::last_applied(&transaction)?;
    let left = journal.map(|journal| journal.left(place)).transpose()?.unwrap_or_default();
    let desk = Desk::new(&transaction);
    for record in left {
        desk.write(&record)?;
        place = record.place;
    }
    desk.settle()?;
    for change in calls::left_open(&transaction, now_ms)? {
        place += 1;
        desk.write(&Record { place, change })?;
    }
    desk.settle()?;
    desk.applied(place)?;
    transaction.commit()?;
    Ok(place)
}

impl SqliteLedger {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decided(&self, mut opening: Opening) -> lorekeep_types::Result<Admission> {
        opening.at_ms = opening.at_ms.clamp(0, LAST_MS);
        let at_ms = opening.at_ms;
        let mut standing = self.standing();
        let mut changes = Vec::new();
        let decision = standing.decide(&opening, |rule| self.counter(rule, at_ms), &mut changes);
        self.writer.record_past(changes);
        let reserved = match decision? {
            Decision::Reserve(reserved) => reserved,
            Decision::Refuse(refusal) => return Ok(Admission::Refused(refusal)),
        };
        let (number, opening) = (standing.next(), Arc::new(opening));
        self.writer.record(Change::Opened { number, opening: Arc::clone(&opening), reserved })?;
        standing.opened(opening, reserved);
        Ok(Admission::Admitted(CallNumber(number)))
    }

    fn raised(&self, call: CallNumber, more: i64) -> lorekeep_types::Result<Option<Box<Refusal>>> {
        let mut standing = self.standing();
        let opening = standing.held(call).map(|held| Arc::clone(&held.opening)).ok_or_else(|| {
            Error::new(
                ErrorCode::Conflict,
                format!("the model call {call} is not open, so that nothing is reserved for it"),
            )
        })?;
        let asked = Opening { estimate: Some(more), ..opening.as_ref().clone() };
        let mut changes = Vec::new();
        let decision = standing.decide(&asked, |rule| self.counter(rule, asked.at_ms), &mut changes);
        self.writer.record_past(changes);
        let more = match decision? {
            Decision::Reserve(more) => more,
            Decision::Refuse(refusal) => return Ok(Some(refusal)),
        };
        self.writer.record(Change::Reserved { number: call.0, opening: Arc::clone(&opening), more })?;
        standing.reserved(call, &opening, more);
        Ok(None)
    }

    /// The counter of a budget around `at_ms` with everything that was recorded until now.
    fn counter(&self, rule: &BudgetRule, at_ms: i64) -> lorekeep_types::Result<Counter> {
        let rule = rule.clone();
        self.writer.ask(move |desk| budgets::counter(desk.sql, &rule, at_ms))
    }

    fn ended(&self, call: CallNumber, closing: Closing) -> lorekeep_types::Result<()> {
        let mut standing = self.standing();
        let changes = match standing.close(call, closing) {
            Ok(changes) => changes,
            // Whoever closes a call that is not open knows it from before.
            Err(closing) => match self.writer.ask(move |desk| calls::lost(desk.sql, call))? {
                Some(lost) => standing.close_lost(call, lost, *closing),
                None => return Ok(()),
            },
        };
        self.writer.record_past(changes);
        Ok(())
    }
}

impl Ledger for SqliteLedger {
    fn open(&self, opening: Opening) -> BoxFuture<'_, lorekeep_types::Result<Admission>> {
        let at_ms = opening.at_ms;
        Box::pin(Opened { ledger: self, answer: Some(self.decided(opening)), at_ms })
    }

    fn reserve(&self, call: CallNumber, more: i64) -> lorekeep_types::Result<Option<Box<Refusal>>> {
        self.raised(call, more)
    }

    fn extend(&self, call: CallNumber, lease_until_ms: i64) {
        self.standing().extend(call, lease_until_ms);
    }

    fn close(&self, call: CallNumber, closing: Closing) -> BoxFuture<'_, lorekeep_types::Result<()>> {
        let ended = self.ended(call, closing);
        if let Err(error) = &ended {
            tracing::error!(%error, %call, "a model call could not be closed in the ledger");
        }
        Box::pin(future::ready(ended))
    }

    fn sweep(&self, now_ms: i64) -> lorekeep_types::Result<u64> {
        let mut standing = self.standing();
        let changes = standing.lose(now_ms);
        let lost = changes.iter().filter(|change| matches!(change, Change::Lost { .. })).count();
        self.writer.record_past(changes);
        Ok(lost as u64)
    }

    fn set_budgets(&self, rules: Vec<BudgetRule>) -> lorekeep_types::Result<()> {
        BudgetRule::check(&rules)?;
        self.standing().set_rules(rules);
        Ok(())
    }

    fn budgets(&self, now_ms: i64) -> lorekeep_types::Result<Vec<BudgetState>> {
        let rules = self.standing().rules();
        self.read(|sql| budgets::states(sql, &rules, now_ms))
    }

    fn take_alerts(&self) -> lorekeep_types::Result<Vec<BudgetAlert>> {
        self.writer.ask(|desk| budgets::take_alerts(desk.sql))
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
        let rules = self.standing().rules();
        // The sums take their time, for which nobody has to wait; that the memory is as the file does not.
        let in_file = self.writer.ask(move |desk| budgets::drift(desk.sql, &rules))?;
        let in_memory = self.standing().correct(|rule, start| self.counter(rule, start))?;
        Ok(in_file.saturating_add(in_memory))
    }
}

/// The answer to an opening. A call whose caller went away before it was told is closed again.
struct Opened<'l> {
    ledger: &'l SqliteLedger,
    answer: Option<lorekeep_types::Result<Admission>>,
    at_ms: i64,
}

impl Future for Opened<'_> {
    type Output = lorekeep_types::Result<Admission>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        self.answer.take().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        if let Some(Ok(Admission::Admitted(call))) = &self.answer {
            drop(self.ledger.close(*call, Closing::new(self.at_ms, CALL_CANCELLED)));
        }
    }
}
