//! Settings of a workspace, and the embedding model its vectors are of.

use lorekeep_types::EmbeddingModelId;
use rusqlite::{Connection, OptionalExtension};

use super::Truth;
use super::reader::Reader;
use crate::error::{Result, StoreError};

/// Settings whose key starts with this are the store's own.
const OWN: &str = "store.";
/// Under which the model of the vectors is kept.
pub(super) const MODEL: &str = "store.embedding_model";

impl Reader<'_> {
    /// A stored setting.
    pub(crate) fn setting(&self, key: &str) -> Result<Option<String>> {
        get(self.sql()?, key)
    }

    /// The model of the vectors, if one was recorded.
    pub(crate) fn embedding_model(&self) -> Result<Option<EmbeddingModelId>> {
        let stored = get(self.sql()?, MODEL)?;
        Ok(stored.map(|text| serde_json::from_str(&text)).transpose()?)
    }
}

impl Truth {
    /// Stores a setting; `None` removes it.
    pub(crate) fn set_setting(&self, key: &str, value: Option<&str>) -> Result<()> {
        if key.starts_with(OWN) {
            return Err(StoreError::conflict(format!("the setting `{key}` belongs to the store"), "use another key"));
        }
        self.write(|writing| put(writing.sql(), key, value))
    }

    /// Records the model of the vectors to come; a conflict when vectors of another one are there.
    pub(crate) fn set_embedding_model(&self, model: &EmbeddingModelId) -> Result<()> {
        self.write(|writing| {
            let stored = get(writing.sql(), MODEL)?;
            let present: Option<EmbeddingModelId> = stored.map(|text| serde_json::from_str(&text)).transpose()?;
            match present {
                Some(present) if present == *model => Ok(()),
                Some(present) if has_vectors(writing.sql())? => Err(StoreError::conflict(
                    format!(
                        "the workspace holds vectors of `{}` ({} dimensions), not of `{}` ({})",
                        present.name, present.dimensions, model.name, model.dimensions
                    ),
                    "make all vectors anew with `lorekeep reindex --vectors`, or configure the model that they are of",
                )),
                _ => put(writing.sql(), MODEL, Some(&serde_json::to_string(model)?)),
            }
        })
    }
}

pub(super) fn get(sql: &Connection, key: &str) -> Result<Option<String>> {
    let question = "SELECT value FROM settings WHERE key = ?1";
    Ok(sql.prepare_cached(question)?.query_row([key], |row| row.get(0)).optional()?)
}

pub(super) fn put(sql: &Connection, key: &str, value: Option<&str>) -> Result<()> {
    match value {
        Some(value) => {
            let upsert =
                "INSERT INTO settings (key, value) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value";
            sql.prepare_cached(upsert)?.execute((key, value))?
        }
        None => sql.prepare_cached("DELETE FROM settings WHERE key = ?1")?.execute([key])?,
    };
    Ok(())
}

fn has_vectors(sql: &Connection) -> Result<bool> {
    let question = "SELECT EXISTS (SELECT 1 FROM chunk_vectors) OR EXISTS (SELECT 1 FROM entity_vectors) \
                    OR EXISTS (SELECT 1 FROM relation_vectors)";
    Ok(sql.prepare_cached(question)?.query_row([], |row| row.get(0))?)
}
