//! What lies at a path: a folder as Hugging Face lays it out, or a GGUF file.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fault::LocalError;

/// Largest description that is read.
const MOST_JSON: u64 = 64 << 20;

/// A model's place and family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A folder with a model that writes.
    Llama(PathBuf),
    /// A folder with a model that embeds.
    Bert(PathBuf),
    /// A GGUF file, with a model that writes.
    Gguf(PathBuf),
}

const READS: &str = "Llama-family models write and BERT-family models embed";

/// Finds out what lies there, without reading any weights. A folder with one GGUF file and no configuration is that
/// file.
///
/// # Errors
/// [`LocalError::Missing`], [`LocalError::Architecture`], or what is wrong with `config.json`.
pub fn find(path: &Path) -> Result<Found, LocalError> {
    let metadata = std::fs::metadata(path).map_err(|error| LocalError::io(path, &error))?;
    if metadata.is_file() {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        return match extension.to_ascii_lowercase().as_str() {
            "gguf" => Ok(Found::Gguf(path.to_owned())),
            other => Err(architecture(path, &format!(".{other}"), "a .gguf file or a folder is read")),
        };
    }
    let config = path.join("config.json");
    if !config.exists() {
        let mut files = files_with(path, "gguf")?;
        return match (files.pop(), files.is_empty()) {
            (Some(file), true) => Ok(Found::Gguf(file)),
            (Some(_), false) => Err(LocalError::malformed(path, "there are several .gguf files; name one of them")),
            (None, _) => Err(LocalError::Missing { path: config }),
        };
    }
    let described: Value = json(&config)?;
    match described["model_type"].as_str().unwrap_or_default() {
        "llama" => Ok(Found::Llama(path.to_owned())),
        "bert" => Ok(Found::Bert(path.to_owned())),
        other => Err(architecture(&config, other, READS)),
    }
}

fn architecture(path: &Path, found: &str, reads: &'static str) -> LocalError {
    LocalError::Architecture { path: path.to_owned(), found: found.to_owned(), reads }
}

/// A model that writes was looked for where one that embeds lies, or the other way round.
pub(super) fn other_kind(path: &Path, found: &str, reads: &'static str) -> LocalError {
    architecture(path, found, reads)
}

/// The name of a model: that of its folder, or of its file without the ending.
#[must_use]
pub fn name_of(path: &Path) -> String {
    let full = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = if full.is_file() { full.file_stem() } else { full.file_name() };
    name.map_or_else(|| "local".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Files of a folder with this ending, by name.
pub(super) fn files_with(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, LocalError> {
    let entries = std::fs::read_dir(folder).map_err(|error| LocalError::io(folder, &error))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|own| own.eq_ignore_ascii_case(extension)))
        .collect();
    files.sort();
    Ok(files)
}

/// Reads a JSON file.
pub(super) fn json<T: DeserializeOwned>(path: &Path) -> Result<T, LocalError> {
    let size = std::fs::metadata(path).map_err(|error| LocalError::io(path, &error))?.len();
    if size > MOST_JSON {
        return Err(LocalError::malformed(path, format!("it is larger than {} MiB", MOST_JSON >> 20)));
    }
    let text = std::fs::read(path).map_err(|error| LocalError::io(path, &error))?;
    serde_json::from_slice(&text).map_err(|error| LocalError::malformed(path, error.to_string()))
}
