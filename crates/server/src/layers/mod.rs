//! What every request passes through, outermost first:
//!
//! 1. [`Identity`]: a request id, taken from the caller or made here, and echoed in the response;
//! 2. [`Line`]: one log line per request, without any text of the user;
//! 3. [`harden`]: security headers on every response;
//! 4. [`error::Manner`]: bodies of failed requests, in the manner of the surface addressed;
//! 5. [`caught`]: a fault in one request ends as a 500 of that request only;
//! 6. [`origin::admits`]: refuses other sites' pages and rebound host names;
//! 7. CORS, only when an operator named origins;
//! 8. the limit of requests worked on at once, on all but health, documentation and page.
//!
//! All but CORS are one layer, [`pass`]: each layer of its own costs every request a copy of all that lie within it. Where
//! CORS stands before the limit, that is one of its own, so that a page may read that it was refused. Body limits belong to
//! the routes (they differ), time limits to [`crate::scope::Scope`].

pub(crate) mod origin;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, Method};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures::FutureExt as _;
use lorekeep_types::{Error, ErrorCode, Result};
use tokio::sync::OwnedSemaphorePermit;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::error::{self, ApiError};
use crate::settings::ServerSettings;
use crate::state::Shared;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CSP: &str = "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; \
                   worker-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The id of the request in hand; always present in its extensions.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) Arc<str>);

/// Which requests count against the limit of those worked on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    Yes,
    No,
}

/// Wraps `router` in all layers.
pub(crate) fn wrap(router: Router<Shared>, app: &Shared, counted: Counted) -> Router<Shared> {
    let passing = |counted| from_fn_with_state((app.clone(), counted), pass);
    match cors(&app.settings) {
        None => router.layer(passing(counted)),
        Some(cors) => {
            router.layer(from_fn_with_state((app.clone(), counted), count)).layer(cors).layer(passing(Counted::No))
        }
    }
}

/// The limit alone.
async fn count(State((app, counted)): State<(Shared, Counted)>, mut request: Request, next: Next) -> Response {
    match placed(&app, counted, &mut request) {
        Ok(_place) => next.run(request).await,
        Err(error) => ApiError::from(error).into_response(),
    }
}

/// All layers but CORS.
async fn pass(State((app, counted)): State<(Shared, Counted)>, mut request: Request, next: Next) -> Response {
    let id = Identity::of(&app, &mut request);
    let line = Line::begin(&request);
    let manner = error::Manner::of(&request);
    let admitted = origin::admits(&app.settings, &request).and_then(|()| placed(&app, counted, &mut request));
    let response = match admitted {
        Ok(_place) => caught(request, next).await,
        Err(error) => ApiError::from(error).into_response(),
    };
    let mut response = manner.render(&id.0, response);
    harden(response.headers_mut());
    line.end(&id.0, &response);
    id.echo(response.headers_mut());
    response
}

fn cors(settings: &ServerSettings) -> Option<CorsLayer> {
    if settings.cors_origins.is_empty() {
        return None;
    }
    let origins = settings.cors_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
    Some(
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(origins))
            .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
            .allow_headers(tower_http::cors::AllowHeaders::mirror_request())
            .expose_headers([REQUEST_ID]),
    )
}

/// A place for a request that is counted; the request has it, too.
fn placed(app: &Shared, counted: Counted, request: &mut Request) -> Result<Option<Admission>> {
    if counted == Counted::No {
        return Ok(None);
    }
    let place = Admission(Arc::new(app.admit()?));
    request.extensions_mut().insert(place.clone());
    Ok(Some(place))
}

/// What the routes answer, or that they met a fault.
async fn caught(request: Request, next: Next) -> Response {
    // Whatever a panic may have left half done is behind locks that know it, or dropped with the request.
    let outcome = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    outcome.unwrap_or_else(|panic| panicked(panic.as_ref()))
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("no message"), "a request met a fault of this program");
    let error = Error::new(ErrorCode::Internal, "the request met a fault of this program")
        .hint("report it with the request id");
    ApiError::from(error).into_response()
}

/// The id of a request.
struct Identity(Arc<str>);

impl Identity {
    /// The caller's, or one made here; the request has it from now on.
    fn of(app: &Shared, request: &mut Request) -> Self {
        let id = match given_id(request.headers()) {
            Some(id) => id.into(),
            None => format!("req_{}", app.state.ids.next()).into(),
        };
        request.extensions_mut().insert(RequestId(Arc::clone(&id)));
        Self(id)
    }

    fn echo(self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            headers.insert(REQUEST_ID, value);
        }
    }
}

/// A caller's own id: 1 to 128 visible ASCII characters; anything else is replaced.
fn given_id(headers: &HeaderMap) -> Option<&str> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    ((1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())).then_some(id)
}

/// The log line of a request.
struct Line {
    started: Instant,
    method: Method,
    path: Option<MatchedPath>,
}

impl Line {
    fn begin(request: &Request) -> Self {
        // The route's pattern, not the path: paths can hold names of documents and entities.
        let path = request.extensions().get::<MatchedPath>().cloned();
        Self { started: Instant::now(), method: request.method().clone(), path }
    }

    fn end(self, request_id: &str, response: &Response) {
        let Self { started, method, path } = self;
        let (path, status) = (path.as_ref().map_or("-", MatchedPath::as_str), response.status().as_u16());
        let duration_ms = started.elapsed().as_secs_f64() * 1e3;
        tracing::info!(%method, path, status, duration_ms, request_id, "request");
    }
}

fn harden(headers: &mut HeaderMap) {
    // With the id, and what the connection adds.
    headers.reserve(8);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("microphone=(self), camera=(), geolocation=()"),
    );
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
    // A route that sends something stricter (originals of documents) keeps it.
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(CSP));
}

/// A request's place among those worked on at once; streams that work while they are read hold a clone.
#[derive(Clone, Debug)]
pub(crate) struct Admission(#[expect(dead_code, reason = "held for its drop")] Arc<OwnedSemaphorePermit>);
