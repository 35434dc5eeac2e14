//! What the views read to build themselves and to follow the change log.

use lorekeep_types::{ChunkId, DocumentId, Vector, VectorKind, VersionId};
use rusqlite::{OptionalExtension, Row};

use super::Reader;
use crate::error::Result;

/// A document's current version, as the views index it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VersionRow {
    /// The version.
    pub(crate) id: VersionId,
    /// The document.
    pub(crate) document: DocumentId,
    /// The title that belongs to the lexical text: from the metadata, else the name without folder and extension.
    pub(crate) title: String,
    /// ISO 639-1 code, if known.
    pub(crate) language: Option<String>,
    /// Its chunks have the ids `first_chunk .. first_chunk + chunks`.
    pub(crate) first_chunk: ChunkId,
    /// See `first_chunk`.
    pub(crate) chunks: u32,
}

/// A chunk, as the views index it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChunkRow {
    /// The chunk.
    pub(crate) id: ChunkId,
    /// Position in the document, from 0.
    pub(crate) position: u32,
    /// Title of the heading that governs it (the innermost one above it).
    pub(crate) governing_heading: Option<String>,
    /// Its text.
    pub(crate) text: String,
}

const VERSION_COLUMNS: &str = "v.id, d.public, coalesce(v.title, ''), d.name, v.language, v.first_chunk, v.chunks FROM versions v JOIN documents d ON d.id = v.document";

