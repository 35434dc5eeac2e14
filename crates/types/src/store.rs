//! The port of the store: workspaces, their truth, and the snapshots of their views.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use crate::chunk::{NewChunk, StoredChunk};
use crate::context::Cancel;
use crate::document::{
    DocumentFilter, DocumentOrder, DocumentPage, DocumentRecord, DocumentState, DocumentText, PageRequest,
    ParsedDocument, Problem,
};
use crate::error::Result;
use crate::graph::{Extraction, GraphEdit};
use crate::id::{ContentHash, DocumentId, EntityId, JobId, VersionId, WorkspaceName};
use crate::job::{GraphEnd, GraphItem, Job, JobItem, JobState, NewGraphJob, NewJob, PendingItem, Spending};
use crate::model::{EmbeddingModelId, Vector};
use crate::snapshot::{Snapshot, VectorKind};
use crate::vector_work::{EmbedTask, FreshVector, VectorTask, VectorWrite, VectorsStage};

/// All workspaces of one data folder.
pub trait Store: Send + Sync {
    /// Every workspace, by name.
    ///
    /// # Errors
    /// When the data folder cannot be read.
    fn workspaces(&self) -> Result<Vec<WorkspaceSummary>>;

    /// Opens an existing workspace; repeated calls share it.
    ///
    /// # Errors
    /// `NotFound` for an unknown one: a workspace is never made by asking for it.
    fn workspace(&self, name: &WorkspaceName) -> Result<Arc<dyn Workspace>>;

    /// Makes a workspace.
    ///
    /// # Errors
    /// `Conflict` when it exists.
    fn create_workspace(&self, name: &WorkspaceName) -> Result<Arc<dyn Workspace>>;

    /// Removes a workspace and everything in it.
    ///
    /// # Errors
    /// `NotFound`.
    fn remove_workspace(&self, name: &WorkspaceName) -> Result<()>;

    /// Makes the workspace `name` from an archive written by [`Workspace::export`].
    ///
    /// # Errors
    /// `Conflict` when `name` exists; `Unprocessable` when the archive is broken or from a newer release; in
    /// both cases nothing is left behind.
    fn import(&self, name: &WorkspaceName, archive: &mut dyn Read) -> Result<()>;

    /// The data folder, for messages.
    fn folder(&self) -> Option<&Path>;
}

/// A workspace in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceSummary {
    /// Its name.
    pub name: WorkspaceName,
    /// Documents.
    pub documents: u64,
    /// Chunks.
    pub chunks: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

/// Everything of one document version, committed in one transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentWrite {
    /// The document.
    pub document: DocumentId,
    /// The job item that asked for it; its bytes become the version's original.
    pub item: i64,
    /// Hash of the original.
    pub hash: ContentHash,
    /// Text, pages, headings, metadata (already overridden where the user gave any), warnings.
    pub parsed: ParsedDocument,
    /// Chunks in order.
    pub chunks: Vec<NewChunk>,
    /// One vector per chunk, or none at all.
    pub vectors: Vec<ChunkVector>,
    /// Entities and relations.
    pub extraction: Extraction,
}

/// A chunk's vector.
pub type ChunkVector = Vector;

/// What became of a [`DocumentWrite`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitOutcome {
    /// The document.
    pub document: DocumentId,
    /// The version's row.
    pub version_id: VersionId,
    /// The version's number.
    pub version: u32,
    /// `false` when the document or its job had been deleted or cancelled meanwhile: nothing was written.
    pub committed: bool,
}

/// The graph of a stored version, made anew; replaces what the version said about the graph before.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphWrite {
    /// The document.
    pub document: DocumentId,
    /// The version that was read.
    pub version: VersionId,
    /// What made it, in words that change when it would come out differently; `None` where a part is missing.
    pub maker: Option<String>,
    /// Entities and relations.
    pub extraction: Extraction,
}

/// A document whose graph may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphSource {
    /// The document.
    pub document: DocumentId,
    /// Its display name.
    pub name: String,
    /// Chunks of its version.
    pub chunks: u32,
    /// What made its graph, if a model did and nothing is missing.
    pub maker: Option<String>,
}

/// An entity of which models say too much to show it all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryTask {
    /// Row id.
    pub entity: i64,
    /// Its name.
    pub name: String,
    /// Tells these descriptions from others.
    pub made_of: [u8; 32],
    /// What is said of it, each text once.
    pub descriptions: Vec<String>,
}

