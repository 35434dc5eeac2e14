//! A limit under two hundred callers at once, with the server killed and started again while calls are under way.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Value, json};

use super::mixed::nano;
use super::overhead::through;
use super::server::{INPUT_NANO, OUTPUT_NANO, Place};
use super::stub::Stub;
use super::wire::Wire;

const CALLERS: usize = 200;
/// What may be spent: fewer calls than are asked for.
pub const LIMIT_NANO: u64 = 100_000_000;
/// The server is killed when the stub has been asked so often.
const KILL_AT: u64 = 300;

/// Spends until all callers are refused; what was spent, by the ledger and by the stub.
pub fn spend(stub: &Stub, place: &Place) -> Result<Value> {
    stub.reset(0);
    let mut server = Some(place.start()?);
    let port = server.as_ref().map_or(0, |server| server.port);
    let (asked, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let freed_ms = thread::scope(|scope| -> Result<f64> {
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(|| caller(port, &asked, &refused))).collect();
        while asked.load(Ordering::Relaxed) < KILL_AT {
            thread::sleep(Duration::from_millis(1));
        }
        server.take().context("no server")?.kill()?;
        let killed = Instant::now();
        server = Some(place.start()?);
        for caller in callers {
            caller.join().map_err(|_| anyhow!("a caller panicked"))??;
        }
        let server = server.as_ref().context("no server")?;
        while server.json("/v1/budgets")?["budgets"][0]["reserved_usd"] != 0.0 {
            if killed.elapsed() > Duration::from_secs(400) {
                bail!("what was reserved is not given back");
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(killed.elapsed().as_secs_f64() * 1e3)
    })?;
    let server = server.context("no server")?;
    let budget = server.json("/v1/budgets")?["budgets"][0].clone();
    let export = server.json("/v1/usage/export")?;
    let lost = export["call_history"].as_array().context("no history")?.iter().filter(|row| row["status"] == "lost");
    // Each answer that was written is money gone, whoever got it.
    let served = stub.served();
    let consumed: u64 = served.iter().map(|one| one.prompt * INPUT_NANO + one.completion * OUTPUT_NANO).sum();
    let calls: HashSet<_> = served.iter().map(|one| &one.id).collect();
    let settled = nano(&budget["spent_usd"]);
    let outcome = json!({ "callers": CALLERS, "limit_nano_usd": LIMIT_NANO, "calls_made": calls.len(),
        "calls_refused": refused.load(Ordering::Relaxed), "calls_lost": lost.count(), "settled_nano_usd": settled,
        "consumed_nano_usd": consumed, "overspent_nano_usd": settled.max(consumed).saturating_sub(LIMIT_NANO),
        "reserved_after_nano_usd": nano(&budget["reserved_usd"]), "all_done_ms_after_kill": freed_ms });
    println!("{outcome}");
    Ok(outcome)
}

fn caller(port: u16, asked: &AtomicU64, refused: &AtomicU64) -> Result<()> {
    let patience = Instant::now() + Duration::from_secs(60);
    let mut wire = None;
    while Instant::now() < patience {
        let Some(open) = wire.as_mut() else {
            wire = Wire::connect(port).ok();
            if wire.is_none() {
                thread::sleep(Duration::from_millis(5));
            }
            continue;
        };
        let id = format!("b{}", asked.fetch_add(1, Ordering::Relaxed));
        match open.ask(&through(&format!("id={id} delay=20"), false, &id)) {
            Ok((200, _)) => {}
            Ok((402 | 429, body)) if String::from_utf8_lossy(&body).contains("budget") => {
                refused.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            Ok((status, body)) => bail!("{id} was answered {status}: {}", String::from_utf8_lossy(&body)),
            Err(_) => wire = None,
        }
    }
    bail!("a caller was not refused in a minute")
}
