//! The HTTP client of all providers: connections, time limits, size limits, and what their faults mean.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use lorekeep_types::{Call, ModelError, ModelFault, ModelId, Phase, Secret, TokenUsage};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::multipart::{Form, Part};
use reqwest::{Client, Response, Url};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::usage;

/// The longest answer that is read: one beyond it is a fault of the provider.
const MOST_BYTES: usize = 64 << 20;
/// The longest body of an error that is read.
const MOST_ERROR_BYTES: usize = 64 << 10;

/// Time limits of a call. All run at once; the first to pass ends the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands.
    pub connect: Duration,
    /// From sending until the first byte of the answer: a model that does not stream thinks here.
    pub first_byte: Duration,
    /// Between two pieces of a body.
    pub idle: Duration,
    /// The whole call; the caller's deadline shortens it.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            first_byte: Duration::from_secs(120),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(600),
        }
    }
}

/// Connections that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Idle connections per host.
    pub idle: usize,
    /// How long one stays open unused.
    pub keep: Duration,
}

impl Default for Pool {
    fn default() -> Self {
        Self { idle: 32, keep: Duration::from_secs(60) }
    }
}

/// A client for one provider. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    base_url: String,
    headers: HeaderMap,
    timeouts: Timeouts,
    /// The path of the last request with its whole address: most requests of a client have one path.
    last: Arc<Mutex<Option<(String, Url)>>>,
}

impl Http {
    /// A client for the provider at `base_url`, which sends `headers` with every request. Redirects are not followed: a
    /// credential goes nowhere but to the configured address.
    ///
    /// # Errors
    /// A sentence about the address or header that cannot be used.
    pub fn new(base_url: &str, headers: &[(String, String)], timeouts: Timeouts, pool: Pool) -> Result<Self, String> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let url = Url::parse(base_url).map_err(|error| format!("`{base_url}` is not an address: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(format!("`{base_url}` is not an http or https address"));
        }
        let client = Client::builder()
            .connect_timeout(timeouts.connect)
            .pool_max_idle_per_host(pool.idle)
            .pool_idle_timeout(pool.keep)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("lorekeep/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("cannot make an HTTP client: {error}"))?;
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::try_from(name.as_str()).map_err(|_| format!("`{name}` is not a header name"))?;
            let value = HeaderValue::try_from(value.as_str())
                .map_err(|_| format!("header `{name}` has a value that cannot be sent"))?;
            map.insert(name, value);
        }
        let base_url = base_url.trim_end_matches('/').to_owned();
        Ok(Self { client, base_url, headers: map, timeouts, last: Arc::default() })
    }

    /// The address of `path`, which is appended to the base address unless it is a whole address itself.
    fn address(&self, path: &str) -> Result<Url, String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, address)) = last.as_ref().filter(|(known, _)| known == path) {
            return Ok(address.clone());
        }
        let address =
            if path.starts_with("http") { Url::parse(path) } else { Url::parse(&joined(&self.base_url, path)) };
        let address = address.map_err(|error| format!("no address can be made with {}: {error}", self.base_url))?;
        *last = Some((path.to_owned(), address.clone()));
        Ok(address)
    }

    /// The address that paths are appended to.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Starts a call: from here on its time runs.
    #[must_use]
    pub fn exchange<'a>(&'a self, call: &Call, model: &'a ModelId) -> Exchange<'a> {
        let own = self.own_exchange(model);
        own.until(call.deadline.map_or(own.deadline, |deadline| deadline.min(own.deadline)))
    }

    /// The same for what serves many calls at once, such as fetching a token: its time is the client's own.
    #[must_use]
    pub fn own_exchange<'a>(&'a self, model: &'a ModelId) -> Exchange<'a> {
        Exchange { http: self, model, deadline: Instant::now() + self.timeouts.total }
    }
}

