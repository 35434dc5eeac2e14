//! The file of the passage table: a header and one frame per commit, each with its length and checksum. A tail
//! that a crash left half written is cut off, for the change log brings it back; anything else that is wrong
//! means that the view must be rebuilt.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Delta, Names, Passages, PhraseUse, codec};
use crate::error::{Result, StoreError};
use crate::view::fault::damaged;

/// Format of the file and, with it, of everything that is analysed into the views.
const MAGIC: &[u8; 8] = b"LKVIEW01";
/// Length and checksum before each frame.
const FRAME: usize = 4 + 8;
/// The file is written anew when it is this many times larger than it was then.
const GROWTH: u64 = 3;
/// Below this size it is not worth it.
const SMALL: u64 = 1 << 20;

/// The open file.
#[derive(Debug)]
pub(in crate::view) struct PassageLog {
    path: PathBuf,
    file: File,
    length: u64,
    /// Length after it was last written as one frame.
    compact: u64,
}

impl PassageLog {
    /// Makes an empty file.
    pub(in crate::view) fn create(path: &Path) -> Result<Self> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(true);
        let mut file = options.open(path).map_err(StoreError::io("create", path))?;
        file.write_all(MAGIC).map_err(StoreError::io("write", path))?;
        let length = MAGIC.len() as u64;
        Ok(Self { path: path.to_owned(), file, length, compact: length })
    }

    /// Opens a file and reads what it holds.
    pub(in crate::view) fn open(path: &Path) -> Result<(Self, Passages)> {
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).open(path).map_err(StoreError::io("open", path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(StoreError::io("read", path))?;
        let mut rest = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("the passage table has another format"))?;
        let mut passages = Passages::default();
        let mut compact = 0;
        while let Some((payload, after)) = frame(rest) {
            let delta = codec::decode(payload).ok_or_else(|| damaged("the passage table is damaged"))?;
            passages.apply(delta);
            rest = after;
            if compact == 0 {
                compact = (bytes.len() - rest.len()) as u64;
            }
        }
        if compact == 0 {
            return Err(damaged("the passage table is empty"));
        }
        let length = (bytes.len() - rest.len()) as u64;
        file.set_len(length).map_err(StoreError::io("cut", path))?;
        file.seek(SeekFrom::Start(length)).map_err(StoreError::io("read", path))?;
        Ok((Self { path: path.to_owned(), file, length, compact }, passages))
    }

    /// Appends a commit. After an error the file is as it was.
    pub(in crate::view) fn append(&mut self, delta: &Delta) -> Result<()> {
        let bytes = framed(delta)?;
        if let Err(refused) = self.file.write_all(&bytes) {
            // A tail that cannot be cut off is recognised by its checksum when the file is next read.
            let cut = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
            tracing::warn!(cut = cut.is_ok(), "the passage table could not be extended");
            return Err(StoreError::io("extend", &self.path)(refused));
        }
        self.length += bytes.len() as u64;
        if self.compact <= MAGIC.len() as u64 {
            self.compact = self.length;
        }
        Ok(())
    }

    /// Whether enough of the file is outdated to write it anew.
    pub(in crate::view) fn is_overgrown(&self) -> bool {
        self.length > SMALL && self.length > GROWTH * self.compact
    }

    /// Writes the table as one frame into a new file and puts that in the old one's place; returns the table with
    /// its keys numbered anew.
    pub(in crate::view) fn rewrite(&mut self, passages: &Passages) -> Result<Passages> {
        let (delta, fresh) = compacted(passages);
        let beside = self.path.with_extension("new");
        let mut log = Self::create(&beside)?;
        log.append(&delta)?;
        log.sync()?;
        std::fs::rename(&beside, &self.path).map_err(StoreError::io("rename", &beside))?;
        log.path.clone_from(&self.path);
        *self = log;
        Ok(fresh)
    }

    /// Makes the file durable.
    pub(in crate::view) fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(StoreError::io("sync", &self.path))
    }
}

/// The first whole frame of `bytes` and what follows it.
fn frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<8>()?;
    let (payload, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    (checksum(payload) == *sum).then_some((payload, rest))
}

fn framed(delta: &Delta) -> Result<Vec<u8>> {
    let payload = codec::encode(delta);
    let length = u32::try_from(payload.len()).map_err(|_| damaged("a commit of the passage table exceeds 4 GiB"))?;
    let mut bytes = Vec::with_capacity(FRAME + payload.len());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&checksum(&payload));
    bytes.extend_from_slice(&payload);
    Ok(bytes)
}

