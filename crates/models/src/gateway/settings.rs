//! The models' section of the configuration, as resolved. Reading files and environment is the command line's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use lorekeep_types::{BudgetRule, Capabilities, Error, ErrorCode, ModelId, Result, Role, Secret};

use crate::price::Prices;
use crate::provider::http::{Pool, Timeouts};

/// Everything that can be set about models.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// Providers; their names are unique.
    pub providers: Vec<ProviderSettings>,
    /// Models of each role in order of preference.
    pub roles: BTreeMap<Role, Vec<ModelId>>,
    /// Budgets.
    pub budgets: Vec<BudgetRule>,
    /// Prices.
    pub prices: Arc<Prices>,
    /// Time limits of every call.
    pub timeouts: Timeouts,
    /// Connections of every provider.
    pub pool: Pool,
    /// Attempts per call, at least 1.
    pub attempts: u32,
    /// Calls whose answer, or its first piece, takes longer are slow; `None` when none is.
    pub slow: Option<Duration>,
    /// Calls of one model at once.
    pub concurrent: usize,
    /// Models that requests may name.
    pub per_request: PerRequest,
}

/// Which models a request may name instead of taking that of the role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PerRequest {
    /// Any model of a configured provider.
    #[default]
    All,
    /// Models that fill a role that writes.
    Roles,
    /// None.
    None,
    /// These, beside models that fill a role that writes.
    Named(Vec<ModelId>),
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            providers: Vec::new(),
            roles: BTreeMap::new(),
            budgets: Vec::new(),
            prices: Arc::new(Prices::default()),
            timeouts: Timeouts::default(),
            pool: Pool::default(),
            attempts: 3,
            slow: None,
            concurrent: 16,
            per_request: PerRequest::default(),
        }
    }
}

/// A provider: where it is, what it speaks, and how it knows us.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// The name that models are addressed by, without `/`.
    pub name: String,
    /// What it speaks.
    pub kind: ProviderKind,
    /// Its address; `None` means the kind's own.
    pub base_url: Option<String>,
    /// The API key.
    pub api_key: Option<Secret>,
    /// What only some kinds need: see [`ProviderKind::options`].
    pub options: BTreeMap<String, String>,
}

impl ProviderSettings {
    /// The address; the path of a model in this process.
    ///
    /// # Errors
    /// `Configuration` when neither the settings nor the kind have one.
    pub fn address(&self) -> Result<String> {
        if self.kind == ProviderKind::Local {
            return self.option("path").map(str::to_owned).ok_or_else(|| self.lacks("path"));
        }
        let own = self.base_url.clone().filter(|url| !url.is_empty());
        own.or_else(|| self.kind.default_url().map(str::to_owned)).ok_or_else(|| self.lacks("base_url"))
    }

    /// An option that may be missing.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The key.
    ///
    /// # Errors
    /// `Configuration` when there is none.
    pub fn key(&self) -> Result<Secret> {
        self.api_key.clone().ok_or_else(|| self.lacks("api_key"))
    }

    /// What is missing.
    #[must_use]
    pub fn lacks(&self, what: &str) -> Error {
        let name = &self.name;
        let message = format!("the provider `{name}` ({}) needs `{what}`", self.kind.name());
        Error::new(ErrorCode::Configuration, message).hint(format!("set `providers.{name}.{what}`"))
    }
}

/// What a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// OpenAI.
    OpenAi,
    /// Any server of OpenAI's shape: vLLM, llama.cpp, LM Studio …
    Compatible,
    /// OpenRouter.
    OpenRouter,
    /// Azure OpenAI.
    Azure,
    /// Anthropic.
    Anthropic,
    /// Google Gemini.
    Gemini,
    /// Ollama.
    Ollama,
    /// IBM watsonx.ai.
    WatsonX,
    /// A local service with `/v1/generate`.
    Generate,
    /// Perplexity, in the form of chat completions, which it retired: for servers that still speak it.
    Perplexity,
    /// Perplexity's Agent API (`/v1/responses`).
    PerplexityAgent,
    /// A local service with `/embeddings` of texts.
    Embeddings,
    /// Cohere's reranker.
    Cohere,
    /// Jina's reranker, and servers of the same shape.
    Jina,
    /// Hugging Face Text Embeddings Inference, as a reranker.
    Tei,
    /// A model in this process; needs a build with `local-models`.
    Local,
}

