//! Turns the faults of the views' files into the store's error. What to do about a fault, rebuild or keep
//! serving, is decided by the callers.

use std::io;
use std::sync::Arc;

use tantivy::TantivyError;
use tantivy::directory::error::{OpenDirectoryError, OpenWriteError};

use crate::error::StoreError;

/// A view that cannot be used as it is and must be rebuilt.
pub(super) fn damaged(message: impl Into<String>) -> StoreError {
    StoreError::View { message: message.into(), source: None }
}

/// A fault of the text view's engine; a full disk is told from the rest.
pub(super) fn text_fault(cause: impl Into<TantivyError>) -> StoreError {
    let cause = cause.into();
    let refused = |source: &Arc<io::Error>| StoreError::Io {
        action: "use",
        path: "text".into(),
        source: io::Error::new(source.kind(), Arc::clone(source)),
    };
    match &cause {
        TantivyError::IoError(source)
        | TantivyError::OpenWriteError(OpenWriteError::IoError { io_error: source, .. })
        | TantivyError::OpenDirectoryError(OpenDirectoryError::IoError { io_error: source, .. }) => refused(source),
        _ => StoreError::View { message: "the text view failed".to_owned(), source: Some(Box::new(cause)) },
    }
}
