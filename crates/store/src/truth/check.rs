//! Whether the tables agree with one another: what transactions promise, looked up.

use super::reader::Reader;
use crate::error::Result;

/// `(a query that counts violations, what a violation means)`.
const RULES: [(&str, &str); 19] = [
    (
        "SELECT count(*) FROM documents d WHERE d.version IS NOT NULL AND NOT EXISTS \
      (SELECT 1 FROM versions v WHERE v.id = d.version AND v.document = d.id)",
        "documents point to a missing version",
    ),
    (
        "SELECT count(*) FROM versions WHERE id NOT IN (SELECT version FROM documents WHERE version IS NOT NULL)",
        "versions belong to no document",
    ),
    (
        "SELECT count(*) FROM versions v WHERE NOT EXISTS (SELECT 1 FROM originals o WHERE o.id = v.original)",
        "versions have lost their original",
    ),
    (
        "SELECT count(*) FROM versions v WHERE NOT EXISTS (SELECT 1 FROM texts t WHERE t.version = v.id)",
        "versions have lost their text",
    ),
    (
        "SELECT count(*) FROM versions v WHERE v.chunks <> \
      (SELECT count(*) FROM chunks c WHERE c.id >= v.first_chunk AND c.id < v.first_chunk + v.chunks AND c.version = v.id)",
        "versions have lost chunks",
    ),
    (
        "SELECT abs((SELECT count(*) FROM chunks) - (SELECT coalesce(sum(chunks), 0) FROM versions))",
        "chunks belong to no version",
    ),
    (
        "SELECT count(*) FROM originals WHERE id NOT IN (SELECT original FROM versions) \
         AND id NOT IN (SELECT original FROM items WHERE original IS NOT NULL)",
        "originals belong to nothing",
    ),
    (
        "SELECT count(*) FROM items i WHERE i.outcome IN ('queued', 'processing') AND NOT EXISTS \
      (SELECT 1 FROM originals o WHERE o.id = i.original)",
        "waiting documents have lost their bytes",
    ),
    (
        "SELECT count(*) FROM jobs j WHERE j.kind IN ('add', 'graph') AND j.open <> (SELECT count(*) FROM items i \
      WHERE i.job = j.id AND i.outcome IN ('queued', 'processing')) + (SELECT count(*) FROM graph_items g \
      WHERE g.job = j.id AND g.outcome IN ('queued', 'processing'))",
        "jobs miscount their open documents",
    ),
    (
        "SELECT count(*) FROM chunk_vectors v WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.id = v.row)",
        "vectors belong to no chunk",
    ),
    (
        "SELECT count(*) FROM mentions m WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.id = m.chunk) \
      OR NOT EXISTS (SELECT 1 FROM entities e WHERE e.id = m.entity)",
        "mentions belong to nothing",
    ),
    (
        "SELECT count(*) FROM contributions c WHERE NOT EXISTS (SELECT 1 FROM versions v WHERE v.id = c.version) \
      OR NOT EXISTS (SELECT 1 FROM entities e WHERE e.id = c.entity)",
        "contributions belong to nothing",
    ),
    (
        "SELECT count(*) FROM descriptions d WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.id = d.chunk) \
      OR NOT EXISTS (SELECT 1 FROM entities e WHERE e.id = d.entity)",
        "descriptions belong to nothing",
    ),
    (
        "SELECT count(*) FROM summaries s WHERE NOT EXISTS (SELECT 1 FROM descriptions d WHERE d.entity = s.entity)",
        "summaries belong to nothing",
    ),
    (
        "SELECT count(*) FROM evidence e WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.id = e.chunk) \
      OR NOT EXISTS (SELECT 1 FROM relations r WHERE r.id = e.relation)",
        "evidence belongs to nothing",
    ),
    (
        "SELECT count(*) FROM relations r WHERE r.sentences <> (SELECT count(*) FROM evidence e WHERE e.relation = r.id)",
        "relations miscount their sentences",
    ),
    (
        "SELECT count(*) FROM relations r WHERE r.visible <> (NOT r.hidden AND (r.made OR r.sentences > 0) \
      AND EXISTS (SELECT 1 FROM entities e WHERE e.id = r.low AND e.visible) \
      AND EXISTS (SELECT 1 FROM entities e WHERE e.id = r.high AND e.visible))",
        "relations are wrongly shown or hidden",
    ),
    (
        "SELECT count(*) FROM entities e WHERE e.visible <> (NOT e.hidden AND (e.made OR EXISTS \
      (SELECT 1 FROM contributions c WHERE c.entity = e.id)))",
        "entities are wrongly shown or hidden",
    ),
    (
        "SELECT count(*) FROM entities e WHERE e.degree <> (SELECT count(*) FROM relations WHERE low = e.id AND visible) \
      + (SELECT count(*) FROM relations WHERE high = e.id AND visible)",
        "entities miscount their neighbours",
    ),
];

impl Reader<'_> {
    /// Every disagreement found, one sentence each. Reads everything: seconds on a large workspace.
    pub(crate) fn problems(&self) -> Result<Vec<String>> {
        let sql = self.sql()?;
        let mut problems = Vec::new();
        let mut statement = sql.prepare("PRAGMA quick_check(20)")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let line: String = row.get(0)?;
            if line != "ok" {
                problems.push(format!("the database file is damaged: {line}"));
            }
        }
        for (question, meaning) in RULES {
            let count: u64 = sql.prepare_cached(question)?.query_row([], |row| row.get(0))?;
            if count > 0 {
                problems.push(format!("{count} {meaning}"));
            }
        }
        Ok(problems)
    }
}
