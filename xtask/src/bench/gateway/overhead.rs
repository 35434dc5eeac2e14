//! Time that the gateway adds: the same load on the stub directly and through the server, in turns.

use std::time::Instant;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::pace::{Pace, Timed};
use super::relay::Relay;
use super::server::Server;
use super::stub::{Stub, pieces};
use super::wire::{Wire, post};

/// Turns of each side.
const ROUNDS: usize = 5;
/// Requests per second whose overhead is told.
pub const RATE: u64 = 1_000;
/// Streams per second: each is a dozen events.
const STREAM_RATE: u64 = 200;
const STEPS: [u64; 8] = [1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 7_000, 8_000];
/// The time that a load may take before it counts as too much, in ms.
const BOUND_MS: f64 = 5.0;
pub const CONNECTIONS: usize = 64;

const DIRECT: &str = "/v1/chat/completions";
const THROUGH: &str = "/v1/ask";

/// The request that asks for a scripted call directly.
pub fn direct(script: &str, streamed: bool) -> Vec<u8> {
    let body = json!({ "model": "stub", "messages": [{ "role": "user", "content": script }], "max_tokens": 100,
        "temperature": 0.1, "stream": streamed });
    post(DIRECT, "", &body.to_string())
}

/// The same through the server. In mode `bypass` the question alone goes to the model, so that the gateway is measured
/// and not retrieval. `id` becomes the request id, which the ledger keeps.
pub fn through(script: &str, streamed: bool, id: &str) -> Vec<u8> {
    let body = json!({ "question": script, "mode": "bypass", "max_tokens": 100, "stream": streamed });
    post(THROUGH, &format!("x-request-id: {id}\r\n"), &body.to_string())
}

/// The script of a call whose answer comes after so many ms.
pub fn question(delay_ms: u64) -> String {
    format!("id=call delay={delay_ms} Who was the first director of the observatory, and when was it founded?")
}

/// Asks a while without timing.
pub fn warm(server: &Server) -> Result<()> {
    let request = through("id=warm", false, "bench");
    let pace = Pace { rate: 500, seconds: 2, connections: CONNECTIONS };
    pace.keep(server.port, |wire, _| whole(&request, wire))?;
    Ok(())
}

/// Asks and reads the answer; the moment of its end if all went well.
pub fn whole(request: &[u8], wire: &mut Wire) -> Result<Option<Instant>> {
    let (status, _) = wire.ask(request)?;
    Ok((status == 200).then(Instant::now))
}

/// Medians of what is added to whole answers at a constant rate, with the upstream answering after `delay_ms`.
pub fn whole_answers(stub: &Stub, server: &Server, relay: &Relay, delay_ms: u64) -> Result<Value> {
    let script = question(delay_ms);
    let (direct, through) = (direct(&script, false), through(&script, false, "bench"));
    let pace = Pace { rate: RATE, seconds: 5, connections: CONNECTIONS };
    let mut rounds = Rounds::default();
    for _ in 0..ROUNDS {
        rounds.direct.push(pace.keep(stub.port, |wire, _| whole(&direct, wire))?);
        rounds.relayed.push(pace.keep(relay.port, |wire, _| whole(&direct, wire))?);
        rounds.through.push(pace.keep(server.port, |wire, _| whole(&through, wire))?);
        stub.reset(0);
    }
    rounds.row(json!({ "rate": RATE, "upstream_ms": delay_ms }))
}

/// The time to the first piece of a streamed answer, and whether all pieces together are what the model wrote.
pub fn streams(stub: &Stub, server: &Server) -> Result<Value> {
    let pace = Pace { rate: STREAM_RATE, seconds: 5, connections: CONNECTIONS };
    let mut rounds = Rounds::default();
    for _ in 0..ROUNDS {
        let asked = |n| direct(&stream_script(n), true);
        rounds.direct.push(pace.keep(stub.port, |wire, n| stream(wire, &asked(n), n, chunk_text))?);
        let asked = |n| through(&stream_script(n), true, "bench");
        rounds.through.push(pace.keep(server.port, |wire, n| stream(wire, &asked(n), n, piece_text))?);
        stub.reset(0);
    }
    rounds.row(json!({ "rate": STREAM_RATE, "pieces": 12, "gap_us": 2_000, "identical": true }))
}

fn stream_script(n: u64) -> String {
    format!("id=s{n} delay=1 gap=2000")
}

