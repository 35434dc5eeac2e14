//! Descriptions of an entity that are too long together, and what a model makes of them.

use lorekeep_types::{SummaryTask, SummaryWrite};
use rusqlite::{Connection, OptionalExtension};

use super::graph::GraphChange;
use super::reader::Reader;
use super::{Truth, sentences};
use crate::error::Result;

/// Descriptions that an entity's text is made from without a summary: the first ones.
const SHOWN: i64 = 24;
/// All of them, as SQLite has it.
const EVERY: i64 = -1;

impl Reader<'_> {
    /// Entities whose descriptions are too long together and have no summary.
    pub(crate) fn summary_tasks(&self, limit: usize) -> Result<Vec<SummaryTask>> {
        let sql = self.sql()?;
        let question = "SELECT e.id, e.name FROM entities e JOIN (SELECT entity FROM descriptions GROUP BY entity \
                        HAVING count(*) > 1 AND sum(length(text)) > ?1) AS long ON long.entity = e.id \
                        WHERE e.visible AND e.user_description IS NULL \
                        AND NOT EXISTS (SELECT 1 FROM summaries s WHERE s.entity = e.id) ORDER BY e.id LIMIT ?2";
        let mut statement = sql.prepare_cached(question)?;
        let rows = statement.query_map((sentences::MOST_CHARACTERS, limit), |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut tasks = Vec::new();
        for row in rows {
            let (entity, name) = row?;
            let descriptions = descriptions(sql, entity, EVERY)?;
            tasks.push(SummaryTask { entity, name, made_of: made_of(&descriptions), descriptions });
        }
        Ok(tasks)
    }
}

impl Truth {
    /// Keeps summaries of descriptions that are still the same.
    pub(crate) fn put_summaries(&self, summaries: &[SummaryWrite], now_ms: i64) -> Result<()> {
        self.write(|writing| {
            let mut graph = GraphChange::default();
            for summary in summaries {
                let present = descriptions(writing.sql(), summary.entity, EVERY)?;
                if made_of(&present) == summary.made_of {
                    let insert = "INSERT OR REPLACE INTO summaries (entity, made_of, text) VALUES (?1, ?2, ?3)";
                    let values = (summary.entity, summary.made_of.as_slice(), &summary.text);
                    writing.sql().prepare_cached(insert)?.execute(values)?;
                    graph.touch(summary.entity).definitions = true;
                }
            }
            graph.settle(writing, now_ms)
        })
    }
}

/// What models say of an entity, the first of it in the order of chunks, or the summary of all of it in one text; one that no
/// longer fits is dropped.
pub(super) fn told(sql: &Connection, entity: i64) -> Result<Vec<String>> {
    let question = "SELECT made_of, text FROM summaries WHERE entity = ?1";
    let kept = sql
        .prepare_cached(question)?
        .query_row([entity], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?)));
    if let Some((hash, text)) = kept.optional()? {
        if hash == made_of(&descriptions(sql, entity, EVERY)?) {
            return Ok(vec![text]);
        }
        sql.prepare_cached("DELETE FROM summaries WHERE entity = ?1")?.execute([entity])?;
    }
    descriptions(sql, entity, SHOWN)
}

fn descriptions(sql: &Connection, entity: i64, limit: i64) -> Result<Vec<String>> {
    let question = "SELECT text FROM descriptions WHERE entity = ?1 ORDER BY chunk LIMIT ?2";
    let mut statement = sql.prepare_cached(question)?;
    let rows = statement.query_map((entity, limit), |row| row.get(0))?;
    let mut all: Vec<String> = rows.collect::<Result<_, _>>()?;
    // The same words in another passage say nothing new.
    let mut seen = std::collections::HashSet::new();
    all.retain(|text| seen.insert(text.clone()));
    Ok(all)
}

fn made_of(descriptions: &[String]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for text in descriptions {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    *hasher.finalize().as_bytes()
}
