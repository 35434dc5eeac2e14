//! The gateway: every configured model with all its layers, by role and by name. What it holds can be replaced at any
//! moment; calls under way go on with what they began with.

pub mod build;
mod local;
pub mod settings;
mod trial;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lorekeep_types::{
    ChatModel, Clock, EmbeddingProvider, Error, ErrorCode, Ledger, ModelDesk, ModelId, ModelState, ModelTest, Models,
    ModelsOverview, ProviderInfo, RerankModel, Result, Role, SpeechModel, TokenUsage, TranscriptionModel,
};

use self::build::Provider;
use self::settings::{GatewaySettings, PerRequest, ProviderSettings};
use crate::layer::audio::{GuardedSpeech, GuardedTranscription};
use crate::layer::breaker::CircuitState;
use crate::layer::chat::GuardedChat;
use crate::layer::credential::Credential;
use crate::layer::embed::GuardedEmbed;
use crate::layer::fallback::Chain;
use crate::layer::guard::Guard;
use crate::layer::kept::Kept;
use crate::layer::meter::Meter;
use crate::layer::rerank::GuardedRerank;

/// See the module's text.
pub struct Gateway {
    settings: GatewaySettings,
    /// Providers by name; the reason where one cannot be used.
    providers: BTreeMap<String, std::result::Result<Provider, Error>>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    kept: Option<Kept>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// One guard per model, made when it is first needed and kept: circuits and limits outlive requests.
    guards: HashMap<ModelId, Guard>,
    /// The key of each provider.
    credentials: HashMap<String, Credential>,
    /// Roles whose models were set at run time.
    set: BTreeMap<Role, Vec<ModelId>>,
    /// What writes in each role where all its models are behind addresses, made when it is first asked for.
    chats: HashMap<Role, Writing>,
}

/// A chain of models; `None` where none of those that were named can be used.
struct Writing {
    named: Vec<ModelId>,
    chain: Option<Arc<dyn ChatModel>>,
}

impl Gateway {
    /// A gateway over settings that were checked one by one; a provider that lacks something is kept with the reason,
    /// so that one wrong key does not keep the rest from working. `set` are roles that were set at run time earlier;
    /// what no longer fits is left out.
    ///
    /// # Errors
    /// `Configuration` for a role whose model names no provider, or budgets that contradict.
    pub fn new(
        settings: GatewaySettings,
        set: BTreeMap<Role, Vec<ModelId>>,
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let provider = |one: &ProviderSettings| (one.name.clone(), Provider::new(one, &settings));
        let providers = settings.providers.iter().map(provider).collect();
        let gateway = Self { settings, providers, ledger, clock, kept: None, state: Mutex::default() };
        for (role, models) in &gateway.settings.roles {
            gateway.check_role(*role, models)?;
        }
        // Only now that nothing else can keep these settings from being taken over.
        gateway.ledger.set_budgets(gateway.settings.budgets.clone())?;
        for (role, models) in set {
            match gateway.check_role(role, &models) {
                Ok(()) => drop(gateway.state().set.insert(role, models)),
                Err(error) => tracing::warn!(role = role.name(), %error, "a role that was set is left as configured"),
            }
        }
        Ok(gateway)
    }

    /// Keeps the answers to calls that allow it.
    #[must_use]
    pub fn keeping(self, kept: Option<Kept>) -> Self {
        Self { kept, ..self }
    }

    /// Roles as they were set at run time, to be kept over a restart.
    #[must_use]
    pub fn set_roles(&self) -> BTreeMap<Role, Vec<ModelId>> {
        self.state().set.clone()
    }

    fn models_of(&self, role: Role) -> Vec<ModelId> {
        self.named(&self.state(), role).to_vec()
    }

    fn named<'s>(&'s self, state: &'s State, role: Role) -> &'s [ModelId] {
        state.set.get(&role).or_else(|| self.settings.roles.get(&role)).map_or(&[], Vec::as_slice)
    }

    fn provider(&self, id: &ModelId) -> Result<&Provider> {
        match self.providers.get(&id.provider) {
            Some(Ok(provider)) => Ok(provider),
            Some(Err(error)) => {
                let again = Error::new(error.code(), error.message());
                Err(error.remedy().into_iter().fold(again, Error::hint))
            }
            None => {
                let known: Vec<_> = self.providers.keys().map(String::as_str).collect();
                let hint = match known.as_slice() {
                    [] => "configure one: `lorekeep model set`".to_owned(),
                    names => format!("the configured ones are {}", names.join(", ")),
                };
                Err(Error::not_found("provider", &id.provider).hint(hint))
            }
        }
    }

