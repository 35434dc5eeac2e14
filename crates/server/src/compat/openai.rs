//! OpenAI's routes of sound, `/v1/audio/transcriptions` and `/v1/audio/speech`, which the models of the roles `transcribe`
//! and `speak` serve. Fields, answers and failures have OpenAI's shapes; which model serves is the configuration's, so
//! that a client's own name for one is taken and not looked at.
//!
//! Reference: <https://platform.openai.com/docs/api-reference/audio>.

use std::sync::Arc;

use axum::extract::multipart::{Field, Multipart};
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use lorekeep_types::{AudioFormat, Call, Error, ErrorCode, Recording, RequestContext, Result, Role, Utterance};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::error::ApiResult;
use crate::extract::JsonBody;
use crate::routes::{Failures, upload_room};
use crate::scope::Scope;
use crate::state::Shared;

/// The longest recording that OpenAI takes, and the fields beside it.
const MOST_FORM: usize = (25 << 20) + (64 << 10);
/// The longest text field of a form, in bytes.
const MOST_FIELD: usize = 4_096;
/// The voice of those who name none.
const VOICE: &str = "alloy";

/// The routes.
pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/audio/transcriptions", post(transcribe))
        .route("/v1/audio/speech", post(speak))
        .layer(DefaultBodyLimit::max(MOST_FORM))
}

/// A recording to be written down.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the form in the API document")]
pub(crate) struct TranscriptionForm {
    /// The recording: flac, mp3, mp4, mpeg, mpga, m4a, ogg, wav or webm.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// A client's name for a model; the one of the role `transcribe` serves.
    model: Option<String>,
    /// What is spoken (ISO 639-1).
    language: Option<String>,
    /// `json` (the default) or `text`.
    response_format: Option<String>,
}

/// Text to be spoken.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SpeechBody {
    /// A client's name for a model; the one of the role `speak` serves.
    #[expect(dead_code, reason = "clients send it; the role decides")]
    #[serde(default)]
    model: Option<String>,
    /// The text.
    input: String,
    /// A voice of the model; `alloy` without it.
    #[serde(default)]
    voice: Option<String>,
    /// `mp3` (the default), `opus`, `aac`, `flac`, `wav` or `pcm`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    response_format: Option<AudioFormat>,
    /// 1, if given.
    #[serde(default)]
    speed: Option<f64>,
}

/// Writes down a recording, in OpenAI's shape.
#[utoipa::path(post, path = "/v1/audio/transcriptions", operation_id = "transcribe", tag = "models",
    request_body(content = TranscriptionForm, content_type = "multipart/form-data"),
    responses((status = 200, body = Value), Failures))]
pub(crate) async fn transcribe(State(app): State<Shared>, mut scope: Scope, request: Request) -> ApiResult<Response> {
    let _room = upload_room(&app, &request)?;
    // Read whatever comes of it: a client that is still sending hears of a broken connection, not of the reason.
    let form = Form::read(&app, request).await?;
    let model =
        app.state.models.as_ref().and_then(|models| models.transcribe()).ok_or_else(|| none(Role::Transcribe))?;
    let work = async |ctx: &RequestContext| {
        Ok(model.transcribe(&Call::of(ctx, Role::Transcribe.name()), &form.recording).await?)
    };
    let transcript = scope.within(app.settings.answer_timeout, work).await?;
    Ok(if form.as_text {
        transcript.text.into_response()
    } else {
        Json(json!({ "text": transcript.text })).into_response()
    })
}

/// Speaks a text, in OpenAI's shape; the answer is the sound.
#[utoipa::path(post, path = "/v1/audio/speech", operation_id = "speak", tag = "models",
    request_body = SpeechBody,
    responses((status = 200, content_type = "audio/mpeg", body = Vec<u8>), Failures))]