impl ProviderKind {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::OpenAi,
        Self::Compatible,
        Self::OpenRouter,
        Self::Azure,
        Self::Anthropic,
        Self::Gemini,
        Self::Ollama,
        Self::WatsonX,
        Self::Generate,
        Self::Perplexity,
        Self::PerplexityAgent,
        Self::Embeddings,
        Self::Cohere,
        Self::Jina,
        Self::Tei,
        Self::Local,
    ];

    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Compatible => "compatible",
            Self::OpenRouter => "openrouter",
            Self::Azure => "azure",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
            Self::WatsonX => "watsonx",
            Self::Generate => "generate",
            Self::Perplexity => "perplexity",
            Self::PerplexityAgent => "perplexity-agent",
            Self::Embeddings => "embeddings",
            Self::Cohere => "cohere",
            Self::Jina => "jina",
            Self::Tei => "tei",
            Self::Local => "local",
        }
    }

    /// The kind with this name.
    ///
    /// # Errors
    /// `Configuration` that lists the kinds.
    pub fn parse(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|kind| kind.name()).collect();
            Error::new(ErrorCode::Configuration, format!("`{name}` is not a kind of provider"))
                .hint(format!("use one of {}", names.join(", ")))
        })
    }

    /// The kind that an address suggests: the vendor's own, Ollama by its port, else a server of OpenAI's shape.
    #[must_use]
    pub fn of_address(url: &str) -> Self {
        let host = url.split("://").nth(1).unwrap_or(url).split('/').next().unwrap_or_default();
        let hosts = [
            ("api.openai.com", Self::OpenAi),
            ("openrouter.ai", Self::OpenRouter),
            ("openai.azure.com", Self::Azure),
            ("api.anthropic.com", Self::Anthropic),
            ("generativelanguage.googleapis.com", Self::Gemini),
            ("cloud.ibm.com", Self::WatsonX),
            ("api.perplexity.ai", Self::PerplexityAgent),
            ("api.cohere.com", Self::Cohere),
            ("api.jina.ai", Self::Jina),
            (":11434", Self::Ollama),
        ];
        hosts.iter().find(|(known, _)| host.ends_with(known)).map_or(Self::Compatible, |(_, kind)| *kind)
    }

    /// The address of a hosted provider, or the usual one of a local one.
    #[must_use]
    pub const fn default_url(self) -> Option<&'static str> {
        match self {
            Self::OpenAi => Some("https://api.openai.com/v1"),
            Self::OpenRouter => Some("https://openrouter.ai/api/v1"),
            Self::Anthropic => Some("https://api.anthropic.com"),
            Self::Gemini => Some("https://generativelanguage.googleapis.com"),
            Self::Ollama => Some("http://localhost:11434"),
            Self::WatsonX => Some("https://us-south.ml.cloud.ibm.com"),
            Self::Generate => Some("http://localhost:8001"),
            Self::Perplexity | Self::PerplexityAgent => Some("https://api.perplexity.ai"),
            Self::Cohere => Some("https://api.cohere.com/v2"),
            Self::Jina => Some("https://api.jina.ai/v1"),
            Self::Compatible | Self::Azure | Self::Embeddings | Self::Tei | Self::Local => None,
        }
    }

    /// Options that the kind reads, beside address and key.
    #[must_use]
    pub const fn options(self) -> &'static [&'static str] {
        match self {
            Self::OpenAi | Self::Compatible | Self::Gemini => &["dimensions", "query_prefix", "passage_prefix"],
            Self::OpenRouter => &["referer", "title", "dimensions", "query_prefix", "passage_prefix"],
            Self::Azure => &["api_version", "dimensions", "query_prefix", "passage_prefix"],
            Self::Ollama => &["num_ctx", "keep_alive", "dimensions", "query_prefix", "passage_prefix"],
            Self::WatsonX => &["project_id", "space_id", "api_version", "iam_url", "query_prefix", "passage_prefix"],
            Self::Embeddings => &["query_prefix", "passage_prefix"],
            Self::Generate => &["template"],
            Self::Local => &["path", "context"],
            _ => &[],
        }
    }

    /// The capability table: what the kind's wires can say. Nothing else tells what a provider offers.
    #[must_use]
    pub fn capabilities(self) -> Capabilities {
        let none = Capabilities::default();
        let chat = Capabilities { chat: true, stream: true, json_schema: true, tools: true, vision: true, ..none };
        let hears_and_speaks = Capabilities { embed: true, transcribe: true, speak: true, ..chat };
        match self {
            Self::OpenAi | Self::Azure => hears_and_speaks,
            Self::Compatible => Capabilities { rerank: true, ..hears_and_speaks },
            Self::OpenRouter | Self::Gemini | Self::Ollama => Capabilities { embed: true, ..chat },
            Self::WatsonX => Capabilities { embed: true, rerank: true, ..chat },
            Self::Anthropic => chat,
            Self::Perplexity | Self::PerplexityAgent => Capabilities { web: true, tools: false, ..chat },
            Self::Generate => Capabilities { chat: true, ..none },
            Self::Embeddings => Capabilities { embed: true, ..none },
            Self::Local => Capabilities { chat: true, stream: true, embed: true, ..none },
            Self::Cohere | Self::Jina | Self::Tei => Capabilities { rerank: true, ..none },
        }
    }

    /// Whether a call leaves this machine or its network for a vendor, who needs a key.
    #[must_use]
    pub const fn is_hosted(self) -> bool {
        !matches!(self, Self::Compatible | Self::Ollama | Self::Generate | Self::Embeddings | Self::Tei | Self::Local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_suggest_kinds() {
        let kinds = [
            ("https://api.openai.com/v1", ProviderKind::OpenAi),
            ("http://127.0.0.1:11434", ProviderKind::Ollama),
            ("http://gpu1:8000/v1", ProviderKind::Compatible),
            ("https://eu-de.ml.cloud.ibm.com/ml/v1", ProviderKind::WatsonX),
            ("https://mine.openai.azure.com", ProviderKind::Azure),
            ("https://api.perplexity.ai", ProviderKind::PerplexityAgent),
        ];
        for (url, kind) in kinds {
            assert_eq!(ProviderKind::of_address(url), kind, "{url}");
        }
    }

    #[test]
    fn every_kind_has_its_own_name() {
        for kind in ProviderKind::ALL {
            assert_eq!(ProviderKind::parse(kind.name()).ok(), Some(kind));
        }
        assert!(ProviderKind::parse("gpt").is_err());
    }
}