/// What became of a [`SummaryTask`]; ignored when the descriptions have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryWrite {
    /// Row id.
    pub entity: i64,
    /// As in the task.
    pub made_of: [u8; 32],
    /// The summary.
    pub text: String,
}

/// An entity that may be the same as another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparable {
    /// Identity.
    pub id: EntityId,
    /// Normalised name.
    pub key: String,
    /// Display name.
    pub name: String,
    /// Type.
    pub kind: String,
    /// Whether those like it were looked through.
    pub compared: bool,
}

/// Whether the names of two entities mean one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The keys of the two, in any order.
    pub keys: (String, String),
    /// Whether they are the same.
    pub same: bool,
}

/// Whether views and truth agree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IntegrityReport {
    /// Last change of the truth.
    pub truth_seq: u64,
    /// Last change the views show.
    pub view_seq: u64,
    /// Chunks in the truth.
    pub chunks: u64,
    /// Every disagreement found, one sentence each; empty when all is well.
    pub problems: Vec<String>,
}

/// One workspace: its truth and its views. Synchronous; callers on an async runtime cross over first.
/// Every write that returned `Ok` survives `kill -9` and power loss.
pub trait Workspace: Send + Sync {
    /// Its name.
    fn name(&self) -> &WorkspaceName;

    /// Last change of the truth.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn truth_seq(&self) -> Result<u64>;

    /// The embedding model whose vectors it holds; `None` before the first vector.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn embedding_model(&self) -> Result<Option<EmbeddingModelId>>;

    /// Records the model of the vectors that will be written from now on.
    ///
    /// # Errors
    /// `Conflict` when vectors of another model are there; the message names both.
    fn set_embedding_model(&self, model: &EmbeddingModelId) -> Result<()>;

    // Jobs.

    /// Accepts documents: bytes, document rows (state `queued`) and job items in one transaction. An item whose
    /// source already waits in an open job replaces those bytes.
    ///
    /// # Errors
    /// `Conflict` when the label is taken by another job; `StorageFull`.
    fn enqueue(&self, job: NewJob, now_ms: i64) -> Result<Job>;

    /// Hands out up to `limit` queued items, oldest first, of at most `max_bytes` together (at least one), and
    /// marks them `processing`. After a restart, items that were being processed are queued again.
    ///
    /// # Errors
    /// When the truth cannot be read or written.
    fn claim(&self, limit: usize, max_bytes: u64, now_ms: i64) -> Result<Vec<PendingItem>>;

    /// Puts claimed items back, as when a worker stops.
    ///
    /// # Errors
    /// When the truth cannot be written.
    fn unclaim(&self, items: &[i64]) -> Result<()>;

    /// The indexed document with these bytes, if any: for telling duplicates.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn document_with_hash(&self, hash: &ContentHash) -> Result<Option<DocumentId>>;

    /// Ends an item whose bytes are already indexed as `of`. If `of` is its own document the document returns to
    /// `ready`; otherwise the item's document is dropped unless an earlier version of it is stored.
    ///
    /// # Errors
    /// When the truth cannot be written.
    fn finish_duplicate(&self, item: i64, of: &DocumentId, now_ms: i64) -> Result<()>;

    /// Ends an item without a version: `state` is `Failed`, `NeedsOcr` or `Cancelled`. An earlier version stays.
    ///
    /// # Errors
    /// When the truth cannot be written.
    fn fail(&self, item: i64, state: DocumentState, problem: &Problem, now_ms: i64) -> Result<()>;

    /// Commits documents; each is complete or absent. Several share one fsync.
    ///
    /// # Errors
    /// `StorageFull` or `Storage`; then none of them was written.
    fn commit(&self, writes: Vec<DocumentWrite>, now_ms: i64) -> Result<Vec<CommitOutcome>>;

    /// Queues failed, cancelled or needs-ocr documents again (all of them when `documents` is empty) as one job.
    /// `None` when there is nothing to do; on behalf of `principal`.
    ///
    /// # Errors
    /// When the truth cannot be written.
    fn retry(&self, job: JobId, documents: &[DocumentId], principal: Option<&str>, now_ms: i64) -> Result<Option<Job>>;

    /// Cancels a job: its queued items end as `cancelled`. `false` when it had already ended.
    ///
    /// # Errors
    /// `NotFound`.
    fn cancel_job(&self, job: &JobId, now_ms: i64) -> Result<bool>;

    /// One job.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn job(&self, job: &JobId) -> Result<Option<Job>>;

    /// The job with a label.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn job_labelled(&self, label: &str) -> Result<Option<Job>>;

