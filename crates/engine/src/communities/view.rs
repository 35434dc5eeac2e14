//! The communities of each workspace, as a view: derived from the graph, thrown away with the process, and built anew in
//! the background when enough of the graph has changed. Who asks is given what is there and never waits for that.

use std::collections::HashMap;
use std::hash::{Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lorekeep_types::{Community, EntityId, Result, Snapshot, Workspace, WorkspaceName};
use tokio::task::JoinHandle;

use super::detect::{Group, groups};

/// Of entities and relations, one in this many must have come or gone before communities are found anew …
const CHANGED_SHARE: u64 = 20;

/// … and at least so many.
const LEAST_CHANGED: u64 = 10;

/// Summaries of one workspace that are held; beyond that they are forgotten and found in the cache again.
const MOST_SUMMARIES: usize = 2_000;

/// The communities of one state of the graph.
#[derive(Debug, Default)]
pub(super) struct Grouping {
    /// The last change of the truth that it knows.
    pub(super) seq: u64,
    /// Entities and relations at that time.
    size: (u64, u64),
    pub(super) groups: Vec<Group>,
    /// The smallest community of each entity, by its place.
    pub(super) smallest: HashMap<EntityId, u32>,
    told: Mutex<Told>,
}

/// Communities as they were told of in one state of the graph, by place: to read what one holds takes longer than most of a
/// question.
#[derive(Debug, Default)]
struct Told {
    seq: u64,
    /// Counts the summaries that were written meanwhile.
    age: u64,
    communities: HashMap<u32, Community>,
}

impl Grouping {
    pub(super) fn of(snapshot: &dyn Snapshot) -> Result<Self> {
        let groups = groups(&snapshot.relation_ends()?)?;
        let mut smallest = HashMap::new();
        // Deeper levels come later and are smaller.
        for (place, group) in (0_u32..).zip(&groups) {
            smallest.extend(group.members.iter().map(|member| (*member, place)));
        }
        let stats = snapshot.stats();
        Ok(Self {
            seq: snapshot.seq(),
            size: (stats.entities, stats.relations),
            groups,
            smallest,
            told: Mutex::default(),
        })
    }

    /// The community at a place as it was told of when the graph was in the state `seq`, or as `read` tells of it.
    ///
    /// # Errors
    /// Those of `read`.
    pub(super) fn told(
        &self,
        seq: u64,
        place: u32,
        read: impl FnOnce() -> Result<Option<Community>>,
    ) -> Result<Option<Community>> {
        let told = || self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let age = {
            let told = told();
            match told.communities.get(&place).filter(|_| told.seq == seq) {
                Some(known) => return Ok(Some(known.clone())),
                None => told.age,
            }
        };
        let community = read()?;
        let mut told = told();
        if told.seq != seq {
            *told = Told { seq, age: told.age, communities: HashMap::new() };
        }
        if told.age == age {
            told.communities.extend(community.iter().map(|community| (place, community.clone())));
        }
        Ok(community)
    }

    /// A summary was written: none is told of as before.
    fn tell_anew(&self) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        *told = Told { age: told.age + 1, ..Told::default() };
    }

    /// Whether it says too little about what `snapshot` shows.
    fn is_stale(&self, snapshot: &dyn Snapshot) -> bool {
        let stats = snapshot.stats();
        let changed = self.size.0.abs_diff(stats.entities) + self.size.1.abs_diff(stats.relations);
        let enough = ((self.size.0 + self.size.1) / CHANGED_SHARE).max(LEAST_CHANGED);
        // Much may change without a change of numbers; and a workspace may have been made anew under its name.
        let seq = snapshot.seq();
        changed >= enough || seq < self.seq || seq - self.seq > 2 * (self.size.0 + self.size.1).max(LEAST_CHANGED)
    }
}

/// What is known of the workspaces.
#[derive(Default)]
pub(crate) struct CommunityViews(Mutex<HashMap<WorkspaceName, Slot>>);

#[derive(Default)]
struct Slot {
    grouping: Option<Arc<Grouping>>,
    /// The work on the next one.
    building: Option<JoinHandle<()>>,
    /// By a hash of the records that they were written from.
    summaries: HashMap<u64, Summary>,
}

/// A summary as a model wrote it, made harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) title: String,
    pub(super) text: String,
}

fn hash_of(records: &str) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    records.hash(&mut hasher);
    hasher.finish()
}

