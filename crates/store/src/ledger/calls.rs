//! Calls in the file: opened, closed or lost as it was decided.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use lorekeep_types::{BudgetWindow, CALL_LOST, CallNumber, Closing, ModelId, Opening, WorkspaceName};
use rusqlite::{Connection, OptionalExtension, Row, Statement, ToSql};

use super::budgets;
use super::record::{Change, Charge, Record};
use super::standing::{Lost, money};
use crate::error::{Result, StoreError};

/// More tokens than any call takes: keeps a wrong figure from breaking the sums.
const MOST_TOKENS: u64 = 1_000_000_000_000;

/// What is known of a call when it is opened, and the parameters it is written with.
macro_rules! opening {
    () => {
        "id, opened_at, lease_until, request, provider, model, operation, workspace, principal, streamed, estimate, reserved"
    };
    (values) => {
        "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12"
    };
}

/// What is known of it when it has ended.
macro_rules! ending {
    () => {
        "closed_at, charged, status, prompt, completion, cached, cache_written, reasoning, searches, estimated, \
         reported_cost, cost, finish, total_ms, api_ms, first_token_ms, retries, fallback_from, fallback_reason, \
         cache_hit, saved_tokens, saved_cost, provider_model, texts"
    };
    (values) => {
        "?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36"
    };
}

/// The first parameter of an ending.
const ENDING: usize = 13;

const INSERT: &str = concat!(
    "INSERT OR IGNORE INTO calls (state, status, ",
    opening!(),
    ") VALUES ('open', 'open', ",
    opening!(values),
    ")"
);

const UPDATE: &str =
    concat!("UPDATE calls SET state = 'closed', (", ending!(), ") = (", ending!(values), ") WHERE id = ?1");

const INSERT_ENDED: &str = concat!(
    "INSERT OR IGNORE INTO calls (state, ",
    opening!(),
    ", ",
    ending!(),
    ") VALUES ('closed', ",
    opening!(values),
    ", ",
    ending!(values),
    ")"
);

const RESERVE: &str = "UPDATE calls SET reserved = reserved + ?2 WHERE id = ?1";

const LOSE: &str = "UPDATE calls SET state = 'lost', closed_at = ?2, charged = ?3, status = ?4 WHERE id = ?1";

const KNOWN: &str = "SELECT id, state, opened_at, lease_until, request, provider, model, operation, workspace, principal, \
    streamed, estimate, reserved, charged FROM calls";

/// What a group of changes adds to counters, per spender: written once for all of them.
#[derive(Default)]
pub(super) struct Sums(Vec<Sum>);

struct Sum {
    of: Arc<Opening>,
    settled: i64,
    reserved: i64,
}

impl Sums {
    fn add(&mut self, opening: &Arc<Opening>, settled: i64, reserved: i64) {
        let sum = match self.0.iter().position(|sum| counts_as(&sum.of, opening)) {
            Some(at) => self.0.get_mut(at),
            None => {
                self.0.push(Sum { of: Arc::clone(opening), settled: 0, reserved: 0 });
                self.0.last_mut()
            }
        };
        if let Some(sum) = sum {
            sum.settled += settled;
            sum.reserved += reserved;
        }
    }
}

/// Whether two calls belong to the same counters.
fn counts_as(one: &Opening, other: &Opening) -> bool {
    let spender = |call: &Opening| {
        (&call.model, &call.workspace, &call.principal) == (&other.model, &other.workspace, &other.principal)
    };
    // A month is made of days.
    spender(one) && BudgetWindow::Day.start_ms(one.at_ms) == BudgetWindow::Day.start_ms(other.at_ms)
}

/// Where changes are written: a transaction, what counters have yet to be told of, and the calls that were opened in it:
/// most of them end in it, too, and are written once.
pub(super) struct Desk<'t> {
    pub(super) sql: &'t Connection,
    sums: RefCell<Sums>,
    fresh: RefCell<BTreeMap<i64, (Arc<Opening>, i64)>>,
}

impl<'t> Desk<'t> {
    pub(super) fn new(sql: &'t Connection) -> Self {
        Self { sql, sums: RefCell::default(), fresh: RefCell::default() }
    }

