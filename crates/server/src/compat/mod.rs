//! Surfaces of other products: each converts to and from engine requests.

pub(crate) mod lightrag;
pub(crate) mod openai;

use md5::{Digest as _, Md5};

/// Whether a path belongs to LightRAG's surface, and so fails with its bodies.
pub(crate) fn is_lightrag_path(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    matches!(first, "api" | "query" | "documents" | "graph" | "graphs" | "auth-status")
}

/// Whether a path belongs to OpenAI's surface, and so fails with its bodies.
pub(crate) fn is_openai_path(path: &str) -> bool {
    path.starts_with("/v1/audio/")
}

/// The first `digits` hexadecimal digits of the text's MD5: short names that need not be secret.
pub(crate) fn hex_of(text: &str, digits: usize) -> String {
    let mut hex: String = Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    hex.truncate(digits);
    hex
}
