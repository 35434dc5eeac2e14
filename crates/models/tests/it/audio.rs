//! Speech to text and text to speech.

use std::sync::Arc;

use lorekeep_models::provider::audio::{HttpSpeech, HttpTranscription};
use lorekeep_models::provider::auth::{Authorize, Key};
use lorekeep_models::provider::http::Http;
use lorekeep_models::provider::openai::Dialect;
use lorekeep_testkit::upstream::{Asked, Reply, Upstream};
use lorekeep_types::{
    AudioFormat, ModelError, ModelFault, ModelId, Recording, Secret, Speech, SpeechModel, Transcript,
    TranscriptionModel, Utterance,
};
use serde_json::{Value, json};

use crate::conformance::{MODEL, call};
use crate::transport::{Target, bytes_suite, http, transport_suite};

fn bearer() -> Arc<dyn Authorize> {
    Arc::new(Key::Bearer(Secret::new("sk-test")))
}

fn id() -> ModelId {
    ModelId::new("test", MODEL)
}

fn azure() -> Dialect {
    Dialect::Azure { api_version: "2024-10-21".to_owned() }
}

fn recording() -> Recording {
    let bytes = [&b"RIFF\r\n--\0\xff"[..], &[7; 40_000]].concat();
    Recording { bytes: bytes.into(), file_name: "Rapat für Ada.WAV".to_owned(), language: Some("id".to_owned()) }
}

fn utterance() -> Utterance {
    Utterance { text: "It was \"Ada\" — 你好.".to_owned(), voice: "alloy".to_owned(), format: AudioFormat::Opus }
}

fn error(message: &str) -> String {
    json!({ "error": { "message": message, "type": "x" } }).to_string()
}

struct Hearing;

impl Target for Hearing {
    fn auth() -> Arc<dyn Authorize> {
        bearer()
    }

    fn good() -> String {
        json!({ "text": "It was Ada." }).to_string()
    }

    fn error(message: &str) -> String {
        error(message)
    }

    async fn ask(http: Http, auth: Arc<dyn Authorize>) -> Result<(), ModelError> {
        HttpTranscription::new(id(), Dialect::OpenAi, http, auth).transcribe(&call(), &recording()).await.map(drop)
    }
}

struct Speaking;

impl Target for Speaking {
    fn auth() -> Arc<dyn Authorize> {
        bearer()
    }

    fn good() -> String {
        "OggS: a sound of two words".to_owned()
    }

    fn content_type() -> &'static str {
        "audio/ogg"
    }

    fn error(message: &str) -> String {
        error(message)
    }

    async fn ask(http: Http, auth: Arc<dyn Authorize>) -> Result<(), ModelError> {
        HttpSpeech::new(id(), Dialect::OpenAi, http, auth).speak(&call(), &utterance()).await.map(drop)
    }
}

async fn heard(dialect: Dialect, body: &Value) -> (Result<Transcript, ModelError>, Asked) {
    let upstream = Upstream::start([Reply::json(200, body)]).await.unwrap();
    let model = HttpTranscription::new(id(), dialect, http(&upstream.url()), bearer());
    let outcome = model.transcribe(&call(), &recording()).await;
    (outcome, upstream.asked().remove(0))
}

/// The fields of a form: names, file names and contents.
fn form(asked: &Asked) -> Vec<(String, Option<String>, Vec<u8>)> {
    let boundary = asked.header("content-type").unwrap().strip_prefix("multipart/form-data; boundary=").unwrap();
    let mark = format!("--{boundary}");
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|window| window == what);
    let mut fields = Vec::new();
    let mut rest = asked.body.strip_prefix(mark.as_bytes()).unwrap();
    while let Some(at) = find(rest, mark.as_bytes()) {
        let part = rest[..at].strip_prefix(b"\r\n").unwrap().strip_suffix(b"\r\n").unwrap();
        let head = find(part, b"\r\n\r\n").unwrap();
        let words = String::from_utf8(part[..head].to_vec()).unwrap();
        let value = |key: &str| words.split_once(key).map(|(_, rest)| rest.split('"').next().unwrap().to_owned());
        fields.push((value(" name=\"").unwrap(), value("filename=\""), part[head + 4..].to_vec()));
        rest = &rest[at + mark.len()..];
    }
    assert_eq!(rest, b"--\r\n");
    fields
}

