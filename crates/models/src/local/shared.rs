//! One model in memory however often its path is named: a configuration that is read again finds it where it was.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::LocalSettings;
use super::fault::LocalError;

/// Models by path and settings; those that nobody uses any more are forgotten.
pub(super) struct Shared<T>(Mutex<Vec<(PathBuf, LocalSettings, Weak<T>)>>);

impl<T> Shared<T> {
    /// Nothing yet.
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// The one at `path`, made if nobody has it.
    pub(super) fn get(
        &self,
        path: &Path,
        settings: LocalSettings,
        make: impl FnOnce() -> Result<T, LocalError>,
    ) -> Result<Arc<T>, LocalError> {
        let path = path.canonicalize().map_err(|error| LocalError::io(path, &error))?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(_, _, model)| model.strong_count() > 0);
        let found = known.iter().find(|(own, chosen, _)| *own == path && *chosen == settings);
        if let Some(model) = found.and_then(|(_, _, model)| model.upgrade()) {
            return Ok(model);
        }
        let model = Arc::new(make()?);
        known.push((path, settings, Arc::downgrade(&model)));
        Ok(model)
    }
}
