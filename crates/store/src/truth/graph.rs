//! Recording what a transaction does to the graph of entities and relations.
//!
//! A [`GraphChange`] collects which entities and relations a transaction touches while documents come and go;
//! mentions, definitions and evidence are written at once, the rows of entities and relations once each when the
//! change is settled (`settle.rs`). So a hub that sixty documents of one batch mention is rewritten once.

use std::collections::{BTreeMap, HashMap};

use lorekeep_types::{ByteSpan, ChunkId, Extraction, NewEntity, VersionId};
use rusqlite::{Connection, OptionalExtension};

use super::sentences;
use crate::error::Result;

/// An entity as the recording needs it.
#[derive(Clone, Debug)]
struct Known {
    id: i64,
    name: String,
    kind: String,
    visible: bool,
}

/// What may have changed about an entity.
#[derive(Debug, Default)]
pub(super) struct EntityTouch {
    /// Not stored yet: `(key, name, kind)`.
    pub(super) fresh: Option<(String, String, String)>,
    /// Surfaces or types were added or taken away.
    pub(super) names: bool,
    /// Definitions or descriptions were added or taken away.
    pub(super) definitions: bool,
    /// It may have gained its first or lost its last document, or been hidden or shown.
    pub(super) presence: bool,
}

/// What may have changed about a relation.
#[derive(Debug, Default)]
pub(super) struct RelationTouch {
    /// Not stored yet: its ends.
    pub(super) fresh: Option<(i64, i64)>,
    /// Sentences added minus sentences taken away.
    pub(super) sentences: i64,
    /// Some were taken away.
    pub(super) lost: bool,
    /// `(keywords, sentence or description)` of a fresh relation, whose text needs no look at the tables.
    pub(super) lines: Vec<(String, String)>,
    /// Its ends changed: it reads differently even if its own words are the same.
    pub(super) moved: bool,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct GraphChange {
    pub(super) entities: BTreeMap<i64, EntityTouch>,
    pub(super) relations: BTreeMap<i64, RelationTouch>,
    /// Entities whose degree is counted anew rather than kept up to date.
    pub(super) recount: Vec<i64>,
    known: HashMap<String, Known>,
    pairs: HashMap<(i64, i64), i64>,
    last_ids: [Option<i64>; 2],
}

/// The version whose extraction is recorded: its chunks have consecutive ids from `first_chunk` on.
pub(super) struct Contribution<'a> {
    pub(super) version: VersionId,
    pub(super) document: i64,
    pub(super) first_chunk: i64,
    /// Place and text of each chunk, by position.
    pub(super) chunks: &'a [(ByteSpan, &'a str)],
}

impl Contribution<'_> {
    fn chunk(&self, position: u32) -> Option<ChunkId> {
        ((position as usize) < self.chunks.len()).then(|| ChunkId(self.first_chunk + i64::from(position)))
    }

    /// The chunk that holds all of `span`, else the last one that holds its start.
    fn chunk_of(&self, span: ByteSpan) -> Option<ChunkId> {
        let holds = |(place, _): &&(ByteSpan, &str)| place.start <= span.start && span.start < place.end;
        let whole = self.chunks.iter().rposition(|(place, _)| place.start <= span.start && span.end <= place.end);
        let index = whole.or_else(|| self.chunks.iter().rposition(|chunk| holds(&chunk)))?;
        self.chunk(u32::try_from(index).ok()?)
    }

    fn sentence(&self, position: u32, span: ByteSpan) -> &str {
        let chunk = self.chunks.get(position as usize);
        chunk.map(|(place, text)| sentences::slice(place.start, text, span)).unwrap_or_default()
    }
}

impl GraphChange {
    /// Records everything that a version says about the graph; returns the number of its entities.
    pub(super) fn add(&mut self, sql: &Connection, from: &Contribution<'_>, extraction: &Extraction) -> Result<u32> {
        let ids = self.add_entities(sql, from, &extraction.entities)?;
        self.add_mentions(sql, from, extraction, &ids)?;
        self.add_relations(sql, from, extraction, &ids)?;
        let mut distinct: Vec<_> = ids.into_iter().flatten().collect();
        distinct.sort_unstable();
        distinct.dedup();
        Ok(u32::try_from(distinct.len()).unwrap_or(u32::MAX))
    }

