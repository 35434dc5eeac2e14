//! Whole answers of `/query` beside LightRAG's, both written by the same stub model, which answers at once.
//!
//! Both index the same passages, cut alike, and have the stub make the graph ([`indexing`]). Every question is new, so that no
//! cache answers it; in the modes that read the graph both ask the model for keywords first.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{indexing, peer, write};

const SIZES: [(&str, &str); 2] = [("S", "200 documents of one passage"), ("M", "189 documents of ten passages")];
const MODES: [&str; 5] = ["naive", "local", "global", "hybrid", "mix"];

/// Seconds of load for each figure.
const CELL_S: &str = "5";

/// Runs both in turns and publishes what is about whole answers.
pub fn measure(bench: &Path) -> Result<()> {
    let environment = json!({
        "RUST_LOG": "warn", "LOREKEEP_LLM__BASE_URL": "{stub}/v1", "LOREKEEP_LLM__MODEL": "stub",
        "LOREKEEP_GRAPH__EXTRACT": "on", "LOREKEEP_INGEST__CHUNKING": "fixed",
    });
    let options = ["--what", "index,query", "--sizes", "S,M", "--concurrency", "1,8,32", "--cell-seconds", CELL_S];
    let raw = peer::in_turns(bench, &environment, "answers", &options)?;
    let text = std::fs::read_to_string(&raw).with_context(|| format!("cannot read {}", raw.display()))?;
    let all: Value = serde_json::from_str(&text).context("the benchmark wrote something else than JSON")?;
    let cells = |target: &str| -> Vec<Value> {
        let cells = all["targets"][target]["query"].as_array().into_iter().flatten();
        cells.filter(|cell| cell["kind"] == "full").cloned().collect()
    };
    let (theirs, ours) = (cells("lightrag"), cells("lorekeep"));
    indexing::measure(bench, &all["targets"])?;
    write("answers", &json!({ "lightrag": theirs, "lorekeep": ours }), &page(&theirs, &ours)?)
}

fn page(theirs: &[Value], ours: &[Value]) -> Result<String> {
    let mut page = String::from(
        "# Written answers beside LightRAG server 1.5.7\n\n`cargo xtask bench answers`: `/query` with a model that answers at \
         once (stub), both servers in turns on the same machine. Every question is new. The graph of both is made \
         by the stub ([model](model.md)); both ask it for keywords (but in `naive`) and for the answer. Goals: ≥ 50× the \
         peer's requests per second, ≤ 1/50 of its p50. Compare within this run only; “others” is the share of the machine \
         that other work took meanwhile.\n",
    );
    for (size, what) in SIZES {
        write!(
            page,
            "\n## {size}: {what}\n\n| mode | at once | req/s: peer | Lorekeep | ratio | p50 ms: peer | Lorekeep | ratio | \
             calls/answer: peer | Lorekeep | failed | others |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n"
        )?;
        for mode in MODES {
            for at_once in [1, 8, 32] {
                let same = |cell: &&Value| cell["size"] == size && cell["mode"] == mode && cell["c"] == at_once;
                let (Some(peer), Some(own)) = (theirs.iter().find(same), ours.iter().find(same)) else { continue };
                page.push_str(&row(mode, at_once, peer, own));
            }
        }
    }
    Ok(page)
}

fn row(mode: &str, at_once: u32, peer: &Value, own: &Value) -> String {
    let of = |cell: &Value, key: &str| cell[key].as_f64().unwrap_or_default();
    let times = |more: f64, less: f64| if less > 0.0 { format!("{:.0}×", more / less) } else { "–".to_owned() };
    let failed = |cell: &Value| {
        let answered = cell["status"]["200"].as_f64().unwrap_or_default();
        of(cell, "n") - answered + of(cell, "errors")
    };
    format!(
        "| {mode} | {at_once} | {:.1} | {:.0} | {} | {:.0} | {:.2} | {} | {:.1} | {:.1} | {:.0} / {:.0} | {:.0} % |\n",
        of(peer, "rps"),
        of(own, "rps"),
        times(of(own, "rps"), of(peer, "rps")),
        of(peer, "p50"),
        of(own, "p50"),
        times(of(peer, "p50"), of(own, "p50")),
        of(peer, "chat_per_q"),
        of(own, "chat_per_q"),
        failed(peer),
        failed(own),
        100.0 * of(peer, "other_cpu").max(of(own, "other_cpu")),
    )
}
