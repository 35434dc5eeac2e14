//! What is kept of model calls, on the wire.

use lorekeep_types::CacheSize;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is kept of model calls.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Cache {
    /// Whether anything is kept.
    pub enabled: bool,
    /// Values.
    pub entries: u64,
    /// Bytes as stored.
    pub bytes: u64,
    /// Of each kind of which there is any.
    pub kinds: Vec<CacheOfKind>,
}

/// What is kept of one kind.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CacheOfKind {
    /// `extraction`, `summary`, `keywords`, `translation`, `embedding` or `answer`.
    pub kind: String,
    /// Values.
    pub entries: u64,
    /// Bytes as stored.
    pub bytes: u64,
}

/// How much was forgotten.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct Forgotten {
    /// Values.
    pub forgotten: u64,
}

impl From<Option<Vec<CacheSize>>> for Cache {
    fn from(sizes: Option<Vec<CacheSize>>) -> Self {
        let enabled = sizes.is_some();
        let sizes = sizes.unwrap_or_default();
        let of_kind = |size: &CacheSize| CacheOfKind {
            kind: size.kind.name().to_owned(),
            entries: size.entries,
            bytes: size.bytes,
        };
        Self {
            enabled,
            entries: sizes.iter().map(|size| size.entries).sum(),
            bytes: sizes.iter().map(|size| size.bytes).sum(),
            kinds: sizes.iter().map(of_kind).collect(),
        }
    }
}
