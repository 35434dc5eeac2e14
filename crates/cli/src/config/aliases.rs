//! Variables of other programs, so that an environment made for them works here. What is said for Lorekeep itself, in
//! whichever layer, wins over all of them.

use lorekeep_models::gateway::settings::ProviderKind;

/// A variable that stands for one of our keys.
#[derive(Clone, Copy, Debug)]
pub struct Alias {
    /// Its name.
    pub variable: &'static str,
    /// The key that it sets.
    pub path: &'static str,
    /// When it counts.
    pub applies: Applies,
}

/// When an alias counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applies {
    /// Where the key itself is not set.
    Always,
    /// And neither are `llm.provider` and `llm.base_url`: an address, key or model of one provider is none of another's.
    Undecided,
    /// And `llm.*` is a provider of this kind.
    To(ProviderKind),
}

/// Every alias; of several for one key, the first that is set counts.
pub static ALIASES: &[Alias] = &[
    alias("LLM_BINDING", "llm.provider", Applies::Undecided),
    alias("LLM_PROVIDER", "llm.provider", Applies::Undecided),
    alias("LLM_BINDING_HOST", "llm.base_url", Applies::Undecided),
    alias("LLM_BINDING_API_KEY", "llm.api_key", Applies::Undecided),
    alias("LLM_MODEL", "llm.model", Applies::Undecided),
    alias("WATSONX_BASE_URL", "llm.base_url", Applies::To(ProviderKind::WatsonX)),
    alias("WATSONX_URL", "llm.base_url", Applies::To(ProviderKind::WatsonX)),
    alias("WATSONX_MODEL_ID", "llm.model", Applies::To(ProviderKind::WatsonX)),
    alias("LOCAL_LLM_API_URL", "llm.base_url", Applies::To(ProviderKind::Generate)),
    alias("LIGHTRAG_DAILY_BUDGET", "llm.max_cost_per_day_usd", Applies::Always),
    alias("LIGHTRAG_DAILY_BUDGET_LIMIT", "llm.max_cost_per_day_usd", Applies::Always),
    alias("LIGHTRAG_MAX_DAILY_BUDGET", "llm.max_cost_per_day_usd", Applies::Always),
    alias("LIGHTRAG_MONTHLY_BUDGET", "llm.max_cost_per_month_usd", Applies::Always),
    alias("LIGHTRAG_MONTHLY_BUDGET_LIMIT", "llm.max_cost_per_month_usd", Applies::Always),
];

const fn alias(variable: &'static str, path: &'static str, applies: Applies) -> Alias {
    Alias { variable, path, applies }
}

impl Alias {
    /// The value in our words.
    pub fn value<'v>(&self, written: &'v str) -> &'v str {
        match (self.path, written) {
            ("llm.provider", "azure_openai") => ProviderKind::Azure.name(),
            ("llm.provider", "openai-ollama") => ProviderKind::OpenAi.name(),
            // Its local models are those of a service with `/v1/generate`, ours run in this process.
            ("llm.provider", "local") => ProviderKind::Generate.name(),
            _ => written,
        }
    }

    /// How the reference tells when it counts.
    pub fn condition(&self) -> String {
        match self.applies {
            Applies::Always => "always".to_owned(),
            Applies::Undecided => "where neither `llm.provider` nor `llm.base_url` is set".to_owned(),
            Applies::To(kind) => format!("where `llm.provider` is `{}`", kind.name()),
        }
    }
}

/// What vendors' own programs read, by kind of provider: any provider of the kind takes it for a setting that it lacks.
/// Of several for one setting, the first that is set counts.
pub static VENDORS: &[(ProviderKind, &str, &str)] = &[
    (ProviderKind::OpenAi, "api_key", "OPENAI_API_KEY"),
    (ProviderKind::OpenRouter, "api_key", "OPENROUTER_API_KEY"),
    (ProviderKind::Azure, "api_key", "AZURE_OPENAI_API_KEY"),
    (ProviderKind::Anthropic, "api_key", "ANTHROPIC_API_KEY"),
    (ProviderKind::Gemini, "api_key", "GEMINI_API_KEY"),
    (ProviderKind::WatsonX, "api_key", "WATSONX_API_KEY"),
    (ProviderKind::WatsonX, "project_id", "WATSONX_PROJECT_ID"),
    (ProviderKind::WatsonX, "space_id", "WATSONX_SPACE_ID"),
    (ProviderKind::Perplexity, "api_key", "PERPLEXITY_API_KEY"),
    (ProviderKind::Perplexity, "api_key", "PERPLEXITY_API"),
    (ProviderKind::PerplexityAgent, "api_key", "PERPLEXITY_API_KEY"),
    (ProviderKind::PerplexityAgent, "api_key", "PERPLEXITY_API"),
];

/// The value of a variable, unless it is missing or empty.
pub fn variable<'a>(environment: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = environment.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
}

/// A setting of a kind of provider as the vendor's own variable has it.
pub fn vendor<'a>(kind: ProviderKind, setting: &str, environment: &'a [(String, String)]) -> Option<&'a str> {
    let named = VENDORS.iter().filter(|(known, key, _)| (*known, *key) == (kind, setting));
    named.map(|(.., name)| *name).find_map(|name| variable(environment, name))
}
