//! The gateway as configured at this moment: read again when a configuration or price file changes, so that models,
//! keys and prices are switched without a restart.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result as AnyResult};
use futures::future::BoxFuture;
use lorekeep_models::gateway::Gateway;
use lorekeep_models::gateway::settings::GatewaySettings;
use lorekeep_models::layer::kept::Kept;
use lorekeep_models::price::Prices;
use lorekeep_store::Store;
use lorekeep_types::{
    ChatModel, Clock, EmbeddingProvider, Error, ErrorCode, Ledger, ModelCache, ModelDesk, ModelId, ModelTest, Models,
    ModelsOverview, RerankModel, Result, Role, SpeechModel, TranscriptionModel,
};

use crate::config::{Config, Layers, Sources};

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// Under which the store keeps roles that were set.
const ROLES: &str = "roles";

/// See the module's text.
pub struct LiveGateway {
    sources: Sources,
    store: Arc<Store>,
    current: RwLock<Arc<Gateway>>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    kept: Option<Kept>,
}

impl LiveGateway {
    /// The gateway of a resolved configuration, which was read from `sources`.
    ///
    /// # Errors
    /// When the models or prices of the configuration cannot be used, or the store cannot be read.
    pub fn new(
        config: &Config,
        sources: Sources,
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        cache: Option<Arc<dyn ModelCache>>,
    ) -> Result<Self> {
        let settings = with_prices(config)?;
        let kept = cache.map(Kept::new);
        let ledger = store.ledger();
        let gateway = Gateway::new(settings, set_roles(&store)?, Arc::clone(&ledger), Arc::clone(&clock))?;
        let current = RwLock::new(Arc::new(gateway.keeping(kept.clone())));
        Ok(Self { sources, store, current, ledger, clock, kept })
    }

    /// Looks at the files every two seconds for as long as the future is polled, and reads them again when one of them
    /// has changed. What cannot be used is logged, and the former configuration stays.
    pub async fn follow(&self) {
        let mut seen = self.stamps();
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            ticks.tick().await;
            let now = self.stamps();
            if now == seen {
                continue;
            }
            seen = now;
            match self.reload() {
                Ok(()) => tracing::info!("the configuration of models was read again"),
                Err(error) => tracing::error!("the configuration of models was not taken over: {error:#}"),
            }
        }
    }

    fn reload(&self) -> AnyResult<()> {
        let config = self.config()?;
        let set = self.current().set_roles();
        let gateway = Gateway::new(with_prices(&config)?, set, Arc::clone(&self.ledger), Arc::clone(&self.clock))?;
        let gateway = Arc::new(gateway.keeping(self.kept.clone()));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = gateway;
        Ok(())
    }

    fn config(&self) -> AnyResult<Config> {
        Config::resolve(&Layers::read(&self.sources)?, &self.sources.environment)
    }

    /// When each file that may say something about models was changed.
    fn stamps(&self) -> Vec<(PathBuf, Option<SystemTime>)> {
        let sources = &self.sources;
        let prices = self.config().ok().and_then(|config| config.prices_file);
        let files = sources.files.iter().chain(&sources.required).chain(&sources.dotenv).chain(&prices);
        files.map(|path| (path.clone(), modified(path))).collect()
    }

    fn current(&self) -> Arc<Gateway> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The roles that were set before the last restart.
fn set_roles(store: &Store) -> Result<BTreeMap<Role, Vec<ModelId>>> {
    let Some(text) = store.model_setting(ROLES)? else { return Ok(BTreeMap::new()) };
    Ok(serde_json::from_str(&text).unwrap_or_else(|error| {
        tracing::warn!(%error, "the roles that were set cannot be read; they are as configured");
        BTreeMap::new()
    }))
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

/// The settings with the prices of the file, over which those of the configuration win.
fn with_prices(config: &Config) -> Result<GatewaySettings> {
    let mut settings = config.models.clone();
    let Some(path) = &config.prices_file else { return Ok(settings) };
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let text =
        text.map_err(|error| Error::new(ErrorCode::Configuration, format!("{error:#}")).hint("correct `prices.file`"))?;
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let mut prices = if is_json { Prices::from_json(&text)? } else { Prices::from_toml(&text)? };
    prices.extend(Prices::from_value(&config.own_prices)?);
    settings.prices = Arc::new(prices);
    Ok(settings)
}

impl Models for LiveGateway {
    fn chat(&self, role: Role) -> Option<Arc<dyn ChatModel>> {
        self.current().chat(role)
    }

    fn chat_by_id(&self, id: &ModelId) -> Result<Arc<dyn ChatModel>> {
        self.current().chat_by_id(id)
    }

    fn rerank(&self) -> Option<Arc<dyn RerankModel>> {
        self.current().rerank()
    }

    fn embed(&self) -> Result<Option<Arc<dyn EmbeddingProvider>>> {
        self.current().embed()
    }

    fn embed_by_id(&self, id: &ModelId) -> Result<Arc<dyn EmbeddingProvider>> {
        self.current().embed_by_id(id)
    }

    fn transcribe(&self) -> Option<Arc<dyn TranscriptionModel>> {
        self.current().transcribe()
    }

    fn speak(&self) -> Option<Arc<dyn SpeechModel>> {
        self.current().speak()
    }

    fn price(&self, model: &ModelId, prompt_tokens: u64, completion_tokens: u64) -> Option<i64> {
        self.current().price(model, prompt_tokens, completion_tokens)
    }
}

impl ModelDesk for LiveGateway {
    fn overview(&self) -> ModelsOverview {
        self.current().overview()
    }

    fn set_role(&self, role: Role, models: Vec<ModelId>) -> Result<()> {
        let gateway = self.current();
        let former = gateway.set_roles().remove(&role).unwrap_or_default();
        gateway.set_role(role, models)?;
        let set = gateway.set_roles();
        let text = (!set.is_empty()).then(|| serde_json::to_string(&set)).transpose();
        let text =
            text.map_err(|error| Error::new(ErrorCode::Internal, "the roles cannot be written").caused_by(error));
        // What would be forgotten at the next start does not hold until then either.
        text.and_then(|text| self.store.set_model_setting(ROLES, text)).or_else(|error| {
            gateway.set_role(role, former)?;
            Err(error)
        })
    }

    fn test<'a>(&'a self, model: &'a ModelId, role: Role) -> BoxFuture<'a, ModelTest> {
        let gateway = self.current();
        Box::pin(async move { gateway.test(model, role).await })
    }
}
