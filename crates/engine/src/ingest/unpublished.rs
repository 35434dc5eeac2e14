//! Documents that are written to the truth but not yet shown by the views. Until they are published they are
//! reported as being processed, so that whoever hears `ready` can ask about them at once.

use std::collections::HashMap;
use std::sync::Mutex;

use lorekeep_types::{DocumentId, DocumentPage, DocumentRecord, DocumentState, Job, JobId, JobItem, JobState};

use super::lock;

/// The unpublished documents of one workspace and the jobs that wrote them.
#[derive(Debug, Default)]
pub(crate) struct Unpublished(Mutex<HashMap<DocumentId, JobId>>);

impl Unpublished {
    pub(crate) fn insert(&self, document: DocumentId, job: JobId) {
        lock(&self.0).insert(document, job);
    }

    pub(crate) fn remove(&self, document: &DocumentId) {
        lock(&self.0).remove(document);
    }

    /// Shows an unpublished document as being processed.
    pub(crate) fn mask_document(&self, record: &mut DocumentRecord) {
        if record.state == DocumentState::Ready && lock(&self.0).contains_key(&record.id) {
            record.state = DocumentState::Processing;
        }
    }

    /// Masks every document of the window and the counts.
    pub(crate) fn mask_page(&self, page: &mut DocumentPage) {
        let hidden = (lock(&self.0).len() as u64).min(page.counts.ready);
        page.counts.ready -= hidden;
        page.counts.processing += hidden;
        page.documents.iter_mut().for_each(|record| self.mask_document(record));
    }

    /// Shows a job with unpublished documents as running.
    pub(crate) fn mask_job(&self, job: &mut Job) {
        let hidden = lock(&self.0).values().filter(|id| **id == job.id).count() as u64;
        let hidden = hidden.min(job.counts.ready);
        if hidden == 0 {
            return;
        }
        job.counts.ready -= hidden;
        job.counts.open += hidden;
        if job.state == JobState::Done {
            job.state = JobState::Running;
            job.ended_at = None;
        }
    }

    /// Shows unpublished documents of a job as being processed.
    pub(crate) fn mask_items(&self, items: &mut [JobItem]) {
        let hidden = lock(&self.0);
        for item in items {
            if item.outcome == DocumentState::Ready.name() && hidden.contains_key(&item.document) {
                DocumentState::Processing.name().clone_into(&mut item.outcome);
            }
        }
    }
}
