//! The port [`lorekeep_types::Store`]: the workspaces of one data folder, or of none.
//!
//! A workspace is a folder of its own: isolation is physical, removal is a rename, and a workspace that is being
//! made or imported is invisible until the rename that finishes it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lorekeep_types::{Clock, Ledger, ModelCache, Workspace, WorkspaceName, WorkspaceSummary};

use crate::cache::{CacheLimits, SqliteCache};
use crate::error::{Result, StoreError};
use crate::folder::{self, Folder};
use crate::ledger::SqliteLedger;
use crate::truth::connection::Place;
use crate::truth::{Truth, archive};
use crate::workspace::LocalWorkspace;

/// A workspace that is open or being opened. The inner lock lets one open slowly while others go on.
type Slot = Arc<Mutex<Option<Arc<LocalWorkspace>>>>;

/// All workspaces of one data folder, held by this process; or of this process's memory.
#[derive(Debug)]
pub struct Store {
    folder: Option<Arc<Folder>>,
    slots: Mutex<BTreeMap<WorkspaceName, Slot>>,
    ledger: Arc<SqliteLedger>,
}

impl Store {
    /// Takes hold of a data folder. A fresh one is created, with the workspace `default` in it.
    ///
    /// # Errors
    /// `Locked`, naming the other process; `StorageFull` when the folder cannot be written.
    pub fn open(folder: &Path, now_ms: i64) -> lorekeep_types::Result<Self> {
        Ok(Self::open_folder(folder, now_ms)?)
    }

    /// A store without files, gone with its last handle: for tests and trials. Has the workspace `default`.
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn in_memory() -> lorekeep_types::Result<Self> {
        let ledger = Arc::new(SqliteLedger::in_memory()?);
        let store = Self { folder: None, slots: Mutex::default(), ledger };
        store.create(&WorkspaceName::default_workspace())?;
        Ok(store)
    }

    /// Says in the lock file where this process serves, for [`crate::holder`] to find.
    ///
    /// # Errors
    /// When the lock file cannot be written.
    pub fn announce(&self, url: &str) -> lorekeep_types::Result<()> {
        match &self.folder {
            Some(folder) => Ok(folder.announce(Some(url.to_owned()))?),
            None => Ok(()),
        }
    }

