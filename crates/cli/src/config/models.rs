//! The keys of models, resolved: providers, roles, budgets, prices.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use lorekeep_models::gateway::settings::{GatewaySettings, PerRequest, ProviderKind, ProviderSettings};
use lorekeep_models::price::Prices;
use lorekeep_models::provider::http::{Pool, Timeouts};
use lorekeep_types::{BudgetAction, BudgetRule, BudgetScope, BudgetWindow, ModelId, Role, Secret, UnknownPrice};

use super::aliases::{variable, vendor};
use super::layers::Layers;
use super::resolve::{decimal, expand};

/// The name of the provider that `llm.*` describes.
const MAIN: &str = "llm";

/// What calls of watsonx are accounted to: one of the two.
const SCOPES: [&str; 2] = ["project_id", "space_id"];

/// Everything about models. A key in the environment alone configures nothing: no document leaves the machine before
/// a model was named.
///
/// # Errors
/// For names that are none, and roles that do not exist.
pub fn resolve(layers: &Layers, environment: &[(String, String)]) -> Result<GatewaySettings> {
    let text = |path: &str| layers.get(path).map(|(value, _)| value).unwrap_or_default();
    let number = |path: &str, usual: u64| text(path).parse().unwrap_or(usual);
    let mut providers = providers(layers, environment)?;
    let main = main_provider(layers, environment)?;
    let roles = roles(layers, environment, main.as_ref(), &mut providers)?;
    providers.extend(main);
    Ok(GatewaySettings {
        providers,
        roles,
        budgets: budgets(layers)?,
        prices: Arc::new(Prices::from_value(&prices(layers)).map_err(lorekeep_types::Error::from)?),
        timeouts: Timeouts {
            connect: Duration::from_millis(number("models.connect_timeout_ms", 10_000)),
            first_byte: Duration::from_secs(number("models.first_byte_timeout_s", 120)),
            idle: Duration::from_secs(number("models.idle_timeout_s", 60)),
            total: Duration::from_secs(number("models.total_timeout_s", 600)),
        },
        pool: Pool { idle: number("models.idle_connections", 32) as usize, ..Pool::default() },
        attempts: number("models.attempts", 3) as u32,
        slow: Some(number("models.slow_ms", 0)).filter(|slow| *slow > 0).map(Duration::from_millis),
        concurrent: number("models.concurrent", 16) as usize,
        per_request: per_request(text("models.per_request"))?,
    })
}

fn per_request(text: &str) -> Result<PerRequest> {
    Ok(match text {
        "" | "all" => PerRequest::All,
        "roles" => PerRequest::Roles,
        "none" => PerRequest::None,
        list => PerRequest::Named(list.split(',').map(named).collect::<Result<_>>().with_context(|| {
            format!("`models.per_request` is `{list}`; it must be all, roles, none or a list of models")
        })?),
    })
}

fn named(model: &str) -> Result<ModelId> {
    ModelId::parse(model).ok_or_else(|| anyhow!("`{model}` is not the name of a model; write it as PROVIDER/MODEL"))
}

fn vendor_key(kind: ProviderKind, environment: &[(String, String)]) -> Option<Secret> {
    vendor(kind, "api_key", environment).map(Secret::new)
}

