//! Fuzzing with the toolchain that everything is built with: inputs grow from seeds by mutation, and one that makes the
//! code behave in a way that was not seen before joins the seeds. An input that fails is kept in the folder of its
//! target, where every later run tries it first.
//!
//! Without instrumentation new behaviour is what the target says it is, not a new branch; in exchange nothing has to be
//! built anew, and a short walk, the same each time, is part of the ordinary tests.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{
    fs,
    io::{self, Write as _},
};

/// How long to go on, in seconds; without it a target makes [`FEW`] rounds.
pub const SECONDS: &str = "LOREKEEP_FUZZ_SECONDS";
/// Where the walk begins: a number.
pub const SEED: &str = "LOREKEEP_FUZZ_SEED";

/// Rounds of an ordinary test.
const FEW: u64 = 200;
/// Inputs are no longer than this, in bytes.
const LONGEST: usize = 16 << 10;
/// Seeds that are kept beside the given ones.
const MOST_FOUND: usize = 2_000;
/// No single input may take longer in a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is fuzzed.
pub struct Target<'t> {
    /// Its name, which is that of its folder.
    pub name: &'t str,
    /// The root of its crate: failing inputs are kept in `tests/fuzz/NAME` below it.
    pub root: &'t str,
    /// Whole, ordinary inputs.
    pub seeds: Vec<Vec<u8>>,
    /// Words that mean something to the code.
    pub words: &'t [&'t str],
}

impl Target<'_> {
    /// Tries inputs. `check` panics when a promise is broken, and otherwise tells in a few words how the code behaved.
    ///
    /// # Panics
    /// As `check` does, when an input takes too long, and when a failing input cannot be kept.
    pub fn run(&self, check: impl Fn(&[u8]) -> String) {
        let folder = Path::new(self.root).join("tests/fuzz").join(self.name);
        for input in kept(&folder) {
            self.attempt(&folder, &input, &check);
        }
        let (limit, mut random) = (limit(), Random(number(SEED).unwrap_or(1)));
        let mut seen: HashSet<String> = HashSet::new();
        let mut pool: Vec<Vec<u8>> = self.seeds.clone();
        seen.extend(pool.iter().map(|seed| self.attempt(&folder, seed, &check)));
        let (started, known) = (Instant::now(), seen.len());
        let mut rounds = 0;
        while limit.map_or(rounds < FEW, |limit| started.elapsed() < limit) {
            let input = self.mutated(&pool, &mut random);
            let behaviour = self.attempt(&folder, &input, &check);
            rounds += 1;
            if seen.insert(behaviour) && pool.len() < self.seeds.len() + MOST_FOUND {
                pool.push(input);
            }
        }
        if limit.is_some() {
            let found = seen.len() - known;
            // Who asked for a while wants to know how far it went; a closed stderr takes that away and nothing else.
            let _ = writeln!(io::stderr(), "{}: {rounds} inputs, {found} new ways to behave", self.name);
        }
    }

    fn attempt(&self, folder: &Path, input: &[u8], check: &impl Fn(&[u8]) -> String) -> String {
        let started = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let behaviour = check(input);
            assert!(started.elapsed() < PATIENCE, "an input of {} bytes took {:?}", input.len(), started.elapsed());
            behaviour
        }));
        outcome.unwrap_or_else(|panic| {
            let kept = keep(folder, input);
            assert!(kept.is_ok(), "a failing input of {} could not be kept: {kept:?}: {input:?}", self.name);
            resume_unwind(panic)
        })
    }

    fn mutated(&self, pool: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
        let mut input = random.one_of(pool).cloned().unwrap_or_default();
        for _ in 0..=random.below(6) {
            let at = random.below(input.len() + 1);
            let end = (at + 1 + random.below(16)).min(input.len());
            match random.below(8) {
                0 => input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
                1 => input.iter_mut().skip(at).take(1).for_each(|byte| *byte = random.byte()),
                2 => drop(input.drain(at..end)),
                3 => input.truncate(at),
                4 => {
                    let word = random.one_of(self.words).copied().unwrap_or_default();
                    input.splice(at..at, word.bytes());
                }
                5 => {
                    let again = input.get(at..end).unwrap_or_default().repeat(1 + random.below(40));
                    input.splice(at..at, again);
                }
                6 => {
                    let other = random.one_of(pool).map_or(&[][..], Vec::as_slice);
                    let from = random.below(other.len() + 1);
                    let part = other.get(from..).unwrap_or_default().to_vec();
                    input.splice(at..end.max(at), part.into_iter().take(64));
                }
                _ => {
                    let bytes: Vec<u8> = (0..=random.below(8)).map(|_| random.byte()).collect();
                    input.splice(at..at, bytes);
                }
            }
        }
        input.truncate(LONGEST);
        input
    }
}

/// Inputs that once failed, by name.
fn kept(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().filter_map(|path| fs::read(path).ok()).collect()
}

/// Named by content (FNV-1a), so that one input is kept once.
fn keep(folder: &Path, input: &[u8]) -> io::Result<()> {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    fs::create_dir_all(folder)?;
    fs::write(folder.join(format!("{:016x}", input.iter().fold(0xcbf2_9ce4_8422_2325, step))), input)
}

#[expect(clippy::disallowed_methods, reason = "the way from `cargo xtask fuzz` to the test that it runs")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn limit() -> Option<Duration> {
    number(SECONDS).map(Duration::from_secs)
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, or 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 32).unwrap_or_default() % end.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes().first().copied().unwrap_or_default()
    }

    fn one_of<'o, T>(&mut self, options: &'o [T]) -> Option<&'o T> {
        options.get(self.below(options.len()))
    }
}
