//! The engine's context of one request: workspace, request id, time limit, and cancellation when the client goes.

use std::future::Future;
use std::ops::Deref;
use std::time::{Duration, Instant};

use axum::extract::{FromRequestParts, Query};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use lorekeep_types::{Error, ErrorCode, RequestContext, Result, WorkspaceName};

use crate::error::ApiError;
use crate::layers::{Admission, RequestId};
use crate::state::Shared;

const NATIVE: &str = "x-lorekeep-workspace";
const LIGHTRAG: &str = "lightrag-workspace";

/// A [`RequestContext`] that is cancelled when it is dropped. A client that disconnects makes hyper drop the
/// route's future or body and this with it, so work that still runs on another thread ends at its next check.
#[derive(Debug)]
pub(crate) struct Scope {
    context: RequestContext,
    _admission: Option<Admission>,
}

impl Scope {
    /// Runs `work` for at most `limit`.
    pub(crate) async fn within<T>(
        &mut self,
        limit: Duration,
        work: impl AsyncFnOnce(&RequestContext) -> Result<T>,
    ) -> Result<T> {
        self.context.deadline = Some(Instant::now() + limit);
        // Handed on as a whole it would be copied, and kept twice by each that it is handed to.
        timed(limit, Box::pin(work(&self.context))).await
    }

    /// The context of work that ends at `limit` by itself.
    pub(crate) fn until(&mut self, limit: Duration) -> &RequestContext {
        self.context.deadline = Some(Instant::now() + limit);
        &self.context
    }
}

async fn timed<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let seconds = limit.as_secs_f64();
        Err(Error::new(ErrorCode::Timeout, format!("the request took longer than its time limit of {seconds} s"))
            .hint("narrow the question or raise `server.request_timeout_s`"))
    })
}

impl Deref for Scope {
    type Target = RequestContext;

    fn deref(&self) -> &RequestContext {
        &self.context
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.context.cancel.cancel();
    }
}

impl FromRequestParts<Shared> for Scope {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        let workspace = workspace_of(parts)?;
        let request_id = parts.extensions.get::<RequestId>().map(|id| id.0.as_ref()).unwrap_or_default();
        let principal = app.settings.callers.of(&parts.headers).map(str::to_owned);
        Ok(Self {
            context: RequestContext { principal, ..RequestContext::new(workspace, request_id) },
            _admission: parts.extensions.get::<Admission>().cloned(),
        })
    }
}

fn workspace_of(parts: &Parts) -> Result<WorkspaceName> {
    if let Some(name) = header(&parts.headers, NATIVE)? {
        return WorkspaceName::parse(name);
    }
    if let Some(name) = header(&parts.headers, LIGHTRAG)? {
        return lightrag_workspace(name);
    }
    if parts.uri.query().is_none() {
        return Ok(WorkspaceName::default_workspace());
    }
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).map(|query| query.0).unwrap_or_default();
    match pairs.iter().find(|(key, _)| key == "workspace") {
        Some((_, name)) => WorkspaceName::parse(name),
        None => Ok(WorkspaceName::default_workspace()),
    }
}

/// LightRAG replaces whatever is no letter, digit or `_`; a name that is well formed here is taken as it is.
fn lightrag_workspace(name: &str) -> Result<WorkspaceName> {
    WorkspaceName::parse(name).or_else(|_| {
        let cleaned = name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' });
        WorkspaceName::parse(&cleaned.collect::<String>())
    })
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().map_err(|_| Error::invalid(format!("the header `{name}` is not ASCII text")))?;
    Ok(Some(text.trim()).filter(|text| !text.is_empty()))
}