/// The options of a kind: those that are configured, and the vendor's own variables for what calls are accounted to.
fn options<'v>(
    kind: ProviderKind,
    own: impl Fn(&str) -> Option<&'v str>,
    environment: &[(String, String)],
) -> BTreeMap<String, String> {
    let option = |key: &str| {
        let written = own(key)?;
        Some(if key == "path" { expand(written).display().to_string() } else { written.to_owned() })
    };
    let mut options: BTreeMap<String, String> =
        kind.options().iter().filter_map(|key| Some(((*key).to_owned(), option(key)?))).collect();
    // A project and a space exclude each other: no variable joins the one that is configured.
    if SCOPES.iter().all(|key| !options.contains_key(*key)) {
        let named = SCOPES.iter().filter_map(|key| Some((*key, vendor(kind, key, environment)?)));
        options.extend(named.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
    options
}

fn providers(layers: &Layers, environment: &[(String, String)]) -> Result<Vec<ProviderSettings>> {
    let mut providers = Vec::new();
    for (name, values) in layers.section("providers.") {
        if name == MAIN || name.contains('/') {
            bail!("a provider cannot be called `{name}`");
        }
        let value = |key: &str| values.get(key).copied().filter(|value| !value.is_empty());
        let kind = match (value("kind"), value("base_url")) {
            (Some(kind), _) => ProviderKind::parse(kind)?,
            // A provider that is called like a kind is of that kind.
            (None, None) => ProviderKind::parse(name)
                .map_err(|_| anyhow!("`providers.{name}` needs `kind` or `base_url`: nothing else says where it is"))?,
            (None, Some(url)) => ProviderKind::of_address(url),
        };
        providers.push(ProviderSettings {
            name: name.to_owned(),
            kind,
            base_url: value("base_url").map(str::to_owned),
            api_key: value("api_key").map(Secret::new).or_else(|| vendor_key(kind, environment)),
            options: options(kind, value, environment),
        });
    }
    Ok(providers)
}

/// The provider of `llm.*`: there once a model is named.
fn main_provider(layers: &Layers, environment: &[(String, String)]) -> Result<Option<ProviderSettings>> {
    let text = |path: &str| layers.get(path).map(|(value, _)| value).filter(|value| !value.is_empty());
    if text("llm.model").is_none() {
        return Ok(None);
    }
    let url = text("llm.base_url");
    let kind = layers.main_kind().unwrap_or(ProviderKind::OpenAi);
    // Addresses that vendors' own programs read.
    let beside = match kind {
        ProviderKind::OpenAi => variable(environment, "OPENAI_BASE_URL").map(str::to_owned),
        ProviderKind::Ollama => variable(environment, "OLLAMA_HOST").map(with_scheme),
        _ => None,
    };
    Ok(Some(ProviderSettings {
        name: MAIN.to_owned(),
        kind,
        base_url: url.map(str::to_owned).or(beside),
        api_key: text("llm.api_key").map(Secret::new).or_else(|| vendor_key(kind, environment)),
        options: options(kind, |key| text(&format!("llm.{key}")), environment),
    }))
}

fn with_scheme(host: &str) -> String {
    if host.contains("://") { host.to_owned() } else { format!("http://{host}") }
}

fn roles(
    layers: &Layers,
    environment: &[(String, String)],
    main: Option<&ProviderSettings>,
    providers: &mut Vec<ProviderSettings>,
) -> Result<BTreeMap<Role, Vec<ModelId>>> {
    let text = |path: &str| layers.get(path).map(|(value, _)| value).unwrap_or_default();
    let mut roles = BTreeMap::new();
    if let Some(main) = main {
        let model = ModelId::new(main.name.clone(), text("llm.model"));
        roles.extend(Role::CHAT.map(|role| (role, vec![model.clone()])));
    }
    let mut named: Vec<(Role, String)> = Vec::new();
    for (name, values) in layers.section("roles.") {
        named.extend(
            values.values().map(|value| Ok((Role::parse(name)?, (*value).to_owned()))).collect::<Result<Vec<_>>>()?,
        );
    }
    for (role, list) in named {
        let models = list.split(',').map(str::trim).filter(|model| !model.is_empty());
        let models = models.map(|model| model_of(model, main)).collect::<Result<Vec<_>>>();
        roles.insert(role, models.with_context(|| format!("`roles.{}`", role.name()))?);
    }
    // A model may name a kind instead of a configured provider: `ollama/qwen3:8b` needs nothing else.
    let wanted: Vec<String> = roles.values().flatten().map(|model: &ModelId| model.provider.clone()).collect();
    for name in wanted {
        let known = name == MAIN || providers.iter().any(|provider| provider.name == name);
        if let (false, Ok(kind)) = (known, ProviderKind::parse(&name)) {
            let (api_key, options) = (vendor_key(kind, environment), options(kind, |_| None, environment));
            providers.push(ProviderSettings { name, kind, base_url: None, api_key, options });
        }
    }
    Ok(roles)
}

/// `PROVIDER/MODEL`, or a model of the main provider.
fn model_of(text: &str, main: Option<&ProviderSettings>) -> Result<ModelId> {
    match (ModelId::parse(text), main) {
        (Some(model), _) => Ok(model),
        (None, Some(main)) => Ok(ModelId::new(main.name.clone(), text)),
        (None, None) => named(text),
    }
}

fn budgets(layers: &Layers) -> Result<Vec<BudgetRule>> {
    let text = |path: &str| layers.get(path).map(|(value, _)| value).unwrap_or_default();
    let mut rules = Vec::new();
    for (path, window) in
        [("llm.max_cost_per_day_usd", BudgetWindow::Day), ("llm.max_cost_per_month_usd", BudgetWindow::Month)]
    {
        if let Some(limit) = decimal(text(path)) {
            rules.push(BudgetRule {
                scope: BudgetScope::Total,
                window,
                limit: nano(limit),
                action: BudgetAction::Refuse402,
                unknown_price: UnknownPrice::Refuse,
            });
        }
    }
    for (name, values) in layers.section("budgets.") {
        let value = |key: &str| values.get(key).copied().filter(|value| !value.is_empty());
        let limit =
            value("limit_usd").and_then(decimal).with_context(|| format!("`budgets.{name}` needs `limit_usd`"))?;
        rules.push(BudgetRule {
            scope: scope_of(value("scope").unwrap_or("total")).with_context(|| format!("`budgets.{name}.scope`"))?,
            window: value("window").and_then(BudgetWindow::of).unwrap_or(BudgetWindow::Day),
            limit: nano(limit),
            action: match value("action") {
                Some("429") => BudgetAction::Refuse429,
                Some("quote") => BudgetAction::Quote,
                _ => BudgetAction::Refuse402,
            },
            unknown_price: value("unpriced_usd")
                .and_then(decimal)
                .map_or(UnknownPrice::Refuse, |usd| UnknownPrice::Ceiling(nano(usd))),
        });
    }
    Ok(rules)
}

/// The section `prices` as the table of prices reads it.
pub fn prices(layers: &Layers) -> serde_json::Value {
    let fields = |values: BTreeMap<&'static str, &str>| -> serde_json::Map<String, serde_json::Value> {
        let amounts = values.into_iter().filter_map(|(field, value)| Some((field.to_owned(), decimal(value)?.into())));
        amounts.collect()
    };
    let rows = layers.section("prices.").into_iter().map(|(model, values)| (model.to_owned(), fields(values).into()));
    serde_json::json!({ "prices": serde_json::Map::from_iter(rows) })
}

fn scope_of(text: &str) -> Result<BudgetScope> {
    let (kind, name) = text.split_once(':').unwrap_or((text, ""));
    let scope = BudgetScope::of(kind, name).filter(|scope| *scope == BudgetScope::Total || !name.is_empty());
    scope.with_context(|| {
        format!(
            "`{text}` is no scope; write total, workspace:NAME, principal:NAME, provider:NAME or model:PROVIDER/MODEL"
        )
    })
}

fn nano(usd: f64) -> i64 {
    (usd * 1e9).round() as i64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::config::Sources;

    fn read(file: &str, environment: &[(&str, &str)]) -> Result<GatewaySettings> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, file).unwrap();
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let sources = Sources { files: vec![path], environment: environment.clone(), ..Sources::default() };
        resolve(&Layers::read(&sources).unwrap(), &environment)
    }

    #[test]
    fn a_key_alone_configures_nothing() {
        let settings = read("", &[("OPENAI_API_KEY", "sk-1")]).unwrap();
        assert!(settings.providers.is_empty() && settings.roles.is_empty());
    }

    #[test]
    fn a_named_model_fills_every_chat_role() {
        let environment = [
            ("OPENAI_API_KEY", "sk-1"),
            ("LOREKEEP_LLM__MODEL", "gpt-x"),
            ("LOREKEEP_LLM__MAX_COST_PER_DAY_USD", "2.5"),
        ];
        let settings = read("", &environment).unwrap();
        let provider = &settings.providers[0];
        assert_eq!((provider.name.as_str(), provider.kind), ("llm", ProviderKind::OpenAi));
        assert_eq!(provider.api_key.as_ref().unwrap().expose(), "sk-1");
        assert_eq!(settings.roles[&Role::Answer], [ModelId::new("llm", "gpt-x")]);
        assert_eq!(settings.roles.len(), Role::CHAT.len());
        assert_eq!(settings.budgets[0].limit, 2_500_000_000);
    }

    #[test]
    fn providers_roles_and_budgets_by_name() {
        let file = r#"
            [providers.router]
            base_url = "https://openrouter.ai/api/v1"
            api_key = "or-1"
            [providers."ibm.eu"]
            kind = "watsonx"
            api_key = "w-1"
            project_id = "p-1"
            [roles]
            answer = ["router/vendor/model", "ollama/qwen3:8b"]
            [budgets.lab]
            scope = "workspace:lab"
            window = "month"
            limit_usd = 10
            action = "quote"
        "#;
        let settings = read(file, &[]).unwrap();
        let kinds: Vec<_> = settings.providers.iter().map(|one| (one.name.as_str(), one.kind)).collect();
        let expected =
            [("ibm.eu", ProviderKind::WatsonX), ("router", ProviderKind::OpenRouter), ("ollama", ProviderKind::Ollama)];
        assert_eq!(kinds, expected);
        assert_eq!(settings.providers[0].option("project_id"), Some("p-1"));
        assert_eq!(
            settings.roles[&Role::Answer],
            [ModelId::new("router", "vendor/model"), ModelId::new("ollama", "qwen3:8b")]
        );
        assert_eq!(settings.budgets[0].scope, BudgetScope::Workspace("lab".to_owned()));
        assert_eq!(settings.budgets[0].action, BudgetAction::Quote);
    }

    #[test]
    fn every_provider_of_watsonx_reads_its_variables() {
        let environment =
            [("WATSONX_API_KEY", "w"), ("WATSONX_PROJECT_ID", "p-env"), ("WATSONX_SPACE_ID", ""), ("LLM_MODEL", "m")];
        let options = |file: &str| {
            let provider = read(file, &environment).unwrap().providers.remove(0);
            (provider.option("project_id").map(str::to_owned), provider.option("space_id").map(str::to_owned))
        };
        let project = |id: &str| (Some(id.to_owned()), None);
        assert_eq!(options("[providers.ibm]\nkind = \"watsonx\""), project("p-env"));
        assert_eq!(options("[providers.ibm]\nkind = \"watsonx\"\nproject_id = \"p-1\""), project("p-1"));
        assert_eq!(options("[llm]\nprovider = \"watsonx\"\nmodel = \"m\""), project("p-env"));
        assert_eq!(options("[roles]\nanswer = \"watsonx/m\""), project("p-env"));
        let space = (None, Some("s-1".to_owned()));
        assert_eq!(options("[providers.ibm]\nkind = \"watsonx\"\nspace_id = \"s-1\""), space);
    }

    #[test]
    fn the_main_provider_has_the_options_of_its_kind() {
        for (kind, option, value) in [
            ("local", "path", "/models/llama"),
            ("generate", "template", "llama3"),
            ("azure", "api_version", "2025-01-01"),
            ("watsonx", "space_id", "s-1"),
            ("ollama", "num_ctx", "8192"),
        ] {
            let file = format!("[llm]\nprovider = \"{kind}\"\nmodel = \"m\"\n{option} = \"{value}\"");
            assert_eq!(read(&file, &[]).unwrap().providers[0].option(option), Some(value), "{kind}");
        }
    }

    #[test]
    fn perplexity_has_two_names_for_its_key() {
        let key = |environment: &[(&str, &str)]| {
            let settings = read("[roles]\nanswer = \"perplexity-agent/sonar\"", environment).unwrap();
            settings.providers[0].api_key.as_ref().map(|key| key.expose().to_owned())
        };
        assert_eq!(key(&[("PERPLEXITY_API", "old")]).as_deref(), Some("old"));
        assert_eq!(key(&[("PERPLEXITY_API", "old"), ("PERPLEXITY_API_KEY", "new")]).as_deref(), Some("new"));
    }

    #[test]
    fn prices_may_name_every_rate() {
        let file = "[prices.m]\ninput_per_mtok = 1\noutput_per_mtok = 2\ncache_read_per_mtok = 0.5\n\
            cache_write_per_mtok = 4\nreasoning_per_mtok = 8\nper_request = 0.001\nper_search = 0.005\n";
        let prices = read(file, &[]).unwrap().prices;
        let usage = lorekeep_types::TokenUsage {
            prompt: 3_000,
            completion: 2_000,
            cached: 1_000,
            cache_written: 1_000,
            reasoning: 1_000,
            searches: 2,
            ..lorekeep_types::TokenUsage::default()
        };
        // 1000 × (1 + 0.5 + 4 + 2 + 8) USD per million, a request and two searches.
        assert_eq!(prices.cost(&ModelId::new("p", "m"), &usage, 0), Some(15_500_000 + 1_000_000 + 10_000_000));
    }

    #[test]
    fn requests_may_name_what_is_said() {
        let allowed = |value: &str| read(&format!("[models]\nper_request = {value}"), &[]).map(|read| read.per_request);
        assert_eq!(read("", &[]).unwrap().per_request, PerRequest::All);
        assert_eq!(allowed("\"roles\"").unwrap(), PerRequest::Roles);
        assert_eq!(allowed("\"none\"").unwrap(), PerRequest::None);
        let listed = PerRequest::Named(vec![ModelId::new("a", "x/y"), ModelId::new("b", "z")]);
        assert_eq!(allowed("[\"a/x/y\", \"b/z\"]").unwrap(), listed);
        let error = format!("{:#}", allowed("\"some\"").unwrap_err());
        assert!(error.contains("`models.per_request` is `some`; it must be all, roles, none or a list"), "{error}");
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (file, part) in [
            ("[providers.mine]\napi_key = \"x\"", "`providers.mine` needs `kind` or `base_url`"),
            ("[roles]\nanswer = \"gpt\"", "PROVIDER/MODEL"),
            ("[roles]\nsing = \"a/b\"", "`sing` is not a role"),
            ("[budgets.a]\nscope = \"planet:earth\"\nlimit_usd = 1", "is no scope"),
        ] {
            let error = format!("{:#}", read(file, &[]).unwrap_err());
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_secret_may_stand_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "sk-from-file\n").unwrap();
        let path = path.display().to_string();
        let settings = read("", &[("LOREKEEP_LLM__API_KEY_FILE", &path), ("LOREKEEP_LLM__MODEL", "m")]).unwrap();
        assert_eq!(settings.providers[0].api_key.as_ref().unwrap().expose(), "sk-from-file");
    }
}
