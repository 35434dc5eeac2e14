//! Trying a model for what a role asks of it: a short question, a vector, an order of two texts; through all its layers.
//! Beside that, the provider's own list of models.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use lorekeep_types::{
    AudioFormat, Call, ChatEvent, ChatMessage, ChatModel as _, ChatRequest, ChatRole, Completion, EmbedKind,
    ModelError, ModelId, ModelTest, Models as _, Recording, RerankModel as _, Result, Role, SpeechModel as _,
    TokenUsage, Tool, TranscriptionModel as _, Usage, Utterance, WorkspaceName,
};
use serde_json::Value;

use super::Gateway;
use crate::provider::http::Payload;

/// The whole trial ends by then.
const PATIENCE: Duration = Duration::from_secs(60);
/// Models shown of a provider's list.
const MOST_LISTED: usize = 500;
/// Characters shown of the answer.
const MOST_SHOWN: usize = 120;
/// What a reranker is asked, and which text answers it.
const QUESTION: &str = "Where is the key?";
const TEXTS: [&str; 2] = ["Bread is made of flour, water and salt.", "The key lies under the mat at the door."];
const FITTING: usize = 1;

/// The arguments of the tool that a model is offered.
const CITY: &str = r#"{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}"#;

/// The voice that OpenAI and most servers of its shape have.
const VOICE: &str = "alloy";

impl Gateway {
    pub(super) async fn trial(&self, model: &ModelId, role: Role) -> ModelTest {
        let started = Instant::now();
        let mut test = ModelTest {
            model: model.clone(),
            role,
            ok: false,
            error: None,
            first_token_ms: None,
            total_ms: 0.0,
            streams: false,
            reports_usage: false,
            usage: Usage::NONE,
            tools: None,
            dimensions: None,
            answer: String::new(),
            listed: Vec::new(),
        };
        self.guard(model).find_out();
        let outcome = match role {
            Role::Embed => self.embeds(model, started, &mut test).await,
            Role::Rerank => self.reranks(model, started, &mut test).await,
            Role::Transcribe => self.hears(model, started, &mut test).await,
            Role::Speak => self.speaks(model, started, &mut test).await,
            _ => self.answers(model, started, &mut test).await,
        };
        match outcome {
            Ok(()) => test.ok = true,
            Err(error) => test.error = Some(error.to_string()),
        }
        test.total_ms = started.elapsed().as_secs_f64() * 1e3;
        test.listed = self.listed(model).await.unwrap_or_default();
        test
    }

    async fn answers(&self, id: &ModelId, started: Instant, test: &mut ModelTest) -> Result<()> {
        let completion = self.ask(id, started, test).await?;
        test.took(&completion.usage, completion.cost);
        test.answer = completion.text.trim().chars().take(MOST_SHOWN).collect();
        if self.provider(id)?.capabilities().tools {
            test.tools = Some(self.calls(id, started, completion.usage, test).await);
        }
        Ok(())
    }

    /// Whether the model calls a tool that answers its question. A refusal is an answer too: of many servers of one
    /// kind, some have no tools.
    async fn calls(&self, id: &ModelId, started: Instant, before: TokenUsage, test: &mut ModelTest) -> bool {
        let tool = Tool {
            name: "clock".to_owned(),
            description: "Tells the time of day in a city.".to_owned(),
            parameters: CITY.to_owned(),
        };
        let request = ChatRequest {
            messages: vec![ChatMessage::text(ChatRole::User, "What time is it in Oslo? Ask the clock.")],
            max_tokens: Some(512),
            tools: vec![tool],
            ..ChatRequest::default()
        };
        let Ok(model) = self.guarded(id) else { return false };
        let Ok(completion) = model.chat(&call(started), &request).await else { return false };
        let usage = before.and(completion.usage);
        test.took(&usage, self.cost(id, &usage));
        completion.tool_calls.iter().any(|call| call.name == "clock")
    }

    async fn ask(&self, id: &ModelId, started: Instant, test: &mut ModelTest) -> Result<Completion> {
        let model = self.guarded(id)?;
        let request = ChatRequest {
            messages: vec![ChatMessage::text(ChatRole::User, "Say: ready for your documents.")],
            // Reasoning models think before they speak, within the same limit.
            max_tokens: Some(512),
            ..ChatRequest::default()
        };
        let mut events = model.stream(&call(started), &request).await?;
        let mut pieces = 0;
        while let Some(event) = events.next().await {
            match event? {
                ChatEvent::Text(_) => {
                    test.first_token_ms.get_or_insert_with(|| started.elapsed().as_secs_f64() * 1e3);
                    pieces += 1;
                }
                ChatEvent::Done(completion) => {
                    test.streams = pieces > 1;
                    return Ok(*completion);
                }
            }
        }
        let fault = lorekeep_types::ModelFault::Malformed;
        Err(ModelError::new(fault, id, "the answer ended without an end").into())
    }

