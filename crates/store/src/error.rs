//! What can go wrong in the store, and which public code each failure carries.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use lorekeep_types::{Error, ErrorCode};
use rusqlite::ErrorCode as SqliteCode;

/// Shorthand inside this crate.
pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// SQLite refused; [`Self::code`] tells a full disk from a fault.
    #[error("the database refused: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The operating system refused an operation on a file of the data folder.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, e.g. `create`.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Reading or writing the caller's stream failed.
    #[error("the archive's stream failed: {0}")]
    Stream(#[source] io::Error),
    /// Another process holds the data folder.
    #[error("{}", crate::folder::locked_message(path, holder.as_ref()))]
    Locked {
        /// The data folder.
        path: PathBuf,
        /// What the lock file says about the other process.
        holder: Option<crate::folder::Holder>,
    },
    /// The file was written by a newer release.
    #[error("the {name} has format {found}; this release reads formats up to {supported}")]
    NewerFormat {
        /// What the file is, e.g. `workspace`.
        name: &'static str,
        /// Format found.
        found: i64,
        /// Newest format known.
        supported: i64,
    },
    /// A stored value does not have the form this crate writes.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// An archive is broken.
    #[error("the archive cannot be imported: {0}")]
    Archive(String),
    /// The thing addressed does not exist.
    #[error("there is no {kind} `{name}`")]
    NotFound {
        /// What it would be.
        kind: &'static str,
        /// How it was called.
        name: String,
    },
    /// The request contradicts the present state.
    #[error("{message}")]
    Conflict {
        /// How.
        message: String,
        /// What to do.
        hint: &'static str,
    },
    /// The request makes no sense in any state.
    #[error("{0}")]
    Invalid(String),
    /// The caller cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A view failed; the truth is not touched by it.
    #[error("{message}")]
    View {
        /// Which view and what it was doing.
        message: String,
        /// The cause, where there is one.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
}

impl StoreError {
    /// Wraps an I/O error: `.map_err(StoreError::io("create", path))`.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.into(), source }
    }

    /// A conflict without a specific remedy.
    pub(crate) fn conflict(message: impl Into<String>, hint: &'static str) -> Self {
        Self::Conflict { message: message.into(), hint }
    }

    /// The public code.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Sqlite(error) => sqlite_code(error),
            Self::Io { source, .. } => io_code(source),
            Self::Locked { .. } => ErrorCode::Locked,
            Self::NewerFormat { .. } | Self::Archive(_) => ErrorCode::Unprocessable,
            Self::Stream(_) | Self::Damaged(_) | Self::View { .. } => ErrorCode::Storage,
            Self::NotFound { .. } => ErrorCode::NotFound,
            Self::Conflict { .. } => ErrorCode::Conflict,
            Self::Invalid(_) => ErrorCode::InvalidRequest,
            Self::Cancelled => ErrorCode::Cancelled,
        }
    }

    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self.code() {
            ErrorCode::StorageFull => Some("free space or make the data folder writable; nothing was lost"),
            ErrorCode::Locked => Some("stop that process, or let this command talk to it"),
            _ => match self {
                Self::Conflict { hint, .. } if !hint.is_empty() => Some(hint),
                Self::NewerFormat { .. } => Some("use the release that wrote it, or a newer one"),
                _ => None,
            },
        }
    }
}

/// A write that the disk refused is `StorageFull`: SQLite reports it as full, read-only, or one of its write errors.
fn sqlite_code(error: &rusqlite::Error) -> ErrorCode {
    use rusqlite::ffi::{
        SQLITE_IOERR_FSYNC, SQLITE_IOERR_SHMOPEN, SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_WRITE,
    };
    const WRITE_ERRORS: [i32; 5] =
        [SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_SHMOPEN];
    match error.sqlite_error() {
        Some(inner) if matches!(inner.code, SqliteCode::DiskFull | SqliteCode::ReadOnly) => ErrorCode::StorageFull,
        Some(inner) if WRITE_ERRORS.contains(&inner.extended_code) => ErrorCode::StorageFull,
        Some(inner) if inner.code == SqliteCode::TooBig => ErrorCode::TooLarge,
        Some(inner) if inner.code == SqliteCode::DatabaseBusy => ErrorCode::Busy,
        _ => ErrorCode::Storage,
    }
}

fn io_code(error: &io::Error) -> ErrorCode {
    use io::ErrorKind::{FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull | FileTooLarge | QuotaExceeded | ReadOnlyFilesystem | PermissionDenied => ErrorCode::StorageFull,
        _ => ErrorCode::Storage,
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let public = Self::new(error.code(), error.to_string());
        let public = match error.hint() {
            Some(hint) => public.hint(hint),
            None => public,
        };
        match error {
            StoreError::Sqlite(_) | StoreError::Io { .. } | StoreError::Stream(_) => public.caused_by(error),
            StoreError::View { source: Some(source), .. } => public.caused_by(source),
            _ => public,
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(format!("a stored list cannot be read: {error}"))
    }
}