fn checksum(payload: &[u8]) -> [u8; 8] {
    let mut sum = [0; 8];
    for (target, source) in sum.iter_mut().zip(blake3::hash(payload).as_bytes()) {
        *target = *source;
    }
    sum
}

/// The whole table as one commit, with the keys that are still used.
fn compacted(passages: &Passages) -> (Delta, Passages) {
    let mut names = Names::default();
    let mut renumber = |phrases: &mut Box<[PhraseUse]>| {
        for phrase in phrases.iter_mut() {
            phrase.name = names.intern(passages.names.get(phrase.name));
        }
    };
    let mut added = Vec::new();
    for version in passages.versions() {
        let mut version = (**version).clone();
        for passage in &mut version.passages {
            renumber(&mut passage.mentions);
            renumber(&mut passage.links);
        }
        added.push(Arc::new(version));
    }
    let names = (0..names.len()).map(|number| names.get(number).to_owned()).collect();
    let delta = Delta { seq: passages.seq, names, added, ..Delta::default() };
    let mut fresh = Passages::default();
    fresh.apply(delta.clone());
    (delta, fresh)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

    use super::*;
    use crate::view::passages::{Passage, VersionPassages};

    fn version(version: i64, names: &[u32]) -> VersionPassages {
        let mentions = names.iter().map(|name| PhraseUse { name: *name, count: 1, own: true }).collect();
        VersionPassages {
            version,
            language: None,
            passages: vec![Passage { chunk: version * 10, mentions, ..Passage::default() }],
        }
    }

    fn delta(seq: u64, name: &str, added: VersionPassages, removed: &[i64]) -> Delta {
        Delta {
            seq,
            names: vec![name.to_owned()],
            added: vec![Arc::new(added)],
            removed: removed.to_vec(),
            ..Delta::default()
        }
    }

    fn versions(passages: &Passages) -> Vec<i64> {
        passages.versions().map(|version| version.version).collect()
    }

    #[test]
    fn commits_come_back_and_a_torn_tail_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passages");
        let mut log = PassageLog::create(&path).unwrap();
        log.append(&delta(3, "a", version(1, &[0]), &[])).unwrap();
        log.append(&delta(5, "b", version(2, &[1]), &[1])).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, whole.get(..length).unwrap()).unwrap();
            let Ok((mut log, passages)) = PassageLog::open(&path) else {
                assert!(passages_are_missing(length, &whole), "{length}");
                continue;
            };
            assert_eq!((passages.seq, versions(&passages)), (3, vec![1]));
            log.append(&delta(6, "c", version(7, &[0]), &[])).unwrap();
            assert_eq!(versions(&PassageLog::open(&path).unwrap().1), [1, 7]);
        }
        std::fs::write(&path, &whole).unwrap();
        let (_, passages) = PassageLog::open(&path).unwrap();
        assert_eq!((passages.seq, versions(&passages)), (5, vec![2]));
        assert_eq!(passages.locate(20).map(|(version, place)| (version.version, place)), Some((2, 0)));
        assert!(passages.locate(10).is_none() && passages.locate(21).is_none());
    }

    fn passages_are_missing(length: usize, whole: &[u8]) -> bool {
        let first = frame(whole.get(MAGIC.len()..).unwrap()).unwrap().0.len();
        length < MAGIC.len() + FRAME + first
    }

    #[test]
    fn rewriting_drops_what_is_unused_and_keeps_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passages");
        let mut log = PassageLog::create(&path).unwrap();
        let mut passages = Passages::default();
        for commit in [delta(1, "old", version(1, &[0]), &[]), delta(2, "new", version(2, &[1]), &[1])] {
            log.append(&commit).unwrap();
            passages.apply(commit);
        }
        let before = log.length;
        let fresh = log.rewrite(&passages).unwrap();
        assert!(log.length < before);
        let (_, read) = PassageLog::open(&path).unwrap();
        for table in [&fresh, &read] {
            assert_eq!((table.seq, versions(table), table.names.len()), (2, vec![2], 1));
            assert!(table.names.find("new").is_some_and(|name| table.is_own(name)));
        }
    }

    #[test]
    fn another_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passages");
        std::fs::write(&path, b"LKVIEW00rest").unwrap();
        assert!(PassageLog::open(&path).is_err());
    }
}
