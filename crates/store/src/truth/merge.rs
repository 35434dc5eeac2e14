//! Merging entities: everything that hangs on one moves to another, whose alias its key becomes.

use rusqlite::{Connection, OptionalExtension};

use super::Writing;
use super::changes::ChangeKind;
use super::graph::GraphChange;
use super::graph_edit::{make_entity, mentions_changed, visible_entity};
use super::names::find_visible;
use super::settle::{remove_entity, remove_relation};
use crate::error::{Result, StoreError};

/// Makes the entities `names` aliases of `into`, which is created when missing.
pub(super) fn merge_entities(
    writing: &mut Writing<'_>,
    graph: &mut GraphChange,
    names: &[String],
    into: &str,
    now_ms: i64,
) -> Result<()> {
    if names.is_empty() {
        return Err(StoreError::Invalid("name at least one entity to merge".to_owned()));
    }
    let mut sources = names.iter().map(|name| visible_entity(writing.sql(), name)).collect::<Result<Vec<_>>>()?;
    let target = match find_visible(writing.sql(), into)? {
        Some(target) => target,
        None => make_entity(writing, graph, into, now_ms)?,
    };
    sources.sort_unstable();
    sources.dedup();
    sources.retain(|source| *source != target);
    // The user chose this name; the other's surfaces do not outvote it.
    let keep = "UPDATE entities SET kept = 1, user_name = coalesce(user_name, name) WHERE id = ?1";
    writing.sql().execute(keep, [target])?;
    merge_into(writing, graph, &sources, target)
}

/// Makes the entities `sources` aliases of another, `target`.
pub(super) fn merge_into(
    writing: &mut Writing<'_>,
    graph: &mut GraphChange,
    sources: &[i64],
    target: i64,
) -> Result<()> {
    for source in sources {
        move_passages(writing.sql(), *source, target)?;
        move_relations(writing, graph, *source, target)?;
        move_names(writing.sql(), *source, target)?;
        graph.entities.remove(source);
        remove_entity(writing, *source, true)?;
    }
    let touch = graph.touch(target);
    (touch.names, touch.definitions, touch.presence) = (true, true, true);
    graph.recount.push(target);
    mentions_changed(writing, target)?;
    writing.changed(ChangeKind::AliasesChanged);
    Ok(())
}

/// Mentions of both in one chunk add up.
fn move_passages(sql: &Connection, source: i64, target: i64) -> Result<()> {
    for (step, leftover) in [
        (
            "INSERT INTO mentions (chunk, entity, start, stop, count, own) \
             SELECT chunk, ?2, start, stop, count, own FROM mentions WHERE entity = ?1 \
             ON CONFLICT DO UPDATE SET count = count + excluded.count, own = max(own, excluded.own), \
             stop = iif(excluded.start < start, excluded.stop, stop), start = min(start, excluded.start)",
            "DELETE FROM mentions WHERE entity = ?1",
        ),
        (
            "UPDATE OR IGNORE contributions SET entity = ?2 WHERE entity = ?1",
            "DELETE FROM contributions WHERE entity = ?1",
        ),
        (
            "INSERT INTO descriptions (entity, chunk, text) SELECT ?2, chunk, text FROM descriptions WHERE entity = ?1 \
             ON CONFLICT DO UPDATE SET text = text || ' ' || excluded.text",
            "DELETE FROM descriptions WHERE entity = ?1",
        ),
        ("UPDATE OR IGNORE definitions SET entity = ?2 WHERE entity = ?1", "DELETE FROM definitions WHERE entity = ?1"),
    ] {
        sql.prepare_cached(step)?.execute((source, target))?;
        sql.prepare_cached(leftover)?.execute([source])?;
    }
    Ok(())
}

/// A relation between the two goes; one to a common neighbour joins the other's.
fn move_relations(writing: &mut Writing<'_>, graph: &mut GraphChange, source: i64, target: i64) -> Result<()> {
    let question = "SELECT id, iif(low = ?1, high, low) FROM relations WHERE low = ?1 OR high = ?1";
    let relations: Vec<(i64, i64)> = {
        let mut statement = writing.sql().prepare_cached(question)?;
        let rows = statement.query_map([source], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<Result<_, _>>()?
    };
    for (relation, other) in relations {
        graph.recount.push(other);
        let pair = (target.min(other), target.max(other));
        let question = "SELECT id FROM relations WHERE low = ?1 AND high = ?2";
        let common: Option<i64> =
            writing.sql().prepare_cached(question)?.query_row(pair, |row| row.get(0)).optional()?;
        if other == target {
            writing.sql().execute("DELETE FROM evidence WHERE relation = ?1", [relation])?;
            graph.relations.remove(&relation);
            remove_relation(writing, relation, true)?;
        } else if let Some(common) = common {
            join_relation(writing, relation, common)?;
            graph.relations.remove(&relation);
            graph.relations.entry(common).or_default().lost = true;
        } else {
            writing
                .sql()
                .execute("UPDATE relations SET low = ?2, high = ?3 WHERE id = ?1", (relation, pair.0, pair.1))?;
            graph.relations.entry(relation).or_default().moved = true;
        }
    }
    Ok(())
}

/// Moves the sentences of one relation to another and removes the first; the second's own values go before.
fn join_relation(writing: &mut Writing<'_>, from: i64, to: i64) -> Result<()> {
    let sql = writing.sql();
    sql.prepare_cached("UPDATE OR IGNORE evidence SET relation = ?2 WHERE relation = ?1")?.execute((from, to))?;
    sql.prepare_cached("DELETE FROM evidence WHERE relation = ?1")?.execute([from])?;
    let join = "UPDATE relations SET sentences = (SELECT count(*) FROM evidence WHERE relation = ?2), \
                user_keywords = coalesce(user_keywords, f.words), user_description = coalesce(user_description, f.text), \
                user_weight = coalesce(user_weight, f.weight), made = max(made, f.was_made), kept = max(kept, f.was_kept) \
                FROM (SELECT user_keywords AS words, user_description AS text, user_weight AS weight, \
                made AS was_made, kept AS was_kept FROM relations WHERE id = ?1) AS f WHERE id = ?2";
    sql.prepare_cached(join)?.execute((from, to))?;
    remove_relation(writing, from, true)
}

/// The source's key and aliases mean the target from now on; users' texts on both are kept, the target's first.
fn move_names(sql: &Connection, source: i64, target: i64) -> Result<()> {
    for step in [
        "UPDATE aliases SET entity = ?2 WHERE entity = ?1",
        "INSERT OR REPLACE INTO aliases (key, entity) SELECT key, ?2 FROM entities WHERE id = ?1",
        "UPDATE OR IGNORE document_aliases SET entity = ?2 WHERE entity = ?1",
        "UPDATE entities SET made = max(made, f.was_made), user_kind = coalesce(user_kind, f.its_kind), \
         user_description = CASE WHEN user_description IS NULL OR user_description = f.text THEN f.text \
            WHEN f.text IS NULL THEN user_description ELSE user_description || ' ' || f.text END \
         FROM (SELECT made AS was_made, user_kind AS its_kind, user_description AS text \
            FROM entities WHERE id = ?1) AS f WHERE id = ?2",
    ] {
        sql.prepare_cached(step)?.execute((source, target))?;
    }
    sql.prepare_cached("DELETE FROM document_aliases WHERE entity = ?1")?.execute([source])?;
    let own = "DELETE FROM aliases WHERE key = (SELECT key FROM entities WHERE id = ?1)";
    sql.prepare_cached(own)?.execute([target])?;
    Ok(())
}
