//! Configuration as resolved: typed, validated, immutable. All faults are reported together.

use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use lorekeep_engine::context::TokenBudget;
use lorekeep_engine::{AnswerSettings, Combine, GraphSettings};
use lorekeep_models::gateway::settings::GatewaySettings;
use lorekeep_store::CacheLimits;
use lorekeep_types::{OnFailure, Secret, WorkspaceName};

use super::keys::Kind;
use super::layers::Layers;
use super::models;

/// The settings the program runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The data folder.
    pub data_dir: PathBuf,
    /// The workspace of commands that name none.
    pub workspace: String,
    /// Address to listen on.
    pub bind: String,
    /// Largest upload, bytes.
    pub max_body_bytes: usize,
    /// Requests at once.
    pub max_concurrent_requests: usize,
    /// Time limit of a question, seconds.
    pub request_timeout_s: u64,
    /// Documents at once.
    pub parallel: usize,
    /// Largest document, bytes.
    pub max_file_bytes: u64,
    /// `structure` or `fixed`.
    pub chunking: String,
    /// Tokens per chunk; `None` means the strategy's own.
    pub chunk_tokens: Option<usize>,
    /// Overlap of fixed chunks, tokens.
    pub chunk_overlap: usize,
    /// Keys of clients, by the names of these.
    pub keys: Vec<(String, Secret)>,
    /// Folders to watch.
    pub watch: Vec<PathBuf>,
    /// Folder of LightRAG's scan.
    pub input_dir: Option<PathBuf>,
    /// Time limit of an answer, seconds.
    pub answer_timeout_s: u64,
    /// How answers are written.
    pub answer: AnswerSettings,
    /// How a model makes the graph.
    pub graph: GraphSettings,
    /// `o200k`, `cl100k` or `words`.
    pub tokenizer: String,
    /// Models: providers, roles, budgets, prices.
    pub models: GatewaySettings,
    /// `database`, `memory` or `none`.
    pub cache_backend: String,
    /// What a cache may hold.
    pub cache: CacheLimits,
    /// The file that prices are read from, beside those of the configuration itself.
    pub prices_file: Option<PathBuf>,
    /// The configuration's own prices, which win.
    pub own_prices: serde_json::Value,
    /// The folder of files that replace prompts.
    pub prompts_dir: Option<PathBuf>,
    /// `error` … `trace`.
    pub log_level: String,
    /// `auto`, `text` or `json`.
    pub log_format: String,
}

impl Config {
    /// Validates the layers.
    pub fn resolve(layers: &Layers, environment: &[(String, String)]) -> Result<Self> {
        let faults = faults(layers);
        if !faults.is_empty() {
            bail!("the configuration is not valid\n  {}", faults.join("\n  "));
        }
        let text = |path: &str| layers.get(path).map(|(value, _)| value.to_owned()).unwrap_or_default();
        let number = |path: &str| text(path).parse::<usize>().ok();
        let folder = |path: &str| Some(text(path)).filter(|value| !value.is_empty()).map(|value| expand(&value));
        Ok(Self {
            data_dir: folder("data.dir").or_else(default_data_dir).unwrap_or_else(|| PathBuf::from("lorekeep-data")),
            workspace: text("workspace.name"),
            bind: text("server.bind"),
            max_body_bytes: number("server.max_body_mib").unwrap_or(256) << 20,
            max_concurrent_requests: number("server.max_concurrent_requests").unwrap_or(64),
            request_timeout_s: number("server.request_timeout_s").unwrap_or(60) as u64,
            parallel: number("ingest.parallel").filter(|count| *count > 0).unwrap_or_else(cores),
            max_file_bytes: (number("ingest.max_file_mib").unwrap_or(200) as u64) << 20,
            chunking: text("ingest.chunking"),
            chunk_tokens: number("ingest.chunk_tokens"),
            chunk_overlap: number("ingest.chunk_overlap").unwrap_or(100),
            keys: keys(layers)?,
            watch: text("ingest.watch").split(':').filter(|path| !path.is_empty()).map(expand).collect(),
            input_dir: folder("ingest.input_dir"),
            answer_timeout_s: number("server.answer_timeout_s").unwrap_or(300) as u64,
            answer: answer_settings(&text),
            graph: GraphSettings {
                entity_types: text("graph.entity_types").split_whitespace().map(kind_of).collect(),
                gleanings: number("graph.gleanings").unwrap_or(1) as u32,
                parallel: number("graph.parallel").unwrap_or(8),
                automatic: text("graph.extract") == "on",
                combine: if text("graph.combine") == "model" { Combine::Model } else { Combine::Both },
                resolve: text("graph.resolve") != "off",
            },
            tokenizer: text("answer.tokenizer"),
            models: models::resolve(layers, environment)?,
            cache_backend: text("cache.backend"),
            cache: CacheLimits {
                bytes: (number("cache.max_mib").unwrap_or(1_024) as u64) << 20,
                entries: number("cache.max_entries").unwrap_or(1_000_000) as u64,
                answers: number("cache.max_answers").unwrap_or(10_000) as u64,
                answer_lifetime: Duration::from_secs(number("cache.answer_lifetime_s").unwrap_or(3_600) as u64),
            },
            prices_file: folder("prices.file"),
            own_prices: models::prices(layers),
            prompts_dir: folder("prompts.dir"),
            log_level: text("log.level"),
            log_format: text("log.format"),
        })
    }
}

