//! What a workspace's worker shares with the façade: whether it runs, what it holds, who follows it.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use lorekeep_types::{Cancel, DocumentId, JobEvent, JobId, PendingItem, Result, Workspace};
use tokio::sync::broadcast;

use super::life::Life;
use super::progress::Paces;
use super::{Unpublished, lock};

/// Events a slow follower may fall behind.
const EVENTS: usize = 1_024;

/// One workspace's lane of work.
pub(super) struct Lane {
    pub(super) unpublished: Unpublished,
    pub(super) events: broadcast::Sender<JobEvent>,
    pub(super) paces: Mutex<Paces>,
    pub(super) life: Life,
    holdings: Mutex<Holdings>,
    /// The job of new vectors that is worked on, and how it is told to stop.
    anew: Mutex<Option<(JobId, Cancel)>>,
    publishing: Mutex<()>,
}

/// An item that was claimed and has not ended. Whoever takes it out of the lane ends it.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) job: JobId,
    pub(super) document: DocumentId,
    pub(super) name: String,
    pub(super) cancel: Cancel,
}

#[derive(Default)]
struct Holdings {
    items: HashMap<i64, Held>,
    /// Jobs that were cancelled since the lane was last empty.
    cancelled: HashSet<JobId>,
    /// Items that could not be put back when the store failed.
    stranded: Vec<i64>,
}

impl Default for Lane {
    fn default() -> Self {
        Self {
            unpublished: Unpublished::default(),
            events: broadcast::channel(EVENTS).0,
            paces: Mutex::default(),
            life: Life::default(),
            holdings: Mutex::default(),
            anew: Mutex::default(),
            publishing: Mutex::default(),
        }
    }
}

impl Lane {
    /// Asks the worker to put back what it holds and waits until it has ended.
    pub(super) fn stop(&self) {
        self.life.stop(|| self.cancel_all());
    }

    /// Asks all work on documents to stop.
    pub(super) fn cancel_all(&self) {
        lock(&self.holdings).items.values().for_each(|held| held.cancel.cancel());
        lock(&self.anew).iter().for_each(|(_, cancel)| cancel.cancel());
    }

    /// Takes up a job of new vectors; the flag is set when it is cancelled, or the lane stops.
    pub(super) fn begin_anew(&self, job: &JobId) -> Cancel {
        let cancel = Cancel::default();
        *lock(&self.anew) = Some((job.clone(), cancel.clone()));
        cancel
    }

    /// No job of new vectors is worked on any more.
    pub(super) fn end_anew(&self) {
        lock(&self.anew).take();
    }

    /// Takes a claimed item into the lane.
    pub(super) fn hold(&self, item: &PendingItem) {
        let held = Held {
            job: item.job.clone(),
            document: item.document.clone(),
            name: item.name.clone(),
            cancel: Cancel::default(),
        };
        let mut holdings = lock(&self.holdings);
        if self.life.is_stopping() || holdings.cancelled.contains(&item.job) {
            held.cancel.cancel();
        }
        holdings.items.insert(item.item, held);
    }

    /// An item in the lane.
    pub(super) fn held(&self, item: i64) -> Option<Held> {
        lock(&self.holdings).items.get(&item).cloned()
    }

    /// Takes an item out of the lane in order to end it; `None` when another did.
    pub(super) fn release(&self, item: i64) -> Option<Held> {
        lock(&self.holdings).items.remove(&item)
    }

    /// Takes the items of a job out of the lane and asks the work on them to stop, now and when more of them
    /// are claimed.
    pub(super) fn release_job(&self, job: &JobId) -> Vec<(i64, Held)> {
        let mut holdings = lock(&self.holdings);
        holdings.cancelled.insert(job.clone());
        let items: Vec<i64> =
            holdings.items.iter().filter(|(_, held)| held.job == *job).map(|(item, _)| *item).collect();
        let released: Vec<_> =
            items.into_iter().filter_map(|item| Some((item, holdings.items.remove(&item)?))).collect();
        released.iter().for_each(|(_, held)| held.cancel.cancel());
        lock(&self.anew).iter().filter(|(anew, _)| anew == job).for_each(|(_, cancel)| cancel.cancel());
        released
    }

    /// Puts back everything that is claimed and in nobody's hands. What the store refuses is tried again the
    /// next time.
    pub(super) fn put_back(&self, workspace: &dyn Workspace) -> Result<()> {
        let mut holdings = lock(&self.holdings);
        holdings.cancelled.clear();
        let claimed: Vec<i64> = holdings.items.drain().map(|(item, _)| item).collect();
        holdings.stranded.extend(claimed);
        drop(holdings);
        self.put_back_stranded(workspace)
    }

    /// Notes items that must be put back.
    pub(super) fn strand(&self, items: impl Iterator<Item = i64>) {
        lock(&self.holdings).stranded.extend(items);
    }

    /// Puts back the stranded items, or keeps them for the next time.
    pub(super) fn put_back_stranded(&self, workspace: &dyn Workspace) -> Result<()> {
        let stranded = std::mem::take(&mut lock(&self.holdings).stranded);
        if stranded.is_empty() {
            return Ok(());
        }
        workspace.unclaim(&stranded).inspect_err(|_| self.strand(stranded.iter().copied()))
    }

    /// Brings the views up to the truth. Callers that arrive while another refreshes share the next refresh.
    pub(super) fn publish(&self, workspace: &dyn Workspace) -> Result<()> {
        let wanted = workspace.truth_seq()?;
        let _turn = lock(&self.publishing);
        if workspace.snapshot().seq() < wanted {
            workspace.refresh()?;
        }
        Ok(())
    }
}
