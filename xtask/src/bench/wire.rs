//! HTTP/1.1 on a blocking socket, both ends of it: just enough to measure with, and nothing between the clock and the
//! kernel.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// Longer than any answer of a measurement takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection that is kept from message to message.
pub struct Wire {
    stream: TcpStream,
    /// Read, but not yet used.
    held: Vec<u8>,
}

/// The head of a request or an answer.
pub struct Head {
    /// The first line.
    pub line: String,
    length: Option<usize>,
    chunked: bool,
}

impl Head {
    /// The status of an answer; 0 when there is none.
    pub fn status(&self) -> u16 {
        self.line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }
}

impl Wire {
    /// Connects to a port of this machine.
    pub fn connect(port: u16) -> Result<Self> {
        Self::over(TcpStream::connect(("127.0.0.1", port))?)
    }

    /// A connection that was accepted.
    pub fn over(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, held: Vec::new() })
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(bytes)?)
    }

    /// The next head; `None` when the other side has ended the connection.
    pub fn head(&mut self) -> Result<Option<Head>> {
        let end = loop {
            if let Some(at) = self.held.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more()? {
                return if self.held.is_empty() { Ok(None) } else { bail!("the connection ended within a head") };
            }
        };
        let text = String::from_utf8(self.held.drain(..end).collect())?;
        let mut lines = text.lines();
        let mut head = Head { line: lines.next().unwrap_or_default().to_owned(), length: None, chunked: false };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = Some(value.trim().parse()?),
                "transfer-encoding" => head.chunked = value.trim().eq_ignore_ascii_case("chunked"),
                _ => {}
            }
        }
        Ok(Some(head))
    }

    /// Reads the body that belongs to `head`, giving its parts to `part` as they come; `part` says whether to go on.
    pub fn parts(&mut self, head: &Head, mut part: impl FnMut(&[u8]) -> bool) -> Result<()> {
        if !head.chunked {
            let body = self.take(head.length.unwrap_or_default())?;
            part(&body);
            return Ok(());
        }
        loop {
            let size = self.line()?;
            let size = usize::from_str_radix(size.trim(), 16).with_context(|| format!("`{size}` is no chunk size"))?;
            let chunk = self.take(size)?;
            self.line()?;
            if size == 0 || !part(&chunk) {
                return Ok(());
            }
        }
    }

    /// A whole body.
    pub fn body(&mut self, head: &Head) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        self.parts(head, |part| {
            body.extend_from_slice(part);
            true
        })?;
        Ok(body)
    }

    /// Sends a request and reads its whole answer.
    pub fn ask(&mut self, request: &[u8]) -> Result<(u16, Vec<u8>)> {
        self.send(request)?;
        let head = self.head()?.context("the connection ended before the answer")?;
        let body = self.body(&head)?;
        Ok((head.status(), body))
    }

    fn line(&mut self) -> Result<String> {
        loop {
            if let Some(at) = self.held.windows(2).position(|bytes| bytes == b"\r\n") {
                let line: Vec<u8> = self.held.drain(..at + 2).take(at).collect();
                return Ok(String::from_utf8(line)?);
            }
            if !self.more()? {
                bail!("the connection ended within a body");
            }
        }
    }

    fn take(&mut self, count: usize) -> Result<Vec<u8>> {
        while self.held.len() < count {
            if !self.more()? {
                bail!("the connection ended within a body");
            }
        }
        Ok(self.held.drain(..count).collect())
    }

    fn more(&mut self) -> Result<bool> {
        let mut bytes = [0_u8; 16 << 10];
        let count = self.stream.read(&mut bytes)?;
        self.held.extend_from_slice(bytes.get(..count).unwrap_or_default());
        Ok(count > 0)
    }
}

/// A request with a JSON body; `more` is further header lines, each with its end.
pub fn post(path: &str, more: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n{more}\r\n{body}"
    )
    .into_bytes()
}

/// What a path answers to GET, which has to be 200.
pub fn get(port: u16, path: &str) -> Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let (status, body) = Wire::connect(port)?.ask(request.as_bytes())?;
    let body = String::from_utf8(body)?;
    if status != 200 {
        bail!("{path} was answered {status}: {body}");
    }
    Ok(body)
}
