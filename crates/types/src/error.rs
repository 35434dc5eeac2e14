//! The one error of the product's boundaries, and the closed table of its codes.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Shorthand for results whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as a closed list. HTTP status, retryability and the public name follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The caller's input is not well formed.
    InvalidRequest,
    /// The request comes from where it may not come from (another site's page, say).
    Forbidden,
    /// The thing addressed does not exist.
    NotFound,
    /// The request contradicts the present state.
    Conflict,
    /// The input exceeds a named limit.
    TooLarge,
    /// The format of the input is not one that can be read.
    Unsupported,
    /// The input is well formed but cannot be processed.
    Unprocessable,
    /// The request needs a capability (a model, say) that is not configured.
    CapabilityMissing,
    /// Too much is being asked at once.
    Busy,
    /// The caller cancelled.
    Cancelled,
    /// A deadline passed.
    Timeout,
    /// The data folder is held by another process.
    Locked,
    /// The configuration is wrong.
    Configuration,
    /// The disk is full or read-only: nothing was written, reads go on.
    StorageFull,
    /// The store failed.
    Storage,
    /// A service that was called failed.
    Upstream,
    /// A service that is needed cannot be reached or takes no more work.
    UpstreamUnavailable,
    /// A budget does not allow the work.
    BudgetExceeded,
    /// A budget does not allow the work before its next window.
    BudgetWait,
    /// A fault of this program.
    Internal,
}

impl ErrorCode {
    /// Every code, in order of declaration.
    pub const ALL: [Self; 20] = [
        Self::InvalidRequest,
        Self::Forbidden,
        Self::NotFound,
        Self::Conflict,
        Self::TooLarge,
        Self::Unsupported,
        Self::Unprocessable,
        Self::CapabilityMissing,
        Self::Busy,
        Self::Cancelled,
        Self::Timeout,
        Self::Locked,
        Self::Configuration,
        Self::StorageFull,
        Self::Storage,
        Self::Upstream,
        Self::UpstreamUnavailable,
        Self::BudgetExceeded,
        Self::BudgetWait,
        Self::Internal,
    ];

    /// `(public name, HTTP status, worth retrying unchanged, one-line meaning)`.
    const fn row(self) -> (&'static str, u16, bool, &'static str) {
        match self {
            Self::InvalidRequest => ("E-INVALID-REQUEST", 400, false, "the request is not well formed"),
            Self::Forbidden => ("E-FORBIDDEN", 403, false, "the request may not come from there"),
            Self::NotFound => ("E-NOT-FOUND", 404, false, "the thing addressed does not exist"),
            Self::Conflict => ("E-CONFLICT", 409, false, "the request contradicts the present state"),
            Self::TooLarge => ("E-TOO-LARGE", 413, false, "the input exceeds a limit"),
            Self::Unsupported => ("E-UNSUPPORTED", 415, false, "this format cannot be read"),
            Self::Unprocessable => ("E-UNPROCESSABLE", 422, false, "the input cannot be processed"),
            Self::CapabilityMissing => ("E-CAPABILITY-MISSING", 501, false, "a needed capability is not configured"),
            Self::Busy => ("E-BUSY", 429, true, "too much is being asked at once"),
            Self::Cancelled => ("E-CANCELLED", 499, false, "the caller cancelled"),
            Self::Timeout => ("E-TIMEOUT", 504, true, "the deadline passed"),
            Self::Locked => ("E-LOCKED", 423, true, "the data folder is held by another process"),
            Self::Configuration => ("E-CONFIGURATION", 500, false, "the configuration is wrong"),
            Self::StorageFull => ("E-STORAGE-FULL", 507, true, "the disk is full or read-only"),
            Self::Storage => ("E-STORAGE", 500, false, "the store failed"),
            Self::Upstream => ("E-UPSTREAM", 502, true, "a service that was called failed"),
            Self::UpstreamUnavailable => {
                ("E-UPSTREAM-UNAVAILABLE", 503, true, "a needed service cannot be reached or is busy")
            }
            Self::BudgetExceeded => ("E-BUDGET", 402, false, "a budget does not allow the work"),
            Self::BudgetWait => ("E-BUDGET-WAIT", 429, true, "a budget does not allow the work before its next window"),
            Self::Internal => ("E-INTERNAL", 500, false, "a fault of this program"),
        }
    }

    /// The name users see and look up, e.g. `E-NOT-FOUND`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// The HTTP status of the native API.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        self.row().1
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        self.row().2
    }

    /// Whether a budget is the reason.
    #[must_use]
    pub const fn is_of_budget(self) -> bool {
        matches!(self, Self::BudgetExceeded | Self::BudgetWait)
    }

    /// What the code means, in one line.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        self.row().3
    }
}

/// An error that a user may see: what happened, what to do, and what lies beneath.
#[derive(Debug)]
pub struct Error {
    code: ErrorCode,
    message: String,
    hint: Option<String>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error. `message` is lower case, names the thing, and has no final period.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, retry_after: None, source: None }
    }

    /// [`ErrorCode::NotFound`] for a `kind` called `name`.
    #[must_use]
    pub fn not_found(kind: &str, name: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("there is no {kind} `{name}`"))
    }

    /// [`ErrorCode::InvalidRequest`].
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    /// Adds the remedy.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds how long to wait before the same request may succeed.
    #[must_use]
    pub const fn again_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// What happened.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the caller can do.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// How long to wait before the same request may succeed, where that is known.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
