//! `cargo xtask bench extract`: retrieval on musique with the built-in graph, with GPT-3.5's graph played back, and with both.
//! Written to `benches/quality/extraction.*`.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{binary, write_to};
use crate::run::{output, root};

/// Resamples of a bootstrap interval.
const RESAMPLES: usize = 10_000;

/// The mode that is measured: the one that questions take unless they name another.
const MODES: [&str; 1] = ["auto"];
const FIGURES: [&str; 4] = ["recall@2", "recall@5", "recall@10", "ndcg@10"];

/// Graphs by name, and the configuration that makes each of a model's output; `None` for the rules alone.
const GRAPHS: [(&str, Option<&str>); 3] = [("built-in", None), ("GPT-3.5", Some("model")), ("both", Some("both"))];

/// Measures the set in `folder`, which holds `openie.json`.
pub fn measure(folder: &Path) -> Result<()> {
    let scratch = std::env::temp_dir().join(format!("lorekeep-extract-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let measured = table(folder, &scratch);
    std::fs::remove_dir_all(&scratch)?;
    let (page, value) = measured?;
    write_to(&root().join("benches/quality"), "extraction", &value, &page)
}

fn table(folder: &Path, scratch: &Path) -> Result<(String, Value)> {
    let mut page = String::from(
        "# Retrieval by what makes the graph\n\n`cargo xtask bench extract`: musique, 1,890 passages and 100 questions; %, with \
         95 % bootstrap intervals. *GPT-3.5*: entities and triples of `openie.json` played back through the extraction port, \
         `graph.combine = \"model\"`. *both*: the same with `graph.combine = \"both\"`, the default.\n\n\
         | mode | graph | R@2 | R@5 | R@10 | nDCG@10 |\n|---|---|---|---|---|---|\n",
    );
    let mut differences = String::from(
        "\nDifferences of *both* to each of the others, question by question (percentage points, with 95 % bootstrap \
         intervals)\n\n| mode | to | R@2 | R@5 | R@10 | nDCG@10 |\n|---|---|---|---|---|---|\n",
    );
    let mut all = serde_json::Map::new();
    for mode in MODES {
        let mut each = Vec::new();
        for (name, combine) in GRAPHS {
            let figures = eval(folder, scratch, mode, combine).with_context(|| format!("{name}, {mode}"))?;
            let cells: Vec<String> = figures.iter().map(|values| cell(&interval(values))).collect();
            writeln!(page, "| {mode} | {name} | {} |", cells.join(" | "))?;
            let means = FIGURES.iter().zip(&figures).map(|(key, values)| ((*key).to_owned(), interval(values).into()));
            all.insert(format!("{mode}, {name}"), Value::Object(means.collect()));
            each.push(figures);
        }
        let [built_in, model, both] = each.as_slice() else { continue };
        for (name, other) in [("built-in", built_in), ("GPT-3.5", model)] {
            let pairs = both.iter().zip(other);
            let cells: Vec<String> =
                pairs.map(|(a, b)| cell(&interval(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>()))).collect();
            writeln!(differences, "| {mode} | {name} | {} |", cells.join(" | "))?;
        }
    }
    Ok((page + &differences, json!(all)))
}

/// The figures of every question, by figure.
fn eval(folder: &Path, scratch: &Path, mode: &str, combine: Option<&str>) -> Result<Vec<Vec<f64>>> {
    let set = folder.display().to_string();
    let file = folder.join("openie.json").display().to_string();
    let configuration = scratch.join("lorekeep.toml");
    std::fs::write(&configuration, format!("[graph]\ncombine = \"{}\"\ngleanings = 0\n", combine.unwrap_or("both")))?;
    let configuration = configuration.display().to_string();
    let mut arguments = vec!["--config", &configuration, "eval", "--beir", &set, "--mode", mode];
    arguments.extend(["--each", "--json", "--quiet"]);
    if combine.is_some() {
        arguments.extend(["--openie", &file]);
    }
    let printed = output(&root(), &binary().display().to_string(), &arguments)?;
    let report: Value = serde_json::from_str(&printed).context("eval printed something else than JSON")?;
    let values =
        |key: &str| -> Option<Vec<f64>> { report["each"][key].as_array()?.iter().map(Value::as_f64).collect() };
    FIGURES.iter().map(|key| values(key).with_context(|| format!("no figures of `{key}`"))).collect()
}

/// A mean and its 95 % interval.
struct Interval {
    mean: f64,
    low: f64,
    high: f64,
}

impl From<Interval> for Value {
    fn from(interval: Interval) -> Self {
        json!({ "mean": interval.mean, "low": interval.low, "high": interval.high })
    }
}

fn cell(interval: &Interval) -> String {
    format!("{:.1} [{:.1}, {:.1}]", interval.mean * 100.0, interval.low * 100.0, interval.high * 100.0)
}

/// Percentiles of the means of resamples (Efron 1979). The numbers are drawn in the same way in every run.
fn interval(values: &[f64]) -> Interval {
    let mean = |sum: f64| sum / values.len().max(1) as f64;
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        values.get((state >> 33) as usize % values.len().max(1)).copied().unwrap_or_default()
    };
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| mean((0..values.len()).map(|_| draw()).sum())).collect();
    means.sort_by(f64::total_cmp);
    let at = |share: f64| means.get((share * RESAMPLES as f64) as usize).copied().unwrap_or_default();
    Interval { mean: mean(values.iter().sum()), low: at(0.025), high: at(0.975) }
}
