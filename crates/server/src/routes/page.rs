//! The embedded page: built files of `web/dist`, compiled in. Building them is left to `web/`.

use axum::extract::Request;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::error::{self, ApiError};

#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Built;

const INDEX: &str = "index.html";
const NOTICE: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Lorekeep</title>\
    <h1>Lorekeep runs</h1><p>This build has no page in it. The API is described at <a href=/docs>/docs</a>; \
    <code>npm run build</code> in <code>web/</code> makes the page.";

/// Serves the page, its assets and, for the page's own addresses (`/w/…`), the page again; else 404.
pub(crate) async fn or_not_found(request: Request) -> Result<Response, ApiError> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(error::no_route(request).await);
    }
    let path = request.uri().path();
    if path == "/" || path == "/w" || path.starts_with("/w/") {
        return Ok(file(INDEX, request.headers()).unwrap_or_else(|| Html(NOTICE).into_response()));
    }
    let name = path.strip_prefix('/').unwrap_or_default();
    match file(name, request.headers()) {
        Some(response) if !is_packed(name) => Ok(response),
        _ => Err(error::no_route(request).await),
    }
}

/// Packed copies are sent in place of their originals, never under their own names.
fn is_packed(name: &str) -> bool {
    PACKINGS.iter().any(|(_, suffix)| name.ends_with(suffix))
}

const PACKINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

fn file(name: &str, asked: &HeaderMap) -> Option<Response> {
    let plain = Built::get(name)?;
    let tag = etag(&plain);
    let mut headers = HeaderMap::new();
    headers.insert(ETAG, tag.clone());
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching(name)));
    if asked.get(IF_NONE_MATCH) == Some(&tag) {
        return Some((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind(name)));
    let (packing, file) = packed(name, asked).map_or((None, plain), |(packing, file)| (Some(packing), file));
    if let Some(packing) = packing {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(packing));
    }
    Some((headers, file.data.into_owned()).into_response())
}

fn packed(name: &str, asked: &HeaderMap) -> Option<(&'static str, EmbeddedFile)> {
    PACKINGS.into_iter().find_map(|(packing, suffix)| {
        accepts(asked, packing).then(|| Built::get(&format!("{name}{suffix}"))).flatten().map(|file| (packing, file))
    })
}

fn accepts(asked: &HeaderMap, packing: &str) -> bool {
    let list = header(asked, ACCEPT_ENCODING);
    list.split(',').any(|entry| {
        let (name, weight) = entry.split_once(';').unwrap_or((entry, ""));
        name.trim().eq_ignore_ascii_case(packing) && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

fn header(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn etag(file: &EmbeddedFile) -> HeaderValue {
    let hash: String = file.metadata.sha256_hash().iter().take(12).map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::from_str(&format!("\"{hash}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}

/// Names under `assets/` carry a hash of their content, so they never change.
fn caching(name: &str) -> &'static str {
    if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" }
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn packings_are_sent_only_where_accepted() {
        let mut asked = HeaderMap::new();
        assert!(!accepts(&asked, "br"));
        asked.insert(ACCEPT_ENCODING, "gzip, BR;q=0.5".parse().unwrap());
        assert!(accepts(&asked, "br") && accepts(&asked, "gzip"));
        asked.insert(ACCEPT_ENCODING, "br;q=0".parse().unwrap());
        assert!(!accepts(&asked, "br"));
    }

    #[test]
    fn only_hashed_names_are_immutable() {
        assert!(caching("assets/index-4f2a.js").contains("immutable"));
        assert_eq!(caching("index.html"), "no-cache");
    }
}
