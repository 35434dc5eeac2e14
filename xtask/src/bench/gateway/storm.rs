//! An upstream that fails one request in ten: how often it is called, and how many callers notice.

use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};

use super::overhead::through;
use super::pace::Pace;
use super::server::Server;
use super::stub::Stub;

/// Calls the stub at 200 requests per second while each tenth attempt is answered 503.
pub fn weather(stub: &Stub, server: &Server) -> Result<Value> {
    // Repetitions are counted against the calls of the last ten seconds, which are to be those of this load.
    std::thread::sleep(std::time::Duration::from_secs(11));
    stub.reset(10);
    let pace = Pace { rate: 200, seconds: 20, connections: 64 };
    let request = through("id=storm", false, "bench");
    let timed = pace.keep(server.port, |wire, _| {
        let (status, _) = wire.ask(&request)?;
        Ok((status == 200).then(Instant::now))
    })?;
    let attempts = stub.served().len() as u64;
    stub.reset(0);
    let calls = timed.good + timed.bad;
    let outcome = json!({ "rate": pace.rate, "calls": calls, "upstream_calls": attempts, "failed": timed.bad,
        "ratio": attempts as f64 / calls as f64, "p50_ms": timed.ms(50.0), "p99_ms": timed.ms(99.0) });
    println!("{outcome}");
    Ok(outcome)
}
