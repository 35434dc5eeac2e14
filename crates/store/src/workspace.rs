//! The port [`Workspace`] over one truth and its views. Only delegates.

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use lorekeep_types::{
    Cancel, CommitOutcome, Comparable, ContentHash, DocumentFilter, DocumentId, DocumentOrder, DocumentPage,
    DocumentRecord, DocumentState, DocumentText, DocumentWrite, EmbedTask, EmbeddingModelId, EntityId, FreshVector,
    GraphEdit, GraphEnd, GraphItem, GraphSource, GraphWrite, IntegrityReport, Job, JobId, JobItem, JobState,
    NewGraphJob, NewJob, PageRequest, PendingItem, Problem, Result, Snapshot, Spending, StoredChunk, SummaryTask,
    SummaryWrite, VectorKind, VectorTask, VectorWrite, VectorsStage, Verdict, Workspace, WorkspaceName,
};

use crate::folder::Folder;
use crate::truth::Truth;
use crate::view::Views;

/// A workspace of a [`Store`](crate::Store).
pub(crate) struct LocalWorkspace {
    name: WorkspaceName,
    truth: Arc<Truth>,
    views: Views,
    /// The data folder stays locked while a workspace of it is held.
    folder: Option<Arc<Folder>>,
}

impl LocalWorkspace {
    /// Joins an open truth with its views, which lie in `views` or in RAM.
    pub(crate) fn open(
        name: WorkspaceName,
        truth: Arc<Truth>,
        views: Option<&Path>,
        folder: Option<Arc<Folder>>,
    ) -> crate::error::Result<Self> {
        truth.requeue()?;
        let views = Views::open(views, Arc::clone(&truth))?;
        Ok(Self { name, truth, views, folder })
    }

    /// Its truth.
    pub(crate) fn truth(&self) -> &Truth {
        &self.truth
    }
}

