//! Embedding models that make vectors as a test says, and remember what they were asked.

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use lorekeep_types::{
    Call, ChatModel, EmbedKind, Embedded, EmbeddingProvider, Error, ErrorCode, ModelError, ModelFault, ModelId, Models,
    Priority, RerankModel, Result, Role, TokenUsage,
};
use tokio::sync::watch;

/// A model that counts letters, and how it behaves at the moment. Clones are one model.
#[derive(Clone)]
pub(crate) struct Counting(Arc<Inner>);

struct Inner {
    id: ModelId,
    dimensions: usize,
    fault: Mutex<Option<ModelFault>>,
    asked: Mutex<Vec<Asked>>,
    /// It shuts once so many texts were embedded.
    most: Mutex<Option<usize>>,
    /// While it is shut, calls wait.
    shut: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) texts: Vec<String>,
    pub(crate) kind: EmbedKind,
    pub(crate) operation: String,
    pub(crate) priority: Priority,
}

impl Counting {
    pub(crate) fn new(name: &str, dimensions: usize) -> Self {
        Self(Arc::new(Inner {
            id: ModelId::parse(name).unwrap(),
            dimensions,
            fault: Mutex::default(),
            asked: Mutex::default(),
            most: Mutex::default(),
            shut: watch::Sender::new(false),
            waiting: watch::Sender::new(0),
        }))
    }

    /// Makes every call fail, or none.
    pub(crate) fn fail(&self, fault: Option<ModelFault>) {
        *self.0.fault.lock().unwrap() = fault;
    }

    /// Makes calls wait, or lets them go on.
    pub(crate) fn shut(&self, shut: bool) {
        self.0.shut.send_replace(shut);
    }

    /// Lets calls be answered until so many texts were embedded, then makes them wait.
    pub(crate) fn shut_after(&self, texts: usize) {
        *self.0.most.lock().unwrap() = Some(texts);
    }

    /// Returns once it is shut and a call waits.
    pub(crate) async fn waits(&self) {
        self.0.shut.subscribe().wait_for(|shut| *shut).await.unwrap();
        self.0.waiting.subscribe().wait_for(|waiting| *waiting > 0).await.unwrap();
    }

    /// Returns once so many calls wait.
    pub(crate) async fn waits_for(&self, calls: usize) {
        self.0.waiting.subscribe().wait_for(|waiting| *waiting >= calls).await.unwrap();
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.0.asked.lock().unwrap().clone()
    }

    /// Texts embedded so far of a kind, but for the one that teaches the number of dimensions.
    pub(crate) fn texts(&self, kind: EmbedKind) -> Vec<String> {
        let texts = self.asked().into_iter().filter(|asked| asked.kind == kind).flat_map(|asked| asked.texts);
        texts.filter(|text| text != "dimensions").collect()
    }
}

/// A call that is counted as waiting until it goes on or is dropped.
struct Waits<'a>(&'a watch::Sender<usize>);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

impl EmbeddingProvider for Counting {
    fn id(&self) -> &ModelId {
        &self.0.id
    }

    fn embed<'a>(
        &'a self,
        call: &'a Call,
        texts: &'a [&'a str],
        kind: EmbedKind,
    ) -> BoxFuture<'a, Result<Embedded, ModelError>> {
        Box::pin(async move {
            self.0.waiting.send_modify(|waiting| *waiting += 1);
            let waits = Waits(&self.0.waiting);
            self.0.shut.subscribe().wait_for(|shut| !*shut).await.unwrap();
            drop(waits);
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            let (operation, priority) = (call.operation.clone(), call.priority);
            self.0.asked.lock().unwrap().push(Asked { texts: texts.clone(), kind, operation, priority });
            let embedded: usize = self.asked().iter().map(|asked| asked.texts.len()).sum();
            if self.0.most.lock().unwrap().take_if(|most| embedded >= *most).is_some() {
                self.shut(true);
            }
            if let Some(fault) = self.0.fault.lock().unwrap().clone() {
                return Err(ModelError::new(fault, &self.0.id, "it failed as the test says"));
            }
            let vector = |text: &String| {
                let mut vector = vec![0.0; self.0.dimensions];
                for byte in text.bytes() {
                    vector[usize::from(byte) % self.0.dimensions] += 1.0;
                }
                vector
            };
            let vectors = texts.iter().map(vector).collect();
            Ok(Embedded { vectors, usage: TokenUsage::default(), model: self.0.id.model.clone() })
        })
    }

    fn batch(&self) -> usize {
        3
    }
}

/// Models of which one makes vectors, or none; which one can change.
#[derive(Default)]
pub(crate) struct Embedders {
    pub(crate) known: Vec<Counting>,
    chosen: Mutex<Option<Counting>>,
}

impl Embedders {
    pub(crate) fn of(known: &[&Counting]) -> Arc<Self> {
        Arc::new(Self { known: known.iter().copied().cloned().collect(), chosen: Mutex::default() })
    }

    /// Gives the role `embed` this model.
    pub(crate) fn choose(&self, model: Option<&Counting>) {
        *self.chosen.lock().unwrap() = model.cloned();
    }
}

impl Models for Embedders {
    fn chat(&self, _role: Role) -> Option<Arc<dyn ChatModel>> {
        None
    }

    fn chat_by_id(&self, id: &ModelId) -> Result<Arc<dyn ChatModel>> {
        Err(Error::not_found("provider", &id.provider))
    }

    fn rerank(&self) -> Option<Arc<dyn RerankModel>> {
        None
    }

    fn embed(&self) -> Result<Option<Arc<dyn EmbeddingProvider>>> {
        let chosen = self.chosen.lock().unwrap().clone();
        Ok(chosen.map(|model| Arc::new(model) as Arc<dyn EmbeddingProvider>))
    }

    fn embed_by_id(&self, id: &ModelId) -> Result<Arc<dyn EmbeddingProvider>> {
        let known = self.known.iter().find(|model| model.id() == id).cloned();
        let known = known.map(|model| Arc::new(model) as Arc<dyn EmbeddingProvider>);
        known.ok_or_else(|| Error::new(ErrorCode::NotFound, "no such provider"))
    }
}
