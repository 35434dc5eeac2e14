//! An open-loop driver: requests start at a constant rate whatever becomes of the earlier ones, and each is timed from
//! the moment at which it was meant to start, so that a stall is seen by all the requests that it held up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use hdrhistogram::Histogram;

use super::wire::Wire;

/// Longest time that is told apart, in µs.
const LONGEST_US: u64 = 60_000_000;

/// A constant load.
#[derive(Clone, Copy)]
pub struct Pace {
    /// Requests per second.
    pub rate: u64,
    /// For how long, in seconds.
    pub seconds: u64,
    /// Connections, and with it the most requests at once; one that finds none free starts late and is timed as such.
    pub connections: usize,
}

/// What was timed.
pub struct Timed {
    times: Histogram<u64>,
    /// Requests that ended well.
    pub good: u64,
    /// Requests that did not.
    pub bad: u64,
    /// From the first start to the last end.
    pub took: Duration,
}

impl Timed {
    fn new() -> Result<Self> {
        let times = Histogram::new_with_bounds(1, LONGEST_US, 3)?;
        Ok(Self { times, good: 0, bad: 0, took: Duration::ZERO })
    }

    /// A percentile in milliseconds.
    pub fn ms(&self, percentile: f64) -> f64 {
        self.times.value_at_percentile(percentile) as f64 / 1e3
    }

    /// Requests per second that ended well.
    pub fn per_second(&self) -> f64 {
        self.good as f64 / self.took.as_secs_f64()
    }

    fn add(&mut self, other: &Self) -> Result<()> {
        self.times.add(&other.times)?;
        self.good += other.good;
        self.bad += other.bad;
        self.took = self.took.max(other.took);
        Ok(())
    }
}

impl Pace {
    /// Keeps this pace at a port of this machine. `exchange` makes request number `n` on a connection and tells the
    /// moment that counts, which is that of the whole answer or of an earlier part; `None` when it was not answered as
    /// it should be.
    pub fn keep(self, port: u16, exchange: impl Fn(&mut Wire, u64) -> Result<Option<Instant>> + Sync) -> Result<Timed> {
        let wires: Vec<Wire> = (0..self.connections).map(|_| Wire::connect(port)).collect::<Result<_>>()?;
        let next = AtomicU64::new(0);
        // Late enough for all threads to stand.
        let start = Instant::now() + Duration::from_millis(100);
        let mut all = Timed::new()?;
        thread::scope(|scope| {
            let run = |mut wire: Wire| {
                let (next, exchange) = (&next, &exchange);
                scope.spawn(move || self.caller(port, &mut wire, (next, start), exchange))
            };
            let callers: Vec<_> = wires.into_iter().map(run).collect();
            for caller in callers {
                all.add(&caller.join().map_err(|_| anyhow!("a caller of the load panicked"))??)?;
            }
            Ok(all)
        })
    }

    fn caller(
        self,
        port: u16,
        wire: &mut Wire,
        (next, start): (&AtomicU64, Instant),
        exchange: impl Fn(&mut Wire, u64) -> Result<Option<Instant>>,
    ) -> Result<Timed> {
        let mut timed = Timed::new()?;
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= self.rate * self.seconds {
                return Ok(timed);
            }
            let due = start + Duration::from_nanos(n * 1_000_000_000 / self.rate);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            match exchange(wire, n) {
                Ok(Some(at)) => {
                    timed.times.saturating_record(micros(at.saturating_duration_since(due)));
                    timed.good += 1;
                }
                Ok(None) => timed.bad += 1,
                Err(_) => {
                    timed.bad += 1;
                    *wire = Wire::connect(port).context("the server has gone")?;
                }
            }
            timed.took = start.elapsed();
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(LONGEST_US).max(1)
}
