//! Trying a model: a short question through all its layers, and the provider's own list of models.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use lorekeep_types::{
    Call, ChatEvent, ChatMessage, ChatRequest, ChatRole, Completion, ModelError, ModelId, ModelTest, Models as _,
    Result, Usage, WorkspaceName,
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

impl Gateway {
    pub(super) async fn trial(&self, model: &ModelId) -> ModelTest {
        let started = Instant::now();
        let mut test = ModelTest {
            model: model.clone(),
            ok: false,
            error: None,
            first_token_ms: None,
            total_ms: 0.0,
            streams: false,
            reports_usage: false,
            usage: Usage::NONE,
            answer: String::new(),
            listed: Vec::new(),
        };
        match self.ask(model, started, &mut test).await {
            Ok(completion) => {
                test.ok = true;
                test.reports_usage = !completion.usage.estimated;
                test.usage = Usage {
                    prompt_tokens: completion.usage.prompt,
                    completion_tokens: completion.usage.completion,
                    total_tokens: completion.usage.total(),
                    cost_nano_usd: completion.cost.map(i64::unsigned_abs),
                    estimated: completion.usage.estimated,
                };
                test.answer = completion.text.trim().chars().take(MOST_SHOWN).collect();
            }
            Err(error) => test.error = Some(error.to_string()),
        }
        test.total_ms = started.elapsed().as_secs_f64() * 1e3;
        test.listed = self.listed(model).await.unwrap_or_default();
        test
    }

    async fn ask(&self, id: &ModelId, started: Instant, test: &mut ModelTest) -> Result<Completion> {
        let model = self.chat_by_id(id)?;
        let request = ChatRequest {
            messages: vec![ChatMessage::text(ChatRole::User, "Say: ready for your documents.")],
            // Reasoning models think before they speak, within the same limit.
            max_tokens: Some(512),
            ..ChatRequest::default()
        };
        let call = Call {
            deadline: Some(started + PATIENCE),
            ..Call::new("test", WorkspaceName::default_workspace(), "model-test")
        };
        let mut events = model.stream(&call, &request).await?;
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