/// The keys of clients; one key names one client.
fn keys(layers: &Layers) -> Result<Vec<(String, Secret)>> {
    let mut keys: Vec<(String, Secret)> = Vec::new();
    for (name, values) in layers.section("keys.") {
        let key = Secret::new(values.values().next().copied().unwrap_or_default());
        if key.expose().is_empty() {
            bail!("`keys.{name}` is empty");
        }
        if let Some((other, _)) = keys.iter().find(|(_, known)| *known == key) {
            bail!("`keys.{other}` and `keys.{name}` are the same key, which would name two clients");
        }
        keys.push((name.to_owned(), key));
    }
    Ok(keys)
}

fn answer_settings(text: &dyn Fn(&str) -> String) -> AnswerSettings {
    let default = AnswerSettings::default();
    let tokens = |name: &str, default: usize| text(&format!("answer.tokens.{name}")).parse().unwrap_or(default);
    AnswerSettings {
        tokens: TokenBudget {
            system: tokens("system", default.tokens.system),
            brief: tokens("brief", default.tokens.brief),
            turns: tokens("turns", default.tokens.turns),
            retrieved: tokens("retrieved", default.tokens.retrieved),
            completion: tokens("completion", default.tokens.completion),
            total: tokens("total", default.tokens.total),
        },
        on_failure: OnFailure::parse(&text("answer.on_failure")).unwrap_or(default.on_failure),
        cache: text("cache.answers") != "off",
        link_hosts: text("answer.link_hosts").split_whitespace().map(str::to_owned).collect(),
    }
}

/// A type of entity as the engine compares it.
fn kind_of(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

/// An amount of money or tokens: digits, and a point at most.
pub(super) fn decimal(value: &str) -> Option<f64> {
    value.parse::<f64>().ok().filter(|amount| (0.0..=1e12).contains(amount))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Every value that breaks its key's rule, as one line each.
fn faults(layers: &Layers) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, key, value, origin) in layers.all() {
        if value.is_empty() && key.default.is_empty() {
            continue;
        }
        let valid = match key.kind {
            Kind::Folder | Kind::Folders | Kind::Text | Kind::Secret => true,
            Kind::Url => value.starts_with("http://") || value.starts_with("https://"),
            Kind::Decimal => decimal(value).is_some(),
            Kind::Name => WorkspaceName::parse(value).is_ok(),
            Kind::Address => value.to_socket_addrs().is_ok(),
            Kind::Number(least, most) => value.parse::<u64>().is_ok_and(|number| (least..=most).contains(&number)),
            Kind::Choice(words) => words.contains(&value),
        };
        if !valid {
            faults.push(format!("`{path}` is `{value}` ({origin}); it must be {}", key.kind.describe()));
        }
    }
    faults
}

/// Replaces a leading `~`.
pub(super) fn expand(path: &str) -> PathBuf {
    match path.strip_prefix("~/") {
        Some(rest) => std::env::home_dir().map_or_else(|| PathBuf::from(path), |home| home.join(rest)),
        None => PathBuf::from(path),
    }
}

/// A base folder of the XDG specification: the variable when it holds an absolute path, else `~/fallback`.
pub fn base_folder(variable: &str, fallback: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(fallback)))
}

fn default_data_dir() -> Option<PathBuf> {
    base_folder("XDG_DATA_HOME", ".local/share").map(|folder| folder.join("lorekeep"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::config::Sources;

    #[test]
    fn defaults_are_valid() {
        let config = Config::resolve(&Layers::read(&Sources::default()).unwrap(), &[]).unwrap();
        assert_eq!(config.bind, "127.0.0.1:9621");
        assert!(config.parallel >= 1);
    }

    #[test]
    fn every_fault_is_named_with_its_rule() {
        let sources = Sources {
            environment: vec![
                ("LOREKEEP_SERVER__MAX_BODY_MIB".into(), "lots".into()),
                ("LOREKEEP_INGEST__CHUNKING".into(), "random".into()),
            ],
            ..Sources::default()
        };
        let error = Config::resolve(&Layers::read(&sources).unwrap(), &[]).unwrap_err().to_string();
        assert!(error.contains("`server.max_body_mib` is `lots` (env LOREKEEP_SERVER__MAX_BODY_MIB)"), "{error}");
        assert!(error.contains("it must be structure, fixed"), "{error}");
    }
}
