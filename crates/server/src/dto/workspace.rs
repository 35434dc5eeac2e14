//! Workspaces, formats and the state of the server on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Every workspace.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Workspaces {
    /// By name.
    pub workspaces: Vec<Workspace>,
}

/// A workspace.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Workspace {
    /// Its name.
    #[schema(example = "default")]
    pub name: String,
    /// Documents.
    pub documents: u64,
    /// Chunks.
    pub chunks: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

impl From<lorekeep_types::WorkspaceSummary> for Workspace {
    fn from(summary: lorekeep_types::WorkspaceSummary) -> Self {
        Self { name: summary.name.into(), documents: summary.documents, chunks: summary.chunks, bytes: summary.bytes }
    }
}

/// A workspace to make.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "physics"}))]
pub struct WorkspaceBody {
    /// 1 to 64 letters, digits, `_` or `-`, not starting with `-`.
    pub name: String,
}

/// Whether views and truth agree.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// Last change of the truth.
    pub truth_seq: u64,
    /// Last change the views show.
    pub view_seq: u64,
    /// Chunks in the truth.
    pub chunks: u64,
    /// Every disagreement found; empty when all is well.
    pub problems: Vec<String>,
}

impl From<lorekeep_types::IntegrityReport> for Check {
    fn from(report: lorekeep_types::IntegrityReport) -> Self {
        let lorekeep_types::IntegrityReport { truth_seq, view_seq, chunks, problems } = report;
        Self { truth_seq, view_seq, chunks, problems }
    }
}

/// One line of the answer to a reindex.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum ReindexEvent {
    /// Chunks rebuilt so far.
    Progress {
        /// Rebuilt.
        done: u64,
        /// In all.
        total: u64,
    },
    /// The new views serve.
    Done,
    /// It failed; the old views keep serving.
    Error {
        /// Why.
        problem: super::Problem,
    },
}

/// Formats that can be read.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Formats {
    /// All of them.
    pub formats: Vec<Format>,
}

/// A format that can be read.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Format {
    /// Short name.
    #[schema(example = "pdf")]
    pub name: String,
    /// Extensions without dot.
    pub extensions: Vec<String>,
    /// Media type.
    pub media_type: String,
}

impl From<&lorekeep_types::Format> for Format {
    fn from(format: &lorekeep_types::Format) -> Self {
        Self {
            name: format.name.to_owned(),
            extensions: format.extensions.iter().map(ToString::to_string).collect(),
            media_type: format.media_type.to_owned(),
        }
    }
}

/// The state of the server.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `starting`, `ready`, `stopping` or `degraded`.
    #[schema(example = "ready")]
    pub status: String,
    /// What was checked.
    pub checks: Vec<HealthCheck>,
}

/// One check.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct HealthCheck {
    /// What was checked.
    pub name: String,
    /// Whether it is well.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// Milliseconds the check took.
    pub took_ms: f64,
}

/// Which build this is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// `lorekeep`.
    pub name: String,
    /// Release.
    pub version: String,
    /// Revision of the source, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Version of the native API.
    pub api: String,
}
