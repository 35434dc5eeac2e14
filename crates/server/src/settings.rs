//! The limits and manners of the server, resolved; reading configuration is left to the caller.

use std::time::Duration;

use crate::callers::Callers;

/// Everything about serving that an operator may choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Whether the server listens on loopback only. Then requests that name another host are refused, because
    /// they come from a page that rebound its own name to this machine.
    pub loopback: bool,
    /// Host names (without port) that are accepted besides loopback ones.
    pub hosts: Vec<String>,
    /// Origins (`https://example.org`) whose pages may call the API; empty means none but its own page.
    pub cors_origins: Vec<String>,
    /// Callers that are told apart.
    pub callers: Callers,
    /// Largest JSON body, in bytes.
    pub max_json_bytes: usize,
    /// Largest JSON body that carries document texts, in bytes.
    pub max_text_bytes: usize,
    /// Largest upload or archive, in bytes.
    pub max_upload_bytes: usize,
    /// Bytes of uploads held in memory at once over all requests.
    pub max_upload_memory: usize,
    /// Requests worked on at once; further ones are answered 429.
    pub max_concurrent_requests: usize,
    /// Event streams open at once; they are idle most of the time and are not counted as requests.
    pub max_event_streams: usize,
    /// Time limit of a question, a search or a graph request.
    pub request_timeout: Duration,
    /// Time limit of an answer that a model may write; retrieval is a part of it.
    pub answer_timeout: Duration,
    /// Silence after which an event stream sends a comment, so that proxies keep it open.
    pub keep_alive: Duration,
    /// How long running requests may go on after shutdown was asked for.
    pub grace: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            loopback: true,
            hosts: Vec::new(),
            cors_origins: Vec::new(),
            callers: Callers::default(),
            max_json_bytes: 1 << 20,
            max_text_bytes: 50 << 20,
            max_upload_bytes: 256 << 20,
            max_upload_memory: 512 << 20,
            max_concurrent_requests: 64,
            max_event_streams: 256,
            request_timeout: Duration::from_secs(60),
            answer_timeout: Duration::from_secs(300),
            keep_alive: Duration::from_secs(15),
            grace: Duration::from_secs(20),
        }
    }
}