    /// The ledger of model calls of all workspaces, shared by all who ask. While any of them has it, the data
    /// folder stays held.
    #[must_use]
    pub fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::<SqliteLedger>::clone(&self.ledger)
    }

    /// What was set for all model calls of this folder while the program ran, under `key`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn model_setting(&self, key: &str) -> lorekeep_types::Result<Option<String>> {
        self.ledger.setting(key)
    }

    /// Keeps `value` under `key` over restarts; `None` removes it.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn set_model_setting(&self, key: &'static str, value: Option<String>) -> lorekeep_types::Result<()> {
        self.ledger.set_setting(key, value)
    }

    /// The cache of this folder's model calls, or one without a file when there is no folder. Removing a workspace
    /// leaves it as it is: its values are the caller's to forget.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn cache(&self, clock: Arc<dyn Clock>, limits: CacheLimits) -> lorekeep_types::Result<Arc<dyn ModelCache>> {
        Ok(Arc::new(match &self.folder {
            Some(folder) => SqliteCache::open(folder.path(), clock, limits)?,
            None => SqliteCache::in_memory(clock, limits)?,
        }))
    }

    fn open_folder(path: &Path, now_ms: i64) -> Result<Self> {
        let folder = Arc::new(Folder::open(path, now_ms)?);
        let fresh = folder.is_fresh();
        let ledger = Arc::new(SqliteLedger::of(Arc::clone(&folder), now_ms)?);
        let store = Self { folder: Some(folder), slots: Mutex::default(), ledger };
        if fresh {
            store.create(&WorkspaceName::default_workspace())?;
        }
        Ok(store)
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<WorkspaceName, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn exists(&self, name: &WorkspaceName) -> Result<bool> {
        match &self.folder {
            // Names are compared, not paths: a file system may take `A` for `a`.
            Some(folder) => Ok(folder.names()?.contains(name)),
            None => Ok(self.slots().contains_key(name)),
        }
    }

    fn find(&self, name: &WorkspaceName) -> Result<Arc<LocalWorkspace>> {
        let slot = {
            let mut slots = self.slots();
            match slots.get(name) {
                Some(slot) => Arc::clone(slot),
                None if self.folder.as_ref().is_some_and(|folder| folder.workspace(name).is_dir()) => {
                    Arc::clone(slots.entry(name.clone()).or_default())
                }
                None => return Err(unknown(name)),
            }
        };
        let mut workspace = lock(&slot);
        if let Some(workspace) = &*workspace {
            return Ok(Arc::clone(workspace));
        }
        let Some(folder) = &self.folder else { return Err(unknown(name)) };
        if !self.exists(name)? {
            return Err(unknown(name));
        }
        let path = folder.workspace(name);
        let truth = Arc::new(Truth::open(name.as_str(), Place::File(truth_path(&path)))?);
        let views = path.join("views");
        let opened = Arc::new(LocalWorkspace::open(name.clone(), truth, Some(&views), Some(Arc::clone(folder)))?);
        *workspace = Some(Arc::clone(&opened));
        Ok(opened)
    }

    fn create(&self, name: &WorkspaceName) -> Result<Arc<LocalWorkspace>> {
        self.make(name, &mut |place| Truth::open(name.as_str(), place.clone()).map(drop))?;
        self.find(name)
    }

    /// Makes a workspace whose truth `fill` writes to the place it is given; nothing is left of a failure.
    fn make(&self, name: &WorkspaceName, fill: &mut dyn FnMut(&Place) -> Result<()>) -> Result<()> {
        if self.exists(name)? {
            return Err(taken(name));
        }
        match &self.folder {
            Some(folder) => {
                let scratch = folder.scratch()?;
                fs::create_dir(&scratch).map_err(StoreError::io("create", &scratch))?;
                let made = fill(&Place::File(truth_path(&scratch))).and_then(|()| {
                    let _one_at_a_time = self.slots();
                    if self.exists(name)? { Err(taken(name)) } else { folder.publish(&scratch, name) }
                });
                if made.is_err()
                    && let Err(error) = fs::remove_dir_all(&scratch)
                {
                    tracing::debug!(%error, "an unfinished workspace stays until the next start");
                }
                made
            }
            None => self.make_in_memory(name, fill),
        }
    }

    fn make_in_memory(&self, name: &WorkspaceName, fill: &mut dyn FnMut(&Place) -> Result<()>) -> Result<()> {
        let place = Place::memory();
        // The memory lives as long as some connection to it is open.
        let keeper = place.writer()?;
        fill(&place)?;
        let truth = Arc::new(Truth::open(name.as_str(), place)?);
        drop(keeper);
        let workspace = Arc::new(LocalWorkspace::open(name.clone(), truth, None, None)?);
        let mut slots = self.slots();
        if slots.contains_key(name) {
            return Err(taken(name));
        }
        slots.insert(name.clone(), Arc::new(Mutex::new(Some(workspace))));
        Ok(())
    }

    fn remove(&self, name: &WorkspaceName) -> Result<()> {
        if !self.exists(name)? {
            return Err(unknown(name));
        }
        // The slot stays in the map until the workspace is gone: whoever asks for it meanwhile waits at its lock.
        let slot = Arc::clone(self.slots().entry(name.clone()).or_default());
        let mut workspace = lock(&slot);
        if let Some(workspace) = workspace.take() {
            workspace.truth().close();
        }
        let gone = match &self.folder {
            Some(folder) => folder.discard(name),
            None => Ok(()),
        };
        self.slots().remove(name);
        gone
    }

    fn summary(&self, name: &WorkspaceName) -> Result<WorkspaceSummary> {
        let slot = self.slots().get(name).map(Arc::clone);
        let open = slot.and_then(|slot| lock(&slot).clone());
        let (documents, chunks) = match (&open, &self.folder) {
            (Some(workspace), _) => counts(workspace.truth())?,
            (None, Some(folder)) => {
                counts(&Truth::open(name.as_str(), Place::File(truth_path(&folder.workspace(name))))?)?
            }
            (None, None) => return Err(unknown(name)),
        };
        let bytes = self.folder.as_ref().map_or(0, |folder| folder::size_of(&folder.workspace(name)));
        Ok(WorkspaceSummary { name: name.clone(), documents, chunks, bytes })
    }

    fn summaries(&self) -> Result<Vec<WorkspaceSummary>> {
        let names = match &self.folder {
            Some(folder) => folder.names()?,
            None => self.slots().keys().cloned().collect(),
        };
        let mut summaries = Vec::with_capacity(names.len());
        for name in names {
            match self.summary(&name) {
                Ok(summary) => summaries.push(summary),
                // Removed while this list was being made.
                Err(_) if !self.exists(&name)? => {}
                Err(error) => return Err(error),
            }
        }
        Ok(summaries)
    }
}

impl lorekeep_types::Store for Store {
    fn workspaces(&self) -> lorekeep_types::Result<Vec<WorkspaceSummary>> {
        Ok(self.summaries()?)
    }

    fn workspace(&self, name: &WorkspaceName) -> lorekeep_types::Result<Arc<dyn Workspace>> {
        Ok(self.find(name)?)
    }

    fn create_workspace(&self, name: &WorkspaceName) -> lorekeep_types::Result<Arc<dyn Workspace>> {
        Ok(self.create(name)?)
    }

    fn remove_workspace(&self, name: &WorkspaceName) -> lorekeep_types::Result<()> {
        Ok(self.remove(name)?)
    }

    fn import(&self, name: &WorkspaceName, archive: &mut dyn Read) -> lorekeep_types::Result<()> {
        Ok(self.make(name, &mut |place| archive::import(archive, place))?)
    }

    fn folder(&self) -> Option<&Path> {
        self.folder.as_ref().map(|folder| folder.path())
    }
}

fn truth_path(workspace: &Path) -> PathBuf {
    workspace.join("truth.sqlite")
}

fn counts(truth: &Truth) -> Result<(u64, u64)> {
    let reader = truth.read()?;
    Ok((reader.document_count()?, reader.chunk_count()?))
}

fn lock(slot: &Slot) -> MutexGuard<'_, Option<Arc<LocalWorkspace>>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unknown(name: &WorkspaceName) -> StoreError {
    StoreError::NotFound { kind: "workspace", name: name.to_string() }
}

fn taken(name: &WorkspaceName) -> StoreError {
    StoreError::conflict(
        format!("there is a workspace `{name}` already"),
        "choose another name, or remove that one first",
    )
}
