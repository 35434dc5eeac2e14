//! What every request passes through, outermost first:
//!
//! 1. [`identify`]: a request id, taken from the caller or made here, and echoed in the response;
//! 2. [`trace`]: one log line per request, without any text of the user;
//! 3. [`harden`]: security headers on every response;
//! 4. [`crate::error::render`]: bodies of failed requests, in the manner of the surface addressed;
//! 5. catch-panic: a fault in one request ends as a 500 of that request only;
//! 6. [`origin::guard`]: refuses other sites' pages and rebound host names;
//! 7. CORS, only when an operator named origins;
//! 8. [`admit`], on all but health, documentation and page: the limit of requests worked on at once.
//!
//! Body limits belong to the routes (they differ), time limits to [`crate::scope::Scope`].

pub(crate) mod origin;

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, Method};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use lorekeep_types::{Error, ErrorCode};
use tokio::sync::OwnedSemaphorePermit;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::error::{self, ApiError};
use crate::settings::ServerSettings;
use crate::state::Shared;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CSP: &str = "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; \
                   worker-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The id of the request in hand; always present in its extensions.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) String);

/// Wraps `router` in layers 1 to 7.
pub(crate) fn wrap(router: Router, app: &Shared) -> Router {
    let router = match cors(&app.settings) {
        Some(cors) => router.layer(cors),
        None => router,
    };
    router
        .layer(from_fn_with_state(app.clone(), origin::guard))
        .layer(CatchPanicLayer::custom(|panic: Box<dyn Any + Send>| panicked(panic.as_ref())))
        .layer(from_fn(error::render))
        .layer(from_fn(harden))
        .layer(from_fn(trace))
        .layer(from_fn_with_state(app.clone(), identify))
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

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(panic = text.unwrap_or("no message"), "a request met a fault of this program");
    let error = Error::new(ErrorCode::Internal, "the request met a fault of this program")
        .hint("report it with the request id");
    ApiError::from(error).into_response()
}

async fn identify(State(app): State<Shared>, mut request: Request, next: Next) -> Response {
    let id = given_id(request.headers()).unwrap_or_else(|| format!("req_{}", app.state.ids.next()));
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// A caller's own id: 1 to 128 visible ASCII characters; anything else is replaced.
fn given_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    ((1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())).then(|| id.to_owned())
}

async fn trace(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    // The route's pattern, not the path: paths can hold names of documents and entities.
    let path = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned();
    let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let response = next.run(request).await;
    let duration_ms = started.elapsed().as_secs_f64() * 1e3;
    tracing::info!(%method, path, status = response.status().as_u16(), duration_ms, request_id, "request");
    response
}

async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("microphone=(self), camera=(), geolocation=()"),
    );
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin"));
    // A route that sends something stricter (originals of documents) keeps it.
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(CSP));
    response
}

/// A request's place among those worked on at once; streams that work while they are read hold a clone.
#[derive(Clone, Debug)]
pub(crate) struct Admission(#[expect(dead_code, reason = "held for its drop")] Arc<OwnedSemaphorePermit>);

/// Layer 8.
pub(crate) async fn admit(State(app): State<Shared>, mut request: Request, next: Next) -> Response {
    match app.admit() {
        Ok(permit) => {
            let admission = Admission(Arc::new(permit));
            request.extensions_mut().insert(admission.clone());
            let response = next.run(request).await;
            drop(admission);
            response
        }
        Err(error) => ApiError::from(error).into_response(),
    }
}