/// What an HTTP request carries.
#[derive(Clone, Debug)]
pub enum Payload {
    /// A JSON body.
    Json(Bytes),
    /// A form (`application/x-www-form-urlencoded`).
    Form(Vec<(&'static str, String)>),
    /// A form with files (`multipart/form-data`).
    Multipart(Vec<(&'static str, Field)>),
    /// Nothing: a GET.
    None,
}

/// A field of a form with files.
#[derive(Clone, Debug)]
pub enum Field {
    /// Text.
    Text(String),
    /// A file.
    File {
        /// Its name; plain ASCII, because servers disagree about the rest.
        name: String,
        /// Its content.
        bytes: Bytes,
    },
}

impl Field {
    fn part(self) -> Part {
        match self {
            Self::Text(text) => Part::text(text),
            Self::File { name, bytes } => {
                let length = bytes.len() as u64;
                let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))];
                let part = Part::stream_with_length(bytes, length).file_name(name);
                part.headers(headers.into_iter().collect())
            }
        }
    }
}

/// One call's requests, all under one deadline.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    http: &'a Http,
    model: &'a ModelId,
    deadline: Instant,
}

impl Exchange<'_> {
    /// The moment at which the call is abandoned.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The same with a given deadline.
    #[must_use]
    pub fn until(self, deadline: Instant) -> Self {
        Self { deadline, ..self }
    }

    /// Bounds a step that comes before the request, such as fetching a credential, by the time of the call.
    ///
    /// # Errors
    /// `Timeout`, of which it is known that nothing was consumed.
    pub async fn bounded<T>(&self, step: impl Future<Output = T>) -> Result<T, ModelError> {
        let within = self.within(self.http.timeouts.total, Phase::Total, step).await;
        within.map_err(|error| error.with_usage(TokenUsage::default()))
    }

    /// Sends a request and waits for the head of the answer, whatever its status. `path` is appended to the base
    /// address, unless it is a whole address itself; what the end of the base and the start of the path share, such
    /// as `/v1`, is said once.
    ///
    /// # Errors
    /// `Connect`, `Timeout`, `Cut`.
    pub async fn send(
        &self,
        path: &str,
        headers: &[(&'static str, String)],
        credential: Option<(&'static str, Secret)>,
        payload: Payload,
    ) -> Result<Response, ModelError> {
        let url = self.http.address(path).map_err(|error| self.fault(ModelFault::Request, error))?;
        let mut request = match payload {
            Payload::Json(body) => self.http.client.post(url).header(CONTENT_TYPE, "application/json").body(body),
            Payload::Form(fields) => {
                let mut body =
                    Url::parse("http://form").map_err(|_| self.fault(ModelFault::Request, "cannot write a form"))?;
                body.query_pairs_mut().extend_pairs(fields);
                let body = body.query().unwrap_or_default().to_owned();
                self.http.client.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)
            }
            Payload::Multipart(fields) => {
                let form = fields.into_iter().fold(Form::new(), |form, (name, field)| form.part(name, field.part()));
                self.http.client.post(url).multipart(form)
            }
            Payload::None => self.http.client.get(url),
        };
        request = request.headers(self.http.headers.clone());
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some((name, value)) = credential {
            let mut value = HeaderValue::try_from(value.expose())
                .map_err(|_| self.fault(ModelFault::Credential, "the API key holds characters that cannot be sent"))?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        let sent = self.within(self.http.timeouts.first_byte, Phase::FirstByte, request.send()).await?;
        sent.map_err(|error| self.transport(&error))
    }

    /// Reads a whole body.
    ///
    /// # Errors
    /// `Timeout`, `Cut`, `Malformed` when it is too long.
    pub async fn body(&self, response: Response) -> Result<Bytes, ModelError> {
        self.body_within(response, MOST_BYTES, &mut BytesMut::new()).await
    }

    /// The same for an answer of written text: an error tells the tokens that had come by then, if any had.
    ///
    /// # Errors
    /// As [`Exchange::body`].
    pub async fn written(&self, response: Response) -> Result<Bytes, ModelError> {
        let mut seen = BytesMut::new();
        let body = self.body_within(response, MOST_BYTES, &mut seen).await;
        body.map_err(|error| match usage::of_part(&seen) {
            part if part.completion > 0 => error.with_usage(part),
            _ => error,
        })
    }

    /// Reads a body of at most `most` bytes; what had come before an error is left in `seen`.
    async fn body_within(&self, response: Response, most: usize, seen: &mut BytesMut) -> Result<Bytes, ModelError> {
        let mut stream = response.bytes_stream();
        while let Some(piece) = self.next(&mut stream).await? {
            seen.extend_from_slice(&piece);
            if seen.len() > most {
                return Err(self.fault(ModelFault::Malformed, format!("the answer is longer than {} MiB", most >> 20)));
            }
        }
        Ok(std::mem::take(seen).freeze())
    }

    /// The next bytes of a body; `None` at its end.
    ///
    /// # Errors
    /// `Timeout` when none come in time; `Cut` when the connection ends too early.
    pub async fn next(
        &self,
        stream: &mut (impl Stream<Item = reqwest::Result<Bytes>> + Unpin),
    ) -> Result<Option<Bytes>, ModelError> {
        let piece = self.within(self.http.timeouts.idle, Phase::Idle, stream.next()).await?;
        piece.transpose().map_err(|error| {
            let message = format!("the connection ended before the answer: {}", root(&error));
            self.fault(ModelFault::Cut { began: false }, message)
        })
    }

    /// The error that a status other than 200 means; reads the body for the provider's words.
    pub async fn refused(
        &self,
        response: Response,
        words: impl Fn(&[u8]) -> Option<String>,
        precise: impl Fn(u16, &[u8]) -> Option<ModelFault>,
    ) -> ModelError {
        let status = response.status().as_u16();
        let after = retry_after(response.headers());
        // The status says enough when the body cannot be read.
        let body = self.body_within(response, MOST_ERROR_BYTES, &mut BytesMut::new()).await.unwrap_or_default();
        let fault = precise(status, &body).unwrap_or_else(|| fault_of(status, after));
        let said = words(&body).map(|said| clipped(&said)).filter(|said| !said.is_empty());
        let message = match said {
            Some(said) => format!("HTTP {status}: {said}"),
            None => format!("HTTP {status}"),
        };
        self.fault(fault, message).with_status(status)
    }

    /// Bounds a step by its own limit and by the deadline of the call.
    async fn within<T>(&self, limit: Duration, phase: Phase, step: impl Future<Output = T>) -> Result<T, ModelError> {
        let end = Instant::now() + limit;
        let (end, phase) = if end < self.deadline { (end, phase) } else { (self.deadline, Phase::Total) };
        tokio::time::timeout_at(end.into(), step)
            .await
            .map_err(|_| self.fault(ModelFault::Timeout(phase), format!("no answer in time ({} limit)", phase.name())))
    }

    fn transport(&self, error: &reqwest::Error) -> ModelError {
        let reason = root(error);
        if error.is_connect() && error.is_timeout() {
            return self.fault(ModelFault::Timeout(Phase::Connect), "no connection in time (connect limit)");
        }
        if error.is_connect() {
            return self.fault(ModelFault::Connect, format!("cannot connect to {}: {reason}", self.http.base_url));
        }
        self.fault(ModelFault::Cut { began: false }, format!("the connection ended before the answer: {reason}"))
    }

    fn fault(&self, fault: ModelFault, message: impl Into<String>) -> ModelError {
        ModelError::new(fault, self.model, message)
    }
}

/// `base` and `path` without the segments that end the one and begin the other.
fn joined(base: &str, path: &str) -> String {
    let host = base.find("://").map_or(0, |at| at + 3);
    let start = base.get(host..).and_then(|rest| rest.find('/')).map_or(base.len(), |at| host + at);
    let (origin, kept) = base.split_at(start);
    let next_is_segment = |rest: &str| rest.is_empty() || rest.starts_with(['/', '?']);
    let shared = kept.match_indices('/').find(|(at, _)| {
        let end = kept.get(*at..).unwrap_or_default();
        path.strip_prefix(end).is_some_and(next_is_segment)
    });
    let kept = shared.map_or(kept, |(at, _)| kept.get(..at).unwrap_or_default());
    format!("{origin}{kept}{path}")
}

/// The innermost cause, which names the reason without the address (an address may hold a key).
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// A provider's words, short enough for a log line.
fn clipped(said: &str) -> String {
    let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 300 { line } else { line.chars().take(300).chain(['…']).collect() }
}

/// What a status means where the provider says nothing more precise.
#[must_use]
pub fn fault_of(status: u16, after: Option<Duration>) -> ModelFault {
    match status {
        401 | 403 => ModelFault::Credential,
        429 => ModelFault::RateLimited { after },
        503 | 529 => ModelFault::Overloaded { after },
        408 | 425 | 500..=599 => ModelFault::Server,
        300..=399 => ModelFault::Malformed,
        _ => ModelFault::Request,
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3), or OpenAI's `retry-after-ms`.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(ms) = text("retry-after-ms").and_then(|ms| ms.parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(ms / 1e3).ok();
    }
    let value = text(RETRY_AFTER.as_str())?;
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    // Both ends of the difference are the provider's, so that a wrong clock here does not matter.
    let now = text("date").and_then(http_date).unwrap_or_else(OffsetDateTime::now_utc);
    Some((http_date(value)? - now).try_into().unwrap_or_default())
}

/// An HTTP date differs from RFC 2822 only in naming the zone `GMT`.
fn http_date(text: &str) -> Option<OffsetDateTime> {
    let text = text.strip_suffix("GMT").map_or_else(|| text.to_owned(), |date| format!("{date}+0000"));
    OffsetDateTime::parse(&text, &Rfc2822).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn retry_after_in_all_its_forms() {
        let seconds = |pairs: &[(&'static str, &str)]| retry_after(&headers(pairs)).map(|after| after.as_secs_f64());
        assert_eq!(seconds(&[("retry-after", "2")]), Some(2.0));
        assert_eq!(seconds(&[("retry-after-ms", "250"), ("retry-after", "9")]), Some(0.25));
        let dates = [("retry-after", "Fri, 20 Nov 2026 10:00:47 GMT"), ("date", "Fri, 20 Nov 2026 10:00:00 GMT")];
        assert_eq!(seconds(&dates), Some(47.0));
        let past = [("retry-after", "Fri, 20 Nov 2026 09:00:00 GMT"), ("date", "Fri, 20 Nov 2026 10:00:00 GMT")];
        assert_eq!(seconds(&past), Some(0.0));
        assert_eq!(seconds(&[("retry-after", "soon")]), None);
        assert_eq!(seconds(&[("retry-after", "-3")]), None);
    }

    #[test]
    fn what_base_and_path_share_is_said_once() {
        let cases = [
            ("http://h:1", "/v1/generate", "http://h:1/v1/generate"),
            ("http://h/v1", "/v1/generate", "http://h/v1/generate"),
            ("http://h/a/ml/v1", "/ml/v1/text/chat?version=1", "http://h/a/ml/v1/text/chat?version=1"),
            ("http://h/v1", "/v12/generate", "http://h/v1/v12/generate"),
            ("http://v1", "/v1/generate", "http://v1/v1/generate"),
            ("http://h/api/v1", "/chat/completions", "http://h/api/v1/chat/completions"),
            ("http://h/identity/token", "", "http://h/identity/token"),
        ];
        for (base, path, expected) in cases {
            assert_eq!(joined(base, path), expected);
        }
    }

    #[test]
    fn only_http_addresses_are_called() {
        for address in ["ftp://host", "file:///etc/passwd", "localhost:8000", ""] {
            assert!(Http::new(address, &[], Timeouts::default(), Pool::default()).is_err(), "{address}");
        }
    }
}
