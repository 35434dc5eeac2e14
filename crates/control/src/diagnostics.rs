//! Judges what `lorekeep doctor` and `/readyz` found out. Gathering the facts is left to the caller.

use lorekeep_types::IntegrityReport;
use serde::Serialize;

/// Free space under which a data folder is called nearly full, in bytes.
pub const LITTLE_SPACE: u64 = 1 << 30;
/// Free space under which writes must be expected to fail, in bytes.
pub const NO_SPACE: u64 = 64 << 20;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing to do.
    Ok,
    /// Works, but deserves attention.
    Warning,
    /// Something a user needs does not work.
    Failure,
}

/// The outcome of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was checked, in one or two words.
    pub name: &'static str,
    /// How serious.
    pub severity: Severity,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    /// All is well.
    #[must_use]
    pub fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, severity: Severity::Ok, detail: detail.into(), remedy: None }
    }

    /// Works, but deserves attention.
    #[must_use]
    pub fn warning(name: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, severity: Severity::Warning, detail: detail.into(), remedy: Some(remedy.into()) }
    }

    /// Does not work.
    #[must_use]
    pub fn failure(name: &'static str, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, severity: Severity::Failure, detail: detail.into(), remedy: Some(remedy.into()) }
    }
}

/// Judges the free space of the data folder.
#[must_use]
pub fn space(folder: &str, free: u64) -> Finding {
    let detail = format!("{folder}  writable, {} free", size(free));
    match free {
        0..NO_SPACE => Finding::failure("data folder", detail, "free some space; writes are refused until then"),
        NO_SPACE..LITTLE_SPACE => Finding::warning("data folder", detail, "free some space soon"),
        _ => Finding::ok("data folder", detail),
    }
}

/// Judges the agreement of truth and views.
#[must_use]
pub fn integrity(report: &IntegrityReport) -> Finding {
    let chunks = report.chunks;
    match report.problems.as_slice() {
        [] => Finding::ok("index", format!("{chunks} passages, views agree with the truth")),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
            Finding::failure("index", format!("{first}{more}"), "lorekeep reindex")
        }
    }
}

/// The most serious of several findings; `Ok` for none.
#[must_use]
pub fn worst(findings: &[Finding]) -> Severity {
    findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok)
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_is_judged_by_what_is_left() {
        assert_eq!(space("/d", 10 << 20).severity, Severity::Failure);
        assert_eq!(space("/d", 500 << 20).severity, Severity::Warning);
        assert_eq!(space("/d", 41_000_000_000).detail, "/d  writable, 41 GB free");
    }

    #[test]
    fn a_disagreement_names_the_remedy() {
        let problems = vec!["chunk 3 is missing from the text view".to_owned(), "x".to_owned()];
        let finding = integrity(&IntegrityReport { problems, ..IntegrityReport::default() });
        assert_eq!(finding.severity, Severity::Failure);
        assert_eq!(finding.detail, "chunk 3 is missing from the text view (and 1 more)");
        assert_eq!(worst(&[Finding::ok("a", "b"), finding]), Severity::Failure);
    }
}
