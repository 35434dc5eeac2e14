//! Users' changes to the graph. A user's value replaces the one made from documents and survives their changes;
//! a hidden row stays, so that documents do not bring it back.

use lorekeep_types::{EntityEdit, GraphEdit, RelationEdit};
use rusqlite::{Connection, OptionalExtension};

use super::changes::ChangeKind;
use super::graph::GraphChange;
use super::merge::merge_entities;
use super::names::{find_visible, key_of, owner_of};
use super::{Truth, Writing};
use crate::error::{Result, StoreError};

impl Truth {
    /// Applies one change in one transaction.
    pub(crate) fn edit_graph(&self, edit: &GraphEdit, now_ms: i64) -> Result<()> {
        self.write(|writing| {
            let mut graph = GraphChange::default();
            match edit {
                GraphEdit::CreateEntity(name, edit) => create_entity(writing, &mut graph, name, edit, now_ms),
                GraphEdit::EditEntity(name, edit) => edit_entity(writing, &mut graph, name, edit),
                GraphEdit::DeleteEntity(name) => hide_entity(writing, &mut graph, name),
                GraphEdit::MergeEntities(names, into) => merge_entities(writing, &mut graph, names, into, now_ms),
                GraphEdit::CreateRelation(a, b, edit) => create_relation(writing, &mut graph, (a, b), edit, now_ms),
                GraphEdit::EditRelation(a, b, edit) => edit_relation(writing, &mut graph, (a, b), edit),
                GraphEdit::DeleteRelation(a, b) => hide_relation(writing, &mut graph, (a, b)),
            }?;
            graph.settle(writing, now_ms)
        })
    }
}

/// The visible entity called `name`.
pub(super) fn visible_entity(sql: &Connection, name: &str) -> Result<i64> {
    find_visible(sql, name)?.ok_or_else(|| StoreError::NotFound { kind: "entity", name: name.to_owned() })
}

/// Records that the chunks which mention an entity read differently now.
pub(super) fn mentions_changed(writing: &mut Writing<'_>, entity: i64) -> Result<()> {
    let question = "SELECT version FROM contributions WHERE entity = ?1";
    let versions: Vec<i64> = {
        let mut statement = writing.sql().prepare_cached(question)?;
        let rows = statement.query_map([entity], |row| row.get(0))?;
        rows.collect::<Result<_, _>>()?
    };
    for version in versions {
        writing.changed(ChangeKind::MentionsChanged(lorekeep_types::VersionId(version)));
    }
    Ok(())
}

fn create_entity(
    writing: &mut Writing<'_>,
    graph: &mut GraphChange,
    name: &str,
    edit: &EntityEdit,
    now_ms: i64,
) -> Result<()> {
    let name = edit.name.as_deref().unwrap_or(name);
    let id = make_entity(writing, graph, name, now_ms)?;
    let update = "UPDATE entities SET made = 1, user_kind = coalesce(?2, user_kind), \
                  user_description = coalesce(?3, user_description) WHERE id = ?1";
    writing.sql().prepare_cached(update)?.execute((id, &edit.kind, &edit.description))?;
    Ok(())
}

/// A row for a name that no visible entity has: a hidden one is shown again, else one is inserted.
pub(super) fn make_entity(writing: &mut Writing<'_>, graph: &mut GraphChange, name: &str, now_ms: i64) -> Result<i64> {
    let key = key_of(name);
    if key.is_empty() {
        return Err(StoreError::Invalid("an entity needs a name".to_owned()));
    }
    let id = match owner_of(writing.sql(), &key)? {
        Some(id) if is_visible(writing.sql(), id)? => return Err(taken(name)),
        Some(id) => {
            writing
                .sql()
                .execute("UPDATE entities SET hidden = 0, kept = 1, user_name = ?2 WHERE id = ?1", (id, name))?;
            mentions_changed(writing, id)?;
            id
        }
        None => {
            let insert = "INSERT INTO entities (key, name, kind, kept, visible, user_name, created_at) \
                          VALUES (?1, ?2, 'unknown', 1, 0, ?2, ?3)";
            writing.sql().execute(insert, (key, name, now_ms))?;
            writing.sql().last_insert_rowid()
        }
    };
    let touch = graph.touch(id);
    (touch.names, touch.definitions, touch.presence) = (true, true, true);
    Ok(id)
}

fn is_visible(sql: &Connection, entity: i64) -> Result<bool> {
    let question = "SELECT visible FROM entities WHERE id = ?1";
    Ok(sql.prepare_cached(question)?.query_row([entity], |row| row.get(0)).optional()?.unwrap_or(false))
}

fn taken(name: &str) -> StoreError {
    StoreError::conflict(format!("there is an entity `{name}` already"), "edit that one, or merge the two")
}

