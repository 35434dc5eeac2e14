//! Settings of all model calls that were made while the program ran.

use rusqlite::{Connection, OptionalExtension as _};

use crate::error::Result;

/// The value of `key`.
pub(super) fn get(sql: &Connection, key: &str) -> Result<Option<String>> {
    let question = "SELECT value FROM settings WHERE key = ?1";
    Ok(sql.prepare_cached(question)?.query_row([key], |row| row.get(0)).optional()?)
}

/// Sets the value of `key`; `None` removes it.
pub(super) fn put(sql: &Connection, key: &str, value: Option<&str>) -> Result<()> {
    match value {
        Some(value) => sql.prepare_cached("INSERT OR REPLACE INTO settings VALUES (?1, ?2)")?.execute((key, value))?,
        None => sql.prepare_cached("DELETE FROM settings WHERE key = ?1")?.execute([key])?,
    };
    Ok(())
}
