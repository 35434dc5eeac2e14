//! Which files a path means, and how a file is named in the workspace.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ignore::WalkBuilder;

/// A file to index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Absolute path; the document's source.
    pub path: PathBuf,
    /// Path below the folder that was named, with `/`; the document's name.
    pub name: String,
}

/// What a walk found.
#[derive(Clone, Debug, Default)]
pub struct Walked {
    /// Files of readable formats, by path.
    pub files: Vec<Found>,
    /// Files of other formats.
    pub left_out: usize,
    /// What could not be read, with the reason.
    pub unreadable: Vec<String>,
}

/// Extensions of old office formats: they cannot be read, but silence about them would look like a loss.
const LEGACY: [&str; 3] = ["doc", "ppt", "xls"];

/// Files below `paths`: a file named directly is taken whatever its format; folders are searched without
/// hidden entries and without following links out of them.
pub fn walk(paths: &[PathBuf], extensions: &[String]) -> Result<Walked> {
    let mut walked = Walked::default();
    for path in paths {
        let root = path.canonicalize().with_context(|| format!("cannot read {}", path.display()))?;
        if root.is_file() {
            let name = root.file_name().unwrap_or_default().to_string_lossy().into_owned();
            walked.files.push(Found { path: root, name });
        } else {
            walk_folder(&root, extensions, &mut walked);
        }
    }
    walked.files.sort_by(|one, other| one.path.cmp(&other.path));
    walked.files.dedup_by(|one, other| one.path == other.path);
    Ok(walked)
}

fn walk_folder(root: &Path, extensions: &[String], walked: &mut Walked) {
    for entry in WalkBuilder::new(root).standard_filters(false).hidden(true).follow_links(false).build() {
        match entry {
            Ok(entry) if entry.file_type().is_some_and(|kind| kind.is_file()) => {
                if is_readable(entry.path(), extensions) {
                    let name = relative_name(root, entry.path());
                    walked.files.push(Found { path: entry.into_path(), name });
                } else {
                    walked.left_out += 1;
                }
            }
            Ok(_) => {}
            Err(error) => walked.unreadable.push(error.to_string()),
        }
    }
}

/// Whether the extension is one that is indexed or reported.
pub fn is_readable(path: &Path, extensions: &[String]) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| LEGACY.contains(&extension.as_str()) || extensions.contains(&extension))
}

/// `path` below `root`, with `/` between its parts.
pub fn relative_name(root: &Path, path: &Path) -> String {
    let parts: Vec<_> =
        path.strip_prefix(root).unwrap_or(path).iter().map(|part| part.to_string_lossy().into_owned()).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn folders_give_readable_files_by_relative_name() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        };
        for name in ["a.txt", "sub/b.TXT", "sub/c.bin", ".hidden/d.txt", "old.doc"] {
            write(name);
        }
        let walked = walk(&[folder.path().to_owned()], &["txt".to_owned()]).unwrap();
        let names: Vec<&str> = walked.files.iter().map(|found| found.name.as_str()).collect();
        assert_eq!(names, ["a.txt", "old.doc", "sub/b.TXT"]);
        assert_eq!(walked.left_out, 1);
    }

    #[test]
    fn a_missing_path_is_named() {
        let error = walk(&[PathBuf::from("no/such/file")], &[]).unwrap_err();
        assert!(error.to_string().contains("no/such/file"));
    }
}
