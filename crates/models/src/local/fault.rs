//! What can be wrong with a model in this process, and what can be done about it.

use std::path::{Path, PathBuf};

use lorekeep_types::{Error, ErrorCode, ModelError, ModelFault, ModelId};

use super::memory::gib;

/// Why a model cannot be loaded, or did not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LocalError {
    /// There is no such file or folder, or a needed file is not in it.
    #[error("{} is missing", .path.display())]
    Missing {
        /// What was looked for.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("{} cannot be read: {reason}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        reason: String,
    },
    /// The file ends before its own header says.
    #[error("{} is cut off: its header promises {promised} bytes, it has {found}", .path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes that the header tells of.
        promised: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// The model is of another family than those that can be run.
    #[error("{} holds a model of the kind `{found}`; {reads}", .path.display())]
    Architecture {
        /// The file that says so.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What can be run.
        reads: &'static str,
    },
    /// The file contradicts itself or another one.
    #[error("{}: {what}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// There is too little memory.
    #[error("the model needs {} GiB of memory; {} GiB are free", gib(*.needed), gib(*.free))]
    Memory {
        /// Bytes.
        needed: u64,
        /// Bytes.
        free: u64,
    },
    /// The prompt leaves no room for an answer.
    #[error("the prompt has {tokens} tokens; the model is loaded with room for {room}")]
    TooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens of prompt and answer together.
        room: usize,
    },
    /// The request asks for what the model cannot do.
    #[error("{0}")]
    Unable(String),
    /// Too many calls wait for the model.
    #[error("{0} calls wait for this model, which is the limit")]
    Busy(usize),
    /// The deadline passed.
    #[error("the deadline passed before the answer was written")]
    Deadline,
    /// The caller went away.
    #[error("the caller went away")]
    Gone,
    /// Computing failed.
    #[error("computing failed: {0}")]
    Compute(String),
}

impl LocalError {
    /// The system's error about a file.
    pub(super) fn io(path: &Path, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::NotFound => Self::Missing { path: path.to_owned() },
            _ => Self::Unreadable { path: path.to_owned(), reason: error.to_string() },
        }
    }

    /// A file that contradicts itself.
    pub(super) fn malformed(path: &Path, what: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), what: what.into() }
    }

    /// What the person can do.
    #[must_use]
    pub const fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Missing { .. } => {
                Some("name a folder with config.json, tokenizer.json and *.safetensors, or a .gguf file")
            }
            Self::Unreadable { .. } => Some("check that this user may read it"),
            Self::Truncated { .. } => Some("fetch the file again and compare its size"),
            Self::Architecture { .. } | Self::Malformed { .. } => {
                Some("see docs/reference/local-models.md for the models that can be run")
            }
            Self::Memory { .. } => {
                Some("use a quantised GGUF file (Q4_K_M takes a quarter) or a smaller model, or end other programs")
            }
            Self::TooLong { .. } => Some("ask with less context, or raise the model's `context`"),
            Self::Busy(_) => Some("ask again in a moment"),
            Self::Unable(_) | Self::Deadline | Self::Gone | Self::Compute(_) => None,
        }
    }

    /// As a failed call of a model.
    #[must_use]
    pub fn of(&self, model: &ModelId) -> ModelError {
        let fault = match self {
            Self::Deadline => ModelFault::Timeout(lorekeep_types::Phase::Total),
            Self::Gone => ModelFault::Cancelled,
            Self::Busy(_) => ModelFault::QueueFull,
            Self::Unable(_) => ModelFault::Capability,
            Self::Compute(_) => ModelFault::Malformed,
            // The same call would fail again; another model may do better.
            _ => ModelFault::Request,
        };
        let message = match self.remedy() {
            Some(remedy) => format!("{self}; {remedy}"),
            None => self.to_string(),
        };
        ModelError::new(fault, model, message)
    }
}

impl From<candle_core::Error> for LocalError {
    fn from(error: candle_core::Error) -> Self {
        Self::Compute(error.to_string())
    }
}

impl From<LocalError> for Error {
    fn from(error: LocalError) -> Self {
        let code = match &error {
            LocalError::TooLong { .. } | LocalError::Unable(_) => ErrorCode::InvalidRequest,
            LocalError::Deadline => ErrorCode::Timeout,
            LocalError::Gone => ErrorCode::Cancelled,
            LocalError::Busy(_) => ErrorCode::Busy,
            LocalError::Compute(_) => ErrorCode::Internal,
            _ => ErrorCode::Configuration,
        };
        let converted = Self::new(code, error.to_string());
        error.remedy().into_iter().fold(converted, Self::hint)
    }
}
