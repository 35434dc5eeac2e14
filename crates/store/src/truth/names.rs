//! Names of entities: what a name's key is, and which entity a key means.
//!
//! A key is looked up among the entities first, then among aliases (names that a user, or a model's verdict, joined to
//! another entity), then among the names that documents equate with an entity. Documents' aliases only help to find a
//! node; they never decide to which node a mention belongs, because that would have to be undone when the document goes.

use rusqlite::{Connection, OptionalExtension};

use crate::error::Result;

/// The key of a display name: its normal form, or the trimmed lower-case name where nothing is left of that.
pub(crate) fn key_of(name: &str) -> String {
    let key = lorekeep_text::norm(name);
    if key.is_empty() { name.trim().to_lowercase() } else { key }
}

/// The visible entity with this display name, key or alias.
pub(crate) fn find_visible(sql: &Connection, name: &str) -> Result<Option<i64>> {
    for key in [name.to_owned(), key_of(name)] {
        let by_key = "SELECT id FROM entities WHERE key = ?1 AND visible";
        let by_alias = "SELECT e.id FROM aliases a JOIN entities e ON e.id = a.entity WHERE a.key = ?1 AND e.visible";
        let by_document = "SELECT e.id FROM document_aliases a JOIN entities e ON e.id = a.entity \
                           WHERE a.key = ?1 AND e.visible GROUP BY e.id ORDER BY count(*) DESC, e.id LIMIT 1";
        for question in [by_key, by_alias, by_document] {
            let found = sql.prepare_cached(question)?.query_row([&key], |row| row.get(0)).optional()?;
            if found.is_some() {
                return Ok(found);
            }
        }
    }
    Ok(None)
}

/// The entity, visible or not, to which a mention under `key` belongs.
pub(super) fn owner_of(sql: &Connection, key: &str) -> Result<Option<i64>> {
    let by_alias = "SELECT entity FROM aliases WHERE key = ?1";
    let found = sql.prepare_cached(by_alias)?.query_row([key], |row| row.get(0)).optional()?;
    if found.is_some() {
        return Ok(found);
    }
    let by_key = "SELECT id FROM entities WHERE key = ?1";
    Ok(sql.prepare_cached(by_key)?.query_row([key], |row| row.get(0)).optional()?)
}