#[tokio::test]
async fn a_recording_is_sent_as_a_form() {
    let usage = json!({ "type": "tokens", "input_tokens": 14, "output_tokens": 5, "total_tokens": 19 });
    let (outcome, asked) = heard(Dialect::OpenAi, &json!({ "text": " It was Ada.\n", "usage": usage })).await;
    let transcript = outcome.unwrap();
    assert_eq!((transcript.text.as_str(), transcript.model.as_str()), ("It was Ada.", MODEL));
    assert_eq!((transcript.usage.prompt, transcript.usage.completion, transcript.usage.estimated), (14, 5, false));
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/audio/transcriptions"));
    assert_eq!(asked.header("authorization"), Some("Bearer sk-test"));
    let text = |name: &str, value: &str| (name.to_owned(), None, value.as_bytes().to_vec());
    let file = ("file".to_owned(), Some("audio.wav".to_owned()), recording().bytes.to_vec());
    let expected = [file, text("response_format", "json"), text("model", MODEL), text("language", "id")];
    assert_eq!(form(&asked), expected);
}

#[tokio::test]
async fn azure_names_the_deployment_in_the_path() {
    let (outcome, asked) = heard(azure(), &json!({ "text": "" })).await;
    assert_eq!(outcome.unwrap().text, "");
    assert_eq!(asked.path, format!("/openai/deployments/{MODEL}/audio/transcriptions?api-version=2024-10-21"));
    assert!(form(&asked).iter().all(|field| field.0 != "model"));
}

#[tokio::test]
async fn models_billed_by_time_tell_seconds() {
    let body = json!({ "text": "It was Ada.", "usage": { "type": "duration", "seconds": 9.2 } });
    let transcript = heard(Dialect::OpenAi, &body).await.0.unwrap();
    assert_eq!((transcript.seconds, transcript.usage.completion, transcript.usage.estimated), (Some(9.2), 4, true));
}

#[tokio::test]
async fn what_is_too_long_is_not_sent() {
    let upstream = Upstream::start([]).await.unwrap();
    let hearing = HttpTranscription::new(id(), Dialect::OpenAi, http(&upstream.url()), bearer());
    let long = Recording { bytes: vec![0; (25 << 20) + 1].into(), ..recording() };
    assert_eq!(hearing.transcribe(&call(), &long).await.unwrap_err().fault, ModelFault::Request);
    let speaking = HttpSpeech::new(id(), Dialect::OpenAi, http(&upstream.url()), bearer());
    for text in [String::new(), "é".repeat(4_097)] {
        let long = Utterance { text, ..utterance() };
        assert_eq!(speaking.speak(&call(), &long).await.unwrap_err().fault, ModelFault::Request);
    }
    assert_eq!(upstream.asked(), []);
}

async fn spoken(dialect: Dialect, reply: Reply) -> (Result<Speech, ModelError>, Asked) {
    let upstream = Upstream::start([reply]).await.unwrap();
    let model = HttpSpeech::new(id(), dialect, http(&upstream.url()), bearer());
    let outcome = model.speak(&call(), &utterance()).await;
    (outcome, upstream.asked().remove(0))
}

#[tokio::test]
async fn text_is_spoken() {
    let (outcome, asked) = spoken(Dialect::OpenAi, Reply::body(200, "audio/ogg", [0, 255, 13, 10])).await;
    let speech = outcome.unwrap();
    assert_eq!((speech.bytes.as_ref(), speech.media_type.as_str()), (&[0, 255, 13, 10][..], "audio/ogg"));
    assert!(speech.usage.estimated && speech.usage.prompt > 4 && speech.usage.completion == 0, "{speech:?}");
    assert_eq!(asked.path, "/audio/speech");
    let mut expected = json!({ "input": utterance().text, "voice": "alloy", "response_format": "opus" });
    let (_, on_azure) = spoken(azure(), Reply::body(200, "audio/ogg", "x")).await;
    assert_eq!(on_azure.path, format!("/openai/deployments/{MODEL}/audio/speech?api-version=2024-10-21"));
    assert_eq!(on_azure.json(), expected);
    expected["model"] = json!(MODEL);
    assert_eq!(asked.json(), expected);
}

#[tokio::test]
async fn what_is_no_sound_is_an_error() {
    let told = json!({ "error": { "code": 429, "message": "slow down" } }).to_string();
    let cases = [
        (Reply::body(200, "audio/mpeg", ""), ModelFault::Malformed),
        (Reply::body(200, "text/html; charset=utf-8", "<html>"), ModelFault::Malformed),
        (Reply::body(200, "application/json", "{}"), ModelFault::Malformed),
        (Reply::body(200, "application/json", told), ModelFault::RateLimited { after: None }),
        (Reply::body(503, "application/json", error("busy")), ModelFault::Overloaded { after: None }),
        (Reply::promising(200, "audio/mpeg", 100).send("half"), ModelFault::Cut { began: false }),
    ];
    for (reply, fault) in cases {
        assert_eq!(spoken(Dialect::OpenAi, reply).await.0.unwrap_err().fault, fault);
    }
}

mod hearing {
    super::transport_suite!(super::Hearing);
}

mod speaking {
    super::bytes_suite!(super::Speaking);
}
