//! From a provider's settings to the objects that speak to it. What a kind lacks is an absent object.

use std::sync::Arc;

use lorekeep_types::{
    Capabilities, ChatModel, EmbeddingProvider, Error, ErrorCode, ModelId, RerankModel, Result, Secret, SpeechModel,
    TranscriptionModel,
};

use super::local::{self, Local};
use super::settings::{GatewaySettings, ProviderKind, ProviderSettings};
use crate::provider::anthropic::Anthropic;
use crate::provider::audio::{HttpSpeech, HttpTranscription};
use crate::provider::auth::{Authorize, Key};
use crate::provider::chat::HttpChat;
use crate::provider::embed::gemini::GeminiEmbed;
use crate::provider::embed::offline::OfflineEmbed;
use crate::provider::embed::ollama::OllamaEmbed;
use crate::provider::embed::openai::OpenAiEmbed;
use crate::provider::embed::watsonx::WatsonxEmbed;
use crate::provider::embed::{EmbedWire, HttpEmbed, Prefixes};
use crate::provider::gemini::Gemini;
use crate::provider::generate::{Generate, Template};
use crate::provider::http::Http;
use crate::provider::iam::{IAM_URL, IamTokens};
use crate::provider::ollama::Ollama;
use crate::provider::openai::{Dialect, OpenAi};
use crate::provider::perplexity::{Form, Perplexity};
use crate::provider::rerank::cohere::CohereRerank;
use crate::provider::rerank::tei::TeiRerank;
use crate::provider::rerank::watsonx::WatsonxRerank;
use crate::provider::rerank::{HttpRerank, RerankWire};
use crate::provider::watsonx::{Scope, VERSION, WatsonX};
use crate::provider::wire::ChatWire;

/// The version of Azure's API where none is configured.
const AZURE_VERSION: &str = "2024-10-21";

/// A provider ready to be spoken to. Cheap to clone; its models share connections and credential.
#[derive(Clone)]
pub struct Provider {
    settings: Arc<ProviderSettings>,
    reach: Reach,
}

/// Where a provider's models are.
#[derive(Clone)]
enum Reach {
    /// Behind an address.
    Wire(Arc<Wire>),
    /// In this process.
    Here(Local),
}

/// The way to an address.
struct Wire {
    http: Http,
    auth: Arc<dyn Authorize>,
}

impl Provider {
    /// Checks the settings and makes client and credential; calls nobody.
    ///
    /// # Errors
    /// `Configuration` that names the missing or unusable setting.
    pub fn new(settings: &ProviderSettings, gateway: &GatewaySettings) -> Result<Self> {
        let shared = Arc::new(settings.clone());
        if settings.kind == ProviderKind::Local {
            return Ok(Self { settings: shared, reach: Reach::Here(Local::new(settings, gateway)?) });
        }
        let http = client(settings, &settings.address()?, gateway)?;
        let auth = credential(settings, gateway)?;
        let provider = Self { settings: shared, reach: Reach::Wire(Arc::new(Wire { http, auth })) };
        if provider.capabilities().chat {
            // The name matters to nothing that can be wrong.
            provider.chat_wire("")?;
        }
        Ok(provider)
    }

    /// The client and the credential, for requests that are no calls of a model.
    ///
    /// # Errors
    /// `CapabilityMissing` for models in this process, which need neither.
    pub(super) fn parts(&self) -> Result<(&Http, &Arc<dyn Authorize>)> {
        match &self.reach {
            Reach::Wire(wire) => Ok((&wire.http, &wire.auth)),
            Reach::Here(_) => Err(self.lacks("address")),
        }
    }

    /// Calls of one of its models at once, where the kind sets that.
    #[must_use]
    pub(super) fn places(&self) -> Option<usize> {
        matches!(self.reach, Reach::Here(_)).then_some(local::PLACES)
    }

    /// What answers depend on beside the model's name: what is spoken to, where, with which options.
    #[must_use]
    pub(super) fn source(&self) -> String {
        let options = self.settings.options.iter().map(|(name, value)| format!(" {name}={value}"));
        let address = self.settings.address().unwrap_or_default();
        format!("{} {address}{}", self.settings.kind.name(), options.collect::<String>())
    }

