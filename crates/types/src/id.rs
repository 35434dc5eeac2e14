//! Identifiers. Each is parsed once, at the edge, and trusted afterwards.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorCode, Result};

/// The name of a workspace: 1–64 of `A-Z a-z 0-9 _ -`, not starting with `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkspaceName(String);

impl WorkspaceName {
    /// The workspace used when a request names none.
    #[must_use]
    pub fn default_workspace() -> Self {
        Self("default".to_owned())
    }

    /// Parses a name.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidRequest`] when the name breaks the rule above.
    pub fn parse(name: &str) -> Result<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty() || name.len() > 64 || name.starts_with('-') || !name.bytes().all(allowed) {
            return Err(Error::new(ErrorCode::InvalidRequest, format!("`{name}` is not a workspace name"))
                .hint("use 1 to 64 letters, digits, `_` or `-`, not starting with `-`"));
        }
        Ok(Self(name.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkspaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for WorkspaceName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        Self::parse(&name)
    }
}

impl From<WorkspaceName> for String {
    fn from(name: WorkspaceName) -> Self {
        name.0
    }
}

/// A document's identity: `doc_` and 24 lower-case hexadecimal digits, derived from its source, so
/// that adding the same file again addresses the same document.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DocumentId(String);

impl DocumentId {
    /// The id of the document that comes from `source` (an absolute path, `upload:NAME`, …).
    #[must_use]
    pub fn of_source(source: &str) -> Self {
        let hash = blake3::hash(source.as_bytes()).to_hex();
        Self(format!("doc_{}", hash.get(..24).unwrap_or_default()))
    }

    /// Parses an id.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] when `id` does not have the form of a document id: no such document can exist.
    pub fn parse(id: &str) -> Result<Self> {
        let well_formed = id
            .strip_prefix("doc_")
            .is_some_and(|hex| hex.len() == 24 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
        if well_formed { Ok(Self(id.to_owned())) } else { Err(Error::not_found("document", id)) }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for DocumentId {
    type Error = Error;

    fn try_from(id: String) -> Result<Self> {
        Self::parse(&id)
    }
}

impl From<DocumentId> for String {
    fn from(id: DocumentId) -> Self {
        id.0
    }
}

/// A job's identity: `job_` and a time-ordered suffix of lower-case letters, digits and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

impl JobId {
    /// A job id with this suffix, as given by [`crate::Ids`].
    #[must_use]
    pub fn with_suffix(suffix: &str) -> Self {
        Self(format!("job_{suffix}"))
    }

    /// Parses an id.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] when `id` does not have the form of a job id.
    pub fn parse(id: &str) -> Result<Self> {
        let well_formed = id.strip_prefix("job_").is_some_and(|rest| {
            (1..=64).contains(&rest.len())
                && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        });
        if well_formed { Ok(Self(id.to_owned())) } else { Err(Error::not_found("job", id)) }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for JobId {
    type Error = Error;

    fn try_from(id: String) -> Result<Self> {
        Self::parse(&id)
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.0
    }
}

macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

row_id!(
    /// One stored version of a document; a row id of the workspace's truth, never reused.
    VersionId
);
row_id!(
    /// One chunk of one version; a row id of the workspace's truth, never reused.
    ChunkId
);
row_id!(
    /// One entity; a row id of the workspace's truth, never reused.
    EntityId
);
row_id!(
    /// One relation; a row id of the workspace's truth, never reused.
    RelationId
);

/// BLAKE3 of a document's original bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// Hashes `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// Lower-case hexadecimal form.
    #[must_use]
    pub fn to_hex(self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}
