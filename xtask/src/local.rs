//! Models in this process, measured: what `bench local` starts once per turn, in a release build of its own.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use lorekeep_models::local::bert::Bert;
use lorekeep_models::local::folder::find;
use lorekeep_models::local::llama::Llama;
use serde_json::{Value, json};

/// Tokens of the prompt that is read, and tokens written after it.
const PROMPT: usize = 256;
const WRITTEN: usize = 64;

/// `embed FOLDER TEXTS BATCH` or `write PATH`: prints one JSON object.
pub fn measure(words: &[String]) -> Result<()> {
    let printed = match words {
        [what, folder, texts, batch] if what == "embed" => embed(Path::new(folder), Path::new(texts), batch.parse()?)?,
        [what, path] if what == "write" => write(&PathBuf::from(path))?,
        _ => bail!("`embed FOLDER TEXTS BATCH` or `write PATH`"),
    };
    println!("{printed}");
    Ok(())
}

fn embed(folder: &Path, texts: &Path, batch: usize) -> Result<Value> {
    let model = Bert::load(folder)?;
    let texts: Vec<String> = serde_json::from_slice(&std::fs::read(texts)?)?;
    // The first batch starts threads and warms caches.
    model.embed(texts.get(..batch.min(texts.len())).unwrap_or_default())?;
    let started = Instant::now();
    let (mut vectors, mut tokens) = (Vec::with_capacity(texts.len()), 0);
    for batch in texts.chunks(batch.max(1)) {
        let made = model.embed(batch)?;
        tokens += made.tokens;
        vectors.extend(made.vectors);
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(
        json!({ "texts": texts.len(), "tokens": tokens, "seconds": seconds, "vectors": vectors, "peak_mib": peak_mib()? }),
    )
}

fn write(path: &Path) -> Result<Value> {
    let started = Instant::now();
    let mut model = Llama::load(&find(path)?, PROMPT + WRITTEN)?;
    let loaded = started.elapsed().as_secs_f64();
    let vocabulary = u32::try_from(model.sizes().vocabulary)?;
    let prompt: Vec<u32> = (0..PROMPT as u32).map(|at| at * 97 % vocabulary).collect();
    model.forward(&prompt)?;
    model.reset();
    let started = Instant::now();
    let mut logits = model.forward(&prompt)?;
    let read = started.elapsed().as_secs_f64();
    let started = Instant::now();
    for _ in 0..WRITTEN {
        let likeliest = (0_u32..).zip(&logits).max_by(|(_, one), (_, other)| one.total_cmp(other));
        logits = model.forward(&[likeliest.map_or(0, |(token, _)| token)])?;
    }
    let written = started.elapsed().as_secs_f64();
    Ok(json!({
        "load_s": loaded, "read_tokens_per_s": PROMPT as f64 / read, "written_tokens_per_s": WRITTEN as f64 / written,
        "weight_bytes": model.weight_bytes(), "cache_bytes": model.cache_bytes(), "peak_mib": peak_mib()?,
    }))
}

/// The most memory that this process ever held (proc(5), `VmHWM`).
fn peak_mib() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("no VmHWM")?;
    let kib: f64 = line.split_whitespace().nth(1).context("no VmHWM value")?.parse()?;
    Ok(kib / 1024.0)
}
