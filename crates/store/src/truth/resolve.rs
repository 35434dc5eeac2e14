//! Entities that mean one thing: what was decided of pairs of names, and joining those that are the same.
//!
//! Decisions are kept by key, not by row, so that they outlive a document that is taken away and comes again. They go with
//! the last name that they are about.

use lorekeep_types::{Comparable, EntityId, Verdict};
use rusqlite::{Connection, OptionalExtension};

use super::graph::GraphChange;
use super::merge::merge_into;
use super::names::owner_of;
use super::reader::Reader;
use super::{Truth, Writing};
use crate::error::Result;

impl Reader<'_> {
    /// Visible entities that a model describes, by id.
    pub(crate) fn comparable(&self) -> Result<Vec<Comparable>> {
        let question = "SELECT id, key, name, kind, compared FROM entities WHERE visible \
                        AND id IN (SELECT entity FROM descriptions) ORDER BY id";
        let mut statement = self.sql()?.prepare_cached(question)?;
        let rows = statement.query_map([], |row| {
            Ok(Comparable {
                id: EntityId(row.get(0)?),
                key: row.get(1)?,
                name: row.get(2)?,
                kind: row.get(3)?,
                compared: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What was decided of pairs of keys.
    pub(crate) fn verdicts(&self, pairs: &[(String, String)]) -> Result<Vec<Option<bool>>> {
        let mut statement = self.sql()?.prepare_cached("SELECT same FROM verdicts WHERE low = ?1 AND high = ?2")?;
        let verdict = |pair: &(String, String)| statement.query_row(ordered(pair), |row| row.get(0)).optional();
        Ok(pairs.iter().map(verdict).collect::<Result<_, _>>()?)
    }
}

impl Truth {
    /// Keeps verdicts and joins what is the same; how many entities were joined to another.
    pub(crate) fn resolve(&self, compared: &[EntityId], verdicts: &[Verdict], now_ms: i64) -> Result<u64> {
        self.write(|writing| {
            let mut graph = GraphChange::default();
            let keep = "INSERT OR REPLACE INTO verdicts (low, high, same) VALUES (?1, ?2, ?3)";
            for verdict in verdicts {
                let (low, high) = ordered(&verdict.keys);
                writing.sql().prepare_cached(keep)?.execute((low, high, verdict.same))?;
            }
            let mut joined = 0;
            for verdict in verdicts.iter().filter(|verdict| verdict.same) {
                joined += u64::from(join(writing, &mut graph, &verdict.keys)?);
            }
            for entity in compared {
                writing.sql().prepare_cached("UPDATE entities SET compared = 1 WHERE id = ?1")?.execute([entity.0])?;
            }
            graph.settle(writing, now_ms)?;
            Ok(joined)
        })
    }
}

/// Smaller key first.
fn ordered((a, b): &(String, String)) -> (&str, &str) {
    if a <= b { (a, b) } else { (b, a) }
}

/// What decides which of two entities the other joins, the greater: a user's hand, then how many versions and passages speak of
/// it, then the longer name.
type Standing = (bool, i64, i64, usize);

/// Joins the two entities that these keys mean by now; `false` when they are one already, or have to stay apart.
fn join(writing: &mut Writing<'_>, graph: &mut GraphChange, (a, b): &(String, String)) -> Result<bool> {
    let (Some(a), Some(b)) = (owner_of(writing.sql(), a)?, owner_of(writing.sql(), b)?) else { return Ok(false) };
    let (Some(standing_a), Some(standing_b)) = (standing(writing.sql(), a)?, standing(writing.sql(), b)?) else {
        return Ok(false);
    };
    let both_are_users = standing_a.0 && standing_b.0;
    if a == b || both_are_users || are_apart(writing.sql(), a, b)? {
        return Ok(false);
    }
    let (source, target) = if (standing_a, b) > (standing_b, a) { (b, a) } else { (a, b) };
    merge_into(writing, graph, &[source], target)?;
    Ok(true)
}

/// `None` for an entity that nobody sees.
fn standing(sql: &Connection, entity: i64) -> Result<Option<Standing>> {
    let question = "SELECT made OR kept, (SELECT count(*) FROM contributions WHERE entity = ?1), \
                    (SELECT count(*) FROM mentions WHERE entity = ?1), length(name) FROM entities WHERE id = ?1 AND visible";
    let mut statement = sql.prepare_cached(question)?;
    Ok(statement.query_row([entity], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).optional()?)
}

/// Whether any name of the one is known to mean something else than a name of the other.
fn are_apart(sql: &Connection, a: i64, b: i64) -> Result<bool> {
    let question = "WITH a (key) AS (SELECT key FROM entities WHERE id = ?1 UNION SELECT key FROM aliases WHERE entity = ?1), \
                    b (key) AS (SELECT key FROM entities WHERE id = ?2 UNION SELECT key FROM aliases WHERE entity = ?2) \
                    SELECT EXISTS (SELECT 1 FROM a, b JOIN verdicts v ON v.low = min(a.key, b.key) \
                    AND v.high = max(a.key, b.key) WHERE NOT v.same)";
    Ok(sql.prepare_cached(question)?.query_row([a, b], |row| row.get(0))?)
}

/// Forgets what was decided of the names of an entity that goes; a name that means another one by now is kept.
pub(super) fn forget_names(sql: &Connection, entity: i64) -> Result<()> {
    for step in [
        "DELETE FROM verdicts WHERE low IN (SELECT key FROM aliases WHERE entity = ?1)",
        "DELETE FROM verdicts WHERE high IN (SELECT key FROM aliases WHERE entity = ?1)",
        "DELETE FROM aliases WHERE entity = ?1",
        "DELETE FROM verdicts WHERE low IN (SELECT key FROM entities WHERE id = ?1) \
         AND low NOT IN (SELECT key FROM aliases)",
        "DELETE FROM verdicts WHERE high IN (SELECT key FROM entities WHERE id = ?1) \
         AND high NOT IN (SELECT key FROM aliases)",
    ] {
        sql.prepare_cached(step)?.execute([entity])?;
    }
    Ok(())
}
