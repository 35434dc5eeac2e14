//! A model that does as its prompt says, on threads of its own, and keeps a ledger of what it was asked and what it
//! gave away.
//!
//! The words `key=value` of the last message are the script: `id` names the call, `delay` is the time before the first
//! byte in ms, `pieces` the length of the answer, `gap` the time between streamed pieces in µs, `status` an error to
//! answer with, `cut` the number of pieces after which the connection is dropped.

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::wire::Wire;

/// Pieces of an answer whose prompt names no number.
const PIECES: u64 = 12;

/// A running stub. Its threads end with the process.
pub struct Stub {
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    served: Mutex<Vec<Served>>,
    attempts: AtomicU64,
    /// Each so many-th request is answered 503; 0 for none.
    fails: AtomicU64,
}

/// One request as the stub saw it.
#[derive(Clone, Debug)]
pub struct Served {
    pub id: String,
    pub status: u16,
    pub prompt: u64,
    /// Tokens of the answer; one per piece.
    pub completion: u64,
    /// Pieces that were written before the end or the fault.
    pub written: u64,
    /// Whether the whole answer, its usage included, was written to the connection.
    pub whole: bool,
}

impl Stub {
    /// Listens on a free port.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared::default());
        let state = Arc::clone(&shared);
        thread::Builder::new().name("stub".to_owned()).spawn(move || accept(&listener, &state))?;
        Ok(Self { port, shared })
    }

    /// What was served so far.
    pub fn served(&self) -> Vec<Served> {
        self.shared.served().clone()
    }

    /// Forgets what was served, and lets each `fails`-th request fail from now on.
    pub fn reset(&self, fails: u64) {
        self.shared.served().clear();
        self.shared.attempts.store(0, Ordering::Relaxed);
        self.shared.fails.store(fails, Ordering::Relaxed);
    }
}

impl Shared {
    fn served(&self) -> MutexGuard<'_, Vec<Served>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The text of an answer, piece by piece: different for each call, with what has to be escaped somewhere.
pub fn pieces(id: &str, count: u64) -> Vec<String> {
    let piece = |number| match number % 5 {
        0 => format!("Call {id} "),
        1 => format!("says \"{number}\" — "),
        2 => "ärlig → ✓ 𝛼 ".to_owned(),
        3 => format!("line {number}\nand\ttab "),
        _ => format!("\\{number} & <so> on. "),
    };
    (0..count).map(piece).collect()
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().filter_map(Result::ok) {
        let shared = Arc::clone(shared);
        // A connection that breaks off is what many of the measurements are about.
        let serve = move || drop(serve(stream, &shared));
        if thread::Builder::new().stack_size(256 << 10).spawn(serve).is_err() {
            return;
        }
    }
}

fn serve(stream: TcpStream, shared: &Shared) -> Result<()> {
    let mut wire = Wire::over(stream)?;
    while let Some(head) = wire.head()? {
        let body = wire.body(&head)?;
        if head.line.starts_with("GET") {
            wire.send(&answer(200, r#"{"object":"list","data":[{"id":"stub"}]}"#))?;
            continue;
        }
        let mut call = Asked::of(&body)?;
        let attempt = shared.attempts.fetch_add(1, Ordering::Relaxed) + 1;
        let fails = shared.fails.load(Ordering::Relaxed);
        if fails > 0 && attempt.is_multiple_of(fails) {
            call.status = 503;
        }
        let mut served = call.served();
        let outcome = call.answer(&mut wire, &mut served);
        served.whole = served.status == 200 && matches!(outcome, Ok(true));
        shared.served().push(served);
        if !outcome? {
            return Ok(());
        }
    }
    Ok(())
}

/// What a request asks for.
struct Asked {
    id: String,
    streamed: bool,
    prompt: u64,
    pieces: u64,
    delay: Duration,
    gap: Duration,
    status: u16,
    cut: Option<u64>,
}

impl Asked {
    fn of(body: &[u8]) -> Result<Self> {
        let body: Value = serde_json::from_slice(body)?;
        let messages = body["messages"].as_array().context("a request without messages")?;
        let mut contents = messages.iter().filter_map(|message| message["content"].as_str());
        let prompt = contents.clone().map(str::len).sum::<usize>().div_ceil(4) as u64;
        let script = contents.next_back().unwrap_or_default();
        let word = |key: &str| {
            let mut words = script.split_whitespace().filter_map(|word| word.split_once('='));
            words.find(|(name, _)| *name == key).map(|(_, value)| value)
        };
        let number = |key: &str| word(key).and_then(|value| value.parse::<u64>().ok());
        Ok(Self {
            id: word("id").unwrap_or_default().to_owned(),
            streamed: body["stream"] == true,
            prompt,
            pieces: number("pieces").unwrap_or(PIECES),
            delay: Duration::from_millis(number("delay").unwrap_or_default()),
            gap: Duration::from_micros(number("gap").unwrap_or_default()),
            status: number("status").and_then(|status| status.try_into().ok()).unwrap_or(200),
            cut: number("cut"),
        })
    }

    fn served(&self) -> Served {
        let (prompt, completion) = (self.prompt, self.pieces);
        Served { id: self.id.clone(), status: self.status, prompt, completion, written: 0, whole: false }
    }

    /// Answers; whether the connection can be used again.
    fn answer(&self, wire: &mut Wire, served: &mut Served) -> Result<bool> {
        if !self.delay.is_zero() {
            thread::sleep(self.delay);
        }
        if self.status != 200 {
            let message = format!("asked to answer {}", self.status);
            wire.send(&answer(self.status, &json!({ "error": { "message": message } }).to_string()))?;
            return Ok(true);
        }
        let pieces = pieces(&self.id, self.pieces);
        if self.streamed {
            return self.stream(wire, &pieces, served);
        }
        let body = json!({ "id": self.id, "object": "chat.completion", "created": 1_700_000_000, "model": "stub",
            "choices": [{ "index": 0, "message": { "role": "assistant", "content": pieces.concat() },
                "finish_reason": "stop" }], "usage": self.usage() });
        if self.cut.is_some() {
            let bytes = answer(200, &body.to_string());
            wire.send(bytes.get(..bytes.len() / 2).unwrap_or_default())?;
            return Ok(false);
        }
        wire.send(&answer(200, &body.to_string()))?;
        served.written = self.pieces;
        Ok(true)
    }

    fn stream(&self, wire: &mut Wire, pieces: &[String], served: &mut Served) -> Result<bool> {
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")?;
        for piece in pieces {
            if self.cut == Some(served.written) {
                return Ok(false);
            }
            if served.written > 0 && !self.gap.is_zero() {
                thread::sleep(self.gap);
            }
            let delta = json!({ "id": self.id, "object": "chat.completion.chunk", "model": "stub",
                "choices": [{ "index": 0, "delta": { "content": piece }, "finish_reason": null }] });
            wire.send(&chunk(&format!("data: {delta}\n\n")))?;
            served.written += 1;
        }
        let last = json!({ "id": self.id, "object": "chat.completion.chunk", "model": "stub", "usage": self.usage(),
            "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
        let mut end = chunk(&format!("data: {last}\n\ndata: [DONE]\n\n"));
        end.extend_from_slice(b"0\r\n\r\n");
        wire.send(&end)?;
        Ok(true)
    }

    fn usage(&self) -> Value {
        let (prompt, completion) = (self.prompt, self.pieces);
        json!({ "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion })
    }
}

fn answer(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} Stub\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}
