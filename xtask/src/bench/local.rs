//! Models in this process: MiniLM against ONNX Runtime, in turns in one run, and a random Llama.
//!
//! `benches/local.py` exports MiniLM, embeds with ONNX Runtime and with torch, and makes the Llama; its own first lines say
//! what it needs. Both sides get two threads, batches of the same texts, and time for tokenising.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::write;
use crate::run::{cargo, root, run, target};

/// Texts, and turns of each side.
const TEXTS: usize = 256;
const ROUNDS: usize = 5;
const BATCHES: [usize; 2] = [32, 1];
/// The most by which a number of a vector may differ from that of torch or ONNX Runtime.
const MOST_APART: f64 = 1e-4;

/// Measures with the model in `model` and the passages of `set`.
pub fn measure(python: &Path, model: &Path, set: &Path) -> Result<()> {
    let words = ["build", "--release", "-p", "xtask", "--features", "local-models"];
    run(&root(), &cargo(), &words)?;
    let work = std::env::temp_dir().join(format!("lorekeep-local-{}", std::process::id()));
    std::fs::create_dir_all(&work)?;
    let outcome = turns(python, model, set, &work);
    std::fs::remove_dir_all(&work)?;
    let figures = outcome?;
    exact(&figures["embedding"])?;
    write("local", &figures, &page(&figures)?)
}

/// Refuses figures of vectors that are not MiniLM's.
fn exact(rows: &Value) -> Result<()> {
    let rows = rows.as_array().context("no vectors were compared")?;
    for (row, other) in rows.iter().flat_map(|row| ["torch", "onnxruntime"].map(|other| (row, other))) {
        let apart = row[format!("apart_from_{other}")].as_f64().context("no vectors were compared")?;
        if apart.is_nan() || apart > MOST_APART {
            let batch = &row["batch"];
            bail!(
                "in batches of {batch}, vectors differ from those of {other} by {apart:e}; at most {MOST_APART:e} is allowed"
            );
        }
    }
    Ok(())
}

fn turns(python: &Path, model: &Path, set: &Path, work: &Path) -> Result<Value> {
    let texts = work.join("texts.json");
    std::fs::write(&texts, serde_json::to_vec(&passages(set)?)?)?;
    let path = |path: &Path| path.display().to_string();
    let (model, texts, folder) = (path(model), path(&texts), path(work));
    let script = path(&root().join("benches/local.py"));
    let ours = path(&target().join("release/xtask"));
    let python = path(python);
    started(&python, &[&script, "prepare", &model, &folder])?;
    let reference = started(&python, &[&script, "torch", &model, &folder, &texts, "32"])?;
    let mut rows = Vec::new();
    for batch in BATCHES {
        let number = batch.to_string();
        let (mut own, mut other): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            own.push(started(&ours, &["local", "embed", &model, &texts, &number])?);
            other.push(started(&python, &[&script, "onnx", &model, &folder, &texts, &number])?);
        }
        let (mine, theirs) = (rate(&own), rate(&other));
        let first = |side: &[Value], key: &str| side.first().map_or(Value::Null, |turn| turn[key].clone());
        rows.push(json!({
            "batch": batch, "texts_per_s": mine, "onnxruntime_texts_per_s": theirs, "ratio": mine / theirs,
            "tokens": first(&own, "tokens"), "peak_mib": first(&own, "peak_mib"),
            "apart_from_torch": apart(&first(&own, "vectors"), &reference["vectors"])?,
            "apart_from_onnxruntime": apart(&first(&own, "vectors"), &first(&other, "vectors"))?,
        }));
    }
    let mut llama = Vec::new();
    for file in ["llama", "llama-q8_0.gguf"] {
        let mut figures = started(&ours, &["local", "write", &format!("{folder}/{file}")])?;
        figures["weights"] = json!(file);
        llama.push(figures);
    }
    Ok(
        json!({ "embedding": rows, "llama": llama, "onnxruntime": reference["onnxruntime"], "parameters": reference["parameters"] }),
    )
}

