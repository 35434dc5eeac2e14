//! The data folder: its lock, its layout, and making changes in it durable.
//!
//! ```text
//! lock                          held while a process uses the folder; says which one
//! gateway.sqlite                the ledger of model calls of all workspaces
//! gateway.journal-1, -2         what is decided about calls and not yet in the ledger
//! cache.sqlite                  results of model calls, disposable
//! workspaces/NAME/truth.sqlite  the truth
//! workspaces/NAME/views/        derived, disposable
//! workspaces/.NAME              unfinished: removed when the folder is opened
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lorekeep_types::WorkspaceName;
use serde::{Deserialize, Serialize};

use crate::error::{Result, StoreError};

/// The process that holds a data folder, as it says in the lock file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// Where it serves, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// When it opened the folder, Unix milliseconds.
    pub started_at: i64,
}

/// Who holds `folder`; `None` when nobody does. A holder that has not said its name yet has pid 0.
///
/// # Errors
/// When the lock file is there but cannot be opened.
pub fn holder(folder: &Path) -> lorekeep_types::Result<Option<Holder>> {
    Ok(find_holder(folder)?)
}

fn find_holder(folder: &Path) -> Result<Option<Holder>> {
    let path = folder.join("lock");
    if !path.exists() {
        return Ok(None);
    }
    let file = File::open(&path).map_err(StoreError::io("open", &path))?;
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            Ok(Some(said_holder(&path).unwrap_or(Holder { pid: 0, url: None, started_at: 0 })))
        }
        Err(TryLockError::Error(source)) => Err(StoreError::Io { action: "lock", path, source }),
    }
}

fn said_holder(path: &Path) -> Option<Holder> {
    let mut text = String::new();
    File::open(path).ok()?.take(4_096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// The words of a refusal.
pub(crate) fn locked_message(path: &Path, holder: Option<&Holder>) -> String {
    let folder = path.display();
    match holder {
        Some(Holder { pid, url: Some(url), .. }) => {
            format!("the data folder {folder} is held by process {pid}, which serves {url}")
        }
        Some(Holder { pid, .. }) => format!("the data folder {folder} is held by process {pid}"),
        None => format!("the data folder {folder} is held by another process"),
    }
}

/// A data folder that this process holds.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    lock: Mutex<File>,
    started_at: i64,
    next: AtomicU64,
}

impl Folder {
    /// Takes hold of `path`, which is created when missing, and clears what an interrupted process left.
    pub(crate) fn open(path: &Path, now_ms: i64) -> Result<Self> {
        fs::create_dir_all(path).map_err(StoreError::io("create", path))?;
        let lock = take_lock(path)?;
        let folder =
            Self { path: path.to_owned(), lock: Mutex::new(lock), started_at: now_ms, next: AtomicU64::new(0) };
        folder.announce(None)?;
        folder.remove_leftovers()?;
        Ok(folder)
    }

    /// Says in the lock file who holds the folder.
    pub(crate) fn announce(&self, url: Option<String>) -> Result<()> {
        let holder = Holder { pid: std::process::id(), url, started_at: self.started_at };
        let mut file = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let text = serde_json::to_string(&holder)?;
        let written =
            file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).and_then(|_| file.write_all(text.as_bytes()));
        written.map_err(StoreError::io("write", self.path.join("lock")))
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether no workspace was ever made here.
    pub(crate) fn is_fresh(&self) -> bool {
        !self.workspaces().exists()
    }

    /// The folder of a workspace, whether it exists or not.
    pub(crate) fn workspace(&self, name: &WorkspaceName) -> PathBuf {
        self.workspaces().join(name.as_str())
    }

    /// A path beside the workspaces that nobody uses; whatever is there is removed at the next open.
    pub(crate) fn scratch(&self) -> Result<PathBuf> {
        let parent = self.workspaces();
        fs::create_dir_all(&parent).map_err(StoreError::io("create", &parent))?;
        Ok(parent.join(format!(".{}", self.next.fetch_add(1, Ordering::Relaxed))))
    }

    /// Names of the workspaces, sorted.
    pub(crate) fn names(&self) -> Result<Vec<WorkspaceName>> {
        let entries = self.entries()?;
        let mut names: Vec<_> = entries.iter().filter_map(|entry| WorkspaceName::parse(entry).ok()).collect();
        names.sort();
        Ok(names)
    }

    /// Moves a finished folder into place and makes that durable.
    pub(crate) fn publish(&self, scratch: &Path, name: &WorkspaceName) -> Result<()> {
        sync_folder(scratch)?;
        let target = self.workspace(name);
        fs::rename(scratch, &target).map_err(StoreError::io("rename", scratch))?;
        sync_folder(&self.workspaces())
    }

    /// Takes a workspace out of sight, durably, then deletes it.
    pub(crate) fn discard(&self, name: &WorkspaceName) -> Result<()> {
        let scratch = self.scratch()?;
        let target = self.workspace(name);
        fs::rename(&target, &scratch).map_err(StoreError::io("rename", target))?;
        sync_folder(&self.workspaces())?;
        fs::remove_dir_all(&scratch).map_err(StoreError::io("remove", &scratch))
    }

    fn workspaces(&self) -> PathBuf {
        self.path.join("workspaces")
    }

    fn entries(&self) -> Result<Vec<String>> {
        let parent = self.workspaces();
        if !parent.exists() {
            return Ok(Vec::new());
        }
        let listed = fs::read_dir(&parent).map_err(StoreError::io("list", &parent))?;
        Ok(listed.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
    }

    fn remove_leftovers(&self) -> Result<()> {
        for name in self.entries()?.iter().filter(|name| name.starts_with('.')) {
            let path = self.workspaces().join(name);
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(StoreError::io("remove", &path))?;
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The system lets go of the lock with the file; an empty file keeps a stale name from being read.
        let file = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = file.set_len(0) {
            tracing::debug!(%error, "the lock file keeps the name of its last holder");
        }
    }
}

/// Locks the folder. Somebody who only asks who holds it has it for an instant: hence the few tries.
fn take_lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(StoreError::io("create", &path))?;
    for _ in 0..5 {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
            Err(TryLockError::Error(source)) => return Err(StoreError::Io { action: "lock", path, source }),
        }
    }
    Err(StoreError::Locked { path: folder.to_owned(), holder: said_holder(&path) })
}

/// Makes the entries of a folder durable.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    if cfg!(windows) {
        return Ok(()); // folders cannot be opened as files there; NTFS journals its entries
    }
    File::open(path).and_then(|folder| folder.sync_all()).map_err(StoreError::io("sync", path))
}

/// Bytes of the files under `path`.
pub(crate) fn size_of(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}
