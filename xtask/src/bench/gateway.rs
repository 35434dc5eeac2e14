//! What the gateway adds to a call and how exact its books are: a stub model called directly and through the server with
//! every layer on, on separate cores.
//!
//! - [`stub`]: the model; [`pace`]: the load; [`wire`]: HTTP for both; [`server`]: what is measured;
//! - [`relay`]: what any process in between adds;
//! - [`overhead`], [`mixed`], [`budget`], [`storm`]: the figures; [`page`]: what is written about them;
//! - [`against`]: builds compared with each other, for whoever changes the code.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{wire, write};
use crate::run::{cargo, root, run, target};

mod against;
mod budget;
mod mixed;
mod overhead;
mod pace;
mod page;
mod relay;
mod server;
mod storm;
mod stub;

pub use against::compare;
use relay::Relay;
pub use relay::serve as relay;
use server::{Awake, Place};
use stub::Stub;

/// The core of stub and load; the server has the first.
const CORE: &str = "1";
/// Well above what any measurement spends.
const PLENTY_NANO: u64 = 1_000_000_000_000_000;

/// Builds the load in release mode and runs [`measure_here`] in it, on its core.
pub fn measure() -> Result<()> {
    run(&root(), &cargo(), &["build", "--release", "--package", "lorekeep", "--package", "xtask"])?;
    let program = target().join("release/xtask").display().to_string();
    run(&root(), "taskset", &["-c", CORE, &program, "bench", "gateway-here"])
}

/// Measures in this process, which is meant to be bound to a core already. `only` names some of the figures,
/// which are not written unless `--write` is among them.
pub fn measure_here(only: &[&str]) -> Result<()> {
    let raised = raise();
    let before = load()?;
    let mut figures = in_folder(|work| figures(work, only))?;
    figures["raised"] = json!(raised);
    figures["load_before"] = json!(before);
    figures["load_after"] = json!(load()?);
    figures["unoptimised"] = json!(cfg!(debug_assertions));
    if !only.is_empty() && !only.contains(&"--write") {
        return Ok(());
    }
    write("gateway", &figures, &page::page(&figures)?)
}

/// Has `work` done in a folder of its own, which is removed afterwards.
fn in_folder<T>(work: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let folder = std::env::temp_dir().join(format!("lorekeep-gateway-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let outcome = work(&folder);
    std::fs::remove_dir_all(&folder)?;
    outcome
}

fn figures(work: &Path, only: &[&str]) -> Result<Value> {
    let asked = |name: &str| only.iter().all(|word| word.starts_with("--")) || only.contains(&name);
    let stub = Stub::start()?;
    let mut figures = json!({});
    let server = Place::new(work, "speed", stub.port, PLENTY_NANO)?.start()?;
    // The vocabulary is loaded at the first count, connections are opened, pages come into memory.
    overhead::warm(&server)?;
    if asked("overhead") {
        let relay = Relay::start(stub.port)?;
        figures["at_once"] = overhead::whole_answers(&stub, &server, &relay, 0)?;
        figures["at_20_ms"] = overhead::whole_answers(&stub, &server, &relay, 20)?;
        let logging = Place::new(work, "logging", stub.port, PLENTY_NANO)?.logging().start()?;
        overhead::warm(&logging)?;
        figures["logging"] = overhead::whole_answers(&stub, &logging, &relay, 0)?;
        logging.kill()?;
        let awake = Awake::start()?;
        figures["awake"] = overhead::whole_answers(&stub, &server, &relay, 0)?;
        drop(awake);
    }
    if asked("streaming") {
        figures["streaming"] = overhead::streams(&stub, &server)?;
    }
    if asked("throughput") {
        let (steps, held) = overhead::throughput(&stub, &server)?;
        figures["throughput"] = json!({ "steps": steps, "held_per_s": held });
    }
    if asked("storm") {
        figures["storm"] = storm::weather(&stub, &server)?;
    }
    server.kill()?;
    if asked("mixed") {
        figures["mixed"] = mixed::compare(&stub, &Place::new(work, "mixed", stub.port, PLENTY_NANO)?)?;
    }
    if asked("budget") {
        figures["budget"] = budget::spend(&stub, &Place::new(work, "budget", stub.port, budget::LIMIT_NANO)?)?;
    }
    Ok(figures)
}

/// Gives this process and what it starts precedence over other work on the machine, where that is allowed.
fn raise() -> bool {
    let own = std::process::id().to_string();
    let renice = std::process::Command::new("renice").args(["-n", "-15", "-p", &own]).output();
    renice.is_ok_and(|output| output.status.success())
}

/// The load average of the last minute.
fn load() -> Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg").context("cannot read /proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().to_owned())
}