/// Texts of the first passages.
fn passages(set: &Path) -> Result<Vec<String>> {
    let corpus = set.join("corpus.jsonl");
    let lines = std::fs::read_to_string(&corpus).with_context(|| format!("cannot read {}", corpus.display()))?;
    let text = |line: &str| -> Result<String> {
        let row: Value = serde_json::from_str(line)?;
        row["text"].as_str().map(str::to_owned).context("a passage without a text")
    };
    lines.lines().take(TEXTS).map(text).collect()
}

/// Runs a program on two threads and reads the JSON that it prints.
fn started(program: &str, words: &[&str]) -> Result<Value> {
    let mut command = Command::new(program);
    command.args(words).envs(["RAYON_NUM_THREADS", "OMP_NUM_THREADS"].map(|name| (name, "2")));
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!("`{program} {}` ended with {}", words.join(" "), output.status);
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{program} printed something else than JSON"))
}

/// Texts per second, the median of the turns.
fn rate(turns: &[Value]) -> f64 {
    let of = |turn: &Value| turn["texts"].as_f64().unwrap_or_default() / turn["seconds"].as_f64().unwrap_or(1.0);
    let mut rates: Vec<f64> = turns.iter().map(of).collect();
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

/// The largest difference between any two numbers of the same place.
fn apart(one: &Value, other: &Value) -> Result<f64> {
    let numbers = |value: &Value| -> Result<Vec<Vec<f64>>> { Ok(serde_json::from_value(value.clone())?) };
    let (one, other) = (numbers(one)?, numbers(other)?);
    if one.len() != other.len() || one.is_empty() {
        bail!("{} vectors against {}", one.len(), other.len());
    }
    let pairs = one.iter().flatten().zip(other.iter().flatten());
    Ok(pairs.map(|(one, other)| (one - other).abs()).fold(0.0, f64::max))
}

fn page(figures: &Value) -> Result<String> {
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    let mut page = format!(
        "# Models in this process\n\n`cargo xtask bench local`: MiniLM-L6-v2 (published weights, float32) on {TEXTS} passages of \
         2wiki, two threads, median of {ROUNDS} turns each, in turns with ONNX Runtime {}; tokenising included. The largest \
         difference is that of any number of a vector of length 1.\n\n\
         | batch | Lorekeep, texts/s | ONNX Runtime, texts/s | ratio | largest difference to torch | to ONNX Runtime | peak memory |\n\
         |---|---|---|---|---|---|---|\n",
        figures["onnxruntime"].as_str().unwrap_or_default(),
    );
    for row in figures["embedding"].as_array().into_iter().flatten() {
        writeln!(
            page,
            "| {} | {:.1} | {:.1} | {:.2} | {:.1e} | {:.1e} | {:.0} MiB |",
            row["batch"],
            number(&row["texts_per_s"]),
            number(&row["onnxruntime_texts_per_s"]),
            number(&row["ratio"]),
            number(&row["apart_from_torch"]),
            number(&row["apart_from_onnxruntime"]),
            number(&row["peak_mib"]),
        )?;
    }
    writeln!(
        page,
        "\nA random Llama of {:.0} million parameters: a prompt of 256 tokens is read, 64 are written.\n\n\
         | weights | read, tokens/s | written, tokens/s | weights in memory | peak memory |\n|---|---|---|---|---|",
        number(&figures["parameters"]) / 1e6,
    )?;
    for row in figures["llama"].as_array().into_iter().flatten() {
        writeln!(
            page,
            "| {} | {:.0} | {:.1} | {:.0} MiB | {:.0} MiB |",
            row["weights"].as_str().unwrap_or_default(),
            number(&row["read_tokens_per_s"]),
            number(&row["written_tokens_per_s"]),
            number(&row["weight_bytes"]) / f64::from(1 << 20),
            number(&row["peak_mib"]),
        )?;
    }
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_another_model_are_refused() {
        let rows =
            |torch: f64, onnx: f64| json!([{ "batch": 32, "apart_from_torch": torch, "apart_from_onnxruntime": onnx }]);
        assert!(exact(&rows(3e-7, 1e-4)).is_ok());
        for bad in [rows(2e-4, 0.0), rows(0.0, 2e-4), json!([{ "batch": 1, "apart_from_torch": null }]), Value::Null] {
            assert!(exact(&bad).is_err(), "{bad}");
        }
    }
}