impl CommunityViews {
    /// What is there; begins to find communities anew in the background where it says too little. Must be called within a
    /// tokio runtime.
    pub(super) fn present(self: &Arc<Self>, workspace: &Arc<dyn Workspace>) -> Option<Arc<Grouping>> {
        let snapshot = workspace.snapshot();
        let mut slots = self.slots();
        let slot = slots.entry(workspace.name().clone()).or_default();
        let stale = slot.grouping.as_ref().is_none_or(|known| known.is_stale(snapshot.as_ref()));
        let builds = slot.building.as_ref().is_some_and(|work| !work.is_finished());
        if stale && !builds {
            let (views, workspace) = (Arc::clone(self), Arc::clone(workspace));
            slot.building = Some(tokio::task::spawn_blocking(move || {
                if let Err(error) = views.build(&workspace) {
                    tracing::warn!(workspace = %workspace.name(), %error, "the communities of the graph were not found");
                }
            }));
        }
        // Of a workspace that was made anew under its name, nothing that is known holds.
        slot.grouping.clone().filter(|known| known.seq <= snapshot.seq())
    }

    /// Begins to find communities in the background where nothing is known yet. Must be called within a tokio runtime.
    pub(crate) fn begin(self: &Arc<Self>, workspace: &Arc<dyn Workspace>) {
        let known = self.slots().get(workspace.name()).is_some_and(|slot| slot.grouping.is_some());
        if !known {
            self.present(workspace);
        }
    }

    /// What is there, found now where nothing is known yet.
    pub(super) fn found(self: &Arc<Self>, workspace: &Arc<dyn Workspace>) -> Result<Arc<Grouping>> {
        let known = self.slots().get(workspace.name()).is_some_and(|slot| slot.grouping.is_some());
        match known.then(|| self.present(workspace)).flatten() {
            Some(grouping) => Ok(grouping),
            None => self.build(workspace),
        }
    }

    fn build(&self, workspace: &Arc<dyn Workspace>) -> Result<Arc<Grouping>> {
        let grouping = Arc::new(Grouping::of(workspace.snapshot().as_ref())?);
        self.slots().entry(workspace.name().clone()).or_default().grouping = Some(Arc::clone(&grouping));
        Ok(grouping)
    }

    /// The summary of such records, if one was written since the process began. They are made only where there is any.
    pub(super) fn summary(&self, workspace: &WorkspaceName, records: impl FnOnce() -> String) -> Option<Summary> {
        let has_any = self.slots().get(workspace).is_some_and(|slot| !slot.summaries.is_empty());
        let records = has_any.then(records)?;
        self.slots().get(workspace)?.summaries.get(&hash_of(&records)).cloned()
    }

    pub(super) fn keep_summary(&self, workspace: &WorkspaceName, records: &str, summary: Summary) {
        let mut slots = self.slots();
        let slot = slots.entry(workspace.clone()).or_default();
        if slot.summaries.len() >= MOST_SUMMARIES {
            slot.summaries.clear();
        }
        slot.summaries.insert(hash_of(records), summary);
        slot.grouping.iter().for_each(|grouping| grouping.tell_anew());
    }

    /// Forgets a workspace that is gone.
    pub(crate) fn forget(&self, workspace: &WorkspaceName) {
        self.slots().remove(workspace);
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<WorkspaceName, Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn titled(title: &str) -> Community {
        Community {
            id: 3,
            level: 0,
            parent: None,
            size: 1,
            title: title.to_owned(),
            key_phrases: Vec::new(),
            central: Vec::new(),
            documents: 1,
            summary: None,
        }
    }

    #[test]
    fn what_is_told_is_read_again_when_the_graph_or_a_summary_is_another() {
        let grouping = Grouping::default();
        let told = |seq, title| grouping.told(seq, 3, || Ok(Some(titled(title)))).unwrap().unwrap().title;
        assert_eq!([told(1, "a"), told(1, "b"), told(2, "c"), told(2, "d")], ["a", "a", "c", "c"]);
        grouping.tell_anew();
        assert_eq!(told(2, "e"), "e");
        let read = || {
            grouping.tell_anew();
            Ok(Some(titled("f")))
        };
        assert_eq!(grouping.told(3, 3, read).unwrap().unwrap().title, "f");
        assert_eq!(told(3, "g"), "g", "a summary was written while the former was read");
    }
}