pub(crate) async fn speak(
    State(app): State<Shared>,
    mut scope: Scope,
    JsonBody(body): JsonBody<SpeechBody>,
) -> ApiResult<Response> {
    let model = app.state.models.as_ref().and_then(|models| models.speak()).ok_or_else(|| none(Role::Speak))?;
    if body.speed.is_some_and(|speed| (speed - 1.0).abs() > f64::EPSILON) {
        return Err(Error::invalid("`speed` is not followed: text is spoken at the model's own")
            .hint("leave it out")
            .into());
    }
    let utterance = Utterance {
        text: body.input,
        voice: body.voice.unwrap_or_else(|| VOICE.to_owned()),
        format: body.response_format.unwrap_or_default(),
    };
    let work = async |ctx: &RequestContext| Ok(model.speak(&Call::of(ctx, Role::Speak.name()), &utterance).await?);
    let speech = scope.within(app.settings.answer_timeout, work).await?;
    Ok(([(CONTENT_TYPE, speech.media_type)], speech.bytes.to_vec()).into_response())
}

fn none(role: Role) -> Error {
    let name = role.name();
    Error::new(ErrorCode::CapabilityMissing, format!("no model of the role `{name}` is configured")).hint(format!(
        "name one: `roles.{name} = \"PROVIDER/MODEL\"`, or `lorekeep model set PROVIDER/MODEL --role {name}`"
    ))
}

/// What a form of a transcription says.
struct Form {
    recording: Recording,
    as_text: bool,
}

impl Form {
    async fn read(app: &Shared, request: Request) -> Result<Self> {
        let unreadable = |text: String| Error::invalid(format!("the form cannot be read: {text}"));
        let mut parts =
            Multipart::from_request(request, app).await.map_err(|rejection| unreadable(rejection.body_text()))?;
        let (mut file, mut language, mut as_text) = (None, None, false);
        while let Some(field) = parts.next_field().await.map_err(|fault| unreadable(fault.body_text()))? {
            match field.name().unwrap_or_default() {
                "file" => {
                    let name = field.file_name().unwrap_or("audio").to_owned();
                    file = Some((name, bytes(field, MOST_FORM).await?));
                }
                "language" => language = Some(text(field).await?).filter(|code| !code.is_empty()),
                "response_format" => as_text = is_text(&text(field).await?)?,
                // What else OpenAI's clients send changes nothing here.
                _ => drop(bytes(field, MOST_FORM).await?),
            }
        }
        let (file_name, bytes) = file.filter(|(_, bytes)| !bytes.is_empty()).ok_or_else(|| {
            Error::invalid("the form holds no recording").hint("send one as the part `file`, with a file name")
        })?;
        Ok(Self { recording: Recording { bytes: Arc::from(bytes), file_name, language }, as_text })
    }
}

fn is_text(format: &str) -> Result<bool> {
    match format {
        "json" => Ok(false),
        "text" => Ok(true),
        other => {
            Err(Error::invalid(format!("a recording is not written down as `{other}`")).hint("use `json` or `text`"))
        }
    }
}

async fn text(field: Field<'_>) -> Result<String> {
    let bytes = bytes(field, MOST_FIELD).await?;
    String::from_utf8(bytes).map_err(|fault| Error::invalid("a text part is not UTF-8").caused_by(fault))
}

async fn bytes(mut field: Field<'_>, most: usize) -> Result<Vec<u8>> {
    let name = field.name().unwrap_or_default().to_owned();
    let too_large = || Error::new(ErrorCode::TooLarge, format!("the part `{name}` is longer than {most} bytes"));
    let mut bytes = Vec::new();
    loop {
        match field.chunk().await {
            Ok(Some(piece)) => bytes.extend_from_slice(&piece),
            Ok(None) => return Ok(bytes),
            Err(fault) if fault.status() == StatusCode::PAYLOAD_TOO_LARGE => return Err(too_large()),
            Err(fault) => return Err(Error::invalid(format!("the form broke off: {}", fault.body_text()))),
        }
        if bytes.len() > most {
            return Err(too_large());
        }
    }
}

/// The body of a failure.
pub(crate) fn failure(status: StatusCode, code: ErrorCode, message: &str) -> Value {
    let kind = match status.as_u16() {
        401 | 403 => "authentication_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "server_error",
    };
    json!({ "error": { "message": message, "type": kind, "param": null, "code": code.name() } })
}
