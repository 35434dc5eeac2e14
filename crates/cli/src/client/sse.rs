//! Server-sent events, as the WHATWG HTML standard (section 9.2) defines them.

use anyhow::{Context, Result};
use axum::body::{Body, BodyDataStream};
use futures::StreamExt;

/// Events of one response body.
pub struct Events {
    stream: BodyDataStream,
    buffer: Vec<u8>,
}

impl Events {
    /// Reads events from `body`.
    pub fn new(body: Body) -> Self {
        Self { stream: body.into_data_stream(), buffer: Vec::new() }
    }

    /// The next `(name, data)`, or `None` at the end. Comments are skipped.
    pub async fn next(&mut self) -> Result<Option<(String, String)>> {
        loop {
            if let Some(event) = self.take_event() {
                return Ok(Some(event));
            }
            match self.stream.next().await {
                Some(piece) => self.buffer.extend_from_slice(&piece.context("the event stream broke off")?),
                None => return Ok(None),
            }
        }
    }

    fn take_event(&mut self) -> Option<(String, String)> {
        loop {
            let end = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
            let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
            let block = String::from_utf8_lossy(&block).into_owned();
            let field = |wanted: &str| -> Vec<&str> {
                block
                    .lines()
                    .filter_map(|line| line.split_once(':'))
                    .filter(|(name, _)| *name == wanted)
                    .map(|(_, value)| value.strip_prefix(' ').unwrap_or(value))
                    .collect()
            };
            let data = field("data").join("\n");
            if !data.is_empty() {
                let name = field("event").first().map_or("message", |name| *name).to_owned();
                return Some((name, data));
            }
        }
    }
}
