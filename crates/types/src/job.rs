//! Durable work on documents and how it reports.

use serde::{Deserialize, Serialize};

use crate::document::Problem;
use crate::id::{ContentHash, DocumentId, JobId};

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobKind {
    /// Adds or updates documents.
    Add,
    /// Makes every vector anew; its counts are of vectors.
    Reindex,
    /// Has a model make the graph of documents.
    Graph,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// Waiting.
    Queued,
    /// Running.
    Running,
    /// Every item ended; some may have failed.
    Done,
    /// Cancelled by a user.
    Cancelled,
}

/// A step of the work on one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Bytes to text.
    Parse,
    /// Text to chunks.
    Chunk,
    /// Entities and relations.
    Extract,
    /// Vectors.
    Embed,
    /// The transaction.
    Commit,
    /// The views follow.
    Index,
}

/// Items of a job by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCounts {
    /// All items.
    pub total: u64,
    /// Waiting or being worked on.
    pub open: u64,
    /// Indexed as a new document or a new version.
    pub ready: u64,
    /// The same bytes were already indexed under this source, or under another one.
    pub duplicate: u64,
    /// No text in it.
    pub needs_ocr: u64,
    /// Failed.
    pub failed: u64,
    /// Cancelled.
    pub cancelled: u64,
}

/// A job. Times are Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Identity.
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// Where it stands.
    pub state: JobState,
    /// A caller's own name for it, unique in the workspace (LightRAG's track id).
    pub label: Option<String>,
    /// Who asked for it, if known.
    pub principal: Option<String>,
    /// Outcomes.
    pub counts: JobCounts,
    /// What it may spend on models and has spent; `None` for a job that calls none.
    pub spending: Option<Spending>,
    /// Accepted.
    pub created_at: i64,
    /// First item taken up.
    pub started_at: Option<i64>,
    /// Ended.
    pub ended_at: Option<i64>,
    /// Why it failed as a whole or, while it runs, what it waits for.
    pub problem: Option<Problem>,
}

/// What a job spends on models. Money in nano-USD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spending {
    /// Most that it may spend.
    pub limit: Option<i64>,
    /// What its calls cost, as far as their prices are known.
    pub spent: i64,
    /// Calls made.
    pub calls: u64,
    /// Calls that needed no model because their answers were kept.
    pub kept: u64,
    /// Calls whose price is not known.
    pub unpriced: u64,
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
}

impl Spending {
    /// Adds what further calls took; the limit stays.
    pub fn add(&mut self, more: &Self) {
        self.spent = self.spent.saturating_add(more.spent);
        self.calls += more.calls;
        self.kept += more.kept;
        self.unpriced += more.unpriced;
        self.prompt_tokens += more.prompt_tokens;
        self.completion_tokens += more.completion_tokens;
    }
}

/// Documents whose graph a model is to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGraphJob {
    /// Its id; further documents under the id of such a job extend it.
    pub id: JobId,
    /// The documents; those without a version are passed over.
    pub documents: Vec<DocumentId>,
    /// Most that may be spent, in nano-USD.
    pub limit: Option<i64>,
    /// Who asks for it, if known, and pays for the models that are called.
    pub principal: Option<String>,
}

/// A document of a graph job, handed to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphItem {
    /// Row id of the item.
    pub item: i64,
    /// Its job.
    pub job: JobId,
    /// Who asked for the job, if known.
    pub principal: Option<String>,
    /// The document.
    pub document: DocumentId,
    /// Its display name.
    pub name: String,
    /// What its job may spend and has spent.
    pub spending: Spending,
}

/// How a document of a graph job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphEnd {
    /// Row id of the item.
    pub item: i64,
    /// `Ready`, `Failed` or `Cancelled`.
    pub state: crate::document::DocumentState,
    /// What went wrong, also where a part of it is ready.
    pub problem: Option<Problem>,
}

/// One document of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobItem {
    /// The document.
    pub document: DocumentId,
    /// Display name.
    pub name: String,
    /// `queued`, `processing`, `ready`, `duplicate`, `needs-ocr`, `failed`, `cancelled`.
    pub outcome: String,
    /// The document whose bytes are the same, for `duplicate`.
    pub duplicate_of: Option<DocumentId>,
    /// Why it failed.
    pub problem: Option<Problem>,
}

/// A document handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewItem {
    /// Where it comes from; decides its identity.
    pub source: String,
    /// Display name.
    pub name: String,
    /// The original bytes.
    pub bytes: Vec<u8>,
    /// Labels to give it.
    pub tags: Vec<String>,
    /// Metadata that overrides what the parser finds.
    pub metadata: crate::document::Metadata,
    /// How to cut it, where its sender says so.
    pub chunking: Option<crate::chunking::ChunkOptions>,
}

impl NewItem {
    /// A document with no labels, no metadata of its own and the usual cutting.
    #[must_use]
    pub fn new(source: impl Into<String>, name: impl Into<String>, bytes: Vec<u8>) -> Self {
        let (source, name) = (source.into(), name.into());
        Self { source, name, bytes, tags: Vec::new(), metadata: crate::document::Metadata::default(), chunking: None }
    }
}

/// A job to be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// Its id; enqueueing more items under an existing open id extends that job.
    pub id: JobId,
    /// A caller's own name for it.
    pub label: Option<String>,
    /// Who asks for it, if known, and pays for the models that are called.
    pub principal: Option<String>,
    /// The documents.
    pub items: Vec<NewItem>,
}

/// An item handed to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingItem {
    /// Row id of the item.
    pub item: i64,
    /// Its job.
    pub job: JobId,
    /// Who asked for the job, if known.
    pub principal: Option<String>,
    /// The document.
    pub document: DocumentId,
    /// Where it comes from.
    pub source: String,
    /// Display name.
    pub name: String,
    /// The original bytes.
    pub bytes: Vec<u8>,
    /// Their hash.
    pub hash: ContentHash,
    /// Labels to give it.
    pub tags: Vec<String>,
    /// Metadata that overrides what the parser finds.
    pub metadata: crate::document::Metadata,
    /// How to cut it, where its sender says so.
    pub chunking: Option<crate::chunking::ChunkOptions>,
}

/// What followers of a job hear. Rates and times are measured over the last seconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum JobEvent {
    /// A document moved to a step.
    Stage {
        /// The job.
        job: JobId,
        /// The document.
        document: DocumentId,
        /// Its name.
        name: String,
        /// The step.
        stage: Stage,
    },
    /// A document ended.
    Item {
        /// The job.
        job: JobId,
        /// The document.
        document: DocumentId,
        /// Its name.
        name: String,
        /// As in [`JobItem::outcome`].
        outcome: String,
        /// Why it failed.
        problem: Option<Problem>,
    },
    /// How much of a document a model has read.
    Passages {
        /// The job.
        job: JobId,
        /// The document.
        document: DocumentId,
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
        job: JobId,
        /// Its state.
        state: JobState,
        /// Outcomes so far.
        counts: JobCounts,
        /// Documents, or vectors of a reindex, per second.
        rate: f64,
        /// Estimated seconds left; absent before the first of them ended.
        left_s: Option<f64>,
        /// As in [`Job::problem`].
        problem: Option<Problem>,
    },
}
