//! Ports of models that hear and speak.
//!
//! Dropping a future of a port ends the call and closes its connection.

use std::sync::Arc;

use futures_core::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::chat::TokenUsage;
use crate::model_port::{Call, ModelError, ModelId};

/// Speech to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// The file, in any format that the provider reads.
    pub bytes: Arc<[u8]>,
    /// The name of the file, whose extension tells the format.
    pub file_name: String,
    /// What is spoken (ISO 639-1), if known.
    pub language: Option<String>,
}

/// Speech written down.
#[derive(Clone, Debug, PartialEq)]
pub struct Transcript {
    /// The words; empty when nobody speaks.
    pub text: String,
    /// The length of the recording, if the provider says it.
    pub seconds: Option<f64>,
    /// Tokens.
    pub usage: TokenUsage,
    /// The model as the provider names it.
    pub model: String,
}

/// A model that writes down speech.
pub trait TranscriptionModel: Send + Sync {
    /// Which model.
    fn id(&self) -> &ModelId;

    /// The words of a recording.
    ///
    /// # Errors
    /// [`crate::ModelFault::Request`] when the recording is longer than the provider takes; it is not sent then.
    fn transcribe<'a>(
        &'a self,
        call: &'a Call,
        recording: &'a Recording,
    ) -> BoxFuture<'a, Result<Transcript, ModelError>>;
}

/// How spoken text is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AudioFormat {
    /// MPEG layer 3.
    #[default]
    Mp3,
    /// Opus in Ogg.
    Opus,
    /// AAC.
    Aac,
    /// FLAC.
    Flac,
    /// WAV.
    Wav,
    /// Samples of 16 bits without a header.
    Pcm,
}

impl AudioFormat {
    /// As requests write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mp3 => "mp3",
            Self::Opus => "opus",
            Self::Aac => "aac",
            Self::Flac => "flac",
            Self::Wav => "wav",
            Self::Pcm => "pcm",
        }
    }

    /// Its media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Mp3 => "audio/mpeg",
            Self::Opus => "audio/ogg",
            Self::Aac => "audio/aac",
            Self::Flac => "audio/flac",
            Self::Wav => "audio/wav",
            Self::Pcm => "audio/pcm",
        }
    }
}

/// Text to be spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Utterance {
    /// The text.
    pub text: String,
    /// The name of a voice of the provider.
    pub voice: String,
    /// How the sound is wanted.
    pub format: AudioFormat,
}

/// Spoken text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Speech {
    /// The file; never empty.
    pub bytes: Arc<[u8]>,
    /// Its media type, as the provider says.
    pub media_type: String,
    /// Tokens.
    pub usage: TokenUsage,
}

/// A model that speaks text.
pub trait SpeechModel: Send + Sync {
    /// Which model.
    fn id(&self) -> &ModelId;

    /// The sound of a text.
    ///
    /// # Errors
    /// [`crate::ModelFault::Request`] when the text is longer than the provider takes; it is not sent then.
    fn speak<'a>(&'a self, call: &'a Call, utterance: &'a Utterance) -> BoxFuture<'a, Result<Speech, ModelError>>;
}
