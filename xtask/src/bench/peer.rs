//! Side by side with LightRAG in one run, by the benchmark that lies beside the project.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::{binary, results};
use crate::run::run;

/// Copies the benchmark, makes it ready, and runs both targets in turns.
pub fn measure(bench: &Path) -> Result<()> {
    if !bench.join("bench.py").exists() {
        bail!("{} holds no bench.py; name the folder with --bench", bench.display());
    }
    let work = std::env::temp_dir().join("lorekeep-peer");
    if !work.join("venv/bin/lightrag-server").exists() {
        let here = std::env::temp_dir();
        run(&here, "cp", &["-r", &bench.display().to_string(), &work.display().to_string()])?;
        run(&here, "chmod", &["-R", "u+w", &work.display().to_string()])?;
        run(&work, "bash", &["setup.sh"])?;
    }
    let ours = json!({
        "name": "lorekeep",
        "cmd": [binary(), "--data", "{store}", "serve", "--host", "127.0.0.1", "--port", "{port}"],
        "cwd": "{work}",
        "env": { "RUST_LOG": "warn" },
        "common_env": true,
        "health": "/health",
        "resume": ["POST", "/documents/reprocess_failed"],
        "inspect": null,
    });
    std::fs::write(work.join("ours.json"), ours.to_string()).context("cannot write ours.json")?;
    let out = results().join("peer");
    std::fs::create_dir_all(&out)?;
    run(
        &work,
        "venv/bin/python",
        &[
            "bench.py",
            "--target",
            "lightrag",
            "--target",
            "ours.json",
            "--what",
            "startup,index,query",
            "--sizes",
            "S",
            "--concurrency",
            "1,8",
            "--out",
            &out.display().to_string(),
        ],
    )
}
