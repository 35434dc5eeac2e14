//! Asking the next model of a chain when one fails, with the reason on record.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lorekeep_types::{
    Call, Capabilities, ChatModel, ChatRequest, ChatStream, Completion, ModelError, ModelId, Recording, RerankModel,
    Reranked, Speech, SpeechModel, Transcript, TranscriptionModel, Utterance,
};

use super::audio::{GuardedSpeech, GuardedTranscription};
use super::chat::GuardedChat;
use super::guard::Guarded;
use super::rerank::GuardedRerank;

/// Models in order of preference; at least one.
pub struct Chain<M> {
    first: M,
    rest: Vec<M>,
}

impl<M: Guarded> Chain<M> {
    /// A chain of `models`; `None` when there are none.
    #[must_use]
    pub fn new(models: Vec<M>) -> Option<Self> {
        let mut models = models.into_iter();
        let first = models.next()?;
        Some(Self { first, rest: models.collect() })
    }

    /// Asks one model after the other. The error of the last is told, since the earlier ones are in the ledger.
    async fn ask<'a, T, F>(&'a self, call: &'a Call, ask: F) -> Result<T, ModelError>
    where
        F: Fn(&'a M, Option<(ModelId, String)>) -> BoxFuture<'a, Result<T, ModelError>>,
    {
        let mut outcome = ask(&self.first, None).await;
        for next in &self.rest {
            let error = match outcome {
                Err(error) if error.fault.may_fall_back() && time_is_left(call) => error,
                settled => return settled,
            };
            tracing::warn!(from = %error.model, to = %next.model_id(), reason = error.fault.name(), "another model is asked");
            outcome = ask(next, Some((error.model.clone(), error.fault.name().to_owned()))).await;
        }
        outcome
    }
}

fn time_is_left(call: &Call) -> bool {
    call.remaining().is_none_or(|remaining| !remaining.is_zero())
}

impl ChatModel for Chain<GuardedChat> {
    fn id(&self) -> &ModelId {
        self.first.id()
    }

    /// Those of the first: what a later one lacks is a fault of the call, which the ledger shows.
    fn capabilities(&self) -> Capabilities {
        self.first.capabilities()
    }

    fn chat<'a>(&'a self, call: &'a Call, request: &'a ChatRequest) -> BoxFuture<'a, Result<Completion, ModelError>> {
        self.ask(call, |model, before| model.chat_after(call, request, before).boxed()).boxed()
    }

    /// Those of the first: a later one is asked only when it fails.
    fn kept<'a>(&'a self, call: &'a Call, request: &'a ChatRequest) -> BoxFuture<'a, Option<Completion>> {
        self.first.kept(call, request)
    }

    fn stream<'a>(&'a self, call: &'a Call, request: &'a ChatRequest) -> BoxFuture<'a, Result<ChatStream, ModelError>> {
        self.ask(call, |model, before| model.stream_after(call, request, before).boxed()).boxed()
    }
}

impl RerankModel for Chain<GuardedRerank> {
    fn id(&self) -> &ModelId {
        self.first.model_id()
    }

    fn rerank<'a>(
        &'a self,
        call: &'a Call,
        query: &'a str,
        texts: &'a [&'a str],
        top_n: usize,
    ) -> BoxFuture<'a, Result<Reranked, ModelError>> {
        self.ask(call, move |model, before| model.rerank_after(call, (query, texts, top_n), before).boxed()).boxed()
    }
}

impl TranscriptionModel for Chain<GuardedTranscription> {
    fn id(&self) -> &ModelId {
        self.first.model_id()
    }

    fn transcribe<'a>(
        &'a self,
        call: &'a Call,
        recording: &'a Recording,
    ) -> BoxFuture<'a, Result<Transcript, ModelError>> {
        self.ask(call, |model, before| model.after(call, recording, before).boxed()).boxed()
    }
}

impl SpeechModel for Chain<GuardedSpeech> {
    fn id(&self) -> &ModelId {
        self.first.model_id()
    }

    fn speak<'a>(&'a self, call: &'a Call, utterance: &'a Utterance) -> BoxFuture<'a, Result<Speech, ModelError>> {
        self.ask(call, |model, before| model.after(call, utterance, before).boxed()).boxed()
    }
}
