//! Why a document cannot be read, and the [`Problem`] that users see for it.
//!
//! What can be skipped inside a document is no error but a warning of the [`Draft`](crate::draft::Draft).

use lorekeep_types::{ErrorCode, Problem};

/// Shorthand for results of readers.
pub(crate) type Result<T, E = ParseError> = std::result::Result<T, E>;

/// The one reason why nothing could be read. Every variant is the input's fault except `Panicked`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ParseError {
    /// The format is not one that can be read.
    #[error("{what} cannot be read")]
    Unsupported { what: String, hint: &'static str },
    /// A password is needed.
    #[error("{what} is protected by a password")]
    Encrypted { what: &'static str },
    /// A named limit was exceeded.
    #[error("{what} exceeds the limit of {limit}")]
    Limit { what: &'static str, limit: String, hint: &'static str },
    /// The time limit passed.
    #[error("reading took longer than the limit of {seconds} s")]
    Timeout { seconds: u64 },
    /// The caller cancelled.
    #[error("reading was cancelled")]
    Cancelled,
    /// There is nothing to read.
    #[error("{what}")]
    Empty { what: &'static str },
    /// The bytes are not what the format demands and nothing could be saved.
    #[error("the {format} file is damaged: {reason}")]
    Broken { format: &'static str, reason: String },
    /// Page images without text.
    #[error("the document holds page images and no text")]
    NeedsOcr,
    /// A reader failed on this input in a way that is our fault.
    #[error("the {format} reader failed on this file")]
    Panicked { format: &'static str },
}

impl ParseError {
    /// [`ParseError::Broken`] with the reason given by a library.
    pub(crate) fn broken(format: &'static str, reason: impl std::fmt::Display) -> Self {
        let mut reason = reason.to_string();
        if let Some((at, _)) = reason.char_indices().nth(200) {
            reason.truncate(at);
        }
        Self::Broken { format, reason }
    }

    /// Whether reading on (another part, another member) is pointless.
    pub(crate) const fn stops_everything(&self) -> bool {
        matches!(self, Self::Cancelled | Self::Timeout { .. } | Self::Limit { .. })
    }

    const fn code(&self) -> ErrorCode {
        match self {
            Self::Unsupported { .. } | Self::Encrypted { .. } => ErrorCode::Unsupported,
            Self::Limit { .. } => ErrorCode::TooLarge,
            Self::Timeout { .. } => ErrorCode::Timeout,
            Self::Cancelled => ErrorCode::Cancelled,
            Self::Empty { .. } | Self::Broken { .. } => ErrorCode::Unprocessable,
            // A parser reports a missing capability in this case only: the caller takes it for "needs OCR".
            Self::NeedsOcr => ErrorCode::CapabilityMissing,
            Self::Panicked { .. } => ErrorCode::Internal,
        }
    }

    const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unsupported { hint, .. } | Self::Limit { hint, .. } => Some(*hint),
            Self::Encrypted { .. } => Some("remove the password (open it, save a copy without one) and add the copy"),
            Self::Timeout { .. } => Some("split the document into smaller files"),
            Self::Cancelled => None,
            Self::Empty { .. } => Some("check that the right file was added"),
            Self::Broken { .. } => {
                Some("open the file in its own program and save it anew, or export it as PDF or text")
            }
            Self::NeedsOcr => {
                Some("run the file through OCR (for example `ocrmypdf in.pdf out.pdf`) and add the result")
            }
            Self::Panicked { .. } => Some("export the file in another format and add that; please report the file"),
        }
    }
}

impl From<ParseError> for Problem {
    fn from(error: ParseError) -> Self {
        Self { code: error.code(), message: error.to_string(), hint: error.hint().map(str::to_owned) }
    }
}
