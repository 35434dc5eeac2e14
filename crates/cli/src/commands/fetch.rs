//! Documents from the web: what `lorekeep add https://…` fetches. Nothing is fetched but the address that was typed
//! and where it redirects to.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt;
use lorekeep_types::{Error, ErrorCode};
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap};
use reqwest::{Response, Url};

use crate::client::FilePart;

/// Whole time limit of one download.
const PATIENCE: Duration = Duration::from_secs(300);

/// File names for content types, where the address names no file.
const EXTENSIONS: [(&str, &str); 8] = [
    ("text/html", "html"),
    ("application/xhtml+xml", "html"),
    ("application/pdf", "pdf"),
    ("text/markdown", "md"),
    ("text/csv", "csv"),
    ("application/json", "json"),
    ("application/epub+zip", "epub"),
    ("text/plain", "txt"),
];

/// Whether an argument is an address rather than a path.
pub fn is_address(argument: &str) -> bool {
    argument.starts_with("http://") || argument.starts_with("https://")
}

/// Downloads a document of at most `most` bytes. Its source is the address, so that adding it again updates it.
///
/// # Errors
/// When the address cannot be reached, answers with an error, or the document is too large.
pub async fn fetch(address: &str, most: u64) -> Result<FilePart> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = Url::parse(address).with_context(|| format!("`{address}` is not an address"))?;
    let client = reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(10))
        .timeout(PATIENCE)
        .user_agent(concat!("lorekeep/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("cannot set up HTTP")?;
    let response = client.get(url).send().await.map_err(|error| {
        Error::new(ErrorCode::UpstreamUnavailable, format!("cannot reach {address}"))
            .hint("check the address in a browser, or download the file and add it")
            .caused_by(error)
    })?;
    if !response.status().is_success() {
        let error = Error::new(ErrorCode::Upstream, format!("{address} answered {}", response.status()));
        return Err(error.hint("check the address in a browser").into());
    }
    let name = name_of(response.url(), response.headers());
    let bytes = read(response, address, most).await?;
    Ok(FilePart { source: address.to_owned(), name, bytes })
}

async fn read(response: Response, address: &str, most: u64) -> Result<Vec<u8>> {
    let mut stream = response.bytes_stream();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        bytes.extend_from_slice(&piece.with_context(|| format!("the download of {address} broke off"))?);
        if bytes.len() as u64 > most {
            let error = Error::new(ErrorCode::TooLarge, format!("{address} is larger than {} MiB", most >> 20));
            return Err(error.hint("raise `ingest.max_file_mib`").into());
        }
    }
    Ok(bytes)
}

/// The name that the server gives, else the last part of the address, with an extension that tells the format.
fn name_of(url: &Url, headers: &HeaderMap) -> String {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let given = text(CONTENT_DISPOSITION).split(';').find_map(|part| {
        let name = part.trim().strip_prefix("filename=")?.trim_matches('"');
        name.rsplit(['/', '\\']).next().filter(|name| !name.is_empty()).map(str::to_owned)
    });
    let last = url.path_segments().and_then(|mut parts| parts.rfind(|part| !part.is_empty())).map(str::to_owned);
    let name = given.or(last).unwrap_or_else(|| url.host_str().unwrap_or("page").to_owned());
    let kind = text(CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let extension = EXTENSIONS.iter().find(|(known, _)| *known == kind).map(|(_, extension)| *extension);
    match (name.rsplit_once('.'), extension) {
        // A page's address often ends in a name with a dot that is no format.
        (Some((_, ending)), Some("html")) if !ending.to_ascii_lowercase().starts_with("htm") => format!("{name}.html"),
        (None, Some(extension)) => format!("{name}.{extension}"),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn name(url: &str, kind: &str, disposition: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, kind.parse().unwrap());
        if !disposition.is_empty() {
            headers.insert(CONTENT_DISPOSITION, disposition.parse().unwrap());
        }
        name_of(&Url::parse(url).unwrap(), &headers)
    }

    #[test]
    fn names_say_the_format() {
        assert_eq!(name("http://h/a/report.pdf?x=1", "application/pdf", ""), "report.pdf");
        assert_eq!(name("http://h/wiki/St._Louis", "text/html; charset=utf-8", ""), "St._Louis.html");
        assert_eq!(name("http://h/", "text/html", ""), "h.html");
        assert_eq!(
            name("http://h/get", "application/pdf", "attachment; filename=\"../up/minutes.pdf\""),
            "minutes.pdf"
        );
        assert_eq!(name("http://h/data", "application/octet-stream", ""), "data");
    }
}
