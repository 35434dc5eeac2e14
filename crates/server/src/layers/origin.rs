//! Who may call: the protection of a server without accounts against pages of other sites.
//!
//! A browser lets any page send a POST to this machine, and a page whose host name is rebound to 127.0.0.1 may
//! even read the answers. Both leave traces that pages cannot forge: the `Host` and `Origin` headers. Programs
//! that send no `Origin` are not affected.

use axum::extract::Request;
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Method};
use lorekeep_types::{Error, ErrorCode, Result};

use crate::settings::ServerSettings;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request may come from where it comes: not from another site.
pub(crate) fn admits(settings: &ServerSettings, request: &Request) -> Result<()> {
    check(settings, request.method(), request.headers(), host_of(request))
}

fn host_of(request: &Request) -> Option<&str> {
    let named = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    named.or_else(|| request.uri().authority().map(|authority| authority.as_str()))
}

fn check(settings: &ServerSettings, method: &Method, headers: &HeaderMap, host: Option<&str>) -> Result<()> {
    if let Some(host) = host
        && settings.loopback
        && !is_loopback(name_of(host))
        && !settings.hosts.iter().any(|known| known.eq_ignore_ascii_case(name_of(host)))
    {
        return Err(Error::new(ErrorCode::Forbidden, "the request names a host that this server does not serve")
            .hint("use http://127.0.0.1, or list the name in `server.hosts`"));
    }
    if method.is_safe() {
        return Ok(());
    }
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("null"));
    match text(ORIGIN) {
        Some(origin) if is_own(origin, host) || settings.cors_origins.iter().any(|known| known == origin) => Ok(()),
        Some(_) => Err(another_site()),
        None if text(SEC_FETCH_SITE) == Some("cross-site") => Err(another_site()),
        None => Ok(()),
    }
}

fn another_site() -> Error {
    Error::new(ErrorCode::Forbidden, "a page of another site may not change anything here")
        .hint("list its origin in `server.cors_origins` if it may")
}

fn is_own(origin: &str, host: Option<&str>) -> bool {
    origin.split_once("://").is_some_and(|(_, authority)| host.is_some_and(|host| authority.eq_ignore_ascii_case(host)))
}

/// The host without its port.
fn name_of(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    host.rsplit_once(':').map_or(host, |(name, _)| name)
}

fn is_loopback(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn verdict(method: &Method, host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        check(&ServerSettings::default(), method, &headers, Some(host)).is_ok()
    }

    #[test]
    fn only_loopback_hosts_are_served_on_loopback() {
        for host in ["127.0.0.1:9621", "localhost", "LOCALHOST:1", "[::1]:9621", "127.9.9.9"] {
            assert!(verdict(&Method::GET, host, None), "{host}");
        }
        for host in ["evil.example:9621", "127.0.0.1.evil.example", "10.0.0.1", "", "localhost.evil"] {
            assert!(!verdict(&Method::GET, host, None), "{host}");
        }
    }

    #[test]
    fn only_own_pages_may_write() {
        let post = Method::POST;
        assert!(verdict(&post, "127.0.0.1:9621", None));
        assert!(verdict(&post, "127.0.0.1:9621", Some("http://127.0.0.1:9621")));
        assert!(!verdict(&post, "127.0.0.1:9621", Some("http://127.0.0.1:3000")));
        assert!(!verdict(&post, "127.0.0.1:9621", Some("https://evil.example")));
        assert!(!verdict(&post, "127.0.0.1:9621", Some("null")));
        assert!(verdict(&Method::GET, "127.0.0.1:9621", Some("https://evil.example")));
    }
}
