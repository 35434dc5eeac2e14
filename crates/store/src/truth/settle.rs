//! Settling a [`GraphChange`]: each touched entity and relation gets its final row, once.
//!
//! Visibility is decided here: an entity is visible unless a user hid it, as long as a document mentions it or a
//! user made it; a relation is visible unless a user hid it, as long as a sentence supports it or a user made it,
//! and both its ends are visible. What is neither visible nor kept by a user's decision is removed. A row whose
//! text changed gets a new revision and waits in the queue to be embedded.

use std::collections::BTreeMap;

use lorekeep_types::ByteSpan;
use rusqlite::{Connection, OptionalExtension};

use super::changes::ChangeKind;
use super::graph::{EntityTouch, GraphChange, RelationTouch};
use super::resolve::forget_names;
use super::{Writing, sentences, summaries};
use crate::error::Result;

/// Sentences of a relation that its text is made from: the first ones, so that a long list costs no more.
const READ_SENTENCES: usize = 20;
/// Definitions of an entity that its text is made from: the best ones.
const READ_DEFINITIONS: usize = 12;
/// Versions whose surfaces and types decide an entity's: the first ones.
const READ_NAMES: usize = 200;

/// Kinds of rows in the queue for embedding.
pub(super) const QUEUE_ENTITY: i64 = 1;
/// See [`QUEUE_ENTITY`].
pub(super) const QUEUE_RELATION: i64 = 2;

/// An entity's row, as far as settling changes it.
#[derive(Clone, Debug, Default, PartialEq)]
struct EntityRow {
    key: String,
    name: String,
    kind: String,
    description: String,
    user: [Option<String>; 3],
    made: bool,
    kept: bool,
    hidden: bool,
    visible: bool,
}

/// A relation's row, as far as settling changes it.
#[derive(Clone, Debug, Default, PartialEq)]
struct RelationRow {
    ends: (i64, i64),
    sentences: i64,
    keywords: String,
    description: String,
    user: [Option<String>; 2],
    made: bool,
    kept: bool,
    hidden: bool,
    visible: bool,
}

/// Entities under way: as stored (`None`: fresh) and as they will be.
type Entities = BTreeMap<i64, (EntityTouch, Option<EntityRow>, EntityRow)>;

impl GraphChange {
    /// Writes the rows and records the changes.
    pub(super) fn settle(self, writing: &mut Writing<'_>, now_ms: i64) -> Result<()> {
        let Self { entities: touched, mut relations, recount, .. } = self;
        let mut entities = load(writing, touched)?;
        for (id, (_, before, after)) in &entities {
            if before.as_ref().is_some_and(|before| before.visible != after.visible) {
                touch_relations_of(writing.sql(), *id, &mut relations)?;
            }
        }
        let mut degrees = BTreeMap::new();
        for (id, touch) in relations {
            settle_relation(writing, id, &touch, &entities, &mut degrees, now_ms)?;
        }
        for (id, (touch, before, after)) in &mut entities {
            let degree = degrees.remove(id).unwrap_or(0);
            settle_entity(writing, *id, touch, before.as_ref(), after, degree, now_ms)?;
        }
        let mut statement = writing.sql().prepare_cached("UPDATE entities SET degree = degree + ?2 WHERE id = ?1")?;
        for change in degrees.into_iter().filter(|(_, degree)| *degree != 0) {
            statement.execute(change)?;
        }
        drop(statement);
        recount.iter().try_for_each(|entity| recount_degree(writing.sql(), *entity))
    }
}

/// Reads the touched entities and decides which will be visible.
fn load(writing: &Writing<'_>, touched: BTreeMap<i64, EntityTouch>) -> Result<Entities> {
    let mut entities = BTreeMap::new();
    for (id, mut touch) in touched {
        let before = match touch.fresh {
            Some(_) => None,
            None => match entity_row(writing.sql(), id)? {
                Some(row) => Some(row),
                None => continue,
            },
        };
        let mut after = before.clone().unwrap_or_default();
        if let Some((key, name, kind)) = touch.fresh.take() {
            after = EntityRow { key, name, kind, visible: true, ..EntityRow::default() };
        }
        if touch.presence {
            after.visible = !after.hidden && (after.made || has_contributions(writing.sql(), id)?);
        }
        entities.insert(id, (touch, before, after));
    }
    Ok(entities)
}

fn entity_row(sql: &Connection, id: i64) -> Result<Option<EntityRow>> {
    let question = "SELECT key, name, kind, description, user_name, user_kind, user_description, made, kept, hidden, \
                    visible FROM entities WHERE id = ?1";
    let row = sql.prepare_cached(question)?.query_row([id], |row| {
        Ok(EntityRow {
            key: row.get(0)?,
            name: row.get(1)?,
            kind: row.get(2)?,
            description: row.get(3)?,
            user: [row.get(4)?, row.get(5)?, row.get(6)?],
            made: row.get(7)?,
            kept: row.get(8)?,
            hidden: row.get(9)?,
            visible: row.get(10)?,
        })
    });
    Ok(row.optional()?)
}