    fn guarded(&self, id: &ModelId) -> Result<GuardedChat> {
        let model = self.provider(id)?.chat(&id.model)?;
        Ok(GuardedChat::new(model, self.guard(id)).keeping(self.kept.clone()))
    }

    fn guarded_rerank(&self, id: &ModelId) -> Result<GuardedRerank> {
        let model = self.provider(id)?.rerank(&id.model)?;
        Ok(GuardedRerank::new(model, self.guard(id)))
    }

    fn guarded_embed(&self, id: &ModelId) -> Result<GuardedEmbed> {
        let model = self.provider(id)?.embed(&id.model)?;
        Ok(GuardedEmbed::new(model, self.guard(id)).keeping(self.kept.clone()))
    }

    fn guarded_transcription(&self, id: &ModelId) -> Result<GuardedTranscription> {
        Ok(GuardedTranscription::new(self.provider(id)?.transcribe(&id.model)?, self.guard(id)))
    }

    fn guarded_speech(&self, id: &ModelId) -> Result<GuardedSpeech> {
        Ok(GuardedSpeech::new(self.provider(id)?.speak(&id.model)?, self.guard(id)))
    }

    /// A role's models; one that cannot be used is logged and left out.
    fn usable<M>(&self, models: &[ModelId], make: impl Fn(&ModelId) -> Result<M>) -> Vec<M> {
        let make = |id: &ModelId| match make(id) {
            Ok(model) => Some(model),
            Err(error) => {
                tracing::warn!(model = %id, %error, "a configured model cannot be used");
                None
            }
        };
        models.iter().filter_map(make).collect()
    }

    fn guard(&self, id: &ModelId) -> Guard {
        let mut state = self.state();
        if let Some(guard) = state.guards.get(id) {
            return guard.clone();
        }
        let prices = Arc::clone(&self.settings.prices);
        let meter = Meter::new(id.clone(), Arc::clone(&self.ledger), prices, Arc::clone(&self.clock))
            .reserving(!self.settings.budgets.is_empty());
        let provider = self.provider(id).ok();
        let places = provider.and_then(Provider::places).unwrap_or(self.settings.concurrent);
        let source = provider.map(Provider::source).unwrap_or_default();
        let guard = Guard::new(id.clone(), places, self.settings.attempts, meter).of_source(&source);
        let credential = state.credentials.entry(id.provider.clone()).or_default().clone();
        let guard = guard.sharing(credential);
        guard.call_slow(self.settings.slow);
        state.guards.insert(id.clone(), guard.clone());
        guard
    }

    fn check_role(&self, role: Role, models: &[ModelId]) -> Result<()> {
        if role == Role::Embed && models.len() > 1 {
            let message = format!("the role `embed` takes one model, not {}", models.len());
            return Err(Error::new(ErrorCode::Configuration, message)
                .hint("vectors of different models cannot be compared, so none can stand in for another"));
        }
        for id in models {
            // A provider whose key is missing is told when it is used; one that is not there at all is told now.
            if let Some(Err(_)) = self.providers.get(&id.provider) {
                continue;
            }
            let provider = self.provider(id)?;
            match role {
                Role::Rerank => drop(provider.rerank(&id.model)?),
                Role::Embed => drop(provider.embed(&id.model)?),
                Role::Transcribe => drop(provider.transcribe(&id.model)?),
                Role::Speak => drop(provider.speak(&id.model)?),
                Role::Vision => drop(provider.vision(&id.model)?),
                _ => drop(provider.chat(&id.model)?),
            }
        }
        Ok(())
    }

    /// Whether a request may name the model.
    fn check_named(&self, id: &ModelId) -> Result<()> {
        let fills = || Role::CHAT.iter().any(|role| self.models_of(*role).contains(id));
        let allowed = match &self.settings.per_request {
            PerRequest::All => true,
            PerRequest::Roles => fills(),
            PerRequest::None => false,
            PerRequest::Named(named) => named.contains(id) || fills(),
        };
        if allowed {
            return Ok(());
        }
        let message = format!("the model `{id}` may not be named by a request: `models.per_request` does not allow it");
        Err(Error::new(ErrorCode::Forbidden, message)
            .hint("leave the model out to take that of the role `answer`, or add it to `models.per_request`"))
    }

    /// What a call cost, nano-USD; `None` without a price.
    fn cost(&self, id: &ModelId, usage: &TokenUsage) -> Option<i64> {
        self.settings.prices.cost(id, usage, self.clock.now_ms())
    }

