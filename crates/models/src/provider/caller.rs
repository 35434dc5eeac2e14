//! The sender that all ports over HTTP share: credentials, their renewal, and what a refusal means.

use std::sync::Arc;

use bytes::Bytes;
use lorekeep_types::{Call, ModelError, ModelFault, ModelId};
use reqwest::Response;

use super::auth::Authorize;
use super::http::{Exchange, Http, Payload};
use super::wire::{WireFault, WireRequest};

/// How a wire reads the body of an error status.
pub trait Refusal {
    /// The provider's own words; `None` when it has none.
    fn words(&self, body: &[u8]) -> Option<String>;

    /// A more precise fault than the status tells.
    fn precise(&self, status: u16, body: &[u8]) -> Option<ModelFault>;
}

/// A model's address and credentials. Cheap to clone.
#[derive(Clone)]
pub struct Caller {
    id: ModelId,
    http: Http,
    auth: Arc<dyn Authorize>,
}

impl Caller {
    /// The model `id` at the provider that `http` reaches.
    #[must_use]
    pub fn new(id: ModelId, http: Http, auth: Arc<dyn Authorize>) -> Self {
        Self { id, http, auth }
    }

    /// Which model.
    #[must_use]
    pub fn id(&self) -> &ModelId {
        &self.id
    }

    /// Starts a call: from here on its time runs.
    #[must_use]
    pub fn exchange(&self, call: &Call) -> Exchange<'_> {
        self.http.exchange(call, &self.id)
    }

    /// A wire's fault as an error of this model.
    #[must_use]
    pub fn error(&self, fault: WireFault) -> ModelError {
        ModelError::new(fault.fault, &self.id, fault.message)
    }

    /// An answer that does not fit its request.
    #[must_use]
    pub fn malformed(&self, message: impl Into<String>) -> ModelError {
        ModelError::new(ModelFault::Malformed, &self.id, message)
    }

    /// Sends the request; a refused credential that can be renewed is, once.
    ///
    /// # Errors
    /// What the transport or an error status tells.
    pub async fn open(
        &self,
        exchange: &Exchange<'_>,
        request: &WireRequest,
        refusal: &(impl Refusal + ?Sized),
    ) -> Result<Response, ModelError> {
        let payload = Payload::Json(request.body.to_string().into());
        self.send(exchange, &request.path, &request.headers, &payload, refusal).await
    }

    /// The same for any payload.
    ///
    /// # Errors
    /// As [`Caller::open`].
    pub async fn send(
        &self,
        exchange: &Exchange<'_>,
        path: &str,
        headers: &[(&'static str, String)],
        payload: &Payload,
        refusal: &(impl Refusal + ?Sized),
    ) -> Result<Response, ModelError> {
        let mut refused = None;
        loop {
            let credential = exchange.bounded(self.auth.header(&self.id, refused.as_ref())).await??;
            let sent = credential.as_ref().map(|(_, value)| value.clone());
            let response = exchange.send(path, headers, credential, payload.clone()).await?;
            if response.status().is_success() {
                return Ok(response);
            }
            if response.status().as_u16() == 401 && self.auth.renews() && refused.is_none() && sent.is_some() {
                refused = sent;
                continue;
            }
            let words = |body: &[u8]| refusal.words(body);
            let precise = |status, body: &[u8]| refusal.precise(status, body);
            return Err(exchange.refused(response, words, precise).await);
        }
    }

    /// Sends the request and reads the whole answer.
    ///
    /// # Errors
    /// As [`Caller::open`], and what ends a body early.
    pub async fn ask(
        &self,
        call: &Call,
        request: &WireRequest,
        refusal: &(impl Refusal + ?Sized),
    ) -> Result<Bytes, ModelError> {
        let exchange = self.exchange(call);
        let response = self.open(&exchange, request, refusal).await?;
        exchange.body(response).await
    }
}
