//! Speech to text and text to speech in OpenAI's shape, which Azure, Groq, Speaches and others share.
//!
//! Reference: <https://platform.openai.com/docs/api-reference/audio>.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use lorekeep_types::{
    Call, ModelError, ModelFault, ModelId, Recording, Speech, SpeechModel, Transcript, TranscriptionModel, Utterance,
};
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::auth::Authorize;
use super::caller::{Caller, Refusal};
use super::http::{Field, Http, Payload};
use super::openai::{Dialect, error_message, in_band_error, number, parse, string};
use super::usage;
use super::wire::{RawUsage, WireFault, WireRequest};

/// The longest recording that OpenAI takes.
const MOST_RECORDED: usize = 25 << 20;
/// The longest text that OpenAI speaks, in characters.
const MOST_SPOKEN: usize = 4_096;

/// Errors in OpenAI's shape.
struct Words;

impl Refusal for Words {
    fn words(&self, body: &[u8]) -> Option<String> {
        error_message(body)
    }

    fn precise(&self, _status: u16, _body: &[u8]) -> Option<ModelFault> {
        None
    }
}

/// The path of an operation, and the model where the body has to name it.
fn address<'a>(dialect: &Dialect, model: &'a str, operation: &str) -> (String, Option<&'a str>) {
    match dialect {
        Dialect::Azure { api_version } => {
            (format!("/openai/deployments/{model}/audio/{operation}?api-version={api_version}"), None)
        }
        _ => (format!("/audio/{operation}"), Some(model)),
    }
}

/// A model at a provider that writes down speech. Cheap to clone.
#[derive(Clone)]
pub struct HttpTranscription {
    caller: Caller,
    dialect: Dialect,
}

impl HttpTranscription {
    /// The model `id`, in the family's `dialect`.
    #[must_use]
    pub fn new(id: ModelId, dialect: Dialect, http: Http, auth: Arc<dyn Authorize>) -> Self {
        Self { caller: Caller::new(id, http, auth), dialect }
    }

    async fn whole(&self, call: &Call, recording: &Recording) -> Result<Transcript, ModelError> {
        let length = recording.bytes.len();
        if length > MOST_RECORDED {
            let message = format!("the recording has {length} bytes; at most {MOST_RECORDED} are taken");
            return Err(ModelError::new(ModelFault::Request, self.caller.id(), message));
        }
        let model = &self.caller.id().model;
        let (path, named) = address(&self.dialect, model, "transcriptions");
        let payload = Payload::Multipart(fields(recording, named));
        let exchange = self.caller.exchange(call);
        let response = self.caller.send(&exchange, &path, &[], &payload, &Words).await?;
        let body = exchange.body(response).await?;
        transcript(&body, model).map_err(|fault| self.caller.error(fault))
    }
}

impl TranscriptionModel for HttpTranscription {
    fn id(&self) -> &ModelId {
        self.caller.id()
    }

    fn transcribe<'a>(
        &'a self,
        call: &'a Call,
        recording: &'a Recording,
    ) -> BoxFuture<'a, Result<Transcript, ModelError>> {
        self.whole(call, recording).boxed()
    }
}

fn fields(recording: &Recording, model: Option<&str>) -> Vec<(&'static str, Field)> {
    let file = Field::File { name: sent_name(&recording.file_name), bytes: Bytes::copy_from_slice(&recording.bytes) };
    let text = |name, value: &str| (name, Field::Text(value.to_owned()));
    let mut fields = vec![("file", file), text("response_format", "json")];
    fields.extend(model.map(|model| text("model", model)));
    fields.extend(recording.language.as_deref().map(|language| text("language", language)));
    fields
}

/// The provider learns the format from the extension; the rest of the name is nobody's business.
fn sent_name(name: &str) -> String {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let plain = (1..=8).contains(&extension.len()) && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if plain { format!("audio.{}", extension.to_ascii_lowercase()) } else { "audio".to_owned() }
}

fn transcript(body: &[u8], model: &str) -> Result<Transcript, WireFault> {
    let body = parse(body)?;
    in_band_error(&body)?;
    let text =
        body.get("text").and_then(Value::as_str).ok_or_else(|| WireFault::malformed("the answer has no text"))?;
    let raw = RawUsage {
        prompt: number(&body, "/usage/input_tokens"),
        completion: number(&body, "/usage/output_tokens"),
        cost_usd: number(&body, "/usage/cost"),
        ..RawUsage::default()
    };
    let seconds = number(&body, "/usage/seconds").or_else(|| number(&body, "/duration"));
    Ok(Transcript {
        text: text.trim().to_owned(),
        seconds: seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0),
        usage: usage::settle(raw, || 0, || usage::count(text)),
        model: string(&body, "/model").unwrap_or_else(|| model.to_owned()),
    })
}

/// A model at a provider that speaks text. Cheap to clone.
#[derive(Clone)]
pub struct HttpSpeech {
    caller: Caller,
    dialect: Dialect,
}

impl HttpSpeech {
    /// The model `id`, in the family's `dialect`.
    #[must_use]
    pub fn new(id: ModelId, dialect: Dialect, http: Http, auth: Arc<dyn Authorize>) -> Self {
        Self { caller: Caller::new(id, http, auth), dialect }
    }

    async fn whole(&self, call: &Call, utterance: &Utterance) -> Result<Speech, ModelError> {
        let length = utterance.text.chars().count();
        if !(1..=MOST_SPOKEN).contains(&length) {
            let message = format!("the text has {length} characters; 1 to {MOST_SPOKEN} are spoken");
            return Err(ModelError::new(ModelFault::Request, self.caller.id(), message));
        }
        let exchange = self.caller.exchange(call);
        let response = self.caller.open(&exchange, &self.request(utterance), &Words).await?;
        let said = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = said.unwrap_or(utterance.format.media_type()).to_owned();
        let bytes = exchange.body(response).await?;
        if media_type.starts_with("application/json") {
            let told = parse(&bytes).and_then(|body| in_band_error(&body));
            told.map_err(|fault| self.caller.error(fault))?;
        }
        if bytes.is_empty() || media_type.starts_with("application/json") || media_type.starts_with("text/") {
            let message = format!("the answer is no sound: {} bytes of `{media_type}`", bytes.len());
            return Err(self.caller.malformed(message));
        }
        let usage = usage::settle(RawUsage::default(), || usage::count(&utterance.text), || 0);
        Ok(Speech { bytes: Arc::from(bytes.as_ref()), media_type, usage })
    }

    fn request(&self, utterance: &Utterance) -> WireRequest {
        let (path, named) = address(&self.dialect, &self.caller.id().model, "speech");
        let format = utterance.format.name();
        let mut body = json!({ "input": utterance.text, "voice": utterance.voice, "response_format": format });
        if let (Some(model), Some(body)) = (named, body.as_object_mut()) {
            body.insert("model".to_owned(), json!(model));
        }
        WireRequest::new(path, body)
    }
}

impl SpeechModel for HttpSpeech {
    fn id(&self) -> &ModelId {
        self.caller.id()
    }

    fn speak<'a>(&'a self, call: &'a Call, utterance: &'a Utterance) -> BoxFuture<'a, Result<Speech, ModelError>> {
        self.whole(call, utterance).boxed()
    }
}
