//! Bounded reading of zip containers, shared by the Office formats, EPUB, ODT and archives. Member names are
//! keys, never paths of a file system.

use std::io::{Cursor, Read};

use zip::ZipArchive;
use zip::result::ZipError;

use crate::error::{ParseError, Result};
use crate::limits::Watch;

/// The ratio limit starts to count after this many bytes of a member.
const RATIO_FREE_BYTES: u64 = 1 << 20;
const READ_BYTES: usize = 64 << 10;

/// What a container is called that needs a password.
pub(crate) const ARCHIVE: &str = "the archive";

/// A member's content.
pub(crate) struct Part {
    pub(crate) bytes: Vec<u8>,
    /// Why the content ends early, when it does.
    pub(crate) damage: Option<String>,
}

/// An opened container.
pub(crate) struct Package<'a, 'w> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    names: Vec<String>,
    watch: &'w Watch<'w>,
    format: &'static str,
}

impl<'a, 'w> Package<'a, 'w> {
    /// Opens a container. `format` is what messages call it.
    pub(crate) fn open(bytes: &'a [u8], format: &'static str, watch: &'w Watch<'w>) -> Result<Self> {
        let archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| ParseError::broken(format, error))?;
        if archive.len() > watch.limits.members {
            watch.members(archive.len())?;
        }
        let names = (0..archive.len())
            .map(|index| archive.name_for_index(index).and_then(|name| name.ok()).unwrap_or_default().into_owned())
            .collect();
        Ok(Self { archive, names, watch, format })
    }

    /// Member names in the order of the directory.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The content of the member called exactly `name`; `None` when there is none.
    pub(crate) fn read(&mut self, name: &str) -> Result<Option<Part>> {
        match self.names.iter().position(|member| member == name) {
            Some(index) => self.read_index(index).map(Some),
            None => Ok(None),
        }
    }

    /// The content of a part the format cannot do without.
    pub(crate) fn require(&mut self, name: &str) -> Result<Part> {
        let format = self.format;
        self.read(name)?.ok_or_else(|| ParseError::broken(format, format!("the part {name} is missing")))
    }

    /// The content of member `index`.
    pub(crate) fn read_index(&mut self, index: usize) -> Result<Part> {
        self.watch.check()?;
        let format = self.format;
        let mut file = self.archive.by_index(index).map_err(|error| match error {
            ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) | ZipError::InvalidPassword => {
                ParseError::Encrypted { what: ARCHIVE }
            }
            other => ParseError::broken(format, other),
        })?;
        let compressed = file.compressed_size();
        let mut bytes = Vec::new();
        let mut buffer = vec![0; READ_BYTES];
        let damage = loop {
            match file.read(&mut buffer) {
                Ok(0) => break None,
                Ok(count) => {
                    bytes.extend_from_slice(&buffer[..count]);
                    self.watch.decompressed(count as u64)?;
                    self.watch.check()?;
                    check_ratio(self.watch, bytes.len() as u64, compressed)?;
                }
                Err(error) => break Some(error.to_string()),
            }
        };
        Ok(Part { bytes, damage })
    }
}

fn check_ratio(watch: &Watch<'_>, total: u64, compressed: u64) -> Result<()> {
    let counted = total.saturating_sub(RATIO_FREE_BYTES);
    if counted > compressed.saturating_mul(watch.limits.ratio) {
        return Err(ParseError::Limit {
            what: "the compression ratio of a member",
            limit: format!("{}:1", watch.limits.ratio),
            hint: "unpack the archive, check that it is no zip bomb, and add the files that matter",
        });
    }
    Ok(())
}

/// The member's name as a relative path with `/`, or `None` when it points outside the archive.
pub(crate) fn safe_name(name: &str) -> Option<&str> {
    let name = name.strip_prefix("./").unwrap_or(name);
    let outside = name.starts_with('/')
        || name.contains(['\\', '\0', ':'])
        || name.split('/').any(|step| step == ".." || step == ".");
    (!outside && !name.is_empty()).then_some(name)
}

/// Resolves `target` relative to the part `from`, as OPC and EPUB do. Never leaves the container.
pub(crate) fn resolve(from: &str, target: &str) -> String {
    let target = target.split(['#', '?']).next().unwrap_or_default();
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut steps: Vec<&str> = from.split('/').collect();
    steps.pop();
    for step in target.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                steps.pop();
            }
            step => steps.push(step),
        }
    }
    steps.join("/")
}

#[cfg(test)]
mod tests {
    use super::{resolve, safe_name};

    #[test]
    fn names_stay_inside() {
        assert_eq!(safe_name("./a/b.txt"), Some("a/b.txt"));
        for bad in ["../a", "/etc/passwd", "a\\b", "C:x", "a/../../b", ""] {
            assert_eq!(safe_name(bad), None);
        }
        assert_eq!(resolve("ppt/slides/slide1.xml", "../notesSlides/n1.xml"), "ppt/notesSlides/n1.xml");
        assert_eq!(resolve("OEBPS/content.opf", "a/../../../x.xhtml#p"), "x.xhtml");
    }
}
