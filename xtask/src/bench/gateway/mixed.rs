//! Ten thousand calls of all kinds, with the server killed in the middle, and the ledger compared with the stub's own,
//! call by call.
//!
//! What equal means: an answer whose tokens the stub reported in full and that the ledger has as reported (`ok`) has
//! the same tokens in both, and its price was charged. A call that the killed server left open is charged all that was
//! reserved, never below what the stub gave away. One that its client gave up has no report: it is charged all that was
//! reserved, or, once a stream has begun, an estimate of what had arrived; what the stub had written beyond that is told
//! (`short`), for nobody sees it. No call reaches the stub that the ledger does not know.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use serde_json::{Value, json};

use super::overhead::{events, piece_text, through};
use super::server::{INPUT_NANO, OUTPUT_NANO, Place};
use super::stub::{Served, Stub, pieces};
use super::wire::Wire;

/// Calls of the whole run.
const CALLS: u64 = 10_000;
/// The server is killed when so many have been begun.
const KILL_AT: u64 = 5_000;
const CALLERS: usize = 32;
/// The status of a call that a dead server left open.
const CALL_LOST: &str = "lost";

/// What became of a call for its client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// The whole answer, every byte as the model wrote it.
    Answered,
    /// An error, as asked for.
    Refused,
    /// Given up on purpose.
    GivenUp,
    /// The connection broke: the server was killed.
    Broken,
}

/// Runs the calls and compares; the figures of each class and whether all is equal.
pub fn compare(stub: &Stub, place: &Place) -> Result<Value> {
    stub.reset(0);
    let mut server = Some(place.start()?);
    let port = server.as_ref().map_or(0, |server| server.port);
    let (next, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let seen: Mutex<HashMap<String, Seen>> = Mutex::default();
    let restart_s = thread::scope(|scope| -> Result<f64> {
        let caller = |_| scope.spawn(|| caller(port, &next, &seen));
        let callers: Vec<_> = (0..CALLERS).map(caller).collect();
        while next.load(Ordering::Relaxed) < KILL_AT && !done.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1));
        }
        server.take().context("no server")?.kill()?;
        let killed = Instant::now();
        server = Some(place.start()?);
        let restart_s = killed.elapsed().as_secs_f64();
        for caller in callers {
            caller.join().map_err(|_| anyhow!("a caller panicked"))??;
        }
        Ok(restart_s)
    })?;
    let server = server.context("no server")?;
    let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    let budget = settled(&server)?;
    let export = server.json("/v1/usage/export")?;
    let rows = export["call_history"].as_array().context("no history")?;
    let mut books = Books::default();
    books.read(rows, &stub.served(), &seen)?;
    books.outcome(&budget, restart_s, seen.len())
}

/// The budget, once no call is open any more.
fn settled(server: &super::server::Server) -> Result<Value> {
    for _ in 0..2_000 {
        let budget = server.json("/v1/budgets")?["budgets"][0].clone();
        if budget["reserved_usd"] == 0.0 {
            return Ok(budget);
        }
        thread::sleep(Duration::from_millis(5));
    }
    bail!("calls stay open in the ledger")
}

fn caller(port: u16, next: &AtomicU64, seen: &Mutex<HashMap<String, Seen>>) -> Result<()> {
    let mut wire = connected(port)?;
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= CALLS {
            return Ok(());
        }
        let id = format!("m{n}");
        let outcome = call(&mut wire, n, &id).unwrap_or(Seen::Broken);
        if outcome == Seen::GivenUp || outcome == Seen::Broken {
            wire = connected(port)?;
        }
        seen.lock().unwrap_or_else(PoisonError::into_inner).insert(id, outcome);
    }
}

