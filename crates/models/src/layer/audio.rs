//! Models that hear and speak, behind their guards.

use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lorekeep_types::{
    Call, ModelError, ModelId, Recording, Speech, SpeechModel, Transcript, TranscriptionModel, Utterance,
};

use super::guard::{Guard, Guarded};
use super::kept::Before;
use super::meter::{Bound, Outcome};
use crate::provider::usage;

/// Bytes of a recording for each token that a model hears of it at most: speech of 2 kB/s, the lowest rate in use, is heard
/// at ten tokens a second.
const BYTES_PER_TOKEN: u64 = 200;
/// Most tokens that are written of a recording.
const MOST_WRITTEN: u64 = 16_384;
/// Tokens of sound for each character that is spoken, at most.
const TOKENS_PER_CHARACTER: u64 = 2;

/// A model that writes down speech, with its guard.
pub struct GuardedTranscription {
    model: Arc<dyn TranscriptionModel>,
    guard: Guard,
}

impl GuardedTranscription {
    /// `model` behind `guard`.
    #[must_use]
    pub fn new(model: Arc<dyn TranscriptionModel>, guard: Guard) -> Self {
        Self { model, guard }
    }

    /// Remembers in the ledger that another model failed before this call.
    pub(super) async fn after(
        &self,
        call: &Call,
        recording: &Recording,
        before: Before,
    ) -> Result<Transcript, ModelError> {
        let heard = || recording.bytes.len() as u64 / BYTES_PER_TOKEN;
        let bound = || Bound { prompt: heard(), completion: MOST_WRITTEN };
        let mut running = self.guard.start(call, bound, false).await?;
        running.entry.fallback = before;
        // How much a model hears of a recording before it fails is not known; its words are all that is counted.
        let attempt = || self.model.transcribe(call, recording);
        let (transcript, running) = self.guard.attempts(call, running, || 0, attempt).await?;
        let outcome = Outcome { usage: transcript.usage, model: Some(transcript.model.clone()), ..Outcome::default() };
        running.entry.close(outcome);
        Ok(transcript)
    }
}

impl Guarded for GuardedTranscription {
    fn model_id(&self) -> &ModelId {
        self.model.id()
    }
}

impl TranscriptionModel for GuardedTranscription {
    fn id(&self) -> &ModelId {
        self.model.id()
    }

    fn transcribe<'a>(
        &'a self,
        call: &'a Call,
        recording: &'a Recording,
    ) -> BoxFuture<'a, Result<Transcript, ModelError>> {
        self.after(call, recording, None).boxed()
    }
}

/// A model that speaks text, with its guard.
pub struct GuardedSpeech {
    model: Arc<dyn SpeechModel>,
    guard: Guard,
}

impl GuardedSpeech {
    /// `model` behind `guard`.
    #[must_use]
    pub fn new(model: Arc<dyn SpeechModel>, guard: Guard) -> Self {
        Self { model, guard }
    }

    /// Remembers in the ledger that another model failed before this call.
    pub(super) async fn after(&self, call: &Call, utterance: &Utterance, before: Before) -> Result<Speech, ModelError> {
        let prompt = || usage::count(&utterance.text);
        let spoken = utterance.text.chars().count() as u64 * TOKENS_PER_CHARACTER;
        let mut running = self.guard.start(call, || Bound { prompt: prompt(), completion: spoken }, false).await?;
        running.entry.fallback = before;
        let (speech, running) =
            self.guard.attempts(call, running, prompt, || self.model.speak(call, utterance)).await?;
        running.entry.close(Outcome { usage: speech.usage, ..Outcome::default() });
        Ok(speech)
    }
}

impl Guarded for GuardedSpeech {
    fn model_id(&self) -> &ModelId {
        self.model.id()
    }
}

impl SpeechModel for GuardedSpeech {
    fn id(&self) -> &ModelId {
        self.model.id()
    }

    fn speak<'a>(&'a self, call: &'a Call, utterance: &'a Utterance) -> BoxFuture<'a, Result<Speech, ModelError>> {
        self.after(call, utterance, None).boxed()
    }
}
