//! The change log: what every transaction did, in order, for the views to follow.
//!
//! Each transaction that changes what a view shows appends its rows in the same transaction, numbered without
//! gaps by `seq`. A follower that remembers the last `seq` it applied reads on with
//! [`Reader::changes_after`](super::reader::Reader::changes_after), applies each change by reading the *present*
//! rows through the same reader (a change names a row, it does not carry it), and remembers the last `seq`.
//! Applying is idempotent; a row that is gone by then has a later change that says so.
//!
//! The log is trimmed from its old end. A follower that fell behind the trimmed part, or that starts from
//! nothing, is told [`ChangePage::complete`]` == false` and rebuilds from the tables.

use lorekeep_types::VersionId;
use rusqlite::{OptionalExtension, Transaction};

use crate::error::{Result, StoreError};

/// Changes kept at least.
const KEPT: u64 = 500_000;
/// Trimming starts when this many more than [`KEPT`] are there, so that it is seldom.
const SLACK: u64 = 100_000;

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ChangeKind {
    /// A version with its chunks, chunk vectors and mentions is there.
    VersionAdded(VersionId),
    /// A version is gone, and all its chunks with it.
    VersionRemoved(VersionId),
    /// Keys, counts or `own` of a version's mentions differ (an entity was renamed, merged, hidden or shown).
    MentionsChanged(VersionId),
    /// An entity is new, or its name, type, text or visibility differs. Logged for visible entities only.
    EntityChanged(i64),
    /// An entity is gone or hidden: drop it and its vector.
    EntityRemoved(i64),
    /// A relation is new, or its text, weight by a user, ends or visibility differs. (A further sentence raises
    /// the weight that [`Reader::each_relation`](super::reader::Reader::each_relation) gives without a change,
    /// unless it alters the text.)
    RelationChanged(i64),
    /// A relation is gone or hidden: drop it and its vector.
    RelationRemoved(i64),
    /// An entity's vector was written.
    EntityVector(i64),
    /// A relation's vector was written.
    RelationVector(i64),
    /// The aliases differ.
    AliasesChanged,
    /// All vectors are those of another model.
    VectorsReplaced,
}

impl ChangeKind {
    fn to_row(self) -> (i64, i64) {
        match self {
            Self::VersionAdded(version) => (1, version.0),
            Self::VersionRemoved(version) => (2, version.0),
            Self::MentionsChanged(version) => (3, version.0),
            Self::EntityChanged(entity) => (4, entity),
            Self::EntityRemoved(entity) => (5, entity),
            Self::RelationChanged(relation) => (6, relation),
            Self::RelationRemoved(relation) => (7, relation),
            Self::EntityVector(entity) => (8, entity),
            Self::RelationVector(relation) => (9, relation),
            Self::AliasesChanged => (10, 0),
            Self::VectorsReplaced => (11, 0),
        }
    }

    pub(super) fn from_row(kind: i64, row: i64) -> Result<Self> {
        Ok(match kind {
            1 => Self::VersionAdded(VersionId(row)),
            2 => Self::VersionRemoved(VersionId(row)),
            3 => Self::MentionsChanged(VersionId(row)),
            4 => Self::EntityChanged(row),
            5 => Self::EntityRemoved(row),
            6 => Self::RelationChanged(row),
            7 => Self::RelationRemoved(row),
            8 => Self::EntityVector(row),
            9 => Self::RelationVector(row),
            10 => Self::AliasesChanged,
            11 => Self::VectorsReplaced,
            _ => return Err(StoreError::Damaged(format!("the change log holds the unknown kind {kind}"))),
        })
    }
}

/// One entry of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Its number, from 1.
    pub(crate) seq: u64,
    /// What changed.
    pub(crate) kind: ChangeKind,
}

/// A window on the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChangePage {
    /// The changes, in order.
    pub(crate) changes: Vec<Change>,
    /// `false`: the changes right after the one asked for were trimmed; rebuild from the tables.
    pub(crate) complete: bool,
}

/// The last number given.
pub(super) fn last_seq(connection: &rusqlite::Connection) -> Result<u64> {
    let mut statement = connection.prepare_cached("SELECT max(seq) FROM changes")?;
    Ok(statement.query_row([], |row| row.get::<_, Option<u64>>(0))?.unwrap_or(0))
}

/// The window after `seq`.
pub(super) fn after(connection: &rusqlite::Connection, seq: u64, limit: usize) -> Result<ChangePage> {
    let mut statement = connection.prepare_cached("SELECT min(seq) FROM changes")?;
    let first: Option<u64> = statement.query_row([], |row| row.get(0)).optional()?.flatten();
    let complete = first.is_none_or(|first| seq + 1 >= first) && seq <= last_seq(connection)?;
    if !complete {
        return Ok(ChangePage::default());
    }
    let sql = "SELECT seq, kind, row FROM changes WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((seq, limit))?;
    let mut changes = Vec::new();
    while let Some(row) = rows.next()? {
        changes.push(Change { seq: row.get(0)?, kind: ChangeKind::from_row(row.get(1)?, row.get(2)?)? });
    }
    Ok(ChangePage { changes, complete })
}

/// Appends to the log and returns its last number.
pub(super) fn append(transaction: &Transaction<'_>, kinds: &[ChangeKind]) -> Result<u64> {
    let mut seq = last_seq(transaction)?;
    let mut statement = transaction.prepare_cached("INSERT INTO changes (seq, kind, row) VALUES (?1, ?2, ?3)")?;
    for change in kinds {
        seq += 1;
        let (kind, row) = change.to_row();
        statement.execute((seq, kind, row))?;
    }
    trim(transaction, seq)?;
    Ok(seq)
}

/// Drops entries that only a follower far behind would miss.
fn trim(transaction: &Transaction<'_>, last: u64) -> Result<()> {
    let mut statement = transaction.prepare_cached("SELECT min(seq) FROM changes")?;
    let first = statement.query_row([], |row| row.get::<_, Option<u64>>(0))?.unwrap_or(last);
    if last.saturating_sub(first) > KEPT + SLACK {
        transaction.execute("DELETE FROM changes WHERE seq <= ?1", [last - KEPT])?;
    }
    Ok(())
}