    /// Jobs, newest first; only those in `state`, if given.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn jobs(&self, state: Option<JobState>, page: PageRequest) -> Result<Vec<Job>>;

    /// Items of a job in order.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn job_items(&self, job: &JobId, page: PageRequest) -> Result<Vec<JobItem>>;

    // Vectors made anew.

    /// Accepts a job that makes every vector anew, on behalf of `principal`. Until it has ended no documents are handed out.
    ///
    /// # Errors
    /// `Conflict` when such a job is open already; the message names it.
    fn enqueue_vectors(&self, job: JobId, principal: Option<&str>, now_ms: i64) -> Result<Job>;

    /// The open job of new vectors.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn vectors_job(&self) -> Result<Option<Job>>;

    /// Begins a job of new vectors, or goes on with it. What an earlier run made with another model is dropped.
    ///
    /// # Errors
    /// When the truth cannot be written.
    fn begin_vectors(&self, job: &JobId, model: &EmbeddingModelId, now_ms: i64) -> Result<VectorsStage>;

    /// Texts whose new vectors are missing, at most `limit`, after a row in the order of chunks, entities, relations.
    /// Entities and relations that wait for their vector in any case ([`Workspace::embed_tasks`]) are left out.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn vector_tasks(&self, after: Option<(VectorKind, i64)>, limit: usize) -> Result<Vec<VectorTask>>;

    /// Keeps new vectors beside the present ones. `passed` is the number of texts that are done, those without a
    /// vector included. `false`: the job was cancelled, and nothing was kept.
    ///
    /// # Errors
    /// `StorageFull` or `Storage`; then nothing was kept.
    fn stage_vectors(&self, job: &JobId, vectors: &[FreshVector], passed: u64) -> Result<bool>;

    /// Puts the new vectors and their model in the place of the old ones, in one transaction. `false`: the job was
    /// cancelled.
    ///
    /// # Errors
    /// When the truth cannot be written; the old vectors stay.
    fn swap_vectors(&self, job: &JobId) -> Result<bool>;

    /// Remembers what keeps a job of new vectors from going on; `None` when nothing does any more.
    ///
    /// # Errors
    /// When the truth cannot be written.
    fn delay_vectors(&self, job: &JobId, problem: Option<&Problem>) -> Result<()>;

    /// Ends a job of new vectors. With a `problem` it failed: the old vectors stay and the new ones are dropped.
    ///
    /// # Errors
    /// When the truth cannot be written.
    fn end_vectors(&self, job: &JobId, problem: Option<&Problem>, now_ms: i64) -> Result<()>;

    // Graphs made by models.

    /// Documents that have a version, by id, with what made their graph: those of `documents`, or all when it is empty.
    ///
    /// # Errors
    /// `NotFound` for a document that is not there.
    fn graph_sources(&self, documents: &[DocumentId]) -> Result<Vec<GraphSource>>;

    /// Accepts a job that makes graphs. A document that waits in another such job waits in both.
    ///
    /// # Errors
    /// `Conflict` when the job to extend was cancelled, or is of another kind.
    fn enqueue_graph(&self, job: NewGraphJob, now_ms: i64) -> Result<Job>;

    /// Hands out the oldest queued document of the graph jobs, and marks it `processing`; of one document only one item
    /// is worked on at a time. After a restart, items that were being processed are queued again.
    ///
    /// # Errors
    /// When the truth cannot be read or written.
    fn claim_graph(&self, now_ms: i64) -> Result<Option<GraphItem>>;

    /// Replaces the graph of a version in one transaction; `false`, and nothing is written, when the document has gone or
    /// has another version by now. What the other documents say, and users' edits, stay.
    ///
    /// # Errors
    /// `StorageFull` or `Storage`; then nothing was written.
    fn write_graph(&self, write: GraphWrite, now_ms: i64) -> Result<bool>;

    /// Ends documents of graph jobs; those that ended meanwhile are passed over.
    ///
    /// # Errors
    /// When the truth cannot be written.
    fn end_graph(&self, ends: &[GraphEnd], now_ms: i64) -> Result<()>;

    /// Puts claimed documents of graph jobs back.
    ///
    /// # Errors
    /// When the truth cannot be written.
    fn unclaim_graph(&self, items: &[i64]) -> Result<()>;

    /// Ends every waiting document of a graph job as cancelled for this reason; the job ends with the last of those that
    /// are being worked on.
    ///
    /// # Errors
    /// When the truth cannot be written.
    fn stop_graph(&self, job: &JobId, problem: &Problem, now_ms: i64) -> Result<()>;

