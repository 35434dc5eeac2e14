//! Entities and relations as users see them: only visible ones, with the passages they rest on.

use lorekeep_types::{ByteSpan, ChunkId, EntityDetail, EntityId, GraphStats, RelationDetail, RelationId};
use rusqlite::{OptionalExtension, Row};

use super::Reader;
use crate::error::Result;

/// Limits of the lists inside a detail, as the port promises.
const MOST_CHUNKS: usize = 200;
const MOST_DOCUMENTS: usize = 75;
const MOST_EVIDENCE: usize = 20;
const MOST_ALIASES: usize = 20;

const ENTITY: &str = "SELECT id, key, name, kind, description, description_tokens, degree, created_at FROM entities \
     WHERE visible AND id = ?1";

const RELATION: &str = "SELECT r.id, r.low, a.name, r.high, b.name, r.keywords, r.description, r.description_tokens, \
     coalesce(r.user_weight, r.sentences), r.created_at FROM relations r \
     JOIN entities a ON a.id = r.low JOIN entities b ON b.id = r.high \
     WHERE r.visible AND r.id = ?1";

impl Reader<'_> {
    /// One entity, if it is there and visible.
    pub(crate) fn entity(&self, id: EntityId) -> Result<Option<EntityDetail>> {
        let mut statement = self.sql()?.prepare_cached(ENTITY)?;
        let found = statement.query_row([id.0], entity_row).optional()?;
        found.map(|entity| self.with_places(entity)).transpose()
    }

    /// One relation, if it is there and visible.
    pub(crate) fn relation(&self, id: RelationId) -> Result<Option<RelationDetail>> {
        let mut statement = self.sql()?.prepare_cached(RELATION)?;
        let found = statement.query_row([id.0], relation_row).optional()?;
        found.map(|relation| self.with_evidence(relation)).transpose()
    }

    /// Reads entities in the order asked for; unknown ones are left out.
    pub(crate) fn entities(&self, ids: &[EntityId]) -> Result<Vec<EntityDetail>> {
        ids.iter().filter_map(|id| self.entity(*id).transpose()).collect()
    }

    /// Reads relations in the order asked for; unknown ones are left out.
    pub(crate) fn relations(&self, ids: &[RelationId]) -> Result<Vec<RelationDetail>> {
        ids.iter().filter_map(|id| self.relation(*id).transpose()).collect()
    }

    /// Weight and id of the relations that touch an entity, heaviest first (ties by id).
    pub(crate) fn touching(&self, entity: EntityId) -> Result<Vec<(f64, i64)>> {
        let sql = "SELECT coalesce(user_weight, sentences) AS weight, id FROM relations WHERE low = ?1 AND visible \
                   UNION ALL \
                   SELECT coalesce(user_weight, sentences), id FROM relations WHERE high = ?1 AND visible \
                   ORDER BY weight DESC, id";
        let mut statement = self.sql()?.prepare_cached(sql)?;
        let rows = statement.query_map([entity.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The neighbours of an entity as `(neighbour, relation, weight)`, heaviest first (ties by neighbour).
    pub(crate) fn neighbours(&self, entity: EntityId) -> Result<Vec<(EntityId, RelationId, f32)>> {
        let sql = "SELECT high AS other, id, coalesce(user_weight, sentences) AS weight FROM relations \
                   WHERE low = ?1 AND visible \
                   UNION ALL \
                   SELECT low, id, coalesce(user_weight, sentences) FROM relations WHERE high = ?1 AND visible \
                   ORDER BY weight DESC, other";
        let mut statement = self.sql()?.prepare_cached(sql)?;
        let rows =
            statement.query_map([entity.0], |row| Ok((EntityId(row.get(0)?), RelationId(row.get(1)?), row.get(2)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The ends and the weight of every visible relation, by ends.
    pub(crate) fn relation_ends(&self) -> Result<Vec<(EntityId, EntityId, f32)>> {
        let sql = "SELECT low, high, coalesce(user_weight, sentences) FROM relations WHERE visible ORDER BY low, high";
        let mut statement = self.sql()?.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| Ok((EntityId(row.get(0)?), EntityId(row.get(1)?), row.get(2)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Number of distinct neighbours, without reading the rest of the entity.
    pub(crate) fn degree(&self, entity: EntityId) -> Result<u32> {
        let mut statement = self.sql()?.prepare_cached("SELECT degree FROM entities WHERE id = ?1 AND visible")?;
        Ok(statement.query_row([entity.0], |row| row.get(0)).optional()?.unwrap_or(0))
    }

    /// The id of the entity with this display name, key or alias.
    pub(crate) fn entity_id_named(&self, name: &str) -> Result<Option<EntityId>> {
        super::super::names::find_visible(self.sql()?, name).map(|found| found.map(EntityId))
    }

    /// The entity with this display name, key or alias.
    pub(crate) fn entity_named(&self, name: &str) -> Result<Option<EntityDetail>> {
        let Some(id) = self.entity_id_named(name)? else { return Ok(None) };
        Ok(self.entities(&[id])?.pop())
    }

    /// Entities whose key matches: equal, then prefix, then substring; ties by degree, then name.
    pub(crate) fn search_entities(&self, text: &str, limit: usize) -> Result<Vec<EntityDetail>> {
        let wanted = super::super::names::key_of(text);
        // The inner query runs over the index of keys alone; rows are read for what matches only.
        let sql = "SELECT id FROM entities WHERE id IN (SELECT id FROM entities WHERE instr(key, ?1) > 0) AND visible \
                   ORDER BY CASE instr(key, ?1) WHEN 1 THEN length(key) > length(?1) ELSE 2 END, \
                   degree DESC, name, id LIMIT ?2";
        let mut statement = self.sql()?.prepare_cached(sql)?;
        let rows = statement.query_map((wanted, limit), |row| Ok(EntityId(row.get(0)?)))?;
        let ids: Vec<_> = rows.collect::<Result<_, _>>()?;
        self.entities(&ids)
    }

    /// Ids of entities by falling degree, ties by name.
    pub(crate) fn popular_entities(&self, offset: usize, limit: usize) -> Result<Vec<EntityId>> {
        // Well-connected entities are found through a partial index; the tail only when it is asked for.
        let ranked = |condition: &str| -> Result<Vec<EntityId>> {
            let sql = format!(
                "SELECT id FROM entities WHERE {condition} AND visible ORDER BY degree DESC, name, id LIMIT ?2 OFFSET ?1"
            );
            let mut statement = self.sql()?.prepare_cached(&sql)?;
            let rows = statement.query_map((offset, limit), |row| Ok(EntityId(row.get(0)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        let head = ranked("degree >= 8")?;
        if head.len() == limit { Ok(head) } else { ranked("degree >= 0") }
    }

    /// Size of the graph.
    pub(crate) fn graph_stats(&self) -> Result<GraphStats> {
        let sql = "SELECT count(*), coalesce(sum(degree = 0), 0) FROM entities WHERE visible";
        let mut statement = self.sql()?.prepare_cached(sql)?;
        let (entities, isolated) = statement.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let count =
            |sql: &str| -> Result<u64> { Ok(self.sql()?.prepare_cached(sql)?.query_row([], |row| row.get(0))?) };
        Ok(GraphStats {
            entities,
            relations: count("SELECT count(*) FROM relations WHERE visible")?,
            mentions: count("SELECT count(*) FROM mentions")?,
            isolated,
        })
    }

    fn with_places(&self, mut entity: EntityDetail) -> Result<EntityDetail> {
        let sql = "SELECT chunk FROM mentions WHERE entity = ?1 ORDER BY count DESC, chunk LIMIT ?2";
        let mut statement = self.sql()?.prepare_cached(sql)?;
        let rows = statement.query_map((entity.id.0, MOST_CHUNKS), |row| Ok(ChunkId(row.get(0)?)))?;
        entity.chunks = rows.collect::<Result<_, _>>()?;
        let sql = "SELECT d.name FROM contributions c JOIN documents d ON d.id = c.document \
                   WHERE c.entity = ?1 ORDER BY c.version LIMIT ?2";
        let mut statement = self.sql()?.prepare_cached(sql)?;
        let rows = statement.query_map((entity.id.0, MOST_DOCUMENTS), |row| row.get(0))?;
        entity.documents = rows.collect::<Result<_, _>>()?;
        let mut statement =
            self.sql()?.prepare_cached("SELECT key FROM aliases WHERE entity = ?1 ORDER BY key LIMIT ?2")?;
        let rows = statement.query_map((entity.id.0, MOST_ALIASES), |row| row.get(0))?;
        entity.aliases = rows.collect::<Result<_, _>>()?;
        Ok(entity)
    }

    fn with_evidence(&self, mut relation: RelationDetail) -> Result<RelationDetail> {
        let sql = "SELECT e.chunk, e.start, e.stop, d.id, d.name FROM evidence e JOIN chunks c ON c.id = e.chunk \
                   JOIN versions v ON v.id = c.version JOIN documents d ON d.id = v.document \
                   WHERE e.relation = ?1 ORDER BY e.chunk, e.start LIMIT 1000";
        let mut statement = self.sql()?.prepare_cached(sql)?;
        let mut rows = statement.query([relation.id.0])?;
        let mut last_document = None;
        while let Some(row) = rows.next()? {
            let chunk = ChunkId(row.get(0)?);
            if relation.evidence.len() < MOST_EVIDENCE {
                relation.evidence.push((chunk, ByteSpan::new(row.get(1)?, row.get(2)?)));
            }
            if relation.chunks.last() != Some(&chunk) && relation.chunks.len() < MOST_CHUNKS {
                relation.chunks.push(chunk);
            }
            let document: i64 = row.get(3)?;
            // Chunks ascend, and those of one document are consecutive: a name appears once per document.
            if last_document != Some(document) && relation.documents.len() < MOST_DOCUMENTS {
                relation.documents.push(row.get(4)?);
            }
            last_document = Some(document);
        }
        Ok(relation)
    }
}

fn entity_row(row: &Row<'_>) -> rusqlite::Result<EntityDetail> {
    Ok(EntityDetail {
        id: EntityId(row.get(0)?),
        key: row.get(1)?,
        name: row.get(2)?,
        kind: row.get(3)?,
        description: row.get(4)?,
        description_tokens: row.get(5)?,
        degree: row.get(6)?,
        created_at: row.get(7)?,
        chunks: Vec::new(),
        documents: Vec::new(),
        aliases: Vec::new(),
    })
}

fn relation_row(row: &Row<'_>) -> rusqlite::Result<RelationDetail> {
    let low = (EntityId(row.get(1)?), row.get::<_, String>(2)?);
    let high = (EntityId(row.get(3)?), row.get::<_, String>(4)?);
    let (source, target) = if (&low.1, low.0) <= (&high.1, high.0) { (low, high) } else { (high, low) };
    Ok(RelationDetail {
        id: RelationId(row.get(0)?),
        source,
        target,
        keywords: row.get(5)?,
        description: row.get(6)?,
        description_tokens: row.get(7)?,
        weight: row.get(8)?,
        created_at: row.get(9)?,
        chunks: Vec::new(),
        evidence: Vec::new(),
        documents: Vec::new(),
    })
}