    /// Where the provider lists its models, if its kind does.
    #[must_use]
    pub(super) fn list_path(&self) -> Option<&'static str> {
        match self.settings.kind {
            ProviderKind::OpenAi | ProviderKind::Compatible | ProviderKind::OpenRouter => Some("/models"),
            ProviderKind::Anthropic => Some("/v1/models"),
            ProviderKind::Gemini => Some("/v1beta/models"),
            ProviderKind::Ollama => Some("/api/tags"),
            _ => None,
        }
    }

    /// Headers that the list needs beside the credential.
    #[must_use]
    pub(super) fn list_headers(&self) -> Vec<(&'static str, String)> {
        match self.settings.kind {
            ProviderKind::Anthropic => vec![("anthropic-version", crate::provider::anthropic::VERSION.to_owned())],
            _ => Vec::new(),
        }
    }

    /// The capabilities of the provider's kind: whatever its wires can say.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.settings.kind.capabilities()
    }

    /// A chat model.
    ///
    /// # Errors
    /// `CapabilityMissing` when the kind has none.
    pub fn chat(&self, model: &str) -> Result<Arc<dyn ChatModel>> {
        if let Reach::Here(local) = &self.reach {
            return local.chat(self.id(model));
        }
        let (wire, id, (http, auth)) = (self.chat_wire(model)?, self.id(model), self.parts()?);
        Ok(Arc::new(HttpChat::new(id, wire, self.capabilities(), http.clone(), Arc::clone(auth))))
    }

    /// A chat model that reads pictures.
    ///
    /// # Errors
    /// `CapabilityMissing` when the kind has none.
    pub fn vision(&self, model: &str) -> Result<Arc<dyn ChatModel>> {
        if self.capabilities().vision { self.chat(model) } else { Err(self.lacks("vision")) }
    }

    /// An embedding model.
    ///
    /// # Errors
    /// `CapabilityMissing` when the kind has none.
    pub fn embed(&self, model: &str) -> Result<Arc<dyn EmbeddingProvider>> {
        if let Reach::Here(local) = &self.reach {
            return local.embed(self.id(model));
        }
        let (wire, id, (http, auth)) = (self.embed_wire()?, self.id(model), self.parts()?);
        let prefix = |name: &str| self.settings.option(name).unwrap_or_default().to_owned();
        let prefixes = Prefixes { query: prefix("query_prefix"), passage: prefix("passage_prefix") };
        Ok(Arc::new(HttpEmbed::new(id, wire, http.clone(), Arc::clone(auth)).prefixed(prefixes)))
    }

    /// A reranking model.
    ///
    /// # Errors
    /// `CapabilityMissing` when the kind has none.
    pub fn rerank(&self, model: &str) -> Result<Arc<dyn RerankModel>> {
        let wire: Arc<dyn RerankWire> = match self.settings.kind {
            ProviderKind::Cohere => Arc::new(CohereRerank::V2),
            ProviderKind::Jina | ProviderKind::Compatible => Arc::new(CohereRerank::V1),
            ProviderKind::Tei => Arc::new(TeiRerank::default()),
            ProviderKind::WatsonX => Arc::new(WatsonxRerank::new(self.version(VERSION), self.scope()?)),
            _ => return Err(self.lacks("reranking")),
        };
        let (id, (http, auth)) = (self.id(model), self.parts()?);
        Ok(Arc::new(HttpRerank::new(id, wire, http.clone(), Arc::clone(auth))))
    }

    /// A model that writes down speech.
    ///
    /// # Errors
    /// `CapabilityMissing` when the kind has none.
    pub fn transcribe(&self, model: &str) -> Result<Arc<dyn TranscriptionModel>> {
        let dialect = self.audio().ok_or_else(|| self.lacks("transcription"))?;
        let (id, (http, auth)) = (self.id(model), self.parts()?);
        Ok(Arc::new(HttpTranscription::new(id, dialect, http.clone(), Arc::clone(auth))))
    }

    /// A model that speaks text.
    ///
    /// # Errors
    /// `CapabilityMissing` when the kind has none.
    pub fn speak(&self, model: &str) -> Result<Arc<dyn SpeechModel>> {
        let dialect = self.audio().ok_or_else(|| self.lacks("speech"))?;
        let (id, (http, auth)) = (self.id(model), self.parts()?);
        Ok(Arc::new(HttpSpeech::new(id, dialect, http.clone(), Arc::clone(auth))))
    }

    /// How sound is spoken of, by the kinds that know it.
    fn audio(&self) -> Option<Dialect> {
        match self.settings.kind {
            ProviderKind::OpenAi => Some(Dialect::OpenAi),
            ProviderKind::Compatible => Some(Dialect::Compatible),
            ProviderKind::Azure => Some(self.azure()),
            _ => None,
        }
    }

    fn chat_wire(&self, model: &str) -> Result<Arc<dyn ChatWire>> {
        let openai = |dialect| Arc::new(OpenAi { dialect }) as Arc<dyn ChatWire>;
        Ok(match self.settings.kind {
            ProviderKind::OpenAi => openai(Dialect::OpenAi),
            ProviderKind::Compatible => openai(Dialect::Compatible),
            ProviderKind::OpenRouter => openai(Dialect::OpenRouter),
            ProviderKind::Azure => openai(self.azure()),
            ProviderKind::Anthropic => Arc::new(Anthropic),
            ProviderKind::Gemini => Arc::new(Gemini),
            ProviderKind::Ollama => Arc::new(self.ollama()?),
            ProviderKind::WatsonX => Arc::new(WatsonX { scope: self.scope()?, version: self.version(VERSION) }),
            ProviderKind::Generate => Arc::new(Generate { template: self.template(model)? }),
            ProviderKind::Perplexity => Arc::new(Perplexity { form: Form::Chat }),
            ProviderKind::PerplexityAgent => Arc::new(Perplexity { form: Form::Responses }),
            ProviderKind::Embeddings
            | ProviderKind::Cohere
            | ProviderKind::Jina
            | ProviderKind::Tei
            | ProviderKind::Local => return Err(self.lacks("chat")),
        })
    }

    fn embed_wire(&self) -> Result<Arc<dyn EmbedWire>> {
        let dimensions = self.number("dimensions", "the length of a vector")?;
        let openai = |dialect| Arc::new(OpenAiEmbed { dimensions, ..OpenAiEmbed::new(dialect) }) as Arc<dyn EmbedWire>;
        Ok(match self.settings.kind {
            ProviderKind::OpenAi => openai(Dialect::OpenAi),
            ProviderKind::Compatible => openai(Dialect::Compatible),
            ProviderKind::OpenRouter => openai(Dialect::OpenRouter),
            ProviderKind::Azure => openai(self.azure()),
            ProviderKind::Gemini => Arc::new(GeminiEmbed { dimensions }),
            ProviderKind::Ollama => Arc::new(OllamaEmbed { dimensions, ..OllamaEmbed::default() }),
            ProviderKind::WatsonX => Arc::new(WatsonxEmbed::new(self.version(VERSION), self.scope()?)),
            ProviderKind::Embeddings => Arc::new(OfflineEmbed::default()),
            _ => return Err(self.lacks("embeddings")),
        })
    }

    fn ollama(&self) -> Result<Ollama> {
        let num_ctx = self.number("num_ctx", "a number of tokens")?;
        Ok(Ollama { num_ctx, keep_alive: self.settings.option("keep_alive").map(str::to_owned) })
    }

    /// An option that is a number.
    fn number<N: std::str::FromStr>(&self, option: &str, rule: &str) -> Result<Option<N>> {
        let number = |text: &str| text.parse().map_err(|_| self.wrong(option, text, rule));
        self.settings.option(option).map(number).transpose()
    }

    fn template(&self, model: &str) -> Result<Template> {
        match self.settings.option("template") {
            None => Ok(Template::of_model(model)),
            Some("plain") => Ok(Template::Plain),
            Some("llama3") => Ok(Template::Llama3),
            Some(other) => Err(self.wrong("template", other, "`plain` or `llama3`")),
        }
    }

    fn scope(&self) -> Result<Scope> {
        Scope::new(self.settings.option("project_id"), self.settings.option("space_id")).map_err(|reason| {
            let message = format!("the provider `{}`: {reason}", self.settings.name);
            Error::new(ErrorCode::Configuration, message).hint("set either `project_id` or `space_id`")
        })
    }

    fn azure(&self) -> Dialect {
        Dialect::Azure { api_version: self.version(AZURE_VERSION) }
    }

    fn version(&self, usual: &str) -> String {
        self.settings.option("api_version").unwrap_or(usual).to_owned()
    }

    fn id(&self, model: &str) -> ModelId {
        ModelId::new(self.settings.name.clone(), model)
    }

    fn lacks(&self, capability: &str) -> Error {
        let (name, kind) = (&self.settings.name, self.settings.kind.name());
        Error::new(ErrorCode::CapabilityMissing, format!("the provider `{name}` ({kind}) has no {capability}"))
            .hint("name a model of another provider: `lorekeep model list`")
    }

    fn wrong(&self, option: &str, value: &str, rule: &str) -> Error {
        let name = &self.settings.name;
        Error::new(ErrorCode::Configuration, format!("`providers.{name}.{option}` is `{value}`; it must be {rule}"))
    }
}

