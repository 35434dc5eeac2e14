//! Models that answer as a test says, and remember what they were asked.

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use futures::stream;
use lorekeep_types::{
    Call, Capabilities, ChatEvent, ChatModel, ChatRequest, ChatStream, Completion, Error, ErrorCode, FinishReason,
    ModelError, ModelFault, ModelId, Models, RankedText, RerankModel, Reranked, Result, Role, TokenUsage,
};
use tokio::sync::watch;

type Ranker = dyn Fn(&[&str]) -> Result<Vec<usize>, ModelFault> + Send + Sync;
type Script = dyn Fn(&str, &ChatRequest) -> Result<String, ModelFault> + Send + Sync;

/// One model for every role; the script is told the operation.
#[derive(Clone)]
pub(crate) struct Scripted(Arc<Inner>);

struct Inner {
    id: ModelId,
    script: Box<Script>,
    asked: Mutex<Vec<(String, ChatRequest)>>,
    /// Roles without a model.
    without: Vec<Role>,
    /// While it is shut, calls wait.
    shut: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
    ranker: Option<Box<Ranker>>,
}

impl Scripted {
    pub(crate) fn new(
        script: impl Fn(&str, &ChatRequest) -> Result<String, ModelFault> + Send + Sync + 'static,
    ) -> Self {
        Self::without(&[], script)
    }

    pub(crate) fn without(
        roles: &[Role],
        script: impl Fn(&str, &ChatRequest) -> Result<String, ModelFault> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            id: ModelId::new("scripted", "m"),
            script: Box::new(script),
            asked: Mutex::default(),
            without: roles.to_vec(),
            shut: watch::Sender::new(false),
            waiting: watch::Sender::new(0),
            ranker: None,
        }))
    }

    /// The same with a ranker, which gives the indices of texts, the best first.
    pub(crate) fn ranking(
        self,
        ranker: impl Fn(&[&str]) -> Result<Vec<usize>, ModelFault> + Send + Sync + 'static,
    ) -> Self {
        let Some(inner) = Arc::into_inner(self.0) else { panic!("a model is finished before it is shared") };
        Self(Arc::new(Inner { ranker: Some(Box::new(ranker)), ..inner }))
    }

    /// Everything asked so far: operation and request.
    pub(crate) fn asked(&self) -> Vec<(String, ChatRequest)> {
        self.0.asked.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, operation: &str) -> usize {
        self.asked().iter().filter(|(asked, _)| asked == operation).count()
    }

    /// Makes calls wait, or lets them go on.
    pub(crate) fn shut(&self, shut: bool) {
        self.0.shut.send_replace(shut);
    }

    /// Returns once so many calls wait.
    pub(crate) async fn waits(&self, calls: usize) {
        self.0.waiting.subscribe().wait_for(|waiting| *waiting == calls).await.unwrap();
    }

    async fn answer(&self, call: &Call, request: &ChatRequest) -> Result<Completion, ModelError> {
        self.0.waiting.send_modify(|waiting| *waiting += 1);
        self.0.shut.subscribe().wait_for(|shut| !*shut).await.unwrap();
        self.0.waiting.send_modify(|waiting| *waiting -= 1);
        self.0.asked.lock().unwrap().push((call.operation.clone(), request.clone()));
        let text = (self.0.script)(&call.operation, request)
            .map_err(|fault| ModelError::new(fault, &self.0.id, "it failed as the test says"))?;
        let finish = if text.ends_with("<cut>") { FinishReason::Length } else { FinishReason::Stop };
        Ok(Completion {
            tool_calls: Vec::new(),
            cache_hit: false,
            text: text.trim_end_matches("<cut>").to_owned(),
            finish,
            usage: TokenUsage { prompt: 100, completion: 10, ..TokenUsage::default() },
            model: "m-1".to_owned(),
            id: None,
            sources: Vec::new(),
            cost: Some(5),
        })
    }
}

impl ChatModel for Scripted {
    fn id(&self) -> &ModelId {
        &self.0.id
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { chat: true, stream: true, ..Capabilities::default() }
    }

    fn chat<'a>(&'a self, call: &'a Call, request: &'a ChatRequest) -> BoxFuture<'a, Result<Completion, ModelError>> {
        Box::pin(self.answer(call, request))
    }

    fn stream<'a>(&'a self, call: &'a Call, request: &'a ChatRequest) -> BoxFuture<'a, Result<ChatStream, ModelError>> {
        Box::pin(async move {
            let completion = self.answer(call, request).await?;
            let letters: Vec<char> = completion.text.chars().collect();
            let mut events: Vec<Result<ChatEvent, ModelError>> =
                letters.chunks(3).map(|piece| Ok(ChatEvent::Text(piece.iter().collect()))).collect();
            events.push(Ok(ChatEvent::Done(Box::new(completion))));
            Ok(Box::pin(stream::iter(events)) as ChatStream)
        })
    }
}

impl Models for Scripted {
    fn chat(&self, role: Role) -> Option<Arc<dyn ChatModel>> {
        (!self.0.without.contains(&role)).then(|| Arc::new(self.clone()) as Arc<dyn ChatModel>)
    }

    fn chat_by_id(&self, id: &ModelId) -> Result<Arc<dyn ChatModel>> {
        if *id == self.0.id {
            Ok(Arc::new(self.clone()))
        } else {
            Err(Error::new(ErrorCode::NotFound, "no such provider"))
        }
    }

    fn rerank(&self) -> Option<Arc<dyn RerankModel>> {
        self.0.ranker.as_ref().map(|_| Arc::new(self.clone()) as Arc<dyn RerankModel>)
    }
}

impl RerankModel for Scripted {
    fn id(&self) -> &ModelId {
        &self.0.id
    }

    fn rerank<'a>(
        &'a self,
        _: &'a Call,
        _: &'a str,
        texts: &'a [&'a str],
        top_n: usize,
    ) -> BoxFuture<'a, Result<Reranked, ModelError>> {
        let order = self.0.ranker.as_ref().map_or_else(|| Ok(Vec::new()), |ranker| ranker(texts));
        let order = order.map_err(|fault| ModelError::new(fault, &self.0.id, "it failed as the test says"));
        let ranked = move |(place, index): (usize, usize)| RankedText { index, score: 1.0 / (place + 1) as f32 };
        let reranked = move |order: Vec<usize>| Reranked {
            ranking: order.into_iter().take(top_n).enumerate().map(ranked).collect(),
            usage: TokenUsage { prompt: 40, ..TokenUsage::default() },
            model: "ranker".to_owned(),
        };
        Box::pin(async move { order.map(reranked) })
    }
}

/// The text of the messages of one request.
pub(crate) fn all_text(request: &ChatRequest) -> String {
    request.messages.iter().map(lorekeep_types::ChatMessage::plain).collect::<Vec<_>>().join("\n")
}