    fn info(&self, settings: &ProviderSettings) -> ProviderInfo {
        let provider = self.providers.get(&settings.name);
        ProviderInfo {
            name: settings.name.clone(),
            kind: settings.kind.name().to_owned(),
            base_url: settings.address().unwrap_or_default(),
            key: settings.api_key.as_ref().map(lorekeep_types::Secret::masked),
            capabilities: settings.kind.capabilities(),
            fault: provider.and_then(|made| made.as_ref().err()).map(|error| error.message().to_owned()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Models for Gateway {
    fn chat(&self, role: Role) -> Option<Arc<dyn ChatModel>> {
        let state = self.state();
        let named = self.named(&state, role);
        if let Some(made) = state.chats.get(&role).filter(|made| made.named == named) {
            return made.chain.clone();
        }
        let named = named.to_vec();
        drop(state);
        let models = self.usable(&named, |id| self.guarded(id));
        let chain = Chain::new(models).map(|chain| Arc::new(chain) as Arc<dyn ChatModel>);
        // A model of this process that could not be loaded is tried anew by the next call: its file may be whole then.
        if !named.iter().any(|id| self.provider(id).is_ok_and(|provider| provider.places().is_some())) {
            self.state().chats.insert(role, Writing { named, chain: chain.clone() });
        }
        chain
    }

    fn rerank(&self) -> Option<Arc<dyn RerankModel>> {
        let models = self.usable(&self.models_of(Role::Rerank), |id| self.guarded_rerank(id));
        Chain::new(models).map(|chain| Arc::new(chain) as Arc<dyn RerankModel>)
    }

    fn chat_by_id(&self, id: &ModelId) -> Result<Arc<dyn ChatModel>> {
        self.check_named(id)?;
        Ok(Arc::new(self.guarded(id)?))
    }

    fn embed(&self) -> Result<Option<Arc<dyn EmbeddingProvider>>> {
        self.models_of(Role::Embed).first().map(|id| self.embed_by_id(id)).transpose()
    }

    fn embed_by_id(&self, id: &ModelId) -> Result<Arc<dyn EmbeddingProvider>> {
        Ok(Arc::new(self.guarded_embed(id)?))
    }

    fn transcribe(&self) -> Option<Arc<dyn TranscriptionModel>> {
        let models = self.usable(&self.models_of(Role::Transcribe), |id| self.guarded_transcription(id));
        Chain::new(models).map(|chain| Arc::new(chain) as Arc<dyn TranscriptionModel>)
    }

    fn speak(&self) -> Option<Arc<dyn SpeechModel>> {
        let models = self.usable(&self.models_of(Role::Speak), |id| self.guarded_speech(id));
        Chain::new(models).map(|chain| Arc::new(chain) as Arc<dyn SpeechModel>)
    }

    fn price(&self, model: &ModelId, prompt_tokens: u64, completion_tokens: u64) -> Option<i64> {
        self.settings.prices.upper_bound(model, prompt_tokens, completion_tokens, self.clock.now_ms())
    }
}

impl ModelDesk for Gateway {
    fn overview(&self) -> ModelsOverview {
        let roles = Role::ALL.into_iter().map(|role| (role, self.models_of(role)));
        let state = |(id, guard): (&ModelId, &Guard)| ModelState {
            model: id.clone(),
            circuit: match guard.circuit() {
                CircuitState::Closed => "closed",
                CircuitState::Open => "open",
                CircuitState::HalfOpen => "half-open",
            }
            .to_owned(),
            waiting: guard.waiting(),
            refused: guard.refused().map(|refused| refused.reason),
        };
        let roles = roles.filter(|(_, models)| !models.is_empty()).collect();
        let guards = self.state();
        let mut models: Vec<ModelState> = guards.guards.iter().map(state).collect();
        models.sort_by(|one, other| one.model.cmp(&other.model));
        let providers = self.settings.providers.iter().map(|settings| self.info(settings)).collect();
        ModelsOverview { providers, roles, set: guards.set.keys().copied().collect(), models }
    }

    fn set_role(&self, role: Role, models: Vec<ModelId>) -> Result<()> {
        self.check_role(role, &models)?;
        let mut state = self.state();
        if models.is_empty() {
            state.set.remove(&role);
        } else {
            state.set.insert(role, models);
        }
        Ok(())
    }

    fn test<'a>(&'a self, model: &'a ModelId, role: Role) -> futures::future::BoxFuture<'a, ModelTest> {
        Box::pin(self.trial(model, role))
    }
}