    /// Every entity that a model describes, by id.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn comparable(&self) -> Result<Vec<Comparable>>;

    /// What was decided of pairs of keys before.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn verdicts(&self, pairs: &[(String, String)]) -> Result<Vec<Option<bool>>>;

    /// Keeps verdicts, joins the entities that are the same, and takes those of `compared` for compared. Entities are not
    /// joined when names of theirs are known to differ, or when users made or edited both. How many were joined.
    ///
    /// # Errors
    /// When the truth cannot be written.
    fn resolve(&self, compared: &[EntityId], verdicts: &[Verdict], now_ms: i64) -> Result<u64>;

    /// Entities whose descriptions are longer together than what is shown, and have no summary; at most `limit`.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn summary_tasks(&self, limit: usize) -> Result<Vec<SummaryTask>>;

    /// Shows summaries in the place of descriptions, until those change.
    ///
    /// # Errors
    /// When the truth cannot be written.
    fn put_summaries(&self, summaries: Vec<SummaryWrite>, now_ms: i64) -> Result<()>;

    /// Adds what calls of a job took to what it has spent.
    ///
    /// # Errors
    /// When the truth cannot be written.
    fn spend(&self, job: &JobId, more: &Spending) -> Result<()>;

    // Documents.

    /// One document.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn document(&self, id: &DocumentId) -> Result<Option<DocumentRecord>>;

    /// The documents with this exact name (there may be several from different sources).
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn documents_named(&self, name: &str) -> Result<Vec<DocumentRecord>>;

    /// A window of the document list.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn documents(&self, filter: &DocumentFilter, order: DocumentOrder, page: PageRequest) -> Result<DocumentPage>;

    /// Extracted text of the current version; `None` when the document has no version.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn document_text(&self, id: &DocumentId) -> Result<Option<DocumentText>>;

    /// Original bytes: of the current version, else of the waiting one.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn document_bytes(&self, id: &DocumentId) -> Result<Option<Vec<u8>>>;

    /// Chunks of the current version in order.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn document_chunks(&self, id: &DocumentId, page: PageRequest) -> Result<Vec<StoredChunk>>;

    /// Replaces a document's tags.
    ///
    /// # Errors
    /// `NotFound`.
    fn set_tags(&self, id: &DocumentId, tags: &[String], now_ms: i64) -> Result<()>;

    /// Deletes documents and exactly what they contributed, in one transaction; returns those that existed.
    ///
    /// # Errors
    /// When the truth cannot be written.
    fn delete(&self, ids: &[DocumentId], now_ms: i64) -> Result<Vec<DocumentId>>;

    // Graph.

    /// Applies a user's change.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`.
    fn edit_graph(&self, edit: &GraphEdit, now_ms: i64) -> Result<()>;

    /// Entities and relations to embed, at most `limit`.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn embed_tasks(&self, limit: usize) -> Result<Vec<EmbedTask>>;

    /// Stores vectors of entities and relations.
    ///
    /// # Errors
    /// When the truth cannot be written.
    fn put_vectors(&self, vectors: Vec<VectorWrite>) -> Result<()>;

    // Settings.

    /// A stored setting.
    ///
    /// # Errors
    /// When the truth cannot be read.
    fn setting(&self, key: &str) -> Result<Option<String>>;

    /// Stores a setting; `None` removes it.
    ///
    /// # Errors
    /// When the truth cannot be written.
    fn set_setting(&self, key: &str, value: Option<&str>) -> Result<()>;

    // Views.

    /// The latest published snapshot; never waits for a writer.
    fn snapshot(&self) -> Arc<dyn Snapshot>;

    /// Brings the views up to the truth and publishes; returns the sequence reached.
    ///
    /// # Errors
    /// When a view cannot be written; the former snapshot keeps serving.
    fn refresh(&self) -> Result<u64>;

    /// Rebuilds every view beside the old ones and swaps; `progress(done, total)` counts chunks.
    ///
    /// # Errors
    /// `Cancelled`; the old views keep serving.
    fn reindex(&self, cancel: &Cancel, progress: &dyn Fn(u64, u64)) -> Result<()>;

    /// Compares views and truth.
    ///
    /// # Errors
    /// When either cannot be read.
    fn check(&self) -> Result<IntegrityReport>;

    /// Writes one versioned archive of the workspace while it is in use; returns its size in bytes.
    ///
    /// # Errors
    /// When the truth cannot be read or `archive` written.
    fn export(&self, archive: &mut dyn Write) -> Result<u64>;
}
