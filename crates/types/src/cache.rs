//! The port of caches: results of model calls that are kept so that nobody pays for them twice.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::id::WorkspaceName;

/// What a kept value is the result of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheKind {
    /// Entities and relations that a model found in a passage.
    Extraction,
    /// A description or a conversation made shorter.
    Summary,
    /// Keywords of a question.
    Keywords,
    /// A text in another language.
    Translation,
    /// The vector of a text.
    Embedding,
    /// A whole answer.
    Answer,
}

impl CacheKind {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::Extraction, Self::Summary, Self::Keywords, Self::Translation, Self::Embedding, Self::Answer];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Extraction => "extraction",
            Self::Summary => "summary",
            Self::Keywords => "keywords",
            Self::Translation => "translation",
            Self::Embedding => "embedding",
            Self::Answer => "answer",
        }
    }

    /// Parses a name.
    ///
    /// # Errors
    /// `InvalidRequest` that lists the kinds.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::invalid(format!("nothing of the kind `{name}` is kept")).hint(format!("use one of {names}"))
        })
    }
}

/// Where a value is kept. Workspaces never share values, so that nothing of one can be seen, or guessed from how fast
/// an answer comes, in another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey {
    /// What the value is.
    pub kind: CacheKind,
    /// Whose it is.
    pub workspace: WorkspaceName,
    /// BLAKE3 of everything that the value depends on.
    pub hash: [u8; 32],
}

impl CacheKey {
    /// The key of a value that depends on `parts` and nothing else: model, version of the prompt, text … Each part is
    /// hashed with its length, so that two lists of parts never run together.
    #[must_use]
    pub fn new<'a>(kind: CacheKind, workspace: &WorkspaceName, parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self { kind, workspace: workspace.clone(), hash: *hasher.finalize().as_bytes() }
    }
}

/// How much a cache holds of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheSize {
    /// What.
    pub kind: CacheKind,
    /// Values.
    pub entries: u64,
    /// Bytes as stored.
    pub bytes: u64,
}

/// A cache of results. Whatever it forgets, or fails to read, can be made again: a caller whose read fails goes on as if
/// nothing had been there. Synchronous; callers on an async runtime cross over first.
///
/// Where several processes share a cache, as Redis would be, an implementation keeps a value under its workspace, kind
/// and hash with the lifetime as its expiry (`SET … PX`), lets the server bound it (`maxmemory`, `allkeys-lru`), and
/// finds what to forget by an epoch per workspace and kind that is part of the key and counted up, not by listing keys.
pub trait ModelCache: Send + Sync {
    /// The value, unless it was never put, is past its lifetime or was forgotten.
    ///
    /// # Errors
    /// When the cache cannot be read.
    fn get(&self, key: &CacheKey) -> Result<Option<Vec<u8>>>;

    /// Keeps `value`, replacing what was there; for `lifetime`, if given.
    ///
    /// # Errors
    /// When the cache cannot be written; nothing is kept then.
    fn put(&self, key: &CacheKey, value: &[u8], lifetime: Option<Duration>) -> Result<()>;

    /// Whether a [`ModelCache::put`] of usual size would now wait neither for a disk nor for a network, so that it may be
    /// called where nothing may wait.
    fn puts_at_once(&self) -> bool {
        false
    }

    /// Forgets the values of a workspace (of all when `None`) of one kind (of every kind when `None`); how many.
    ///
    /// # Errors
    /// When the cache cannot be written.
    fn forget(&self, workspace: Option<&WorkspaceName>, kind: Option<CacheKind>) -> Result<u64>;

    /// How much it holds, by kind; kinds without values are left out.
    ///
    /// # Errors
    /// When the cache cannot be read.
    fn sizes(&self) -> Result<Vec<CacheSize>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_never_run_together() {
        let workspace = WorkspaceName::default_workspace();
        let key =
            |parts: &[&str]| CacheKey::new(CacheKind::Answer, &workspace, parts.iter().map(|part| part.as_bytes()));
        assert_eq!(key(&["ab", "c"]), key(&["ab", "c"]));
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["ab", ""]), key(&["ab"]));
    }
}
