//! A scripted server: answers connections as told, byte for byte, and remembers what it was asked. It can do what a
//! well-behaved server library cannot: break off, stall, and lie about lengths.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `GET`, `POST` …
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Asked {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `null` when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// A step of an answer.
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends bytes as they are.
    Send(Vec<u8>),
    /// Waits.
    Wait(Duration),
    /// Sends these bytes again and again until the client goes away.
    Forever(Vec<u8>),
    /// Keeps the connection open without a word until the client goes away.
    Hang,
    /// Resets the connection.
    Reset,
}

/// An answer to one request.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// What is done, in order; then the connection is closed.
    pub steps: Vec<Step>,
    /// Whether the connection takes another request afterwards.
    keep: bool,
}

impl Reply {
    /// A whole answer with a length.
    #[must_use]
    pub fn body(status: u16, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        Self::with_headers(status, &[("content-type", content_type)], body)
    }

    /// A whole JSON answer.
    #[must_use]
    pub fn json(status: u16, body: &Value) -> Self {
        Self::body(status, "application/json", body.to_string())
    }

    /// A whole answer with the given headers.
    #[must_use]
    pub fn with_headers(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut head = head(status, headers);
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        Self { steps: vec![Step::Send([head.as_bytes(), body].concat())], keep: true }
    }

    /// The head of an answer whose end is the end of the connection; steps for the body follow.
    #[must_use]
    pub fn open(status: u16, content_type: &str) -> Self {
        let head = head(status, &[("content-type", content_type)]) + "connection: close\r\n\r\n";
        Self { steps: vec![Step::Send(head.into_bytes())], keep: false }
    }

    /// The head of an answer that promises `length` bytes; steps for the body follow.
    #[must_use]
    pub fn promising(status: u16, content_type: &str, length: usize) -> Self {
        let head = head(status, &[("content-type", content_type)]) + &format!("content-length: {length}\r\n\r\n");
        Self { steps: vec![Step::Send(head.into_bytes())], keep: false }
    }

    /// No head: the given steps only.
    #[must_use]
    pub fn raw(steps: Vec<Step>) -> Self {
        Self { steps, keep: false }
    }

    /// A whole answer of OpenAI's shape that took 1,000 and 50 tokens.
    #[must_use]
    pub fn written(text: &str) -> Self {
        let message = json!({ "role": "assistant", "content": text });
        let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
        Self::json(200, &json!({ "id": "c1", "model": MODEL, "choices": [choice], "usage": usage() }))
    }

    /// The same word by word.
    #[must_use]
    pub fn streamed(text: &str) -> Self {
        let reply = Self::begun(text).send(chunk(&json!({}), &json!("stop"), &usage()));
        reply.send("data: [DONE]\n\n")
    }

    /// The beginning of a streamed answer, without its end.
    #[must_use]
    pub fn begun(text: &str) -> Self {
        text.split_inclusive(' ').fold(Self::open(200, "text/event-stream"), |reply, piece| {
            reply.send(chunk(&json!({ "content": piece }), &Value::Null, &Value::Null))
        })
    }

    /// Adds a step.
    #[must_use]
    pub fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Adds bytes.
    #[must_use]
    pub fn send(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.then(Step::Send(bytes.into()))
    }
}

/// The model that answers of OpenAI's shape name.
const MODEL: &str = "small-0613";

fn usage() -> Value {
    json!({ "prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050 })
}

fn chunk(delta: &Value, finish: &Value, usage: &Value) -> Vec<u8> {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
    let body = json!({ "id": "c1", "model": MODEL, "usage": usage, "choices": [choice] });
    format!("data: {body}\n\n").into_bytes()
}

fn head(status: u16, headers: &[(&str, &str)]) -> String {
    let mut head = format!("HTTP/1.1 {status} Scripted\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head
}

#[derive(Debug, Default)]
struct Script {
    replies: VecDeque<Reply>,
    asked: Vec<Asked>,
    /// Connections whose client went away while an answer was being sent.
    abandoned: usize,
}

/// Chooses a reply by what is asked; `None` takes the next scripted one.
type Chooser = dyn Fn(&Asked) -> Option<Reply> + Send + Sync;

/// The server; it ends when dropped. Requests beyond the script are answered 599.
pub struct Upstream {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    task: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Upstream {
    /// Listens on a free port of the loopback address and answers with `replies` in order.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> std::io::Result<Self> {
        Self::start_with(replies, |_| None).await
    }

    /// The same, with a choice by request that comes before the script.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start_with(
        replies: impl IntoIterator<Item = Reply>,
        choose: impl Fn(&Asked) -> Option<Reply> + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let script = Arc::new(Mutex::new(Script { replies: replies.into_iter().collect(), ..Script::default() }));
        let choose: Arc<Chooser> = Arc::new(choose);
        let shared = Arc::clone(&script);
        let accept = async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&shared), Arc::clone(&choose)));
            }
        };
        #[expect(clippy::disallowed_methods, reason = "the handle is kept, and ended when the server is dropped")]
        let task = tokio::spawn(accept);
        Ok(Self { address, script, task })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far, in order of arrival.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).asked.clone()
    }

    /// Answers whose client went away before they were sent.
    #[must_use]
    pub fn abandoned(&self) -> usize {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).abandoned
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<Script>>, choose: Arc<Chooser>) {
    let mut buffer = Vec::new();
    while let Some(asked) = read_request(&mut stream, &mut buffer).await {
        let reply = {
            let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
            script.asked.push(asked.clone());
            choose(&asked).or_else(|| script.replies.pop_front())
        };
        let reply = reply.unwrap_or_else(|| Reply::body(599, "text/plain", "the script is over"));
        match play(&mut stream, reply.steps).await {
            Played::Whole if reply.keep => {}
            Played::Whole => return,
            Played::Abandoned => {
                script.lock().unwrap_or_else(PoisonError::into_inner).abandoned += 1;
                return;
            }
        }
    }
}

enum Played {
    Whole,
    Abandoned,
}

async fn play(stream: &mut TcpStream, steps: Vec<Step>) -> Played {
    for step in steps {
        match step {
            Step::Send(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return Played::Abandoned;
                }
            }
            Step::Wait(time) => {
                let mut byte = [0];
                // A client that goes away during the wait is noticed at once.
                tokio::select! {
                    () = tokio::time::sleep(time) => {}
                    _ = stream.read(&mut byte) => return Played::Abandoned,
                }
            }
            Step::Forever(bytes) => while stream.write_all(&bytes).await.is_ok() {},
            Step::Hang => {
                let mut byte = [0];
                let _ = stream.read(&mut byte).await;
                return Played::Abandoned;
            }
            Step::Reset => {
                let _ = stream.set_zero_linger();
                return Played::Whole;
            }
        }
    }
    Played::Whole
}

/// Reads one request; `None` when the client is done or sends something else.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Asked> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(stream, buffer).await?;
    };
    let head = String::from_utf8_lossy(buffer.get(..end)?).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    while buffer.len() < end + length {
        read_more(stream, buffer).await?;
    }
    let body = buffer.get(end..end + length)?.to_vec();
    buffer.drain(..end + length);
    Some(Asked { method, path, headers, body })
}

async fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut block = [0; 16_384];
    let read = stream.read(&mut block).await.ok().filter(|read| *read > 0)?;
    buffer.extend_from_slice(block.get(..read)?);
    Some(())
}