    /// Writes a change.
    pub(super) fn write(&self, record: &Record) -> Result<()> {
        match &record.change {
            Change::Began { scope, window, start } => budgets::begin(self.sql, scope, *window, *start),
            Change::Opened { number, opening, reserved } => {
                self.fresh.borrow_mut().insert(*number, (Arc::clone(opening), *reserved));
                Ok(())
            }
            Change::Reserved { number, opening, more } => {
                self.insert_fresh()?;
                self.sql.prepare_cached(RESERVE)?.execute((number, more))?;
                self.sums.borrow_mut().add(opening, 0, *more);
                Ok(())
            }
            Change::Closed { number, opening, closing, charge } => {
                let fresh = self.fresh.borrow_mut().remove(number);
                let end = (closing.as_ref(), charge.charged);
                match fresh {
                    Some((opening, reserved)) if insert_ended(self.sql, *number, (&opening, reserved), end)? == 1 => {
                        self.sums.borrow_mut().add(&opening, 0, reserved);
                    }
                    _ => record_end(self.sql, *number, end)?,
                }
                self.charge(opening, *charge);
                Ok(())
            }
            Change::Lost { number, opening, at_ms, charge } => {
                self.insert_fresh()?;
                self.sql.prepare_cached(LOSE)?.execute((number, at_ms, charge.charged, CALL_LOST))?;
                self.charge(opening, *charge);
                Ok(())
            }
            Change::Alert(alert) => budgets::announce(self.sql, alert),
        }
    }

    fn charge(&self, opening: &Arc<Opening>, charge: Charge) {
        self.sums.borrow_mut().add(opening, charge.settled(), -charge.released);
    }

    /// Writes the calls that were opened and have not ended.
    fn insert_fresh(&self) -> Result<()> {
        for (number, (opening, reserved)) in std::mem::take(&mut *self.fresh.borrow_mut()) {
            if insert(self.sql, number, &opening, reserved)? == 1 {
                self.sums.borrow_mut().add(&opening, 0, reserved);
            }
        }
        Ok(())
    }

    /// Writes what has to be there before anything is read, and before a commit.
    pub(super) fn settle(&self) -> Result<()> {
        self.insert_fresh()?;
        for Sum { of, settled, reserved } in std::mem::take(&mut self.sums.borrow_mut().0) {
            budgets::book(self.sql, &of, settled, reserved)?;
        }
        Ok(())
    }

    /// Says that all records up to `place` are written.
    pub(super) fn applied(&self, place: i64) -> Result<()> {
        self.sql.prepare_cached("UPDATE journal SET applied = ?1")?.execute([place])?;
        Ok(())
    }
}

/// The place of the last record that is written.
pub(super) fn last_applied(sql: &Connection) -> Result<i64> {
    Ok(sql.query_row("SELECT applied FROM journal", [], |row| row.get(0))?)
}

/// The number of the last call, and the latest moment at which one was opened.
pub(super) fn last(sql: &Connection) -> Result<(i64, i64)> {
    let number = "SELECT seq FROM sqlite_sequence WHERE name = 'calls'";
    let number: Option<i64> = sql.query_row(number, [], |row| row.get(0)).optional()?;
    let latest = "SELECT coalesce(max(opened_at), 0) FROM calls";
    Ok((number.unwrap_or(0), sql.query_row(latest, [], |row| row.get(0))?))
}

fn insert(sql: &Connection, number: i64, opening: &Opening, reserved: i64) -> Result<usize> {
    let mut statement = sql.prepare_cached(INSERT)?;
    bind_opening(&mut statement, number, opening, reserved)?;
    Ok(statement.raw_execute()?)
}

/// A call that was opened and ended within one transaction.
fn insert_ended(
    sql: &Connection,
    number: i64,
    (opening, reserved): (&Opening, i64),
    end: (&Closing, i64),
) -> Result<usize> {
    let mut statement = sql.prepare_cached(INSERT_ENDED)?;
    bind_opening(&mut statement, number, opening, reserved)?;
    bind_ending(&mut statement, end)?;
    Ok(statement.raw_execute()?)
}

fn record_end(sql: &Connection, number: i64, end: (&Closing, i64)) -> Result<()> {
    let mut statement = sql.prepare_cached(UPDATE)?;
    bind(&mut statement, 1, &[&number])?;
    bind_ending(&mut statement, end)?;
    statement.raw_execute()?;
    Ok(())
}

