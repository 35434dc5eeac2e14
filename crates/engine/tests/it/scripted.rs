//! Models that answer as a test says, and remember what they were asked.

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use futures::stream;
use lorekeep_types::{
    Call, Capabilities, ChatEvent, ChatModel, ChatRequest, ChatStream, Completion, Error, ErrorCode, FinishReason,
    ModelError, ModelFault, ModelId, Models, RerankModel, Result, Role, TokenUsage,
};
use tokio::sync::watch;

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
        }))
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
        None
    }
}

/// The text of the messages of one request.
pub(crate) fn all_text(request: &ChatRequest) -> String {
    request.messages.iter().map(lorekeep_types::ChatMessage::plain).collect::<Vec<_>>().join("\n")
}
