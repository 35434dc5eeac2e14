//! Who calls: clients that present a key which the configuration names, as OpenAI's and LightRAG's clients send theirs.
//!
//! A key tells callers apart, in the books and in budgets; it opens no door, and a request without a known key is served as
//! one of nobody in particular.

use std::collections::HashMap;
use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use lorekeep_types::Secret;
use sha2::{Digest as _, Sha256};

const API_KEY: &str = "x-api-key";

/// Names of callers by their keys. Keys are kept as hashes, so that looking one up tells nothing by the time it takes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Callers(HashMap<[u8; 32], String>);

impl Callers {
    /// Callers by name.
    #[must_use]
    pub fn new(keys: impl IntoIterator<Item = (String, Secret)>) -> Self {
        Self(keys.into_iter().map(|(name, key)| (hash(key.expose()), name)).collect())
    }

    /// The name of whoever presents a known key: in `Authorization: Bearer`, or in `X-API-Key`.
    pub(crate) fn of(&self, headers: &HeaderMap) -> Option<&str> {
        if self.0.is_empty() {
            return None;
        }
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = text(AUTHORIZATION.as_str()).and_then(|value| {
            let (scheme, key) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(key)
        });
        let known = |key: &str| self.0.get(&hash(key.trim())).map(String::as_str);
        bearer.and_then(known).or_else(|| text(API_KEY).and_then(known))
    }
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.values()).finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_key_is_known_in_either_header() {
        let callers =
            Callers::new([("website".to_owned(), Secret::new("k-website")), ("bot".to_owned(), Secret::new("k-bot"))]);
        let of = |pairs: &[(&'static str, &str)]| {
            let headers: HeaderMap =
                pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            callers.of(&headers).map(str::to_owned)
        };
        assert_eq!(of(&[("authorization", "Bearer k-website")]).as_deref(), Some("website"));
        assert_eq!(of(&[("x-api-key", "k-bot")]).as_deref(), Some("bot"));
        assert_eq!(of(&[("authorization", "bearer sk-other"), ("x-api-key", "k-bot")]).as_deref(), Some("bot"));
        assert_eq!(of(&[("authorization", "Basic k-website")]), None);
        assert_eq!(of(&[("authorization", "Bearer k-websit")]), None);
        assert_eq!(of(&[]), None);
        assert_eq!(format!("{:?}", Callers::new([("bot".to_owned(), Secret::new("k-bot"))])), "{\"bot\"}");
    }
}