    async fn embeds(&self, id: &ModelId, started: Instant, test: &mut ModelTest) -> Result<()> {
        let embedded = self.embed_by_id(id)?.embed(&call(started), &[QUESTION], EmbedKind::Query).await?;
        test.took(&embedded.usage, self.cost(id, &embedded.usage));
        test.dimensions = embedded.vectors.first().map(Vec::len);
        Ok(())
    }

    async fn reranks(&self, id: &ModelId, started: Instant, test: &mut ModelTest) -> Result<()> {
        let reranked = self.guarded_rerank(id)?.rerank(&call(started), QUESTION, &TEXTS, TEXTS.len()).await?;
        test.took(&reranked.usage, self.cost(id, &reranked.usage));
        let best = reranked.ranking.first().and_then(|best| TEXTS.get(best.index));
        let verdict = if best == TEXTS.get(FITTING) { "" } else { "not " };
        test.answer = format!("the text that answers the question is {verdict}the first");
        Ok(())
    }

    async fn hears(&self, id: &ModelId, started: Instant, test: &mut ModelTest) -> Result<()> {
        let recording = Recording { bytes: silence().into(), file_name: "silence.wav".to_owned(), language: None };
        let transcript = self.guarded_transcription(id)?.transcribe(&call(started), &recording).await?;
        test.took(&transcript.usage, self.cost(id, &transcript.usage));
        test.answer = transcript.text.chars().take(MOST_SHOWN).collect();
        Ok(())
    }

    async fn speaks(&self, id: &ModelId, started: Instant, test: &mut ModelTest) -> Result<()> {
        let utterance =
            Utterance { text: "Ready.".to_owned(), voice: VOICE.to_owned(), format: AudioFormat::default() };
        let speech = self.guarded_speech(id)?.speak(&call(started), &utterance).await?;
        test.took(&speech.usage, self.cost(id, &speech.usage));
        test.answer = format!("{} bytes of {}", speech.bytes.len(), speech.media_type);
        Ok(())
    }

    /// The models that the provider lists, in the shapes of OpenAI, Ollama and Gemini.
    async fn listed(&self, model: &ModelId) -> Result<Vec<String>> {
        let provider = self.provider(model)?;
        let Some(path) = provider.list_path() else { return Ok(Vec::new()) };
        let (http, auth) = provider.parts()?;
        let call = Call {
            deadline: Some(Instant::now() + Duration::from_secs(10)),
            ..Call::new("list", WorkspaceName::default_workspace(), "model-test")
        };
        let exchange = http.exchange(&call, model);
        let credential = auth.header(model, None).await?;
        let response = exchange.send(path, &provider.list_headers(), credential, Payload::None).await?;
        if !response.status().is_success() {
            return Ok(Vec::new());
        }
        let body: Value = serde_json::from_slice(&exchange.body(response).await?).unwrap_or_default();
        let rows = ["data", "models"].iter().find_map(|key| body[*key].as_array()).cloned().unwrap_or_default();
        let name = |row: &Value| ["id", "name", "model"].iter().find_map(|key| row[*key].as_str().map(str::to_owned));
        Ok(rows.iter().filter_map(name).take(MOST_LISTED).collect())
    }
}

/// A call of a trial.
fn call(started: Instant) -> Call {
    let call = Call::new("test", WorkspaceName::default_workspace(), "model-test");
    Call { deadline: Some(started + PATIENCE), ..call }
}

/// A second of silence: WAV with 8,000 samples of 16 bits.
fn silence() -> Vec<u8> {
    const RATE: u32 = 8_000;
    let length = 2 * RATE;
    let mut wav = Vec::with_capacity(44 + length as usize);
    wav.extend_from_slice(b"RIFF");
    wav.extend_from_slice(&(36 + length).to_le_bytes());
    wav.extend_from_slice(b"WAVEfmt ");
    // 16 bytes of format: PCM, one channel, samples and bytes a second, bytes and bits of a sample.
    for number in [16, 0x0001_0001, RATE, 2 * RATE, 0x0010_0002] {
        wav.extend_from_slice(&number.to_le_bytes());
    }
    wav.extend_from_slice(b"data");
    wav.extend_from_slice(&length.to_le_bytes());
    wav.resize(44 + length as usize, 0);
    wav
}
