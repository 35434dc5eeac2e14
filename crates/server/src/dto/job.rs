//! Jobs and their events on the wire.

use lorekeep_types::JobState;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DocumentProblem, rfc3339};

/// Durable work on documents, or on the vectors of all of them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// `job_` and a time-ordered suffix.
    #[schema(example = "job_0192f0c17d3b7a51")]
    pub id: String,
    /// `add`, `graph`, or `reindex`, whose counts are of vectors.
    pub kind: String,
    /// `queued`, `running`, `done` or `cancelled`.
    #[schema(example = "running")]
    pub state: String,
    /// The caller's own name for it.
    pub label: Option<String>,
    /// Its documents by outcome.
    pub counts: JobCounts,
    /// What it spends on models; absent for a job that calls none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spending: Option<JobSpending>,
    /// Accepted (RFC 3339).
    pub created_at: String,
    /// First document taken up.
    pub started_at: Option<String>,
    /// Ended.
    pub ended_at: Option<String>,
    /// Why it failed as a whole or, while it runs, what it waits for.
    pub problem: Option<DocumentProblem>,
}

/// What a job spends on models.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct JobSpending {
    /// Most that it may spend.
    pub limit_usd: Option<f64>,
    /// What its calls cost so far, as far as their prices are known.
    pub spent_usd: f64,
    /// Calls made.
    pub calls: u64,
    /// Calls that needed no model because their answers were kept.
    pub cached: u64,
    /// Calls whose price is not known.
    pub unpriced: u64,
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
}

impl From<lorekeep_types::Spending> for JobSpending {
    fn from(spending: lorekeep_types::Spending) -> Self {
        let lorekeep_types::Spending { limit, spent, calls, kept, unpriced, prompt_tokens, completion_tokens } =
            spending;
        Self {
            limit_usd: limit.map(super::gateway::usd),
            spent_usd: super::gateway::usd(spent),
            calls,
            cached: kept,
            unpriced,
            prompt_tokens,
            completion_tokens,
        }
    }
}

/// Documents of a job by outcome.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct JobCounts {
    /// All.
    pub total: u64,
    /// Waiting or being worked on.
    pub open: u64,
    /// Indexed as a new document or a new version.
    pub ready: u64,
    /// The same bytes were indexed already.
    pub duplicate: u64,
    /// No text in it.
    pub needs_ocr: u64,
    /// Failed.
    pub failed: u64,
    /// Cancelled.
    pub cancelled: u64,
}

impl From<lorekeep_types::JobCounts> for JobCounts {
    fn from(counts: lorekeep_types::JobCounts) -> Self {
        let lorekeep_types::JobCounts { total, open, ready, duplicate, needs_ocr, failed, cancelled } = counts;
        Self { total, open, ready, duplicate, needs_ocr, failed, cancelled }
    }
}

pub(crate) const fn state_name(state: JobState) -> &'static str {
    match state {
        JobState::Queued => "queued",
        JobState::Running => "running",
        JobState::Done => "done",
        JobState::Cancelled => "cancelled",
    }
}

impl From<lorekeep_types::Job> for Job {
    fn from(job: lorekeep_types::Job) -> Self {
        let kind = match job.kind {
            lorekeep_types::JobKind::Add => "add",
            lorekeep_types::JobKind::Reindex => "reindex",
            lorekeep_types::JobKind::Graph => "graph",
        };
        Self {
            id: job.id.into(),
            kind: kind.to_owned(),
            state: state_name(job.state).to_owned(),
            label: job.label,
            counts: job.counts.into(),
            spending: job.spending.map(Into::into),
            created_at: rfc3339(job.created_at),
            started_at: job.started_at.map(rfc3339),
            ended_at: job.ended_at.map(rfc3339),
            problem: job.problem.map(Into::into),
        }
    }
}

/// Jobs, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Jobs {
    /// The window.
    pub jobs: Vec<Job>,
}

/// A job that retries documents, or nothing when there was nothing to retry.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobOutcome {
    /// The job.
    pub job: Option<Job>,
}

/// Documents of a job, in the order they were added.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobItems {
    /// The window.
    pub items: Vec<JobItem>,
}