fn client(settings: &ProviderSettings, address: &str, gateway: &GatewaySettings) -> Result<Http> {
    let header = |option: &str, name: &str| settings.option(option).map(|value| (name.to_owned(), value.to_owned()));
    let headers: Vec<_> =
        [header("referer", "HTTP-Referer"), header("title", "X-Title")].into_iter().flatten().collect();
    Http::new(address, &headers, gateway.timeouts, gateway.pool).map_err(|reason| {
        Error::new(ErrorCode::Configuration, format!("the provider `{}`: {reason}", settings.name))
            .hint(format!("correct `providers.{}.base_url`", settings.name))
    })
}

fn credential(settings: &ProviderSettings, gateway: &GatewaySettings) -> Result<Arc<dyn Authorize>> {
    let given = settings.api_key.clone().filter(|key| !key.expose().is_empty());
    let bearer = |key: Option<Secret>| key.map_or(Key::None, Key::Bearer);
    let needed = || settings.key();
    Ok(match settings.kind {
        ProviderKind::Azure => Arc::new(Key::Header("api-key", needed()?)),
        ProviderKind::Anthropic => Arc::new(Key::Header("x-api-key", needed()?)),
        ProviderKind::Gemini => Arc::new(Key::Header("x-goog-api-key", needed()?)),
        ProviderKind::WatsonX => {
            let address = settings.option("iam_url").unwrap_or(IAM_URL);
            Arc::new(IamTokens::new(needed()?, client(settings, address, gateway)?))
        }
        // A server of one's own at a vendor's address, as in tests, may need no key.
        kind if kind.is_hosted() && settings.base_url.is_none() => Arc::new(Key::Bearer(needed()?)),
        _ => Arc::new(bearer(given)),
    })
}
