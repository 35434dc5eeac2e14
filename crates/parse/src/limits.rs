//! The bounds of parsing, and the watch that enforces time and cancellation while a document is read.

use std::cell::Cell;
use std::time::{Duration, Instant};

use lorekeep_types::Cancel;

use crate::error::{ParseError, Result};

/// Bounds on what one call may take. Exceeding one is an error that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the original.
    pub input_bytes: u64,
    /// Code points of extracted text.
    pub characters: usize,
    /// Pages, slides or sheets.
    pub pages: usize,
    /// Nesting of XML and JSON. HTML is read without a stack; its lists and tables flatten beyond this.
    pub depth: usize,
    /// Archives inside archives.
    pub archive_depth: usize,
    /// Members of an archive or package.
    pub members: usize,
    /// Bytes after decompression, over all members.
    pub decompressed_bytes: u64,
    /// Decompressed bytes per compressed byte of one member, counted after its first mebibyte.
    pub ratio: u64,
    /// Time for one call, checked between pages and parts.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            input_bytes: 200 << 20,
            characters: 64 << 20,
            pages: 20_000,
            depth: 256,
            archive_depth: 2,
            members: 10_000,
            decompressed_bytes: 1 << 30,
            ratio: 100,
            time: Duration::from_secs(120),
        }
    }
}

/// What every reader carries: the limits, the time left, and what was decompressed so far.
pub(crate) struct Watch<'a> {
    pub(crate) limits: Limits,
    cancel: &'a Cancel,
    started: Instant,
    decompressed: Cell<u64>,
    characters: Cell<usize>,
    members: Cell<usize>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(limits: Limits, cancel: &'a Cancel) -> Self {
        Self {
            limits,
            cancel,
            started: Instant::now(),
            decompressed: Cell::new(0),
            characters: Cell::new(0),
            members: Cell::new(0),
        }
    }

    /// The flag to hand to a worker thread of this call.
    pub(crate) const fn cancel(&self) -> &'a Cancel {
        self.cancel
    }

    /// Time left before [`Watch::check`] fails.
    pub(crate) fn time_left(&self) -> Duration {
        self.limits.time.saturating_sub(self.started.elapsed())
    }

    /// Called between pages and parts.
    pub(crate) fn check(&self) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(ParseError::Cancelled);
        }
        if self.started.elapsed() >= self.limits.time {
            return Err(ParseError::Timeout { seconds: self.limits.time.as_secs() });
        }
        Ok(())
    }

    /// Accounts for `bytes` more of decompressed data.
    pub(crate) fn decompressed(&self, bytes: u64) -> Result<()> {
        let total = self.decompressed.get().saturating_add(bytes);
        self.decompressed.set(total);
        if total > self.limits.decompressed_bytes {
            return Err(ParseError::Limit {
                what: "the decompressed content",
                limit: format!("{} MiB", self.limits.decompressed_bytes >> 20),
                hint: "unpack the archive and add the files that matter",
            });
        }
        Ok(())
    }

    /// Accounts for an archive's `count` members.
    pub(crate) fn members(&self, count: usize) -> Result<()> {
        let total = self.members.get().saturating_add(count);
        self.members.set(total);
        if total > self.limits.members {
            return Err(ParseError::Limit {
                what: "the number of archive members",
                limit: self.limits.members.to_string(),
                hint: "split the archive into smaller ones",
            });
        }
        Ok(())
    }

    /// Accounts for the text of one finished document.
    pub(crate) fn characters(&self, count: usize) -> Result<()> {
        let total = self.characters.get().saturating_add(count);
        self.characters.set(total);
        if total > self.limits.characters {
            return Err(self.too_much_text());
        }
        Ok(())
    }

    /// The error for more text than allowed.
    pub(crate) fn too_much_text(&self) -> ParseError {
        ParseError::Limit {
            what: "the extracted text",
            limit: format!("{} characters", self.limits.characters),
            hint: "split the document into smaller files",
        }
    }

    /// The error for too many pages.
    pub(crate) fn page_limit(&self, count: usize) -> Result<()> {
        if count > self.limits.pages {
            return Err(ParseError::Limit {
                what: "the number of pages",
                limit: self.limits.pages.to_string(),
                hint: "split the document into smaller files",
            });
        }
        Ok(())
    }

    /// The error for too deep nesting.
    pub(crate) fn nesting(&self, depth: usize) -> Result<()> {
        if depth > self.limits.depth {
            return Err(ParseError::Limit {
                what: "the nesting depth",
                limit: format!("{} levels", self.limits.depth),
                hint: "flatten the document or export it as text",
            });
        }
        Ok(())
    }
}
