//! `cargo xtask ci`: everything that must hold before a change lands, in order of cost.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::run::{cargo, has, root, run, target};
use crate::{codegen, tidy};

/// Largest release binary, in bytes.
const MOST_BYTES: u64 = 60 << 20;

type Step = (&'static str, fn() -> Result<()>);

/// The steps, by name.
const STEPS: [Step; 10] = [
    ("install", install),
    ("format", format),
    ("tidy", tidy::run),
    ("lint", lint),
    ("test", test),
    ("local", local),
    ("codegen", || codegen::run(true)),
    ("web", web),
    ("release", release),
    ("ui", ui),
];

/// Runs only where it is named: on a cold machine it takes a third of the time that all of them may.
const ON_REQUEST: &str = "local";

/// Runs all steps but that on request, or only those named.
pub fn run_all(names: &[String]) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| !STEPS.iter().any(|(step, _)| step == name)) {
        let known: Vec<_> = STEPS.iter().map(|(name, _)| *name).collect();
        bail!("there is no step `{unknown}`; the steps are {}", known.join(", "));
    }
    let mut times = Vec::new();
    for (name, step) in STEPS {
        let is_meant = if names.is_empty() { name != ON_REQUEST } else { names.iter().any(|wanted| wanted == name) };
        if !is_meant {
            continue;
        }
        println!("\n== {name}");
        let started = Instant::now();
        step()?;
        times.push(format!("{name} {:.0} s", started.elapsed().as_secs_f64()));
    }
    println!("\nall green: {}", times.join(", "));
    Ok(())
}

/// What the tests need beside Rust: Node for the page, Chromium for looking at it.
fn install() -> Result<()> {
    let root = root();
    if !has("chromium") && has("apt-get") {
        let apt = |arguments: &[&str]| run(&root, "apt-get", arguments);
        apt(&["-qq", "update"])?;
        apt(&["-qq", "install", "-y", "--no-install-recommends", "chromium"])?;
    }
    if !has("chromium") || !has("npm") {
        bail!("the tests of the page need `chromium` and `npm` (Node 20 or later); install both and run this again");
    }
    run(&root.join("web"), "npm", &["ci", "--no-audit", "--no-fund"])
}

fn format() -> Result<()> {
    run(&root(), &cargo(), &["fmt", "--all", "--check"])
}

/// Once as it is built by default, once with models in the process.
fn lint() -> Result<()> {
    let local = ["--features", "lorekeep/local-models,xtask/local-models"];
    for features in [&[][..], &local] {
        let words = [&["clippy", "--workspace", "--all-targets"], features, &["--", "-D", "warnings"]].concat();
        run(&root(), &cargo(), &words)?;
    }
    Ok(())
}

fn test() -> Result<()> {
    run(&root(), &cargo(), &["test", "--workspace", "--quiet"])
}

/// What is different where models run in the process.
fn local() -> Result<()> {
    let words =
        ["test", "--workspace", "--quiet", "--features", "lorekeep/local-models", "--lib", "--test", "it", "--"];
    run(&root(), &cargo(), &[&words[..], &["local", "model_serve"]].concat())
}

/// The page builds from its source to exactly what is committed, and its own tests pass.
fn web() -> Result<()> {
    let web = root().join("web");
    for script in ["check", "test", "build"] {
        run(&web, "npm", &["run", "--silent", script])?;
    }
    run(&root(), "git", &["diff", "--exit-code", "--stat", "--", "web/dist"])
}

fn release() -> Result<()> {
    run(&root(), &cargo(), &["build", "--release"])?;
    let binary = target().join("release/lorekeep");
    let size = std::fs::metadata(&binary)?.len();
    println!("{}: {:.1} MiB", binary.display(), size as f64 / f64::from(1 << 20));
    if size > MOST_BYTES {
        bail!("the binary is larger than {} MiB", MOST_BYTES >> 20);
    }
    Ok(())
}

/// The page in a real browser against the real binary.
fn ui() -> Result<()> {
    let binary = target().join("release/lorekeep");
    let root = root();
    let script = Path::new("tests/ui/run.mjs");
    run(&root, "node", &[&script.display().to_string(), "--binary", &binary.display().to_string()])
}
