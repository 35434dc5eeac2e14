//! Configuration as written: every value with the place it came from. Later layers win.
//!
//! Defaults, variables of other programs, `/etc/lorekeep/config.toml`, the user's `config.toml`, `./lorekeep.toml`, `./.env`, the
//! environment, command flags.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use lorekeep_models::gateway::settings::ProviderKind;

use super::aliases::{self, ALIASES, Applies};
use super::keys::{self, KEYS, Key, Kind};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The table of keys.
    Default,
    /// A file and, when it is known, a line.
    File(PathBuf, Option<usize>),
    /// An environment variable.
    Environment(String),
    /// A command flag.
    Flag(&'static str),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, Some(line)) => write!(f, "file {}:{line}", path.display()),
            Self::File(path, None) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "env {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// What the layers are read from; tests give their own.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Configuration files, weakest first; a missing one is skipped unless it is `required`.
    pub files: Vec<PathBuf>,
    /// A file named by the user, which must exist.
    pub required: Option<PathBuf>,
    /// A `.env` file; skipped when missing.
    pub dotenv: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// Command flags as `(key, flag, value)`.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

/// The user's own configuration file.
pub fn user_config_path() -> Option<PathBuf> {
    super::resolve::base_folder("XDG_CONFIG_HOME", ".config").map(|folder| folder.join("lorekeep/config.toml"))
}

/// Values and their origins by key path.
#[derive(Clone, Debug)]
pub struct Layers {
    values: BTreeMap<String, (String, Origin)>,
    conflicts: Vec<String>,
}

impl Layers {
    /// Reads every layer. All unknown keys are reported together.
    pub fn read(sources: &Sources) -> Result<Self> {
        let plain = KEYS.iter().filter(|key| !key.is_pattern());
        let mut layers = Self {
            values: plain.map(|key| (key.path.to_owned(), (key.default.to_owned(), Origin::Default))).collect(),
            conflicts: Vec::new(),
        };
        let mut faults = Vec::new();
        for path in &sources.files {
            if path.exists() {
                layers.read_file(path, &mut faults)?;
            }
        }
        if let Some(path) = &sources.required {
            layers.read_file(path, &mut faults)?;
        }
        if let Some(path) = sources.dotenv.as_deref().filter(|path| path.exists()) {
            layers.read_dotenv(path, &mut faults)?;
        }
        layers.read_environment(&sources.environment, &mut faults)?;
        for (key, flag, value) in &sources.flags {
            layers.set(key, value.clone(), Origin::Flag(flag), &mut faults);
        }
        if !faults.is_empty() {
            bail!("the configuration has unknown keys\n  {}", faults.join("\n  "));
        }
        layers.fill(&sources.environment);
        Ok(layers)
    }

    /// Variables of other programs that mean one key and differ, as a sentence each.
    pub fn conflicts(&self) -> &[String] {
        &self.conflicts
    }

    /// The value and origin of a known key.
    pub fn get(&self, path: &str) -> Option<(&str, &Origin)> {
        self.values.get(path).map(|(value, origin)| (value.as_str(), origin))
    }

    /// Every value there is, keys of patterns included, each with its path and key.
    pub fn all(&self) -> impl Iterator<Item = (&str, &'static Key, &str, &Origin)> {
        self.values
            .iter()
            .filter_map(|(path, (value, origin))| Some((path.as_str(), keys::find(path)?, value.as_str(), origin)))
    }

    /// The names that the user gave in a section, such as `providers`, with the values below each.
    pub fn section(&self, section: &str) -> BTreeMap<&str, BTreeMap<&'static str, &str>> {
        let mut found: BTreeMap<&str, BTreeMap<&'static str, &str>> = BTreeMap::new();
        for (path, key, value, _) in self.all() {
            let Some(name) = key.name_in(path).filter(|_| key.path.starts_with(section)) else { continue };
            let last = key.path.rsplit('.').next().unwrap_or_default();
            found.entry(name).or_default().insert(last, value);
        }
        found
    }

    fn set(&mut self, path: &str, value: String, origin: Origin, faults: &mut Vec<String>) {
        match keys::find(path) {
            Some(_) => {
                self.values.insert(path.to_owned(), (value, origin));
            }
            None => {
                let hint = keys::nearest(path).map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
                faults.push(format!("`{path}` ({origin}) is unknown{hint}"));
            }
        }
    }

    /// Takes variables of other programs for keys that no layer sets.
    fn fill(&mut self, environment: &[(String, String)]) {
        let said = |layers: &Self, path: &str| layers.get(path).is_some_and(|(_, origin)| *origin != Origin::Default);
        let undecided = !said(self, "llm.provider") && !said(self, "llm.base_url");
        let own: Vec<bool> = ALIASES.iter().map(|alias| said(self, alias.path)).collect();
        for (alias, _) in ALIASES.iter().zip(own).filter(|(_, own)| !own) {
            let Some(written) = aliases::variable(environment, alias.variable) else { continue };
            let applies = match alias.applies {
                Applies::Always => true,
                Applies::Undecided => undecided,
                Applies::To(kind) => self.main_kind() == Some(kind),
            };
            let value = alias.value(written);
            let former = self.values.get(alias.path).filter(|(_, origin)| *origin != Origin::Default);
            match former {
                _ if !applies => {}
                // Only an alias before this one can have set it.
                Some((former, _)) if former == value => {}
                Some((_, origin)) => {
                    self.conflicts.push(format!("{origin} counts, and {} says otherwise", alias.variable));
                }
                None => self.take(alias.path, value, alias.variable),
            }
        }
        // A service with `/v1/generate` has one model, which nothing of its own names.
        let named = self.get("llm.model").is_some_and(|(model, _)| !model.is_empty());
        let of_theirs = self.get("llm.provider").is_some_and(|(_, from)| from.to_string() == "env LLM_PROVIDER");
        if !named && of_theirs && self.main_kind() == Some(ProviderKind::Generate) {
            self.take("llm.model", "local", "LLM_PROVIDER");
        }
    }

    fn take(&mut self, path: &str, value: &str, variable: &str) {
        self.values.insert(path.to_owned(), (value.to_owned(), Origin::Environment(variable.to_owned())));
    }

    /// The kind of provider that `llm.*` is so far.
    pub fn main_kind(&self) -> Option<ProviderKind> {
        let text = |path: &str| self.get(path).map(|(value, _)| value).filter(|value| !value.is_empty());
        match (text("llm.provider"), text("llm.base_url")) {
            (Some(kind), _) => ProviderKind::parse(kind).ok(),
            (None, Some(url)) => Some(ProviderKind::of_address(url)),
            (None, None) => None,
        }
    }

    fn read_file(&mut self, path: &Path, faults: &mut Vec<String>) -> Result<()> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let table: toml::Table = text.parse().with_context(|| format!("{} is not valid TOML", path.display()))?;
        let mut found = Vec::new();
        flatten("", &table, &mut found);
        for (key, value) in found {
            let line = line_of(&text, &key);
            self.set(&key, value, Origin::File(path.to_owned(), line), faults);
        }
        Ok(())
    }

    fn read_dotenv(&mut self, path: &Path, faults: &mut Vec<String>) -> Result<()> {
        let lines = dotenvy::from_path_iter(path).with_context(|| format!("cannot read {}", path.display()))?;
        for line in lines {
            let (name, value) = line.with_context(|| format!("{} has a line that cannot be read", path.display()))?;
            if let Some(key) = key_of_variable(&name) {
                self.set(&key, value, Origin::File(path.to_owned(), None), faults);
            }
        }
        Ok(())
    }

    fn read_environment(&mut self, environment: &[(String, String)], faults: &mut Vec<String>) -> Result<()> {
        let plain_port = environment.iter().find(|(name, _)| name == "PORT");
        if let Some((name, port)) = plain_port.filter(|(_, port)| port.parse::<u16>().is_ok()) {
            self.set("server.bind", format!("127.0.0.1:{port}"), Origin::Environment(name.clone()), faults);
        }
        for (name, value) in environment {
            let Some(key) = key_of_variable(name) else { continue };
            // A credential may stand in a file of its own, as container platforms hand them over.
            let named =
                key.strip_suffix("_file").filter(|key| keys::find(key).is_some_and(|key| key.kind == Kind::Secret));
            match named {
                Some(key) => {
                    let secret =
                        std::fs::read_to_string(value).with_context(|| format!("cannot read {value} ({name})"))?;
                    self.set(key, secret.trim().to_owned(), Origin::File(value.into(), None), faults);
                }
                None => self.set(&key, value.clone(), Origin::Environment(name.clone()), faults),
            }
        }
        Ok(())
    }
}