fn has_contributions(sql: &Connection, entity: i64) -> Result<bool> {
    let question = "SELECT EXISTS (SELECT 1 FROM contributions WHERE entity = ?1)";
    Ok(sql.prepare_cached(question)?.query_row([entity], |row| row.get(0))?)
}

fn touch_relations_of(sql: &Connection, entity: i64, relations: &mut BTreeMap<i64, RelationTouch>) -> Result<()> {
    let question = "SELECT id FROM relations WHERE low = ?1 UNION ALL SELECT id FROM relations WHERE high = ?1";
    let mut statement = sql.prepare_cached(question)?;
    let mut rows = statement.query([entity])?;
    while let Some(row) = rows.next()? {
        relations.entry(row.get(0)?).or_default();
    }
    Ok(())
}

fn settle_relation(
    writing: &mut Writing<'_>,
    id: i64,
    touch: &RelationTouch,
    entities: &Entities,
    degrees: &mut BTreeMap<i64, i64>,
    now_ms: i64,
) -> Result<()> {
    let before = match touch.fresh {
        Some(_) => None,
        None => match relation_row(writing.sql(), id)? {
            Some(row) => Some(row),
            None => return Ok(()),
        },
    };
    let mut after = before
        .clone()
        .unwrap_or_else(|| RelationRow { ends: touch.fresh.unwrap_or_default(), ..RelationRow::default() });
    after.sentences += touch.sentences;
    let present = after.made || after.sentences > 0;
    after.visible = present && !after.hidden && ends_visible(writing.sql(), after.ends, entities)?;
    retell_relation(writing.sql(), id, touch, before.as_ref(), &mut after)?;

    let was_visible = before.as_ref().is_some_and(|before| before.visible);
    if after.visible != was_visible {
        let step = if after.visible { 1 } else { -1 };
        *degrees.entry(after.ends.0).or_default() += step;
        *degrees.entry(after.ends.1).or_default() += step;
    }
    if !present && !after.hidden && !after.kept {
        return remove_relation(writing, id, before.is_some());
    }
    write_relation(writing, id, touch, before.as_ref(), &after, now_ms)
}

fn relation_row(sql: &Connection, id: i64) -> Result<Option<RelationRow>> {
    let question = "SELECT low, high, sentences, keywords, description, user_keywords, user_description, made, kept, \
                    hidden, visible FROM relations WHERE id = ?1";
    let row = sql.prepare_cached(question)?.query_row([id], |row| {
        Ok(RelationRow {
            ends: (row.get(0)?, row.get(1)?),
            sentences: row.get(2)?,
            keywords: row.get(3)?,
            description: row.get(4)?,
            user: [row.get(5)?, row.get(6)?],
            made: row.get(7)?,
            kept: row.get(8)?,
            hidden: row.get(9)?,
            visible: row.get(10)?,
        })
    });
    Ok(row.optional()?)
}