fn edit_entity(writing: &mut Writing<'_>, graph: &mut GraphChange, name: &str, edit: &EntityEdit) -> Result<()> {
    let id = visible_entity(writing.sql(), name)?;
    if let Some(new_name) = &edit.name {
        change_key(writing, id, new_name)?;
    }
    let update = "UPDATE entities SET kept = 1, user_name = coalesce(?2, user_name), user_kind = coalesce(?3, user_kind), \
                  user_description = coalesce(?4, user_description) WHERE id = ?1";
    writing.sql().execute(update, (id, &edit.name, &edit.kind, &edit.description))?;
    let touch = graph.touch(id);
    (touch.names, touch.definitions) = (true, true);
    Ok(())
}

/// Gives an entity the key of a new name; what is mentioned under the former key still belongs to it.
fn change_key(writing: &mut Writing<'_>, id: i64, new_name: &str) -> Result<()> {
    let new = key_of(new_name);
    let sql = writing.sql();
    let old: String = sql.query_row("SELECT key FROM entities WHERE id = ?1", [id], |row| row.get(0))?;
    if new.is_empty() {
        return Err(StoreError::Invalid("an entity needs a name".to_owned()));
    }
    if new == old {
        return Ok(());
    }
    if owner_of(sql, &new)?.is_some_and(|owner| owner != id) {
        return Err(taken(new_name));
    }
    sql.execute("DELETE FROM aliases WHERE key = ?1", [&new])?;
    sql.execute("UPDATE entities SET key = ?2 WHERE id = ?1", (id, &new))?;
    sql.execute("INSERT OR REPLACE INTO aliases (key, entity) VALUES (?1, ?2)", (old, id))?;
    mentions_changed(writing, id)?;
    writing.changed(ChangeKind::AliasesChanged);
    Ok(())
}

fn hide_entity(writing: &mut Writing<'_>, graph: &mut GraphChange, name: &str) -> Result<()> {
    let id = visible_entity(writing.sql(), name)?;
    writing.sql().execute("UPDATE entities SET hidden = 1, made = 0 WHERE id = ?1", [id])?;
    graph.touch(id).presence = true;
    mentions_changed(writing, id)
}

/// The two ends, smaller id first.
fn ends(sql: &Connection, (a, b): (&str, &str)) -> Result<(i64, i64)> {
    let (one, other) = (visible_entity(sql, a)?, visible_entity(sql, b)?);
    if one == other {
        return Err(StoreError::Invalid(format!("`{a}` and `{b}` are one entity; a relation needs two")));
    }
    Ok((one.min(other), one.max(other)))
}

fn create_relation(
    writing: &mut Writing<'_>,
    graph: &mut GraphChange,
    names: (&str, &str),
    edit: &RelationEdit,
    now_ms: i64,
) -> Result<()> {
    let sql = writing.sql();
    let pair = ends(sql, names)?;
    let question = "SELECT id, visible FROM relations WHERE low = ?1 AND high = ?2";
    let found = sql.query_row(question, pair, |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?))).optional()?;
    let id = match found {
        Some((_, true)) => {
            let message = format!("`{}` and `{}` are related already", names.0, names.1);
            return Err(StoreError::conflict(message, "edit that relation"));
        }
        Some((id, false)) => id,
        None => {
            sql.execute("INSERT INTO relations (low, high, created_at) VALUES (?1, ?2, ?3)", (pair.0, pair.1, now_ms))?;
            sql.last_insert_rowid()
        }
    };
    // Without a sentence and without the user's word on it, a relation weighs as much as one sentence.
    let update = "UPDATE relations SET hidden = 0, made = 1, user_keywords = coalesce(?2, user_keywords), \
                  user_description = coalesce(?3, user_description), \
                  user_weight = coalesce(?4, user_weight, iif(sentences = 0, 1, NULL)) WHERE id = ?1";
    sql.execute(update, (id, &edit.keywords, &edit.description, edit.weight))?;
    graph.relations.entry(id).or_default().moved = true;
    Ok(())
}

fn visible_relation(sql: &Connection, names: (&str, &str)) -> Result<i64> {
    let question = "SELECT id FROM relations WHERE low = ?1 AND high = ?2 AND visible";
    let found = sql.query_row(question, ends(sql, names)?, |row| row.get(0)).optional()?;
    found.ok_or_else(|| StoreError::NotFound { kind: "relation", name: format!("{} – {}", names.0, names.1) })
}

fn edit_relation(
    writing: &mut Writing<'_>,
    graph: &mut GraphChange,
    names: (&str, &str),
    edit: &RelationEdit,
) -> Result<()> {
    let id = visible_relation(writing.sql(), names)?;
    let update = "UPDATE relations SET kept = 1, user_keywords = coalesce(?2, user_keywords), \
                  user_description = coalesce(?3, user_description), user_weight = coalesce(?4, user_weight) WHERE id = ?1";
    writing.sql().execute(update, (id, &edit.keywords, &edit.description, edit.weight))?;
    graph.relations.entry(id).or_default().moved = true;
    Ok(())
}

fn hide_relation(writing: &mut Writing<'_>, graph: &mut GraphChange, names: (&str, &str)) -> Result<()> {
    let id = visible_relation(writing.sql(), names)?;
    writing.sql().execute("UPDATE relations SET hidden = 1, made = 0 WHERE id = ?1", [id])?;
    graph.relations.entry(id).or_default();
    Ok(())
}