fn bind_opening(statement: &mut Statement<'_>, number: i64, opening: &Opening, reserved: i64) -> Result<()> {
    let values: [&dyn ToSql; ENDING - 1] = [
        &number,
        &opening.at_ms,
        &opening.at_ms.saturating_add(opening.lease_ms),
        &opening.request_id,
        &opening.model.provider,
        &opening.model.model,
        &opening.operation,
        &opening.workspace.as_str(),
        &opening.principal,
        &opening.streamed,
        &opening.estimate.map(money),
        &reserved,
    ];
    bind(statement, 1, &values)
}

fn bind_ending(statement: &mut Statement<'_>, (closing, charged): (&Closing, i64)) -> Result<()> {
    let usage = &closing.usage;
    let values: [&dyn ToSql; 24] = [
        &closing.at_ms,
        &charged,
        &closing.status,
        &tokens(usage.prompt),
        &tokens(usage.completion),
        &tokens(usage.cached),
        &tokens(usage.cache_written),
        &tokens(usage.reasoning),
        &tokens(usage.searches),
        &usage.estimated,
        &usage.reported_cost.map(money),
        &closing.cost.map(money),
        &closing.finish,
        &closing.total_ms,
        &closing.api_ms,
        &closing.first_token_ms,
        &closing.retries,
        &closing.fallback_from.as_ref().map(ToString::to_string),
        &closing.fallback_reason,
        &closing.cache_hit,
        &tokens(closing.saved.tokens),
        &money(closing.saved.cost),
        &closing.provider_model,
        &tokens(closing.texts),
    ];
    bind(statement, ENDING, &values)
}

/// Gives parameters their values, from number `first` on.
fn bind(statement: &mut Statement<'_>, first: usize, values: &[&dyn ToSql]) -> Result<()> {
    for (place, value) in (first..).zip(values) {
        statement.raw_bind_parameter(place, value)?;
    }
    Ok(())
}

/// What the file knows of a call.
struct Known {
    number: i64,
    state: String,
    opening: Opening,
    reserved: i64,
    charged: Option<i64>,
}

impl Known {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (at_ms, lease_until): (i64, i64) = (row.get(2)?, row.get(3)?);
        let workspace: String = row.get(8)?;
        let opening = Opening {
            at_ms,
            request_id: row.get(4)?,
            model: ModelId { provider: row.get(5)?, model: row.get(6)? },
            operation: row.get(7)?,
            // A name that was written here is one.
            workspace: WorkspaceName::parse(&workspace).unwrap_or_else(|_| WorkspaceName::default_workspace()),
            principal: row.get(9)?,
            streamed: row.get(10)?,
            estimate: row.get(11)?,
            lease_ms: lease_until.saturating_sub(at_ms),
        };
        Ok(Self { number: row.get(0)?, state: row.get(1)?, opening, reserved: row.get(12)?, charged: row.get(13)? })
    }
}

/// A call that was taken for lost; `None` for one that has ended.
pub(super) fn lost(sql: &Connection, call: CallNumber) -> Result<Option<Lost>> {
    let question = format!("{KNOWN} WHERE id = ?1");
    let known = sql.prepare_cached(&question)?.query_row([call.0], Known::from_row).optional()?;
    let known = known.ok_or_else(|| StoreError::NotFound { kind: "model call", name: call.to_string() })?;
    Ok((known.state != "closed").then(|| Lost {
        opening: Arc::new(known.opening),
        reserved: known.reserved,
        charged: known.charged.unwrap_or(0),
    }))
}

/// The calls that are open, as taken for lost at `now_ms`: the process that made them is gone.
pub(super) fn left_open(sql: &Connection, now_ms: i64) -> Result<Vec<Change>> {
    let question = format!("{KNOWN} WHERE state = 'open' ORDER BY id");
    let mut statement = sql.prepare(&question)?;
    let lost = statement.query_map([], Known::from_row)?.map(|known| {
        let Known { number, opening, reserved, .. } = known?;
        let charge = Charge { charged: reserved, before: 0, released: reserved };
        Ok(Change::Lost { number, opening: Arc::new(opening), at_ms: now_ms, charge })
    });
    lost.collect()
}

fn tokens(count: u64) -> u64 {
    count.min(MOST_TOKENS)
}
