//! The native API's wire types and their conversions from the product's nouns. Spans count Unicode code points,
//! times are RFC 3339 in UTC. Meaning and rules are left to the engine.

mod answer;
mod cache;
mod community;
mod document;
mod gateway;
mod graph;
mod job;
mod search;
mod workspace;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

pub use answer::{Answer, AskBody, Bridge, Citation, Earlier, EntityRef, Message, Source, Sources, Stage, Usage};
pub use cache::{Cache, CacheOfKind, Forgotten};
pub use community::{Communities, Community, SummariesBody};
pub use document::{
    Added, AddedDocument, Chunk, Chunks, Counts, Deleted, Document, DocumentProblem, DocumentText, Documents, Heading,
    IdsBody, Page, TagsBody, TextDocument, TextDocuments, UploadForm,
};
pub use gateway::{
    Budget, Budgets, CallRecord, Gateway, ModelState, Provider, RoleBody, TestBody, Trial, UsageAnswer, UsageExport,
    UsageSum,
};
pub(crate) use gateway::{answered, sums};
pub use graph::{
    Entities, Entity, EntityPage, Evidence, Graph, GraphBuild, GraphBuildRequest, GraphPlan, GraphStats, Passage,
    Relation,
};
pub use job::{Cancelled, Job, JobCounts, JobEvent, JobItem, JobItems, JobOutcome, JobSpending, Jobs};
pub(crate) use search::set;
pub use search::{Filter, Keywords, Reason, SearchBody, SearchDocument, SearchResult, SearchResults};
pub use workspace::{
    Check, Format, Formats, Health, HealthCheck, ReindexEvent, Version, Workspace, WorkspaceBody, Workspaces,
};

/// Why a request failed (RFC 9457). `code` is stable; `detail` and `hint` are for people.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "type": "https://lorekeep.dev/errors/E-NOT-FOUND", "title": "the thing addressed does not exist", "status": 404,
    "detail": "there is no workspace `physics`", "code": "E-NOT-FOUND", "request_id": "req_0192f0c1"
}))]
pub struct Problem {
    /// A URI that names the kind of error.
    pub r#type: String,
    /// What the code means.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened.
    pub detail: String,
    /// The stable name, `E-…`.
    pub code: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Seconds after which the same request may succeed, as in the header `Retry-After`; where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
    /// The id of the request, as in the header `X-Request-Id` and the log.
    pub request_id: String,
}

/// Unix milliseconds as RFC 3339 in UTC.
pub(crate) fn rfc3339(unix_ms: i64) -> String {
    moment(unix_ms).format(&Rfc3339).unwrap_or_default()
}

/// Unix milliseconds as a moment; times outside of the calendar's range become 1970.
pub(crate) fn moment(unix_ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
