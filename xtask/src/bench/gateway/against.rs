//! Several builds of the server under the same load in turns: which one takes less time, on a machine whose speed changes
//! from minute to minute.

use std::path::Path;

use anyhow::{Result, bail};

use super::overhead::{CONNECTIONS, RATE, median, question, through, warm, whole};
use super::pace::{Pace, Timed};
use super::server::Place;
use super::stub::Stub;
use super::{PLENTY_NANO, in_folder, raise};

/// Turns of each build, two seconds each.
const TURNS: usize = 12;

/// Prints for each binary the medians over its turns: time of an answer, and processor time per call.
pub fn compare(binaries: &[&str]) -> Result<()> {
    if binaries.is_empty() {
        bail!("name the binaries to compare");
    }
    raise();
    in_folder(|work| {
        let stub = Stub::start()?;
        let mut servers = Vec::new();
        for (number, binary) in binaries.iter().enumerate() {
            let place = Place::new(work, &format!("build-{number}"), stub.port, PLENTY_NANO)?;
            servers.push((binary, place.start_build(Path::new(binary))?, Vec::new()));
        }
        for (_, server, _) in &servers {
            warm(server)?;
        }
        let request = through(&question(0), false, "bench");
        let pace = Pace { rate: RATE, seconds: 2, connections: CONNECTIONS };
        for _ in 0..TURNS {
            for (_, server, turns) in &mut servers {
                let before = server.processor_ns()?;
                let timed = pace.keep(server.port, |wire, _| whole(&request, wire))?;
                let micros = (server.processor_ns()? - before) as f64 / 1e3 / timed.good.max(1) as f64;
                turns.push((timed, micros));
                stub.reset(0);
            }
        }
        for (binary, _, turns) in &servers {
            let of = |value: fn(&(Timed, f64)) -> f64| median(turns.iter().map(value));
            let (p50, p99) = (of(|turn| turn.0.ms(50.0)), of(|turn| turn.0.ms(99.0)));
            let micros = of(|turn| turn.1);
            let bad: u64 = turns.iter().map(|turn| turn.0.bad).sum();
            println!("p50 {p50:.3} ms  p99 {p99:.3} ms  processor {micros:.0} us per call  failed {bad}  {binary}");
        }
        Ok(())
    })
}
