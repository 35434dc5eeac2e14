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
use lorekeep_types::{
    ChatModel, Clock, Ledger, ModelCache, ModelDesk, ModelId, ModelTest, Models, ModelsOverview, Result, Role,
};

use crate::config::{Config, Layers, Sources};

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// See the module's text.
pub struct LiveGateway {
    sources: Sources,
    current: RwLock<Arc<Gateway>>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    kept: Kept,
}

impl LiveGateway {
    /// The gateway of a resolved configuration, which was read from `sources`.
    ///
    /// # Errors
    /// When the models or prices of the configuration cannot be used.
    pub fn new(
        config: &Config,
        sources: Sources,
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
        cache: Arc<dyn ModelCache>,
    ) -> Result<Self> {
        let settings = with_prices(config)?;
        let kept = Kept::new(cache);
        let gateway = Gateway::new(settings, BTreeMap::new(), Arc::clone(&ledger), Arc::clone(&clock))?;
        let current = RwLock::new(Arc::new(gateway.keeping(kept.clone())));
        Ok(Self { sources, current, ledger, clock, kept })
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

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

/// The settings with the prices of the file, over which those of the configuration win.
fn with_prices(config: &Config) -> Result<GatewaySettings> {
    let mut settings = config.models.clone();
    let Some(path) = &config.prices_file else { return Ok(settings) };
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    let text = text.map_err(|error| {
        lorekeep_types::Error::new(lorekeep_types::ErrorCode::Configuration, format!("{error:#}"))
            .hint("correct `prices.file`")
    })?;
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
}

impl ModelDesk for LiveGateway {
    fn overview(&self) -> ModelsOverview {
        self.current().overview()
    }

    fn set_role(&self, role: Role, models: Vec<ModelId>) -> Result<()> {
        self.current().set_role(role, models)
    }

    fn test<'a>(&'a self, model: &'a ModelId) -> BoxFuture<'a, ModelTest> {
        let gateway = self.current();
        Box::pin(async move { gateway.test(model).await })
    }
}