/// Reads a streamed answer to its end; the moment of its first piece, if the text is that of the stub to the byte.
fn stream(wire: &mut Wire, request: &[u8], n: u64, text: fn(&str) -> Option<String>) -> Result<Option<Instant>> {
    let (first, written) = events(wire, request, |_| true, text)?;
    if written != pieces(&format!("s{n}"), 12).concat() {
        bail!("a streamed answer is not the model's: {written:?}");
    }
    Ok(first)
}

/// Sends `request` and reads the events of its answer while `more` says so: the moment of the first piece, and the
/// text of all.
pub fn events(
    wire: &mut Wire,
    request: &[u8],
    mut more: impl FnMut(&str) -> bool,
    text: fn(&str) -> Option<String>,
) -> Result<(Option<Instant>, String)> {
    wire.send(request)?;
    let Some(head) = wire.head()? else { bail!("the connection ended before the answer") };
    let (mut first, mut written, mut held) = (None, String::new(), Vec::new());
    wire.parts(&head, |part| {
        held.extend_from_slice(part);
        while let Some(end) = held.windows(2).position(|bytes| bytes == b"\n\n") {
            let event = String::from_utf8_lossy(&held.drain(..end + 2).collect::<Vec<_>>()).into_owned();
            if let Some(text) = text(&event) {
                first.get_or_insert_with(Instant::now);
                written.push_str(&text);
            }
        }
        more(&written)
    })?;
    Ok((first, written))
}

/// The text of an event of OpenAI's stream.
pub fn chunk_text(event: &str) -> Option<String> {
    let chunk: Value = serde_json::from_str(event.strip_prefix("data: ")?).ok()?;
    chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned)
}

/// The text of an event of ours.
pub fn piece_text(event: &str) -> Option<String> {
    let piece: Value = serde_json::from_str(event.strip_prefix("event: answer\ndata: ")?).ok()?;
    piece["text"].as_str().map(str::to_owned)
}

/// Loads that grow until answers take too long.
pub fn throughput(stub: &Stub, server: &Server) -> Result<(Vec<Value>, u64)> {
    let script = question(0);
    let (direct, through) = (direct(&script, false), through(&script, false, "bench"));
    let (mut rows, mut best) = (Vec::new(), 0);
    for rate in STEPS {
        let pace = Pace { rate, seconds: 4, connections: CONNECTIONS };
        let alone = pace.keep(stub.port, |wire, _| whole(&direct, wire))?;
        let timed = pace.keep(server.port, |wire, _| whole(&through, wire))?;
        stub.reset(0);
        let held = timed.ms(99.0) <= BOUND_MS && timed.bad == 0 && timed.per_second() >= rate as f64 * 0.97;
        if held {
            best = rate;
        }
        let row = json!({ "rate": rate, "per_s": timed.per_second(), "p50_ms": timed.ms(50.0), "p99_ms": timed.ms(99.0),
            "direct_p50_ms": alone.ms(50.0), "direct_p99_ms": alone.ms(99.0), "failed": timed.bad, "held": held });
        println!("{row}");
        rows.push(row);
        if timed.ms(50.0) > 10.0 * BOUND_MS {
            break;
        }
    }
    Ok((rows, best))
}

#[derive(Default)]
struct Rounds {
    direct: Vec<Timed>,
    relayed: Vec<Timed>,
    through: Vec<Timed>,
}

impl Rounds {
    /// Medians over the rounds, with the range of what is added.
    fn row(&self, mut row: Value) -> Result<Value> {
        let bad: u64 = self.direct.iter().chain(&self.relayed).chain(&self.through).map(|timed| timed.bad).sum();
        if bad > 0 {
            bail!("{bad} requests were not answered as they should be");
        }
        for (name, percentile) in [("p50", 50.0), ("p99", 99.0)] {
            let direct = median(self.direct.iter().map(|timed| timed.ms(percentile)));
            let through = median(self.through.iter().map(|timed| timed.ms(percentile)));
            let added = self.direct.iter().zip(&self.through);
            let mut added: Vec<f64> = added.map(|(one, other)| other.ms(percentile) - one.ms(percentile)).collect();
            added.sort_by(f64::total_cmp);
            row[format!("direct_{name}_ms")] = json!(direct);
            row[format!("through_{name}_ms")] = json!(through);
            if !self.relayed.is_empty() {
                let relayed = median(self.relayed.iter().map(|timed| timed.ms(percentile)));
                row[format!("relay_added_{name}_ms")] = json!(relayed - direct);
            }
            row[format!("added_{name}_ms")] = json!(through - direct);
            row[format!("added_{name}_range_ms")] = json!([added.first(), added.last()]);
        }
        println!("{row}");
        Ok(row)
    }
}

/// The middle value; 0 of none.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