    /// The ids by index into the extraction; `None` for an entity without a key.
    fn add_entities(
        &mut self,
        sql: &Connection,
        from: &Contribution<'_>,
        new: &[NewEntity],
    ) -> Result<Vec<Option<i64>>> {
        let insert =
            "INSERT OR IGNORE INTO contributions (entity, version, document, name, kind) VALUES (?1, ?2, ?3, ?4, ?5)";
        let mut contribute = sql.prepare_cached(insert)?;
        let mut ids = Vec::with_capacity(new.len());
        for entity in new {
            if entity.key.is_empty() {
                ids.push(None);
                continue;
            }
            let id = self.resolve(sql, entity)?;
            contribute.execute((id, from.version.0, from.document, &entity.name, &entity.kind))?;
            self.add_definitions(sql, from, id, &entity.definitions)?;
            self.add_descriptions(sql, from, id, &entity.descriptions)?;
            self.add_aliases(sql, from, id, entity)?;
            ids.push(Some(id));
        }
        Ok(ids)
    }

    fn add_definitions(
        &mut self,
        sql: &Connection,
        from: &Contribution<'_>,
        entity: i64,
        found: &[(ByteSpan, u8)],
    ) -> Result<()> {
        let insert =
            "INSERT OR IGNORE INTO definitions (entity, quality, chunk, start, stop) VALUES (?1, ?2, ?3, ?4, ?5)";
        for (span, quality) in found {
            if let Some(chunk) = from.chunk_of(*span) {
                sql.prepare_cached(insert)?.execute((entity, quality, chunk.0, span.start, span.end))?;
                self.touch(entity).definitions = true;
            }
        }
        Ok(())
    }

    fn add_descriptions(
        &mut self,
        sql: &Connection,
        from: &Contribution<'_>,
        entity: i64,
        said: &[(u32, String)],
    ) -> Result<()> {
        // Two keys of one document may be one entity by a user's alias; then their texts add up.
        let insert = "INSERT INTO descriptions (entity, chunk, text) VALUES (?1, ?2, ?3) \
                      ON CONFLICT DO UPDATE SET text = text || ' ' || excluded.text";
        for (position, text) in said {
            if let Some(chunk) = from.chunk(*position) {
                sql.prepare_cached(insert)?.execute((entity, chunk.0, text))?;
                self.touch(entity).definitions = true;
            }
        }
        Ok(())
    }

    fn add_aliases(&mut self, sql: &Connection, from: &Contribution<'_>, id: i64, entity: &NewEntity) -> Result<()> {
        let insert = "INSERT OR IGNORE INTO document_aliases (key, entity, version) VALUES (?1, ?2, ?3)";
        for alias in entity.aliases.iter().filter(|alias| !alias.is_empty() && **alias != entity.key) {
            sql.prepare_cached(insert)?.execute((alias, id, from.version.0))?;
        }
        Ok(())
    }

    fn add_mentions(
        &mut self,
        sql: &Connection,
        from: &Contribution<'_>,
        extraction: &Extraction,
        ids: &[Option<i64>],
    ) -> Result<()> {
        // Two keys of one document may be one entity by a user's alias; then their mentions add up.
        let insert = "INSERT INTO mentions (chunk, entity, start, stop, count, own) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                      ON CONFLICT DO UPDATE SET count = count + excluded.count, own = max(own, excluded.own), \
                      stop = iif(excluded.start < start, excluded.stop, stop), start = min(start, excluded.start)";
        let mut statement = sql.prepare_cached(insert)?;
        for mention in &extraction.mentions {
            let entity = ids.get(mention.entity as usize).copied().flatten();
            if let (Some(entity), Some(chunk)) = (entity, from.chunk(mention.chunk)) {
                let ByteSpan { start, end } = mention.span;
                statement.execute((chunk.0, entity, start, end, mention.count.max(1), mention.own))?;
            }
        }
        Ok(())
    }

    fn add_relations(
        &mut self,
        sql: &Connection,
        from: &Contribution<'_>,
        extraction: &Extraction,
        ids: &[Option<i64>],
    ) -> Result<()> {
        let insert = "INSERT OR IGNORE INTO evidence (chunk, relation, start, stop, keywords, description) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let mut statement = sql.prepare_cached(insert)?;
        let id_at = |index: u32| ids.get(index as usize).copied().flatten();
        for new in &extraction.relations {
            let (Some(source), Some(target), Some(chunk)) =
                (id_at(new.source), id_at(new.target), from.chunk(new.chunk))
            else {
                continue;
            };
            if source == target {
                continue;
            }
            let relation = self.pair(sql, source, target)?;
            let ByteSpan { start, end } = new.evidence;
            if statement.execute((chunk.0, relation, start, end, &new.keywords, &new.description))? == 1 {
                let touch = self.relations.entry(relation).or_default();
                touch.sentences += 1;
                if touch.fresh.is_some() {
                    let sentence = from.sentence(new.chunk, new.evidence);
                    let said = if new.description.is_empty() { sentence } else { &new.description };
                    touch.lines.push((new.keywords.clone(), said.to_owned()));
                }
            }
        }
        Ok(())
    }