/// A document of a job.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobItem {
    /// The document.
    pub document_id: String,
    /// Its name.
    pub name: String,
    /// `queued`, `processing`, `ready`, `duplicate`, `needs-ocr`, `failed` or `cancelled`.
    pub outcome: String,
    /// The document with the same bytes, for `duplicate`.
    pub duplicate_of: Option<String>,
    /// Why it failed, or what of it failed.
    pub problem: Option<DocumentProblem>,
}

impl From<lorekeep_types::JobItem> for JobItem {
    fn from(item: lorekeep_types::JobItem) -> Self {
        Self {
            document_id: item.document.into(),
            name: item.name,
            outcome: item.outcome,
            duplicate_of: item.duplicate_of.map(Into::into),
            problem: item.problem.map(Into::into),
        }
    }
}

/// Whether a job was cancelled.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct Cancelled {
    /// `false` when it had ended already.
    pub cancelled: bool,
}

/// What followers of a job hear; the event's name is `type`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum JobEvent {
    /// A document moved to a step.
    Stage {
        /// The job.
        job: String,
        /// The document.
        document: String,
        /// Its name.
        name: String,
        /// `parse`, `chunk`, `extract`, `embed`, `commit` or `index`.
        stage: String,
    },
    /// A document ended.
    Item {
        /// The job.
        job: String,
        /// The document.
        document: String,
        /// Its name.
        name: String,
        /// As in [`JobItem`].
        outcome: String,
        /// Why it failed.
        problem: Option<DocumentProblem>,
    },
    /// How much of a document a model has read.
    Passages {
        /// The job.
        job: String,
        /// The document.
        document: String,
        /// Its name.
        name: String,
        /// Passages that were read.
        done: usize,
        /// All of its passages.
        total: usize,
    },
    /// How far the job is.
    Progress {
        /// The job.
        job: String,
        /// Its state.
        state: String,
        /// Outcomes so far.
        counts: JobCounts,
        /// Documents, or vectors of a reindex, per second over the last seconds.
        rate: f64,
        /// Estimated seconds left.
        left_s: Option<f64>,
        /// As in [`Job`].
        problem: Option<DocumentProblem>,
    },
}

impl JobEvent {
    /// The name of the server-sent event.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Stage { .. } => "stage",
            Self::Item { .. } => "item",
            Self::Passages { .. } => "passages",
            Self::Progress { .. } => "progress",
        }
    }

    /// The present state of a job as an event, for those who begin to follow it.
    pub(crate) fn of_job(job: &lorekeep_types::Job) -> Self {
        Self::Progress {
            job: job.id.as_str().to_owned(),
            state: state_name(job.state).to_owned(),
            counts: job.counts.into(),
            rate: 0.0,
            left_s: None,
            problem: job.problem.clone().map(Into::into),
        }
    }
}

impl From<lorekeep_types::JobEvent> for JobEvent {
    fn from(event: lorekeep_types::JobEvent) -> Self {
        use lorekeep_types::JobEvent as Event;
        match event {
            Event::Stage { job, document, name, stage } => {
                Self::Stage { job: job.into(), document: document.into(), name, stage: stage_name(stage).to_owned() }
            }
            Event::Item { job, document, name, outcome, problem } => Self::Item {
                job: job.into(),
                document: document.into(),
                name,
                outcome,
                problem: problem.map(Into::into),
            },
            Event::Passages { job, document, name, done, total } => {
                Self::Passages { job: job.into(), document: document.into(), name, done, total }
            }
            Event::Progress { job, state, counts, rate, left_s, problem } => Self::Progress {
                job: job.into(),
                state: state_name(state).to_owned(),
                counts: counts.into(),
                rate,
                left_s,
                problem: problem.map(Into::into),
            },
        }
    }
}

const fn stage_name(stage: lorekeep_types::Stage) -> &'static str {
    use lorekeep_types::Stage as S;
    match stage {
        S::Parse => "parse",
        S::Chunk => "chunk",
        S::Extract => "extract",
        S::Embed => "embed",
        S::Commit => "commit",
        S::Index => "index",
    }
}
