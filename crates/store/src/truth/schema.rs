//! The format of a workspace's truth: creating it, bringing an older one up to date, refusing a newer one.
//!
//! A new format is one more file in `schema/` and one more entry in [`STEPS`]; files that were released never
//! change. The tables themselves are described in `schema/0001.sql`.

use rusqlite::{Connection, TransactionBehavior};

use crate::error::{Result, StoreError};

/// SQL that leads from format `index` to format `index + 1`.
const STEPS: [&str; 1] = [include_str!("schema/0001.sql")];

/// The newest format this release knows, kept in `PRAGMA user_version`.
pub(crate) const FORMAT: i64 = STEPS.len() as i64;

/// Marks a file as ours in `PRAGMA application_id`: "Lore".
const APPLICATION_ID: i64 = 0x4C6F_7265;

/// Brings the database to [`FORMAT`] in one transaction.
pub(crate) fn migrate(connection: &mut Connection) -> Result<()> {
    let found = check_format(connection)?;
    if found == FORMAT {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    Ok(transaction.commit()?)
}

/// The format of the database; 0 for an empty one.
pub(crate) fn check_format(connection: &Connection) -> Result<i64> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mark: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    if found > FORMAT {
        return Err(StoreError::NewerFormat { found, supported: FORMAT });
    }
    if found < 0 || (found > 0 && mark != APPLICATION_ID) {
        return Err(StoreError::Damaged("the file is not a Lorekeep workspace".to_owned()));
    }
    Ok(found)
}
