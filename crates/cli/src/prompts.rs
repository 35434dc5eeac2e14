//! Prompt files: reading those that replace built-in prompts, and writing the built-in ones as a start.

use std::path::Path;

use lorekeep_engine::prompt::Prompts;
use lorekeep_types::{Error, ErrorCode, Result};

/// Longest prompt file, in bytes; the engine's own limit is lower.
const LONGEST: u64 = 1 << 20;

/// The built-in prompts with those replaced for which `folder` has a `NAME.txt`.
///
/// # Errors
/// `Configuration` for a folder that cannot be read, a file with another name than a prompt's, or one that is no prompt.
pub fn read(folder: &Path) -> Result<Prompts> {
    let fault = |error| {
        Error::new(ErrorCode::Configuration, format!("cannot read the prompts in {}", folder.display()))
            .hint("name a folder with prompt files as `prompts.dir`, or leave it empty")
            .caused_by(error)
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        if path.extension().is_none_or(|extension| extension != "txt") || name.starts_with('.') {
            continue;
        }
        if std::fs::metadata(&path).map_err(fault)?.len() > LONGEST {
            let message = format!("the prompt file {} is too long", path.display());
            return Err(Error::new(ErrorCode::Configuration, message).hint("a prompt has at most 64 KiB"));
        }
        files.push((name, std::fs::read_to_string(&path).map_err(fault)?));
    }
    Prompts::with(files)
}

/// Writes the built-in prompts into `folder`, leaving alone what is there; how many were written.
///
/// # Errors
/// When the folder cannot be made or written.
pub fn write(folder: &Path) -> Result<usize> {
    let fault = |error| {
        Error::new(ErrorCode::Storage, format!("cannot write prompts to {}", folder.display())).caused_by(error)
    };
    std::fs::create_dir_all(folder).map_err(fault)?;
    let mut written = 0;
    for (name, text) in Prompts::files() {
        let path = folder.join(format!("{name}.txt"));
        if !path.exists() {
            std::fs::write(path, text).map_err(fault)?;
            written += 1;
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn written_prompts_are_read_back_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(write(folder.path()).unwrap(), Prompts::files().count());
        assert_eq!(write(folder.path()).unwrap(), 0);
        assert_eq!(read(folder.path()).unwrap(), Prompts::default());
        std::fs::write(folder.path().join("gleaning.txt"), "version: 2\nWhat else?").unwrap();
        assert_ne!(read(folder.path()).unwrap(), Prompts::default());
        std::fs::write(folder.path().join("other.txt"), "version: 1\nx").unwrap();
        assert!(read(folder.path()).unwrap_err().to_string().contains("`other`"));
    }
}
