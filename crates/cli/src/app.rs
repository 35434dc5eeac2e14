//! What every command starts from: resolved configuration, the workspace, and a way to the product.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use lorekeep_types::{Error, ErrorCode, WorkspaceName};

use crate::args::Global;
use crate::client::{Client, Node};
use crate::config::{Config, Layers, Sources, user_config_path};
use crate::output::{self, ConfigurationError};
use crate::wire;

/// How long a command waits for another command that holds the data folder without serving.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// The state of one run of the program.
pub struct App {
    /// Options of every command.
    pub global: Global,
    /// Configuration as resolved.
    pub config: Config,
    /// What it was read from.
    pub sources: Sources,
    /// The workspace.
    pub workspace: WorkspaceName,
}

/// Files, environment and flags that configuration is read from.
pub fn sources(global: &Global, flags: Vec<(&'static str, &'static str, String)>) -> Sources {
    let mut flags = flags;
    if let Some(data) = &global.data {
        flags.push(("data.dir", "--data", data.display().to_string()));
    }
    let mut files = vec![PathBuf::from("/etc/lorekeep/config.toml")];
    files.extend(user_config_path());
    files.push(PathBuf::from("lorekeep.toml"));
    Sources {
        files,
        required: global.config.clone(),
        dotenv: Some(PathBuf::from(".env")),
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        flags,
    }
}

impl App {
    /// Reads and resolves the configuration.
    pub fn new(global: Global, flags: Vec<(&'static str, &'static str, String)>) -> Result<Self> {
        let sources = sources(&global, flags);
        let layers = Layers::read(&sources).map_err(configuration)?;
        let config = Config::resolve(&layers, &sources.environment).map_err(configuration)?;
        if !global.quiet {
            layers.conflicts().iter().for_each(|conflict| output::note(&format!("warning: {conflict}")));
        }
        let workspace = match &global.workspace {
            Some(name) => WorkspaceName::parse(name)?,
            None => WorkspaceName::parse(&config.workspace)?,
        };
        Ok(Self { global, config, sources, workspace })
    }

    /// Whether progress and notes are wanted.
    pub fn talks(&self) -> bool {
        !self.global.quiet
    }

    /// Asks before something is destroyed.
    pub fn agreed(&self, question: &str) -> Result<bool> {
        if self.global.yes {
            return Ok(true);
        }
        if self.global.no_input {
            return Err(Error::new(ErrorCode::InvalidRequest, "this needs a confirmation").hint("add --yes").into());
        }
        Ok(output::confirm(question))
    }

    /// Whether the configuration sets a key.
    pub fn has(&self, key: &str) -> Result<bool> {
        Ok(Layers::read(&self.sources)?.get(key).is_some_and(|(value, _)| !value.is_empty()))
    }

    /// A way to the product: the server named by `--server`, else the data folder, else the server that holds it.
    pub async fn client(&self) -> Result<Client> {
        if let Some(url) = &self.global.server {
            return Client::remote(url, self.workspace.clone());
        }
        let started = Instant::now();
        loop {
            match wire::open(&self.config, self.sources.clone()) {
                Ok(node) => return Ok(Client::local(node, self.workspace.clone())),
                Err(error) if error.code() == ErrorCode::Locked => {
                    if let Some(holder) = wire::holder(&self.config.data_dir)
                        && let Some(url) = holder.url
                    {
                        self.say(&format!("using the server at {url} (pid {}) that holds the data folder", holder.pid));
                        return Client::remote(&url, self.workspace.clone());
                    }
                    if started.elapsed() > LOCK_PATIENCE {
                        return Err(error.into());
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Opens the data folder in this process, for commands that serve from it.
    pub fn node(&self) -> Result<Node> {
        Ok(wire::open(&self.config, self.sources.clone())?)
    }

    /// A note on stderr unless `--quiet`.
    pub fn say(&self, text: &str) {
        if self.talks() {
            output::note(text);
        }
    }
}

fn configuration(error: anyhow::Error) -> anyhow::Error {
    let text = format!("{error:#}");
    anyhow::Error::new(ConfigurationError).context(text)
}
