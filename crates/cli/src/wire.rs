//! The one place that builds everything: store, models, parser, engine, router; and the process around them.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result as AnyResult};
use lorekeep_engine::{ChunkSettings, ChunkStrategy, Engine, EngineParts, EngineSettings, IngestSettings};
use lorekeep_models::{Cl100k, O200k, StaticEmbedder, WordEstimate};
use lorekeep_parse::{Limits, Parser};
use lorekeep_server::{AppState, Build, Callers, Readiness, ScanFolder, ServerSettings};
use lorekeep_store::{Holder, MemoryCache, Store};
use lorekeep_types::{
    Clock, DocumentParser, Error, ErrorCode, Ledger, ModelCache, ModelDesk, Models, Result, TokenCounter,
};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use crate::client::Node;
use crate::commands::scan::InputFolder;
use crate::config::{Config, Sources};
use crate::live::LiveGateway;
use crate::ports::{SystemClock, UuidIds};
use crate::prompts;

/// How often the ledger is looked through for calls that were lost.
const SWEEP: Duration = Duration::from_secs(10);
/// How often the counters of budgets are compared with the calls.
const RECONCILE: Duration = Duration::from_secs(3_600);

/// Running requests may go on this long after a stop was asked for.
const GRACE: Duration = Duration::from_secs(20);

/// Opens the configured data folder: engine, router, and the work that earlier runs left.
///
/// # Errors
/// `Locked` when another process holds the folder; whatever the store says otherwise.
pub fn open(config: &Config, sources: Sources) -> Result<Node> {
    let store = open_store(&config.data_dir)?;
    let cache = cache(config, &store)?;
    let ledger = store.ledger();
    let clock = Arc::new(SystemClock);
    let gateway = Arc::new(LiveGateway::new(config, sources, Arc::clone(&store), clock, cache.clone())?);
    let models = Arc::clone(&gateway) as Arc<dyn Models>;
    let engine = build(config, Arc::clone(&store), Arc::new(parser(config)), Some(models), cache)?;
    let settings = server_settings(config);
    let readiness = Readiness::default();
    let scan = config.input_dir.clone().map(|folder| {
        Arc::new(InputFolder::new(folder, engine.clone(), tokio::runtime::Handle::current())) as Arc<dyn ScanFolder>
    });
    let state = AppState {
        engine: engine.clone(),
        clock: Arc::new(SystemClock),
        ids: Arc::new(UuidIds),
        scan,
        models: Some(Arc::clone(&gateway) as Arc<dyn ModelDesk>),
        ledger: Arc::clone(&ledger),
        readiness: readiness.clone(),
        build: Build { version: env!("CARGO_PKG_VERSION"), commit: option_env!("LOREKEEP_COMMIT") },
        folder: config.data_dir.display().to_string(),
    };
    let router = lorekeep_server::router(state, settings.clone());
    Ok(Node { router, engine, readiness, settings, store, gateway, ledger })
}

/// Where results of model calls are kept, if anywhere.
fn cache(config: &Config, store: &Store) -> Result<Option<Arc<dyn ModelCache>>> {
    Ok(match config.cache_backend.as_str() {
        "none" => None,
        "memory" => Some(Arc::new(MemoryCache::new(config.cache))),
        _ => Some(store.cache(Arc::new(SystemClock), config.cache)?),
    })
}

/// An engine over `folder` with a parser and models of the caller's.
pub fn engine(
    config: &Config,
    folder: &Path,
    parser: Arc<dyn DocumentParser>,
    models: Option<Arc<dyn Models>>,
) -> Result<Engine> {
    build(config, open_store(folder)?, parser, models, None)
}

/// Opens or makes a data folder; a new one gets the default workspace.
fn open_store(folder: &Path) -> Result<Arc<Store>> {
    let store = Store::open(folder, SystemClock.now_ms())?;
    Ok(Arc::new(store))
}

fn build(
    config: &Config,
    store: Arc<Store>,
    parser: Arc<dyn DocumentParser>,
    models: Option<Arc<dyn Models>>,
    cache: Option<Arc<dyn ModelCache>>,
) -> Result<Engine> {
    Engine::new(EngineParts {
        store,
        embedder: Some(Arc::new(StaticEmbedder)),
        models,
        cache,
        tokens: Arc::new(O200k),
        prompt_tokens: prompt_tokens(config),
        parser,
        clock: Arc::new(SystemClock),
        ids: Arc::new(UuidIds),
        settings: engine_settings(config)?,
    })
}

fn prompt_tokens(config: &Config) -> Arc<dyn TokenCounter> {
    match config.tokenizer.as_str() {
        "cl100k" => Arc::new(Cl100k),
        "words" => Arc::new(WordEstimate),
        _ => Arc::new(O200k),
    }
}

fn parser(config: &Config) -> Parser {
    Parser::new(Limits { input_bytes: config.max_file_bytes, ..Limits::default() })
}

fn engine_settings(config: &Config) -> Result<EngineSettings> {
    let mut chunking = ChunkSettings::default();
    if config.chunking == "fixed" {
        chunking.strategy = ChunkStrategy::Fixed;
        chunking.max_tokens = config.chunk_tokens.unwrap_or(chunking.max_tokens);
        chunking.overlap_tokens = config.chunk_overlap.min(chunking.max_tokens.saturating_sub(1));
    } else if let Some(tokens) = config.chunk_tokens {
        chunking.target_tokens = tokens;
        chunking.max_tokens = chunking.max_tokens.max(tokens);
    }
    Ok(EngineSettings {
        chunking,
        ingest: IngestSettings { parallel: config.parallel, ..IngestSettings::default() },
        prompts: config.prompts_dir.as_deref().map(prompts::read).transpose()?.unwrap_or_default(),
        answer: config.answer.clone(),
        graph: config.graph.clone(),
    })
}

