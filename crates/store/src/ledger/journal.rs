//! The journal: changes that are decided and not yet in the ledger's file, one JSON object per line.
//!
//! A line reaches the operating system before anybody acts on it, so that it survives a killed process; it costs one
//! `write`, where a commit of SQLite costs some twenty. It is not synced: a power cut may take the last moments' lines.
//!
//! There are two parts. One grows until it is long enough, then the other does; the first is emptied when all of it is in
//! the file. Lines that are in the file already are told by their place, so that emptying is never urgent.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::record::Record;
use crate::error::{Result, StoreError};

const NAMES: [&str; 2] = ["gateway.journal-1", "gateway.journal-2"];

/// Bytes after which the other part is written: some thousand calls.
const LONG: u64 = 1 << 20;

/// The journal of one data folder.
#[derive(Debug)]
pub(super) struct Journal {
    growing: Part,
    resting: Part,
    line: Vec<u8>,
}

#[derive(Debug)]
struct Part {
    file: Arc<File>,
    path: PathBuf,
    bytes: u64,
}

impl Part {
    fn open(path: PathBuf) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(StoreError::io("open", path.as_path()))?;
        let bytes = file.metadata().map_err(StoreError::io("read", path.as_path()))?.len();
        Ok(Self { file: Arc::new(file), path, bytes })
    }

    /// Shortens it to so many bytes, after which the next line goes.
    fn cut(&mut self, bytes: u64) -> Result<()> {
        let mut file = self.file.as_ref();
        let cut = file.set_len(bytes).and_then(|()| file.seek(SeekFrom::Start(bytes)));
        self.bytes = cut.map_err(StoreError::io("shorten", self.path.as_path()))?;
        Ok(())
    }
}

impl Journal {
    /// Opens or creates the journal in `folder`; to be read and cleared before anything is added.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let [growing, resting] = NAMES.map(|name| Part::open(folder.join(name)));
        Ok(Self { growing: growing?, resting: resting?, line: Vec::new() })
    }

    /// The records after `applied` that an earlier process left, in order. A line that it did not finish is none.
    pub(super) fn left(&self, applied: i64) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for part in [&self.growing, &self.resting] {
            let failed = |error| StoreError::io("read", part.path.as_path())(error);
            let mut file = part.file.as_ref();
            file.rewind().map_err(failed)?;
            for line in BufReader::new(file).split(b'\n') {
                match serde_json::from_slice::<Record>(&line.map_err(failed)?) {
                    Ok(record) => records.push(record),
                    Err(error) => {
                        tracing::warn!(%error, path = %part.path.display(), "a line of the ledger's journal cannot be read");
                    }
                }
            }
        }
        records.retain(|record| record.place > applied);
        records.sort_by_key(|record| record.place);
        Ok(records)
    }

    /// Empties it.
    pub(super) fn clear(&mut self) -> Result<()> {
        self.growing.cut(0)?;
        self.resting.cut(0)
    }

    /// Adds a record: when this returns, it survives the process.
    pub(super) fn append(&mut self, record: &Record) -> Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, record).map_err(|error| StoreError::Damaged(error.to_string()))?;
        self.line.push(b'\n');
        let part = &mut self.growing;
        let written = part.file.as_ref().write_all(&self.line);
        if let Err(error) = written {
            // A part of a line would spoil the next one.
            part.cut(part.bytes)?;
            return Err(StoreError::io("write", part.path.as_path())(error));
        }
        part.bytes += self.line.len() as u64;
        Ok(())
    }

    /// Lets the other part grow, if this one is long and that one empty. Returns the part that rests, if it has lines.
    pub(super) fn turn(&mut self) -> Option<Arc<File>> {
        if self.growing.bytes >= LONG && self.resting.bytes == 0 {
            std::mem::swap(&mut self.growing, &mut self.resting);
        }
        (self.resting.bytes > 0).then(|| Arc::clone(&self.resting.file))
    }

    /// Goes on at the start of the part that rests, which was emptied.
    pub(super) fn emptied(&mut self) -> Result<()> {
        self.resting.cut(0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use lorekeep_types::{BudgetScope, BudgetWindow};

    use super::super::record::Change;
    use super::*;

    fn record(place: i64) -> Record {
        let scope = BudgetScope::Workspace("w".repeat(50_000));
        Record { place, change: Change::Began { scope, window: BudgetWindow::Day, start: 0 } }
    }

    fn places(journal: &Journal, applied: i64) -> Vec<i64> {
        journal.left(applied).unwrap().iter().map(|record| record.place).collect()
    }

    #[test]
    fn the_parts_take_turns_and_keep_what_is_not_applied() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path()).unwrap();
        let mut place = 0;
        for round in 0..5 {
            let applied = place;
            assert!(journal.turn().is_none(), "it is not long yet");
            for _ in 0..30 {
                place += 1;
                journal.append(&record(place)).unwrap();
            }
            let spent = journal.turn().unwrap();
            // Goes into the other part, while the first is brought into the file.
            place += 1;
            journal.append(&record(place)).unwrap();
            let reopened = Journal::open(folder.path()).unwrap();
            assert_eq!(places(&reopened, applied), (applied + 1..=place).collect::<Vec<_>>(), "round {round}");
            spent.set_len(0).unwrap();
            journal.emptied().unwrap();
            let last = Journal::open(folder.path()).unwrap();
            assert_eq!(places(&last, place - 1), [place]);
        }
        journal.clear().unwrap();
        assert!(places(&Journal::open(folder.path()).unwrap(), 0).is_empty());
    }
}