impl Reader<'_> {
    /// Every version, by id. Versions exist only complete: each is the current one of its document.
    pub(crate) fn versions(&self) -> Result<Vec<VersionRow>> {
        let mut statement = self.sql()?.prepare_cached(&format!("SELECT {VERSION_COLUMNS} ORDER BY v.id"))?;
        let rows = statement.query_map([], version_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One version, if it is still there.
    pub(crate) fn version(&self, version: VersionId) -> Result<Option<VersionRow>> {
        let mut statement = self.sql()?.prepare_cached(&format!("SELECT {VERSION_COLUMNS} WHERE v.id = ?1"))?;
        Ok(statement.query_row([version.0], version_row).optional()?)
    }

    /// Number of chunks of all versions.
    pub(crate) fn chunk_count(&self) -> Result<u64> {
        let mut statement = self.sql()?.prepare_cached("SELECT coalesce(sum(chunks), 0) FROM versions")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// The chunks of a version, by position.
    pub(crate) fn each_chunk(&self, version: &VersionRow, each: &mut dyn FnMut(ChunkRow) -> Result<()>) -> Result<()> {
        let sql = "SELECT id, position, json_extract(heading_path, '$[#-1]'), text FROM chunks \
                   WHERE id >= ?1 AND id < ?2 ORDER BY id";
        let mut statement = self.sql()?.prepare_cached(sql)?;
        let mut rows = statement.query(range(version))?;
        while let Some(row) = rows.next()? {
            each(ChunkRow {
                id: ChunkId(row.get(0)?),
                position: row.get(1)?,
                governing_heading: row.get(2)?,
                text: row.get(3)?,
            })?;
        }
        Ok(())
    }

    /// The mentions of a version as `(chunk, entity's key, occurrences, whether it is the chunk's own topic)`, by
    /// chunk; hidden entities are left out.
    pub(crate) fn each_mention(
        &self,
        version: &VersionRow,
        each: &mut dyn FnMut(ChunkId, &str, u32, bool) -> Result<()>,
    ) -> Result<()> {
        let sql = "SELECT m.chunk, e.key, m.count, m.own FROM mentions m JOIN entities e ON e.id = m.entity \
                   WHERE m.chunk >= ?1 AND m.chunk < ?2 AND e.hidden = 0 ORDER BY m.chunk, m.entity";
        let mut statement = self.sql()?.prepare_cached(sql)?;
        let mut rows = statement.query(range(version))?;
        while let Some(row) = rows.next()? {
            let key = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
            each(ChunkId(row.get(0)?), key, row.get(2)?, row.get(3)?)?;
        }
        Ok(())
    }

    /// The chunk vectors of a version, by chunk: none, or one per chunk.
    pub(crate) fn each_chunk_vector(
        &self,
        version: &VersionRow,
        each: &mut dyn FnMut(ChunkId, Vector) -> Result<()>,
    ) -> Result<()> {
        let sql = "SELECT row, scale, bytes FROM chunk_vectors WHERE row >= ?1 AND row < ?2 ORDER BY row";
        let mut statement = self.sql()?.prepare_cached(sql)?;
        let mut rows = statement.query(range(version))?;
        while let Some(row) = rows.next()? {
            each(ChunkId(row.get(0)?), vector(row, 1)?)?;
        }
        Ok(())
    }

    /// Every vector of a kind, by row id; for entities and relations only those that are visible.
    pub(crate) fn each_vector(&self, kind: VectorKind, each: &mut dyn FnMut(i64, Vector) -> Result<()>) -> Result<()> {
        let sql = match kind {
            VectorKind::Chunk => "SELECT row, scale, bytes FROM chunk_vectors ORDER BY row",
            VectorKind::Entity => {
                "SELECT v.row, v.scale, v.bytes FROM entity_vectors v JOIN entities e ON e.id = v.row \
                 WHERE e.visible ORDER BY v.row"
            }
            VectorKind::Relation => {
                "SELECT v.row, v.scale, v.bytes FROM relation_vectors v JOIN relations r ON r.id = v.row \
                 WHERE r.visible ORDER BY v.row"
            }
        };
        let mut statement = self.sql()?.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            each(row.get(0)?, vector(row, 1)?)?;
        }
        Ok(())
    }

    /// One vector, if it is there and what it stands for is visible.
    pub(crate) fn vector(&self, kind: VectorKind, row: i64) -> Result<Option<Vector>> {
        let sql = match kind {
            VectorKind::Chunk => "SELECT scale, bytes FROM chunk_vectors WHERE row = ?1",
            VectorKind::Entity => {
                "SELECT scale, bytes FROM entity_vectors WHERE row = ?1 \
                 AND EXISTS (SELECT 1 FROM entities WHERE id = ?1 AND visible)"
            }
            VectorKind::Relation => {
                "SELECT scale, bytes FROM relation_vectors WHERE row = ?1 \
                 AND EXISTS (SELECT 1 FROM relations WHERE id = ?1 AND visible)"
            }
        };
        let mut statement = self.sql()?.prepare_cached(sql)?;
        Ok(statement.query_row([row], |row| vector(row, 0)).optional()?)
    }

    /// Number of visible entities and of visible relations.
    pub(crate) fn graph_counts(&self) -> Result<(u64, u64)> {
        let sql =
            "SELECT (SELECT count(*) FROM entities WHERE visible), (SELECT count(*) FROM relations WHERE visible)";
        let mut statement = self.sql()?.prepare_cached(sql)?;
        Ok(statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// `(other name, key of the visible entity it stands for)`, both normalised, sorted: users' decisions first
    /// where both speak, else what most versions say. A key that is itself a visible entity is left out.
    pub(crate) fn aliases(&self) -> Result<Vec<(String, String)>> {
        let sql = "SELECT key, entity_key FROM (\
                SELECT a.key, e.key AS entity_key, 1000000000 AS votes, e.id FROM aliases a \
                    JOIN entities e ON e.id = a.entity WHERE e.visible \
                UNION ALL \
                SELECT a.key, e.key, count(*), e.id FROM document_aliases a \
                    JOIN entities e ON e.id = a.entity WHERE e.visible GROUP BY a.key, a.entity) AS known \
             WHERE NOT EXISTS (SELECT 1 FROM entities o WHERE o.key = known.key AND o.visible) \
             ORDER BY key, votes DESC, id";
        let mut statement = self.sql()?.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut aliases: Vec<(String, String)> = rows.collect::<Result<_, _>>()?;
        aliases.dedup_by(|later, earlier| later.0 == earlier.0);
        Ok(aliases)
    }
}

fn range(version: &VersionRow) -> (i64, i64) {
    (version.first_chunk.0, version.first_chunk.0 + i64::from(version.chunks))
}

fn version_row(row: &Row<'_>) -> rusqlite::Result<VersionRow> {
    let public: String = row.get(1)?;
    let title: String = row.get(2)?;
    let name: String = row.get(3)?;
    Ok(VersionRow {
        id: VersionId(row.get(0)?),
        document: super::chunks::document_id(&public)?,
        title: super::chunks::title_or_name(title, &name),
        language: row.get(4)?,
        first_chunk: ChunkId(row.get(5)?),
        chunks: row.get(6)?,
    })
}

/// Reads `(scale, bytes)` from column `at` on.
fn vector(row: &Row<'_>, at: usize) -> rusqlite::Result<Vector> {
    let bytes = row.get_ref(at + 1)?.as_blob()?;
    Ok(Vector { scale: row.get(at)?, bytes: bytes.iter().map(|byte| byte.cast_signed()).collect() })
}