    /// Marks everything that a version contributed, before its rows are deleted.
    pub(super) fn remove(&mut self, sql: &Connection, version: VersionId, chunks: (i64, i64)) -> Result<()> {
        let mut statement = sql.prepare_cached("SELECT entity FROM contributions WHERE version = ?1")?;
        let mut rows = statement.query([version.0])?;
        while let Some(row) = rows.next()? {
            let touch = self.touch(row.get(0)?);
            touch.names = true;
            touch.presence = true;
        }
        let defined = "SELECT entity FROM definitions WHERE chunk >= ?1 AND chunk < ?2 \
                       UNION SELECT entity FROM descriptions WHERE chunk >= ?1 AND chunk < ?2";
        let mut statement = sql.prepare_cached(defined)?;
        let mut rows = statement.query(chunks)?;
        while let Some(row) = rows.next()? {
            self.touch(row.get(0)?).definitions = true;
        }
        let related = "SELECT relation, count(*) FROM evidence WHERE chunk >= ?1 AND chunk < ?2 GROUP BY relation";
        let mut statement = sql.prepare_cached(related)?;
        let mut rows = statement.query(chunks)?;
        while let Some(row) = rows.next()? {
            let touch = self.relations.entry(row.get(0)?).or_default();
            touch.sentences -= row.get::<_, i64>(1)?;
            touch.lost = true;
        }
        Ok(())
    }

    /// The record of an entity.
    pub(super) fn touch(&mut self, entity: i64) -> &mut EntityTouch {
        self.entities.entry(entity).or_default()
    }

    /// The entity to which a document's entity belongs; a new one when there is none.
    fn resolve(&mut self, sql: &Connection, new: &NewEntity) -> Result<i64> {
        let known = match self.known.get(&new.key) {
            Some(known) => known.clone(),
            None => self.look_up(sql, new)?,
        };
        let other_kind = new.kind != known.kind && new.kind != "unknown";
        if new.name != known.name || other_kind {
            self.touch(known.id).names = true;
        }
        if !known.visible {
            self.touch(known.id).presence = true;
        }
        Ok(known.id)
    }

    fn look_up(&mut self, sql: &Connection, new: &NewEntity) -> Result<Known> {
        let question = "SELECT id, name, kind, visible FROM entities WHERE id = \
                        coalesce((SELECT entity FROM aliases WHERE key = ?1), (SELECT id FROM entities WHERE key = ?1))";
        let stored = sql.prepare_cached(question)?.query_row([&new.key], |row| {
            Ok(Known { id: row.get(0)?, name: row.get(1)?, kind: row.get(2)?, visible: row.get(3)? })
        });
        let known = match stored.optional()? {
            Some(known) => known,
            None => {
                let id = self.next_id(sql, "entities")?;
                self.touch(id).fresh = Some((new.key.clone(), new.name.clone(), new.kind.clone()));
                Known { id, name: new.name.clone(), kind: new.kind.clone(), visible: true }
            }
        };
        self.known.insert(new.key.clone(), known.clone());
        Ok(known)
    }

    /// The relation between two entities; a new one when there is none.
    fn pair(&mut self, sql: &Connection, a: i64, b: i64) -> Result<i64> {
        let ends = (a.min(b), a.max(b));
        if let Some(id) = self.pairs.get(&ends) {
            return Ok(*id);
        }
        let fresh_end = |id| self.entities.get(&id).is_some_and(|touch| touch.fresh.is_some());
        let stored = if fresh_end(ends.0) || fresh_end(ends.1) {
            None
        } else {
            let question = "SELECT id FROM relations WHERE low = ?1 AND high = ?2";
            sql.prepare_cached(question)?.query_row(ends, |row| row.get(0)).optional()?
        };
        let id = match stored {
            Some(id) => id,
            None => {
                let id = self.next_id(sql, "relations")?;
                self.relations.entry(id).or_default().fresh = Some(ends);
                id
            }
        };
        self.pairs.insert(ends, id);
        Ok(id)
    }

    /// An id that no row ever had. Rows are inserted when the change is settled, but what refers to them is
    /// written before; SQLite notes explicit ids in `sqlite_sequence` as it does its own.
    fn next_id(&mut self, sql: &Connection, table: &'static str) -> Result<i64> {
        let slot = &mut self.last_ids[usize::from(table == "relations")];
        let last = match *slot {
            Some(last) => last,
            None => {
                let question = "SELECT seq FROM sqlite_sequence WHERE name = ?1";
                sql.prepare_cached(question)?.query_row([table], |row| row.get(0)).optional()?.unwrap_or(0)
            }
        };
        *slot = Some(last + 1);
        Ok(last + 1)
    }
}