impl fmt::Debug for LocalWorkspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalWorkspace").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Workspace for LocalWorkspace {
    fn name(&self) -> &WorkspaceName {
        &self.name
    }

    fn truth_seq(&self) -> Result<u64> {
        Ok(self.truth.seq())
    }

    fn embedding_model(&self) -> Result<Option<EmbeddingModelId>> {
        Ok(self.truth.read()?.embedding_model()?)
    }

    fn set_embedding_model(&self, model: &EmbeddingModelId) -> Result<()> {
        Ok(self.truth.set_embedding_model(model)?)
    }

    fn enqueue(&self, job: NewJob, now_ms: i64) -> Result<Job> {
        Ok(self.truth.enqueue(&job, now_ms)?)
    }

    fn claim(&self, limit: usize, max_bytes: u64, now_ms: i64) -> Result<Vec<PendingItem>> {
        Ok(self.truth.claim(limit, max_bytes, now_ms)?)
    }

    fn unclaim(&self, items: &[i64]) -> Result<()> {
        Ok(self.truth.unclaim(items)?)
    }

    fn document_with_hash(&self, hash: &ContentHash) -> Result<Option<DocumentId>> {
        Ok(self.truth.read()?.document_with_hash(hash)?)
    }

    fn finish_duplicate(&self, item: i64, of: &DocumentId, now_ms: i64) -> Result<()> {
        Ok(self.truth.finish_duplicate(item, of, now_ms)?)
    }

    fn fail(&self, item: i64, state: DocumentState, problem: &Problem, now_ms: i64) -> Result<()> {
        Ok(self.truth.fail(item, state, problem, now_ms)?)
    }

    fn commit(&self, writes: Vec<DocumentWrite>, now_ms: i64) -> Result<Vec<CommitOutcome>> {
        Ok(self.truth.commit(&writes, now_ms)?)
    }

    fn retry(&self, job: JobId, documents: &[DocumentId], principal: Option<&str>, now_ms: i64) -> Result<Option<Job>> {
        Ok(self.truth.retry(&job, documents, principal, now_ms)?)
    }

    fn cancel_job(&self, job: &JobId, now_ms: i64) -> Result<bool> {
        Ok(self.truth.cancel_job(job, now_ms)?)
    }

    fn job(&self, job: &JobId) -> Result<Option<Job>> {
        Ok(self.truth.read()?.job(job)?)
    }

    fn job_labelled(&self, label: &str) -> Result<Option<Job>> {
        Ok(self.truth.read()?.job_labelled(label)?)
    }

    fn jobs(&self, state: Option<JobState>, page: PageRequest) -> Result<Vec<Job>> {
        Ok(self.truth.read()?.jobs(state, page)?)
    }

    fn job_items(&self, job: &JobId, page: PageRequest) -> Result<Vec<JobItem>> {
        Ok(self.truth.read()?.job_items(job, page)?)
    }

    fn enqueue_vectors(&self, job: JobId, principal: Option<&str>, now_ms: i64) -> Result<Job> {
        Ok(self.truth.enqueue_vectors(&job, principal, now_ms)?)
    }

    fn vectors_job(&self) -> Result<Option<Job>> {
        Ok(self.truth.read()?.vectors_job()?)
    }

    fn begin_vectors(&self, job: &JobId, model: &EmbeddingModelId, now_ms: i64) -> Result<VectorsStage> {
        Ok(self.truth.begin_vectors(job, model, now_ms)?)
    }

    fn vector_tasks(&self, after: Option<(VectorKind, i64)>, limit: usize) -> Result<Vec<VectorTask>> {
        Ok(self.truth.read()?.vector_tasks(after, limit)?)
    }

    fn stage_vectors(&self, job: &JobId, vectors: &[FreshVector], passed: u64) -> Result<bool> {
        Ok(self.truth.stage_vectors(job, vectors, passed)?)
    }

    fn swap_vectors(&self, job: &JobId) -> Result<bool> {
        Ok(self.truth.swap_vectors(job)?)
    }

    fn delay_vectors(&self, job: &JobId, problem: Option<&Problem>) -> Result<()> {
        Ok(self.truth.delay_vectors(job, problem)?)
    }

    fn end_vectors(&self, job: &JobId, problem: Option<&Problem>, now_ms: i64) -> Result<()> {
        Ok(self.truth.end_vectors(job, problem, now_ms)?)
    }

    fn graph_sources(&self, documents: &[DocumentId]) -> Result<Vec<GraphSource>> {
        Ok(self.truth.read()?.graph_sources(documents)?)
    }

    fn enqueue_graph(&self, job: NewGraphJob, now_ms: i64) -> Result<Job> {
        Ok(self.truth.enqueue_graph(&job, now_ms)?)
    }

    fn claim_graph(&self, now_ms: i64) -> Result<Option<GraphItem>> {
        Ok(self.truth.claim_graph(now_ms)?)
    }

    fn write_graph(&self, write: GraphWrite, now_ms: i64) -> Result<bool> {
        Ok(self.truth.write_graph(&write, now_ms)?)
    }

    fn end_graph(&self, ends: &[GraphEnd], now_ms: i64) -> Result<()> {
        Ok(self.truth.end_graph(ends, now_ms)?)
    }

    fn unclaim_graph(&self, items: &[i64]) -> Result<()> {
        Ok(self.truth.unclaim_graph(items)?)
    }

    fn stop_graph(&self, job: &JobId, problem: &Problem, now_ms: i64) -> Result<()> {
        Ok(self.truth.stop_graph(job, problem, now_ms)?)
    }

    fn comparable(&self) -> Result<Vec<Comparable>> {
        Ok(self.truth.read()?.comparable()?)
    }

    fn verdicts(&self, pairs: &[(String, String)]) -> Result<Vec<Option<bool>>> {
        Ok(self.truth.read()?.verdicts(pairs)?)
    }

    fn resolve(&self, compared: &[EntityId], verdicts: &[Verdict], now_ms: i64) -> Result<u64> {
        Ok(self.truth.resolve(compared, verdicts, now_ms)?)
    }

    fn summary_tasks(&self, limit: usize) -> Result<Vec<SummaryTask>> {
        Ok(self.truth.read()?.summary_tasks(limit)?)
    }

    fn put_summaries(&self, summaries: Vec<SummaryWrite>, now_ms: i64) -> Result<()> {
        Ok(self.truth.put_summaries(&summaries, now_ms)?)
    }

    fn spend(&self, job: &JobId, more: &Spending) -> Result<()> {
        Ok(self.truth.spend(job, more)?)
    }

    fn document(&self, id: &DocumentId) -> Result<Option<DocumentRecord>> {
        Ok(self.truth.read()?.document(id)?)
    }

    fn documents_named(&self, name: &str) -> Result<Vec<DocumentRecord>> {
        Ok(self.truth.read()?.documents_named(name)?)
    }

    fn documents(&self, filter: &DocumentFilter, order: DocumentOrder, page: PageRequest) -> Result<DocumentPage> {
        Ok(self.truth.read()?.documents(filter, order, page)?)
    }

    fn document_text(&self, id: &DocumentId) -> Result<Option<DocumentText>> {
        Ok(self.truth.read()?.document_text(id)?)
    }

    fn document_bytes(&self, id: &DocumentId) -> Result<Option<Vec<u8>>> {
        Ok(self.truth.read()?.document_bytes(id)?)
    }

    fn document_chunks(&self, id: &DocumentId, page: PageRequest) -> Result<Vec<StoredChunk>> {
        Ok(self.truth.read()?.document_chunks(id, page)?)
    }

    fn set_tags(&self, id: &DocumentId, tags: &[String], now_ms: i64) -> Result<()> {
        Ok(self.truth.set_tags(id, tags, now_ms)?)
    }

    fn delete(&self, ids: &[DocumentId], now_ms: i64) -> Result<Vec<DocumentId>> {
        Ok(self.truth.delete(ids, now_ms)?)
    }

    fn edit_graph(&self, edit: &GraphEdit, now_ms: i64) -> Result<()> {
        Ok(self.truth.edit_graph(edit, now_ms)?)
    }

    fn embed_tasks(&self, limit: usize) -> Result<Vec<EmbedTask>> {
        Ok(self.truth.read()?.embed_tasks(limit)?)
    }

    fn put_vectors(&self, vectors: Vec<VectorWrite>) -> Result<()> {
        Ok(self.truth.put_vectors(&vectors)?)
    }

    fn setting(&self, key: &str) -> Result<Option<String>> {
        Ok(self.truth.read()?.setting(key)?)
    }

    fn set_setting(&self, key: &str, value: Option<&str>) -> Result<()> {
        Ok(self.truth.set_setting(key, value)?)
    }

    fn snapshot(&self) -> Arc<dyn Snapshot> {
        self.views.snapshot()
    }

    fn refresh(&self) -> Result<u64> {
        Ok(self.views.refresh()?)
    }

    fn reindex(&self, cancel: &Cancel, progress: &dyn Fn(u64, u64)) -> Result<()> {
        Ok(self.views.rebuild(cancel, progress)?)
    }

    fn check(&self) -> Result<IntegrityReport> {
        let (chunks, mut problems) = {
            let reader = self.truth.read()?;
            (reader.chunk_count()?, reader.problems()?)
        };
        problems.extend(self.views.check()?);
        Ok(IntegrityReport { truth_seq: self.truth.seq(), view_seq: self.snapshot().seq(), chunks, problems })
    }

    fn export(&self, archive: &mut dyn Write) -> Result<u64> {
        let scratch = self.folder.as_ref().map(|folder| folder.scratch()).transpose()?;
        Ok(self.truth.export(scratch.as_deref(), archive)?)
    }
}
