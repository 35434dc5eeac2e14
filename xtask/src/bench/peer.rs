//! Side by side with LightRAG in one run, by the benchmark that lies beside the project.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{binary, write};
use crate::run::run;

/// Makes the benchmark ready and runs both targets in turns.
pub fn measure(bench: &Path) -> Result<()> {
    let options = ["--what", "startup,index,query", "--sizes", "S", "--concurrency", "1,8"];
    publish(&in_turns(bench, &json!({ "RUST_LOG": "warn" }), "peer", &options)?)
}

/// Copies the benchmark to a folder of its own and makes it ready there.
pub fn ready(bench: &Path) -> Result<PathBuf> {
    if !bench.join("bench.py").exists() {
        bail!("{} holds no bench.py; name the folder with --peer", bench.display());
    }
    let work = std::env::temp_dir().join("lorekeep-peer");
    if !work.join("venv/bin/lightrag-server").exists() {
        let here = std::env::temp_dir();
        run(&here, "cp", &["-r", &bench.display().to_string(), &work.display().to_string()])?;
        run(&here, "chmod", &["-R", "u+w", &work.display().to_string()])?;
        run(&work, "bash", &["setup.sh"])?;
    }
    Ok(work)
}

/// Runs the peer and this program with `environment` in turns; the file of figures.
pub fn in_turns(bench: &Path, environment: &Value, name: &str, options: &[&str]) -> Result<PathBuf> {
    let work = ready(bench)?;
    let ours = json!({
        "name": "lorekeep",
        "cmd": [binary(), "--data", "{store}", "serve", "--host", "127.0.0.1", "--port", "{port}"],
        "cwd": "{work}",
        "env": environment,
        "common_env": true,
        "health": "/health",
        "resume": ["POST", "/documents/reprocess_failed"],
        "inspect": null,
    });
    std::fs::write(work.join("ours.json"), ours.to_string()).context("cannot write ours.json")?;
    // The benchmark writes this file, and beside it the same as a table.
    let raw = work.join(format!("{name}.json"));
    let out = raw.display().to_string();
    let both = ["bench.py", "--target", "lightrag", "--target", "ours.json", "--out", &out];
    run(&work, "venv/bin/python", &[&both, options].concat())?;
    Ok(raw)
}

/// Keeps the figures without what belongs to this machine, and says above the table what was compared.
fn publish(raw: &Path) -> Result<()> {
    let text = std::fs::read_to_string(raw).with_context(|| format!("cannot read {}", raw.display()))?;
    let all: Value = serde_json::from_str(&text).context("the benchmark wrote something else than JSON")?;
    let table = std::fs::read_to_string(raw.with_extension("md")).context("the benchmark wrote no table")?;
    let page = format!(
        "# Side by side with LightRAG server 1.5.7\n\n`cargo xtask bench peer`: 200 documents of one passage, both servers in \
         turns on the same two cores. The peer calls a model that answers at once and costs nothing (stub), as its \
         pipeline needs one; Lorekeep uses its built-in extractor and embedder, and its full answers are quotes. Not the \
         same work, then, but the same requests and the same documents.\n\n{table}"
    );
    write("peer", &all["targets"], &page)
}