fn ends_visible(sql: &Connection, ends: (i64, i64), entities: &Entities) -> Result<bool> {
    for end in [ends.0, ends.1] {
        let visible = match entities.get(&end) {
            Some((_, _, after)) => after.visible,
            None => {
                let question = "SELECT visible FROM entities WHERE id = ?1";
                sql.prepare_cached(question)?.query_row([end], |row| row.get(0)).optional()?.unwrap_or(false)
            }
        };
        if !visible {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Sets keywords and description: the user's, else made from the first sentences.
fn retell_relation(
    sql: &Connection,
    id: i64,
    touch: &RelationTouch,
    before: Option<&RelationRow>,
    after: &mut RelationRow,
) -> Result<()> {
    // Sentences are read in the order of chunks, and new chunks come last: beyond the first ones nothing differs.
    let beyond =
        before.is_some_and(|before| usize::try_from(before.sentences).is_ok_and(|count| count >= READ_SENTENCES));
    if touch.lost || (touch.sentences > 0 && !beyond) || after.user.iter().any(Option::is_some) || touch.moved {
        let read;
        let lines = if touch.fresh.is_some() {
            &touch.lines
        } else {
            read = relation_lines(sql, id)?;
            &read
        };
        let lines = lines.iter().take(READ_SENTENCES);
        after.keywords = sentences::keywords(lines.clone().map(|(keywords, _)| keywords.as_str()));
        after.description = sentences::join(lines.map(|(_, sentence)| sentence.as_str()));
    }
    let [keywords, description] = &after.user;
    if let Some(keywords) = keywords {
        after.keywords.clone_from(keywords);
    }
    if let Some(description) = description {
        after.description.clone_from(description);
    }
    Ok(())
}

fn relation_lines(sql: &Connection, id: i64) -> Result<Vec<(String, String)>> {
    let question = "SELECT e.keywords, e.start, e.stop, c.start, c.text, e.description FROM evidence e \
                    JOIN chunks c ON c.id = e.chunk WHERE e.relation = ?1 ORDER BY e.chunk, e.start LIMIT ?2";
    let mut statement = sql.prepare_cached(question)?;
    let rows = statement.query_map((id, READ_SENTENCES), |row| {
        let span = ByteSpan::new(row.get(1)?, row.get(2)?);
        let description: String = row.get(5)?;
        if !description.is_empty() {
            return Ok((row.get(0)?, description));
        }
        let sentence = sentences::slice(row.get(3)?, row.get_ref(4)?.as_str()?, span).to_owned();
        Ok((row.get(0)?, sentence))
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn write_relation(
    writing: &mut Writing<'_>,
    id: i64,
    touch: &RelationTouch,
    before: Option<&RelationRow>,
    after: &RelationRow,
    now_ms: i64,
) -> Result<()> {
    let shown = after.visible && !before.is_some_and(|before| before.visible);
    let hidden = !after.visible && before.is_some_and(|before| before.visible);
    let retold =
        before.is_none_or(|before| before.keywords != after.keywords || before.description != after.description);
    let revised = retold || shown || touch.moved;
    match before {
        None => {
            let insert = "INSERT INTO relations (id, low, high, sentences, keywords, description, visible, revision, created_at) \
                          VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 1, ?8)";
            let RelationRow { ends, sentences, keywords, description, visible, .. } = after;
            writing.sql().prepare_cached(insert)?.execute((
                id,
                ends.0,
                ends.1,
                sentences,
                keywords,
                description,
                visible,
                now_ms,
            ))?;
        }
        Some(before) if before != after || revised => {
            let update = "UPDATE relations SET sentences = ?2, keywords = ?3, description = ?4, visible = ?5, \
                          revision = revision + ?6 WHERE id = ?1";
            let RelationRow { sentences, keywords, description, visible, .. } = after;
            writing.sql().prepare_cached(update)?.execute((id, sentences, keywords, description, visible, revised))?;
        }
        Some(_) => {}
    }
    if hidden {
        unqueue(writing.sql(), QUEUE_RELATION, id)?;
        writing.changed(ChangeKind::RelationRemoved(id));
    } else if after.visible && revised {
        queue(writing.sql(), QUEUE_RELATION, id)?;
        writing.changed(ChangeKind::RelationChanged(id));
    }
    Ok(())
}

/// Removes a relation's row and what hangs on it.
pub(super) fn remove_relation(writing: &mut Writing<'_>, id: i64, stored: bool) -> Result<()> {
    if stored {
        unqueue(writing.sql(), QUEUE_RELATION, id)?;
        writing.sql().prepare_cached("DELETE FROM relation_vectors WHERE row = ?1")?.execute([id])?;
        writing.sql().prepare_cached("DELETE FROM relations WHERE id = ?1")?.execute([id])?;
        writing.changed(ChangeKind::RelationRemoved(id));
    }
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the running sums of one pass over what a commit touched")]
fn settle_entity(
    writing: &mut Writing<'_>,
    id: i64,
    touch: &EntityTouch,
    before: Option<&EntityRow>,
    after: &mut EntityRow,
    degree: i64,
    now_ms: i64,
) -> Result<()> {
    if !after.visible && !after.made && !after.kept && !after.hidden && !has_relations(writing.sql(), id)? {
        return remove_entity(writing, id, before.is_some());
    }
    rename_entity(writing.sql(), id, touch, after)?;
    let shown = after.visible && !before.is_some_and(|before| before.visible);
    let hidden = !after.visible && before.is_some_and(|before| before.visible);
    let text = |row: &EntityRow| (row.name.clone(), row.description.clone());
    let revised = shown || before.is_none_or(|before| text(before) != text(after));
    let EntityRow { key, name, kind, description, visible, .. } = &*after;
    match before {
        None => {
            let insert = "INSERT INTO entities (id, key, name, kind, description, visible, degree, created_at) \
                          VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            writing.sql().prepare_cached(insert)?.execute((
                id,
                key,
                name,
                kind,
                description,
                visible,
                degree,
                now_ms,
            ))?;
        }
        Some(before) if before != after || degree != 0 => {
            let update = "UPDATE entities SET name = ?2, kind = ?3, description = ?4, visible = ?5, degree = degree + ?6, \
                          revision = revision + ?7 WHERE id = ?1";
            writing.sql().prepare_cached(update)?.execute((id, name, kind, description, visible, degree, revised))?;
        }
        Some(_) => {}
    }
    if hidden {
        unqueue(writing.sql(), QUEUE_ENTITY, id)?;
        writing.changed(ChangeKind::EntityRemoved(id));
    } else if after.visible && revised {
        queue(writing.sql(), QUEUE_ENTITY, id)?;
        writing.changed(ChangeKind::EntityChanged(id));
    } else if after.visible && before.is_some_and(|before| before.kind != after.kind) {
        writing.changed(ChangeKind::EntityChanged(id));
    }
    Ok(())
}

/// Sets name, type and description: the user's, else what the documents say most or best.
fn rename_entity(sql: &Connection, id: i64, touch: &EntityTouch, after: &mut EntityRow) -> Result<()> {
    if touch.names {
        if let Some(name) = most_frequent(sql, id, NAMES)? {
            after.name = name;
        }
        if let Some(kind) = most_frequent(sql, id, KINDS)? {
            after.kind = kind;
        }
    }
    if touch.definitions {
        after.description = description_of(sql, id)?;
    }
    let [name, kind, description] = after.user.clone();
    after.name = name.unwrap_or_else(|| after.name.clone());
    after.kind = kind.unwrap_or_else(|| after.kind.clone());
    after.description = description.unwrap_or_else(|| after.description.clone());
    Ok(())
}

const NAMES: &str = "SELECT name FROM (SELECT name FROM contributions WHERE entity = ?1 ORDER BY version LIMIT ?2) \
                     GROUP BY name ORDER BY count(*) DESC, name LIMIT 1";
const KINDS: &str = "SELECT kind FROM (SELECT kind FROM contributions WHERE entity = ?1 ORDER BY version LIMIT ?2) \
                     GROUP BY kind ORDER BY kind = 'unknown', count(*) DESC, kind LIMIT 1";

fn most_frequent(sql: &Connection, entity: i64, question: &str) -> Result<Option<String>> {
    Ok(sql.prepare_cached(question)?.query_row((entity, READ_NAMES), |row| row.get(0)).optional()?)
}

fn description_of(sql: &Connection, entity: i64) -> Result<String> {
    let question = "SELECT d.start, d.stop, c.start, c.text FROM definitions d JOIN chunks c ON c.id = d.chunk \
                    WHERE d.entity = ?1 ORDER BY d.quality DESC, d.chunk, d.start LIMIT ?2";
    let mut statement = sql.prepare_cached(question)?;
    let rows = statement.query_map((entity, READ_DEFINITIONS), |row| {
        let span = ByteSpan::new(row.get(0)?, row.get(1)?);
        Ok(sentences::slice(row.get(2)?, row.get_ref(3)?.as_str()?, span).to_owned())
    })?;
    let mut found = summaries::told(sql, entity)?;
    found.extend(rows.collect::<Result<Vec<_>, _>>()?);
    Ok(sentences::join(found.iter().map(String::as_str)))
}

fn has_relations(sql: &Connection, entity: i64) -> Result<bool> {
    let question =
        "SELECT EXISTS (SELECT 1 FROM relations WHERE low = ?1) OR EXISTS (SELECT 1 FROM relations WHERE high = ?1)";
    Ok(sql.prepare_cached(question)?.query_row([entity], |row| row.get(0))?)
}

/// Removes an entity's row and what hangs on it.
pub(super) fn remove_entity(writing: &mut Writing<'_>, id: i64, stored: bool) -> Result<()> {
    if stored {
        unqueue(writing.sql(), QUEUE_ENTITY, id)?;
        writing.sql().prepare_cached("DELETE FROM entity_vectors WHERE row = ?1")?.execute([id])?;
        writing.sql().prepare_cached("DELETE FROM summaries WHERE entity = ?1")?.execute([id])?;
        forget_names(writing.sql(), id)?;
        writing.sql().prepare_cached("DELETE FROM entities WHERE id = ?1")?.execute([id])?;
        writing.changed(ChangeKind::EntityRemoved(id));
    }
    Ok(())
}

fn recount_degree(sql: &Connection, entity: i64) -> Result<()> {
    let update = "UPDATE entities SET degree = (SELECT count(*) FROM relations WHERE low = ?1 AND visible) \
                  + (SELECT count(*) FROM relations WHERE high = ?1 AND visible) WHERE id = ?1";
    sql.prepare_cached(update)?.execute([entity])?;
    Ok(())
}

fn queue(sql: &Connection, kind: i64, row: i64) -> Result<()> {
    sql.prepare_cached("INSERT OR IGNORE INTO embed_queue (kind, row) VALUES (?1, ?2)")?.execute((kind, row))?;
    Ok(())
}

fn unqueue(sql: &Connection, kind: i64, row: i64) -> Result<()> {
    sql.prepare_cached("DELETE FROM embed_queue WHERE kind = ?1 AND row = ?2")?.execute((kind, row))?;
    Ok(())
}
