//! `cargo xtask fuzz`: runs fuzz targets, which are tests named `fuzz::TARGET`, for a while instead of a few rounds.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

use crate::run::{cargo, command, root};

/// Targets and the crates whose tests they are.
const TARGETS: [(&str, &str); 3] =
    [("parse", "lorekeep-parse"), ("text", "lorekeep-testkit"), ("archive", "lorekeep-store")];

/// Seconds for each target when nothing else is asked for.
const SECONDS: &str = "60";

/// Runs the named targets, or all.
pub fn run_all(arguments: &[String]) -> Result<()> {
    let (mut names, mut seconds, mut words) = (Vec::new(), SECONDS, arguments.iter());
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seconds" => seconds = words.next().context("`--seconds` needs a number")?,
            name => names.push(name),
        }
    }
    if seconds.parse::<u64>().is_err() {
        bail!("`{seconds}` is no number of seconds");
    }
    if let Some(unknown) = names.iter().find(|name| !TARGETS.iter().any(|(target, _)| target == *name)) {
        bail!("there is no fuzz target `{unknown}`; the targets are {}", TARGETS.map(|(name, _)| name).join(", "));
    }
    for (name, package) in TARGETS {
        if names.is_empty() || names.contains(&name) {
            target(name, package, seconds)?;
        }
    }
    Ok(())
}

fn target(name: &str, package: &str, seconds: &str) -> Result<()> {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs().to_string();
    println!("fuzz {name}: {seconds} s from seed {seed}");
    let status = command(&root(), &cargo())
        .args(["test", "--quiet", "--package", package, "--test", "it", "--", "--exact", "--nocapture"])
        .arg(format!("fuzz::{name}"))
        .env("LOREKEEP_FUZZ_SECONDS", seconds)
        .env("LOREKEEP_FUZZ_SEED", seed)
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!(
            "an input breaks `{name}`; it is kept under tests/fuzz/{name} of {package}, where the tests try it again"
        );
    }
    Ok(())
}