/// `LOREKEEP_SERVER__BIND` → `server.bind`. The short forms that the command's help names are flags, not keys.
fn key_of_variable(name: &str) -> Option<String> {
    let rest = name.strip_prefix("LOREKEEP_")?;
    match rest {
        "DATA" => Some("data.dir".to_owned()),
        "CONFIG" | "WORKSPACE" | "SERVER" => None,
        _ => Some(rest.to_lowercase().replace("__", ".")),
    }
}

fn flatten(prefix: &str, table: &toml::Table, found: &mut Vec<(String, String)>) {
    for (name, value) in table {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => flatten(&path, inner, found),
            toml::Value::Array(items) => {
                let words: Vec<String> = items.iter().map(plain).collect();
                // Folders are separated as the environment separates them; models as people write lists.
                let folders = keys::find(&path).is_none_or(|key| key.kind == Kind::Folders);
                found.push((path, words.join(if folders { ":" } else { ", " })));
            }
            other => found.push((path, plain(other))),
        }
    }
}

fn plain(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The line on which the last part of `key` is assigned inside its table; good enough to point at.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
    let mut current = String::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            current = header.trim().to_owned();
        } else if let Some((left, _)) = line.split_once('=') {
            let left = left.trim();
            if (current == table && left == name) || (current.is_empty() && left == key) {
                return Some(number + 1);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    fn sources(folder: &Path) -> Sources {
        Sources { files: vec![folder.join("config.toml")], dotenv: Some(folder.join(".env")), ..Sources::default() }
    }

    #[test]
    fn later_layers_win_and_say_where_they_come_from() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        std::fs::write(&file, "# mine\n[server]\nbind = \"127.0.0.1:1\"\nmax_body_mib = 7\n").unwrap();
        std::fs::write(folder.path().join(".env"), "LOREKEEP_SERVER__BIND=127.0.0.1:2\n").unwrap();
        let mut sources = sources(folder.path());
        let layers = Layers::read(&sources).unwrap();
        assert_eq!(layers.get("server.bind").unwrap().0, "127.0.0.1:2");
        assert_eq!(layers.get("server.max_body_mib").unwrap(), ("7", &Origin::File(file, Some(4))));

        sources.environment = vec![("LOREKEEP_SERVER__BIND".into(), "127.0.0.1:3".into())];
        let layers = Layers::read(&sources).unwrap();
        assert_eq!(layers.get("server.bind").unwrap().0, "127.0.0.1:3");

        sources.flags = vec![("server.bind", "--port", "127.0.0.1:4".into())];
        let layers = Layers::read(&sources).unwrap();
        assert_eq!(layers.get("server.bind").unwrap(), ("127.0.0.1:4", &Origin::Flag("--port")));
    }

    #[test]
    fn every_unknown_key_is_named_with_a_suggestion() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), "[server]\nbnid = \"x\"\n[colour]\nx = 1\n").unwrap();
        let error = Layers::read(&sources(folder.path())).unwrap_err().to_string();
        assert!(error.contains("`server.bnid`") && error.contains("did you mean `server.bind`?"), "{error}");
        assert!(error.contains("`colour.x`"), "{error}");
    }

    #[test]
    fn the_plain_port_variable_is_honoured_below_our_own() {
        let environment = vec![("PORT".into(), "8080".into()), ("LOREKEEP_SERVER__BIND".into(), "127.0.0.1:9".into())];
        let mut sources = Sources { environment, ..Sources::default() };
        assert_eq!(Layers::read(&sources).unwrap().get("server.bind").unwrap().0, "127.0.0.1:9");
        sources.environment.pop();
        assert_eq!(Layers::read(&sources).unwrap().get("server.bind").unwrap().0, "127.0.0.1:8080");
    }

    fn aliased(environment: &[(&str, &str)]) -> Layers {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = environment.iter().map(own).collect();
        Layers::read(&Sources { environment, ..Sources::default() }).unwrap()
    }

    /// Variables, a key, its value, and the variable that counts.
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str, &'a str);

    #[test]
    fn names_of_other_programs_count_where_ours_are_silent() {
        let cases: &[Case<'_>] = &[
            (&[("LLM_BINDING", "azure_openai")], "llm.provider", "azure", "LLM_BINDING"),
            (&[("LLM_PROVIDER", "local")], "llm.provider", "generate", "LLM_PROVIDER"),
            (&[("LLM_PROVIDER", "local")], "llm.model", "local", "LLM_PROVIDER"),
            (&[("LLM_PROVIDER", "local"), ("LLM_MODEL", "tiny")], "llm.model", "tiny", "LLM_MODEL"),
            (
                &[("LLM_PROVIDER", "local"), ("LOCAL_LLM_API_URL", "http://gpu:8001")],
                "llm.base_url",
                "http://gpu:8001",
                "LOCAL_LLM_API_URL",
            ),
            (&[("LLM_BINDING_HOST", "http://h/v1")], "llm.base_url", "http://h/v1", "LLM_BINDING_HOST"),
            (&[("LLM_BINDING_API_KEY", "k")], "llm.api_key", "k", "LLM_BINDING_API_KEY"),
            (
                &[("LLM_BINDING", "watsonx"), ("WATSONX_MODEL_ID", "a/b"), ("WATSONX_URL", "https://eu")],
                "llm.model",
                "a/b",
                "WATSONX_MODEL_ID",
            ),
            (
                &[
                    ("LOREKEEP_LLM__PROVIDER", "watsonx"),
                    ("WATSONX_URL", "https://eu"),
                    ("WATSONX_BASE_URL", "https://eu"),
                ],
                "llm.base_url",
                "https://eu",
                "WATSONX_BASE_URL",
            ),
            (&[("LIGHTRAG_DAILY_BUDGET_LIMIT", "9")], "llm.max_cost_per_day_usd", "9", "LIGHTRAG_DAILY_BUDGET_LIMIT"),
            (&[("LIGHTRAG_MAX_DAILY_BUDGET", "9")], "llm.max_cost_per_day_usd", "9", "LIGHTRAG_MAX_DAILY_BUDGET"),
            (&[("LIGHTRAG_MONTHLY_BUDGET", "90")], "llm.max_cost_per_month_usd", "90", "LIGHTRAG_MONTHLY_BUDGET"),
        ];
        for (environment, path, value, origin) in cases {
            let layers = aliased(environment);
            let expected = (*value, &Origin::Environment((*origin).to_owned()));
            assert_eq!(layers.get(path), Some(expected), "{environment:?}");
            assert!(layers.conflicts().is_empty(), "{environment:?}");
        }
    }

    #[test]
    fn what_is_said_for_us_wins_over_names_of_other_programs() {
        let layers = aliased(&[
            ("LOREKEEP_LLM__PROVIDER", "anthropic"),
            ("LLM_BINDING_HOST", "http://localhost:11434"),
            ("LLM_BINDING_API_KEY", "theirs"),
            ("LLM_MODEL", "qwen3:8b"),
            ("WATSONX_URL", "https://eu"),
            ("LOREKEEP_LLM__MAX_COST_PER_DAY_USD", "5"),
            ("LIGHTRAG_DAILY_BUDGET", "100"),
        ]);
        for path in ["llm.base_url", "llm.api_key", "llm.model"] {
            assert_eq!(layers.get(path), Some(("", &Origin::Default)), "{path}: of another provider");
        }
        assert_eq!(layers.get("llm.max_cost_per_day_usd").unwrap().0, "5");
        assert!(layers.conflicts().is_empty(), "{:?}", layers.conflicts());
    }

    #[test]
    fn names_of_other_programs_that_contradict_are_told() {
        let layers = aliased(&[("LIGHTRAG_DAILY_BUDGET_LIMIT", "50"), ("LIGHTRAG_DAILY_BUDGET", "100")]);
        assert_eq!(layers.get("llm.max_cost_per_day_usd").unwrap().0, "100");
        let [conflict] = layers.conflicts() else { panic!("{:?}", layers.conflicts()) };
        assert!(
            conflict.contains("LIGHTRAG_DAILY_BUDGET counts, and LIGHTRAG_DAILY_BUDGET_LIMIT says otherwise"),
            "{conflict}"
        );
    }
}
