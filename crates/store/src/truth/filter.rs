//! [`DocumentFilter`] as a SQL condition over `documents d LEFT JOIN versions v ON v.id = d.version`.

use lorekeep_types::DocumentFilter;
use rusqlite::types::Value;

/// A condition and the values of its parameters, in order.
#[derive(Debug, Default)]
pub(super) struct Condition {
    /// Starts with ` WHERE `, or is empty.
    pub(super) sql: String,
    /// One per `?`.
    pub(super) values: Vec<Value>,
}

impl Condition {
    /// The condition that admits what `filter` admits.
    pub(super) fn of(filter: &DocumentFilter) -> Self {
        let mut condition = Self::default();
        condition.any(&filter.documents, "(d.public = ? OR d.name GLOB ?)", |pattern| {
            vec![Value::Text(pattern.to_owned()), Value::Text(glob(pattern))]
        });
        condition.any(&filter.folders, "substr(d.name, 1, length(?)) = ?", |folder| {
            let prefix = folder_prefix(folder);
            vec![Value::Text(prefix.clone()), Value::Text(prefix)]
        });
        for tag in &filter.tags {
            let has_tag = "EXISTS (SELECT 1 FROM json_each(d.tags) WHERE value = ?)";
            condition.and(has_tag, [Value::Text(tag.clone())]);
        }
        condition.any(&filter.languages, "v.language = ?", |language| vec![Value::Text(language.to_owned())]);
        if let Some(since) = &filter.since {
            condition.and("v.date >= ?", [Value::Text(since.clone())]);
        }
        if let Some(until) = &filter.until {
            condition.and("v.date <= ?", [Value::Text(until.clone())]);
        }
        let states: Vec<_> = filter.states.iter().map(|state| state.name()).collect();
        condition.any(&states, "d.state = ?", |state| vec![Value::Text(state.to_owned())]);
        let of_job =
            "EXISTS (SELECT 1 FROM items i JOIN jobs j ON j.id = i.job WHERE i.document = d.id AND j.public = ?)";
        let jobs: Vec<_> = filter.jobs.iter().map(lorekeep_types::JobId::as_str).collect();
        condition.any(&jobs, of_job, |job| vec![Value::Text(job.to_owned())]);
        condition
    }

    /// Adds a term that must hold.
    pub(super) fn and(&mut self, term: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
        self.sql.push_str(term);
        self.values.extend(values);
    }

    /// Adds `(term OR term OR …)`, one per alternative; nothing for no alternatives.
    fn any<S: AsRef<str>>(&mut self, alternatives: &[S], term: &str, values: impl Fn(&str) -> Vec<Value>) {
        if alternatives.is_empty() {
            return;
        }
        let terms = vec![term; alternatives.len()].join(" OR ");
        let values = alternatives.iter().flat_map(|alternative| values(alternative.as_ref()));
        self.and(&format!("({terms})"), values.collect::<Vec<_>>());
    }
}

/// Only `*` and `?` are special in our patterns; SQLite's GLOB also knows `[…]`.
fn glob(pattern: &str) -> String {
    pattern.replace('[', "[[]")
}

/// `a/b`, `./a/b` and `a/b/` all mean what lies under `a/b/`; the empty folder means everything.
fn folder_prefix(folder: &str) -> String {
    let inner = folder.strip_prefix("./").unwrap_or(folder).trim_end_matches('/');
    if inner.is_empty() || inner == "." { String::new() } else { format!("{inner}/") }
}
