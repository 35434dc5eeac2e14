//! The kind `local`: a model in this process instead of one behind an address. Builds without the feature
//! `local-models` know the kind and say how to get it.

use lorekeep_types::Error;

use super::settings::ProviderSettings;

/// Calls of one model in this process at once: they share its one set of weights and the machine's cores.
pub(super) const PLACES: usize = 1;

#[cfg(feature = "local-models")]
pub(super) use built::Local;
#[cfg(not(feature = "local-models"))]
pub(super) use missing::Local;

#[cfg(feature = "local-models")]
mod built {
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::time::Duration;

    use lorekeep_types::{ChatModel, EmbeddingProvider, Error, ErrorCode, ModelId, Result};

    use super::super::settings::{GatewaySettings, ProviderSettings};
    use super::named;
    use crate::local::{LocalChat, LocalEmbed, LocalSettings, folder};

    /// A model at a path.
    #[derive(Clone)]
    pub(in super::super) struct Local {
        name: String,
        path: PathBuf,
        settings: LocalSettings,
        total: Duration,
        /// Keeps the model in memory between calls.
        held: Arc<Mutex<Held>>,
    }

    #[derive(Default)]
    struct Held {
        chat: Option<LocalChat>,
        embed: Option<LocalEmbed>,
    }

    impl Local {
        /// Checks that a model lies there; reads no weights.
        pub(in super::super) fn new(settings: &ProviderSettings, gateway: &GatewaySettings) -> Result<Self> {
            let path = PathBuf::from(settings.option("path").ok_or_else(|| settings.lacks("path"))?);
            folder::find(&path).map_err(|error| named(settings, error.into()))?;
            let mut chosen = LocalSettings::default();
            if let Some(context) = settings.option("context") {
                chosen.context = context.parse().map_err(|_| {
                    let message = format!("`providers.{}.context` is `{context}`; it must be a number", settings.name);
                    Error::new(ErrorCode::Configuration, message)
                })?;
            }
            let (name, total) = (settings.name.clone(), gateway.timeouts.total);
            Ok(Self { name, path, settings: chosen, total, held: Arc::default() })
        }

        /// The model as one that writes; it begins to be loaded if it is not in memory yet.
        pub(in super::super) fn chat(&self, id: ModelId) -> Result<Arc<dyn ChatModel>> {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            // One that could not be loaded is tried anew: its file may be whole by now.
            held.chat.take_if(|model| model.failed());
            match LocalChat::open(id, &self.path, self.settings, self.total) {
                Ok(model) => {
                    held.chat = Some(model.clone());
                    Ok(Arc::new(model))
                }
                Err(error) => Err(self.failed(error.into(), "chat")),
            }
        }

        /// The model as one that embeds.
        pub(in super::super) fn embed(&self, id: ModelId) -> Result<Arc<dyn EmbeddingProvider>> {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.embed.take_if(|model| model.failed());
            match LocalEmbed::open(id, &self.path, self.settings) {
                Ok(model) => {
                    held.embed = Some(model.clone());
                    Ok(Arc::new(model))
                }
                Err(error) => Err(self.failed(error.into(), "embeddings")),
            }
        }

        fn failed(&self, error: Error, capability: &str) -> Error {
            let message = format!("the provider `{}` (local) has no {capability}: {error}", self.name);
            let failed = Error::new(ErrorCode::CapabilityMissing, message);
            error.remedy().into_iter().fold(failed, Error::hint)
        }
    }
}

#[cfg(not(feature = "local-models"))]
mod missing {
    use std::convert::Infallible;
    use std::sync::Arc;

    use lorekeep_types::{ChatModel, EmbeddingProvider, ModelId, Result};

    use super::super::settings::{GatewaySettings, ProviderSettings};
    use super::named;

    /// There is none in this build.
    #[derive(Clone)]
    pub(in super::super) struct Local(Infallible);

    impl Local {
        /// Tells how to get one.
        pub(in super::super) fn new(settings: &ProviderSettings, _gateway: &GatewaySettings) -> Result<Self> {
            Err(named(settings, crate::no_local_models()))
        }

        pub(in super::super) fn chat(&self, _id: ModelId) -> Result<Arc<dyn ChatModel>> {
            match self.0 {}
        }

        pub(in super::super) fn embed(&self, _id: ModelId) -> Result<Arc<dyn EmbeddingProvider>> {
            match self.0 {}
        }
    }
}

/// The error with the provider's name before it.
fn named(settings: &ProviderSettings, error: Error) -> Error {
    let message = format!("the provider `{}` (local): {error}", settings.name);
    let told = Error::new(error.code(), message);
    error.remedy().into_iter().fold(told, Error::hint)
}
