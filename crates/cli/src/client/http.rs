//! The native API over HTTP.

use anyhow::{Context, Result, bail};
use axum::body::Body;
use axum::http::{Request, Response};

/// A server elsewhere.
pub struct Remote {
    base: String,
    client: reqwest::Client,
}

impl Remote {
    /// A server at `url`, e.g. `http://127.0.0.1:9621`.
    pub fn new(url: &str) -> Result<Self> {
        let base = url.trim_end_matches('/').to_owned();
        if !base.starts_with("http://") && !base.starts_with("https://") {
            bail!("`{url}` is not a server's address; write it as http://HOST:PORT");
        }
        // A second installation in one process is refused and harmless.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .connect_timeout(std::time::Duration::from_secs(10))
            .build()
            .context("cannot set up HTTP")?;
        Ok(Self { base, client })
    }

    /// Sends one request.
    pub async fn call(&self, request: Request<Body>) -> Result<Response<Body>> {
        let (parts, body) = request.into_parts();
        let url = format!("{}{}", self.base, parts.uri);
        let response = self
            .client
            .request(parts.method, &url)
            .headers(parts.headers)
            .body(reqwest::Body::wrap_stream(body.into_data_stream()))
            .send()
            .await
            .with_context(|| format!("cannot reach {}", self.base))?;
        let mut answer = Response::builder().status(response.status());
        if let Some(headers) = answer.headers_mut() {
            headers.extend(response.headers().clone());
        }
        answer.body(Body::from_stream(response.bytes_stream())).context("cannot read the answer")
    }
}