fn server_settings(config: &Config) -> ServerSettings {
    ServerSettings {
        loopback: is_loopback(&config.bind),
        callers: Callers::new(config.keys.clone()),
        max_upload_bytes: config.max_body_bytes,
        max_upload_memory: config.max_body_bytes.saturating_mul(2),
        max_concurrent_requests: config.max_concurrent_requests,
        request_timeout: Duration::from_secs(config.request_timeout_s),
        answer_timeout: Duration::from_secs(config.answer_timeout_s),
        grace: GRACE,
        ..ServerSettings::default()
    }
}

/// Whether `HOST:PORT` is reached from this machine only.
pub fn is_loopback(bind: &str) -> bool {
    let host = bind.rsplit_once(':').map_or(bind, |(host, _)| host);
    let address = host.trim_matches(['[', ']']);
    address == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Who holds a data folder.
pub fn holder(folder: &Path) -> Option<Holder> {
    lorekeep_store::holder(folder).ok().flatten()
}

/// Tells other processes where the folder is served.
pub fn announce(node: &Node, url: &str) -> Result<()> {
    node.store.announce(url)
}

/// The address of a listener as a URL that can be opened on this machine.
pub fn url_of(listener: &TcpListener) -> AnyResult<String> {
    let address = listener.local_addr().context("the listener has no address")?;
    let host = if address.ip().is_unspecified() { "127.0.0.1".to_owned() } else { address.ip().to_string() };
    let host = if address.is_ipv6() && !address.ip().is_unspecified() { format!("[{host}]") } else { host };
    Ok(format!("http://{host}:{}", address.port()))
}

/// Serves until Ctrl-C or SIGTERM.
pub async fn serve(node: &Node, listener: TcpListener) -> AnyResult<()> {
    node.engine.start().await?;
    let serving =
        lorekeep_server::serve(listener, node.router.clone(), node.readiness.clone(), &node.settings, stop_signal());
    tokio::select! {
        served = serving => served.context("the server stopped"),
        () = node.gateway.follow() => Ok(()),
        () = sweep(Arc::clone(&node.ledger)) => Ok(()),
        () = reconcile(Arc::clone(&node.ledger)) => Ok(()),
    }
}

/// Compares the counters of budgets with the calls, now and then: what they are off is corrected, and a fault of this program.
async fn reconcile(ledger: Arc<dyn Ledger>) {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + RECONCILE, RECONCILE);
    loop {
        ticks.tick().await;
        let ledger = Arc::clone(&ledger);
        match tokio::task::spawn_blocking(move || ledger.drift()).await {
            Ok(Ok(0)) => {}
            Ok(Ok(nano_usd)) => {
                tracing::error!(nano_usd, "the counters of budgets were off by this much, and are corrected");
            }
            Ok(Err(error)) => tracing::error!(%error, "the counters of budgets could not be compared with the calls"),
            Err(error) => tracing::error!(%error, "the counters of budgets could not be compared with the calls"),
        }
    }
}

/// Closes calls whose process died, and tells of budgets that are used up.
async fn sweep(ledger: Arc<dyn Ledger>) {
    let mut ticks = tokio::time::interval(SWEEP);
    loop {
        ticks.tick().await;
        let ledger = Arc::clone(&ledger);
        let swept = tokio::task::spawn_blocking(move || {
            let lost = ledger.sweep(SystemClock.now_ms())?;
            Ok::<_, Error>((lost, ledger.take_alerts()?))
        });
        match swept.await {
            Ok(Ok((lost, alerts))) => {
                if lost > 0 {
                    tracing::warn!(calls = lost, "calls of models ended without a word and were charged as foreseen");
                }
                for alert in alerts {
                    tracing::warn!(scope = %alert.scope, window = alert.window.name(), percent = alert.percent, "a budget is used up to this part");
                }
            }
            Ok(Err(error)) => tracing::error!(%error, "the ledger could not be swept"),
            Err(error) => tracing::error!(%error, "the ledger could not be swept"),
        }
    }
}

/// Resolves on Ctrl-C or SIGTERM.
pub async fn stop_signal() {
    let interrupt = tokio::signal::ctrl_c();
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = interrupt => {}
        () = terminate => {}
    }
}

/// Sends log lines to stderr, as text on a terminal and as JSON elsewhere.
pub fn start_logging(config: &Config, verbose: u8) -> AnyResult<()> {
    let level = match verbose {
        0 => config.log_level.as_str(),
        1 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(format!("warn,lorekeep={level}")));
    let as_json = match config.log_format.as_str() {
        "json" => true,
        "text" => false,
        _ => !std::io::stderr().is_terminal(),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if as_json { builder.json().try_init() } else { builder.with_target(false).try_init() };
    started.map_err(|error| Error::new(ErrorCode::Configuration, format!("cannot start logging: {error}")).into())
}

/// Free space of the file system that holds `folder`, in bytes.
pub fn free_space(folder: &Path) -> Option<u64> {
    fs4::available_space(folder).ok()
}
