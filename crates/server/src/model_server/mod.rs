//! A model of this process as a service of its own (`lorekeep model serve`): OpenAI's shape, the plain
//! `/v1/generate`, and what an operator watches. It knows no documents and no workspaces.
//!
//! What computes, and how many calls may wait for it, is the port's ([`PromptModel`], [`ResidentEmbedder`]); a caller
//! who closes the connection drops the answer's stream and thereby ends the computation.

mod chat;
mod embeddings;
mod generate;
mod health;
mod refuse;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use lorekeep_types::{Call, Clock, Ids, PromptModel, ResidentEmbedder, WorkspaceName};

use self::refuse::{Refusal, Shape};
use crate::layers::origin;
use crate::settings::ServerSettings;

/// Largest body, in bytes.
const MOST_BODY: usize = 16 << 20;

/// What the service is given.
#[derive(Clone)]
pub struct ModelServer {
    /// The model that writes.
    pub chat: Option<Arc<dyn PromptModel>>,
    /// The model that embeds.
    pub embedder: Option<Arc<dyn ResidentEmbedder>>,
    /// Time, for `created`.
    pub clock: Arc<dyn Clock>,
    /// Ids of answers.
    pub ids: Arc<dyn Ids>,
    /// Bytes of the process in memory, as far as the system tells.
    pub resident_bytes: fn() -> Option<u64>,
    /// Whether to refuse other host names than loopback ones, and pages of other sites.
    pub settings: ServerSettings,
}

impl ModelServer {
    fn chat(&self, shape: Shape) -> Result<&dyn PromptModel, Refusal> {
        self.chat.as_deref().ok_or_else(|| Refusal::absent(shape, "writes", "--model"))
    }

    fn embedder(&self) -> Result<&dyn ResidentEmbedder, Refusal> {
        self.embedder.as_deref().ok_or_else(|| Refusal::absent(Shape::OpenAi, "embeds", "--embedding"))
    }

    fn call(&self) -> Call {
        Call::new("serve", WorkspaceName::default_workspace(), self.ids.next())
    }

    fn created(&self) -> i64 {
        self.clock.now_ms() / 1_000
    }
}

/// The service; [`crate::serve`] puts it on a socket.
pub fn model_router(server: ModelServer) -> Router {
    Router::new()
        .route("/health", get(health::health))
        .route("/metrics", get(health::metrics))
        .route("/v1/models", get(health::models))
        .route("/v1/generate", post(generate::generate))
        .route("/v1/chat/completions", post(chat::complete))
        .route("/v1/embeddings", post(embeddings::embed))
        .fallback(refuse::no_route)
        .method_not_allowed_fallback(refuse::no_method)
        .layer(DefaultBodyLimit::max(MOST_BODY))
        .layer(from_fn_with_state(server.clone(), guard))
        .with_state(server)
}

async fn guard(State(server): State<ModelServer>, request: Request, next: Next) -> Result<Response, Refusal> {
    origin::admits(&server.settings, &request).map_err(|error| Refusal::of(Shape::OpenAi, &error))?;
    Ok(next.run(request).await)
}