/// Connects, waiting while the server starts anew.
fn connected(port: u16) -> Result<Wire> {
    let patience = Instant::now() + Duration::from_secs(20);
    loop {
        match Wire::connect(port) {
            Ok(wire) => return Ok(wire),
            Err(error) if Instant::now() > patience => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// One call of its kind: four of ten plain, three streamed, one of each given up, one that the upstream spoils.
fn call(wire: &mut Wire, n: u64, id: &str) -> Result<Seen> {
    match n % 10 {
        0..4 => plain(wire, &format!("id={id}"), id),
        4..7 => streamed(wire, id),
        7 => {
            let request = through(&format!("id={id} gap=3000"), true, id);
            events(wire, &request, str::is_empty, piece_text)?;
            Ok(Seen::GivenUp)
        }
        8 => {
            wire.send(&through(&format!("id={id} delay=30"), false, id))?;
            thread::sleep(Duration::from_millis(n / 10 % 40));
            Ok(Seen::GivenUp)
        }
        _ => {
            let fault = ["status=400", "status=404", "status=429", "status=500", "status=503", "cut=4"];
            let fault = fault.get(n as usize / 10 % fault.len()).copied().unwrap_or_default();
            plain(wire, &format!("id={id} {fault}"), id)
        }
    }
}

fn plain(wire: &mut Wire, script: &str, id: &str) -> Result<Seen> {
    let (status, body) = wire.ask(&through(script, false, id))?;
    if status != 200 {
        return Ok(Seen::Refused);
    }
    let answer: Value = serde_json::from_slice(&body)?;
    if answer["answer"] != pieces(id, 12).concat() {
        bail!("the answer to {id} is not the model's: {answer}");
    }
    Ok(Seen::Answered)
}

fn streamed(wire: &mut Wire, id: &str) -> Result<Seen> {
    let (_, text) = events(wire, &through(&format!("id={id}"), true, id), |_| true, piece_text)?;
    if text != pieces(id, 12).concat() {
        bail!("the answer to {id} is not the model's: {text}");
    }
    Ok(Seen::Answered)
}

/// Calls that ended the same way.
#[derive(Default)]
struct Class {
    calls: u64,
    /// Tokens that the stub reported in full, and those that the ledger has.
    stub: [u64; 2],
    ledger: [u64; 2],
    /// Calls that the stub answered in full.
    whole: u64,
    charged: u64,
    /// What the stub gave away, in nano-USD.
    given: u64,
    /// Calls charged less than that, and how much less.
    short_calls: u64,
    short: u64,
}

#[derive(Default)]
struct Books {
    classes: BTreeMap<String, Class>,
    /// What is wrong; empty when all is equal.
    faults: Vec<String>,
    charged: u64,
}

impl Books {
    fn read(&mut self, rows: &[Value], served: &[Served], seen: &HashMap<String, Seen>) -> Result<()> {
        let mut attempts: HashMap<&str, Vec<&Served>> = HashMap::new();
        served.iter().for_each(|one| attempts.entry(&one.id).or_default().push(one));
        let mut answered = 0;
        for row in rows {
            let id = row["request_id"].as_str().context("a call without a request")?;
            let attempts = attempts.remove(id).unwrap_or_default();
            self.row(row, &attempts, id)?;
            answered += u64::from(row["status"] == "ok" && seen.get(id) == Some(&Seen::Answered));
        }
        attempts.keys().for_each(|id| self.faults.push(format!("{id} reached the stub and is not in the ledger")));
        let all = seen.values().filter(|seen| **seen == Seen::Answered).count() as u64;
        if answered != all {
            self.faults.push(format!("{all} calls were answered, {answered} of them are in the ledger as such"));
        }
        Ok(())
    }

    fn row(&mut self, row: &Value, attempts: &[&Served], id: &str) -> Result<()> {
        let status = row["status"].as_str().context("a call without a status")?;
        let number = |key: &str| row[key].as_u64().unwrap_or_default();
        let ledger = [number("prompt_tokens"), number("completion_tokens")];
        let whole = attempts.iter().find(|one| one.whole);
        let stub = whole.map_or([0, 0], |one| [one.prompt, one.completion]);
        let charged = nano(&row["charged_usd"]);
        self.charged += charged;
        if status == "ok" && (ledger != stub || row["estimated"] == true || charged != price(stub)) {
            self.faults.push(format!("{id}: {ledger:?} in the ledger, {stub:?} reported by the stub"));
        }
        let given: u64 = attempts.iter().map(|one| given(one)).sum();
        if status == CALL_LOST && charged < given {
            self.faults.push(format!("{id}: {charged} charged, {given} spent"));
        }
        let class = self.classes.entry(status.to_owned()).or_default();
        class.calls += 1;
        class.whole += u64::from(whole.is_some());
        class.charged += charged;
        class.given += given;
        class.short_calls += u64::from(charged < given);
        class.short += given.saturating_sub(charged);
        for side in 0..2 {
            class.stub[side] += stub[side];
            class.ledger[side] += ledger[side];
        }
        Ok(())
    }

    fn outcome(mut self, budget: &Value, restart_s: f64, calls: usize) -> Result<Value> {
        if nano(&budget["spent_usd"]) != self.charged {
            self.faults
                .push(format!("the budget has {}, its calls were charged {}", budget["spent_usd"], self.charged));
        }
        let classes: BTreeMap<_, _> = self
            .classes
            .iter()
            .map(|(status, class)| {
                (
                    status,
                    json!({ "calls": class.calls, "answered_in_full_by_stub": class.whole, "stub_tokens": class.stub,
                "ledger_tokens": class.ledger, "charged_nano_usd": class.charged,
                "given_nano_usd": class.given, "short_calls": class.short_calls, "short_nano_usd": class.short }),
                )
            })
            .collect();
        let faults = self.faults.len();
        self.faults.truncate(10);
        let outcome = json!({ "calls": calls, "classes": classes, "equal": faults == 0, "differences": faults,
            "first_differences": self.faults, "restart_s": restart_s });
        println!("{outcome}");
        Ok(outcome)
    }
}

/// What the stub gave away in an attempt, in nano-USD: a prompt counts as read once a piece was written.
fn given(attempt: &Served) -> u64 {
    match (attempt.whole, attempt.written) {
        (true, _) => price([attempt.prompt, attempt.completion]),
        (false, 0) => 0,
        (false, written) => price([attempt.prompt, written]),
    }
}

/// What tokens cost in nano-USD.
fn price([prompt, completion]: [u64; 2]) -> u64 {
    prompt * INPUT_NANO + completion * OUTPUT_NANO
}

/// An amount of the API in nano-USD; nothing is 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "amounts are small and never negative")]
pub fn nano(usd: &Value) -> u64 {
    (usd.as_f64().unwrap_or_default() * 1e9).round() as u64
}
