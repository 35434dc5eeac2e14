//! How a request proves who sends it.

use futures::future::BoxFuture;
use lorekeep_types::{ModelError, ModelId, Secret};

/// Credentials that are sent as a header.
pub trait Authorize: Send + Sync {
    /// The header's name and value; `None` when the provider needs none. `refused` is the value that the provider
    /// refused just now: another is asked for, so that many refusals of one value renew it once.
    ///
    /// # Errors
    /// When a credential has to be fetched and cannot be.
    fn header<'a>(
        &'a self,
        model: &'a ModelId,
        refused: Option<&'a Secret>,
    ) -> BoxFuture<'a, Result<Option<(&'static str, Secret)>, ModelError>>;

    /// Whether asking anew can help after a 401.
    fn renews(&self) -> bool {
        false
    }
}

/// A key that does not change.
#[derive(Clone, Debug)]
pub enum Key {
    /// No credential: a local server.
    None,
    /// `Authorization: Bearer …`.
    Bearer(Secret),
    /// The key alone in a header of its own, e.g. `api-key`.
    Header(&'static str, Secret),
}

impl Authorize for Key {
    fn header<'a>(
        &'a self,
        _model: &'a ModelId,
        _refused: Option<&'a Secret>,
    ) -> BoxFuture<'a, Result<Option<(&'static str, Secret)>, ModelError>> {
        let header = match self {
            Self::None => None,
            Self::Bearer(key) => Some(("authorization", Secret::new(format!("Bearer {}", key.expose())))),
            Self::Header(name, key) => Some((*name, key.clone())),
        };
        Box::pin(std::future::ready(Ok(header)))
    }
}
