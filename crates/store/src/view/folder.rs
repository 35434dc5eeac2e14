//! Where the views of a workspace lie: one folder per generation and a file `CURRENT` that names the one in use.
//! A generation is built beside the one in use and becomes it by one rename.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::error::{Result, StoreError};

const CURRENT: &str = "CURRENT";

/// The folder of the generation in use, if there is one.
pub(super) fn current(views: &Path) -> Result<Option<PathBuf>> {
    let path = views.join(CURRENT);
    match fs::read(&path) {
        Ok(name) => Ok(std::str::from_utf8(&name).ok().and_then(number).map(|number| folder(views, number))),
        Err(missing) if missing.kind() == ErrorKind::NotFound => Ok(None),
        Err(other) => Err(StoreError::io("read", path)(other)),
    }
}

/// Makes the empty folder of a new generation.
pub(super) fn fresh(views: &Path) -> Result<PathBuf> {
    fs::create_dir_all(views).map_err(StoreError::io("create", views))?;
    let newest = entries(views)?.iter().filter_map(|name| number(name)).max().unwrap_or(0);
    let folder = folder(views, newest + 1);
    fs::create_dir(&folder).map_err(StoreError::io("create", &folder))?;
    Ok(folder)
}

/// Makes a complete generation the one in use, durably.
pub(super) fn switch(views: &Path, generation: &Path) -> Result<()> {
    let name = generation.file_name().unwrap_or_default();
    let beside = views.join("CURRENT.new");
    let mut file = File::create(&beside).map_err(StoreError::io("create", &beside))?;
    file.write_all(name.as_encoded_bytes()).map_err(StoreError::io("write", &beside))?;
    file.sync_all().map_err(StoreError::io("sync", &beside))?;
    sync_folder(generation)?;
    fs::rename(&beside, views.join(CURRENT)).map_err(StoreError::io("rename", &beside))?;
    sync_folder(views)
}

/// Removes every generation but `keep`. What cannot be removed is left for the next time.
pub(super) fn sweep(views: &Path, keep: &Path) {
    for name in entries(views).unwrap_or_default() {
        let path = views.join(&name);
        if number(&name).is_some() && path != keep {
            discard(&path);
        }
    }
}

/// Removes a generation that was not finished or is no longer used.
pub(super) fn discard(generation: &Path) {
    if let Err(error) = fs::remove_dir_all(generation) {
        tracing::debug!(folder = %generation.display(), %error, "an old generation of the views stays for now");
    }
}

fn sync_folder(folder: &Path) -> Result<()> {
    let opened = File::open(folder).map_err(StoreError::io("open", folder))?;
    opened.sync_all().map_err(StoreError::io("sync", folder))
}

fn folder(views: &Path, number: u64) -> PathBuf {
    views.join(format!("g{number}"))
}

/// The number of the generation called `name`.
fn number(name: &str) -> Option<u64> {
    name.strip_prefix('g')?.parse().ok()
}

fn entries(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(StoreError::io("read", folder))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn generations_are_switched_and_swept() {
        let views = tempfile::tempdir().unwrap();
        let views = views.path();
        assert_eq!(current(views).unwrap(), None);
        let first = fresh(views).unwrap();
        switch(views, &first).unwrap();
        let second = fresh(views).unwrap();
        assert_eq!(current(views).unwrap(), Some(first.clone()));
        switch(views, &second).unwrap();
        sweep(views, &second);
        assert_eq!(current(views).unwrap(), Some(second.clone()));
        assert!(second.is_dir() && !first.exists());
    }

    #[test]
    fn a_senseless_name_is_no_generation() {
        let views = tempfile::tempdir().unwrap();
        for senseless in ["", "../../etc", "g", "g1/..", "x1"] {
            fs::write(views.path().join(CURRENT), senseless).unwrap();
            assert_eq!(current(views.path()).unwrap(), None, "{senseless}");
        }
    }
}
