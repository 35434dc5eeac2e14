//! `cargo xtask bench`: measures the release binary and writes `benches/results/*.json` and the tables beside them.
//!
//! Evaluation sets are looked for in `../shared/data`, the peer's benchmark in `../shared/bench`; `--data DIR` and
//! `--peer DIR` name others. Absolute times depend on the machine; compare only within one run.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::run::{cargo, output, root, run, target};

mod answers;
mod extract;
mod gateway;
mod indexing;
mod local;
mod peer;
mod scale;
mod wire;

/// Sets whose figures are committed, in the order of the table.
const SETS: [&str; 6] = ["musique", "musique_volumes", "policyqa", "tydi_en", "tydi_id", "2wiki"];
/// The set that speed is measured on: 6,119 passages.
const SPEED_SET: &str = "2wiki";

/// Parts that can be asked for; `plot` draws `scale` again.
const PARTS: [&str; 9] = ["quality", "extract", "speed", "scale", "peer", "answers", "gateway", "local", "plot"];
/// Parts that run when none is named.
const USUAL: [&str; 2] = ["quality", "speed"];

/// What the command line asks for.
#[derive(Debug)]
struct Asked<'a> {
    parts: Vec<&'a str>,
    data: PathBuf,
    peer: PathBuf,
    model: Option<PathBuf>,
    python: PathBuf,
}

impl<'a> Asked<'a> {
    /// Reads parts and `--flag VALUE` in any order; a word that is neither is an error, not a measurement of an hour.
    fn read(words: &'a [String]) -> Result<Self> {
        let shared = root().join("../shared");
        let mut asked = Self {
            parts: Vec::new(),
            data: shared.join("data"),
            peer: shared.join("bench"),
            model: None,
            python: PathBuf::from("python3"),
        };
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            if PARTS.contains(&word) {
                asked.parts.push(word);
                continue;
            }
            let place = match word {
                "--data" => &mut asked.data,
                "--peer" => &mut asked.peer,
                "--python" => &mut asked.python,
                "--model" => asked.model.insert(PathBuf::new()),
                _ => bail!("`{word}` is nothing to measure; the parts are {}", PARTS.join(", ")),
            };
            *place = words.next().with_context(|| format!("`{word}` needs a path"))?.into();
        }
        if asked.parts.is_empty() {
            asked.parts.extend(USUAL);
        }
        Ok(asked)
    }
}

/// Runs the parts asked for, by default `quality` and `speed`.
pub fn run_all(arguments: &[String]) -> Result<()> {
    if let [part, upstream] = arguments
        && part == "gateway-relay"
    {
        return gateway::relay(upstream.parse()?);
    }
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.split_first() {
        Some((&"gateway-here", only)) => return gateway::measure_here(only),
        Some((&"gateway-against", binaries)) => return gateway::compare(binaries),
        _ => {}
    }
    let asked = Asked::read(arguments)?;
    run(&root(), &cargo(), &["build", "--release"])?;
    std::fs::create_dir_all(results())?;
    for part in &asked.parts {
        println!("\n== {part}");
        match *part {
            "quality" => quality(&asked.data)?,
            "extract" => extract::measure(&asked.data.join("musique"))?,
            "speed" => speed(&asked.data.join(SPEED_SET))?,
            "scale" => scale::measure(&asked.data)?,
            "plot" => scale::draw()?,
            "gateway" => gateway::measure()?,
            "local" => {
                let model = asked.model.as_deref().context("name MiniLM's folder with --model")?;
                local::measure(&asked.python, model, &asked.data.join(SPEED_SET))?;
            }
            "answers" => answers::measure(&asked.peer)?,
            _ => peer::measure(&asked.peer)?,
        }
    }
    Ok(())
}

/// The program that is measured.
fn binary() -> PathBuf {
    target().join("release/lorekeep")
}

fn results() -> PathBuf {
    root().join("benches/results")
}

/// Writes a result as JSON and, for people, as a page.
fn write(name: &str, value: &Value, page: &str) -> Result<()> {
    write_to(&results(), name, value, page)
}

fn write_to(folder: &Path, name: &str, value: &Value, page: &str) -> Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    std::fs::write(folder.join(format!("{name}.json")), text + "\n")?;
    std::fs::write(folder.join(format!("{name}.md")), page)?;
    println!("{page}");
    Ok(())
}

/// One evaluation; `keep` leaves the indexed data folder there.
fn eval(set: &Path, mode: &str, keep: Option<&Path>) -> Result<Value> {
    let set = set.display().to_string();
    let mut arguments = vec!["eval", "--beir", set.as_str(), "--mode", mode, "--json", "--quiet"];
    let kept = keep.map(|folder| folder.display().to_string());
    if let Some(kept) = &kept {
        arguments.extend(["--keep", kept.as_str()]);
    }
    let printed = output(&root(), &binary().display().to_string(), &arguments)?;
    serde_json::from_str(&printed).context("eval printed something else than JSON")
}

fn percent(figures: &Value, key: &str) -> String {
    match (figures[key].as_f64(), figures["half_interval_95"][key].as_f64()) {
        (Some(mean), Some(half)) => format!("{:.1} ± {:.1}", mean * 100.0, half * 100.0),
        _ => "–".to_owned(),
    }
}

fn quality(data: &Path) -> Result<()> {
    let mut all = BTreeMap::new();
    let mut page = String::from(
        "# Retrieval and quoting, without a model\n\n`cargo xtask bench quality` (mode `auto`; %, with 95 % intervals; \
         answer@k: a gold answer stands in the first k quoted sentences)\n\n\
         | set | passages | questions | R@2 | R@5 | R@10 | nDCG@10 | MRR@10 | answer@1 | answer@3 |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for name in SETS {
        let set = data.join(name);
        if !set.join("corpus.jsonl").exists() {
            bail!("{} is missing; name the folder of the evaluation sets with --data", set.display());
        }
        let figures = eval(&set, "auto", None)?;
        let cells: Vec<String> = ["recall@2", "recall@5", "recall@10", "ndcg@10", "mrr@10", "answer@1", "answer@3"]
            .iter()
            .map(|key| percent(&figures, key))
            .collect();
        writeln!(page, "| {name} | {} | {} | {} |", figures["passages"], figures["queries"], cells.join(" | "))?;
        all.insert(name, without_times(figures));
    }
    write_to(&root().join("benches/quality"), "quality", &json!(all), &page)
}

/// Figures that are the same on every machine.
fn without_times(mut figures: Value) -> Value {
    if let Some(object) = figures.as_object_mut() {
        for key in ["index_s", "ms_p50", "ms_p99"] {
            object.remove(key);
        }
    }
    figures
}

fn speed(set: &Path) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("lorekeep-bench-{}", std::process::id()));
    let before = children_cpu_s()?;
    let figures = eval(set, "auto", Some(&folder))?;
    let cpu_s = children_cpu_s()? - before;
    let passages = figures["passages"].as_f64().unwrap_or(1.0);
    let first = first_answer_s(&folder)?;
    let (ready_s, idle_mib) = idle(&folder)?;
    let size = std::fs::metadata(binary())?.len();
    std::fs::remove_dir_all(&folder)?;
    let number = |key: &str| figures[key].as_f64().unwrap_or_default();
    let value = json!({
        "passages": passages, "index_s": number("index_s"), "cpu_ms_per_passage": cpu_s * 1e3 / passages,
        "search_ms_p50": number("ms_p50"), "search_ms_p99": number("ms_p99"), "first_answer_s": first,
        "ready_s": ready_s, "idle_mib": idle_mib, "binary_mib": size as f64 / f64::from(1 << 20),
    });
    let page = format!(
        "# Speed\n\n`cargo xtask bench speed`: {passages} passages of about 100 words (2wiki), built-in extractor and \
         embedder\n\n| what | figure | goal |\n|---|---|---|\n\
         | indexing, wall | {:.1} s | ≤ 20 s |\n\
         | CPU per passage (indexing and the questions after it) | {:.2} ms | ≤ 3 ms |\n\
         | `auto` search, p50 / p99 | {:.2} / {:.2} ms | ≤ 3 / ≤ 10 ms |\n\
         | start to first answer (`lorekeep ask` on the index) | {first:.2} s | ≤ 0.3 s |\n\
         | start to ready (`lorekeep serve`) | {ready_s:.2} s | |\n\
         | idle memory | {idle_mib:.0} MiB | ≤ 80 MB |\n\
         | binary | {:.1} MiB | ≤ 60 MB |\n",
        number("index_s"),
        cpu_s * 1e3 / passages,
        number("ms_p50"),
        number("ms_p99"),
        size as f64 / f64::from(1 << 20),
    );
    write("speed", &value, &page)
}

/// Seconds of processor time of all children that have ended (proc(5), fields 16 and 17 of `stat`, 100 per second).
fn children_cpu_s() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("cannot read /proc/self/stat")?;
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: Vec<f64> =
        after_name.split_whitespace().skip(13).take(2).filter_map(|field| field.parse().ok()).collect();
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

/// The fastest of five: a fresh process, one question, its answer.
fn first_answer_s(folder: &Path) -> Result<f64> {
    let folder = folder.display().to_string();
    let mut best = f64::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        output(
            &root(),
            &binary().display().to_string(),
            &["--data", &folder, "ask", "Who directed the film Polish-Russian War?", "--insist", "--quiet"],
        )?;
        best = best.min(started.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// Seconds until a server is ready, and its resident memory after two quiet seconds.
fn idle(folder: &Path) -> Result<(f64, f64)> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let started = Instant::now();
    let mut server = Command::new(binary())
        .arg("--data")
        .arg(folder)
        .args(["serve", "--port", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let ready = wait_ready(&mut server, port);
    let ready_s = started.elapsed().as_secs_f64();
    std::thread::sleep(Duration::from_secs(2));
    let memory = resident_mib(server.id());
    server.kill()?;
    server.wait()?;
    ready?;
    Ok((ready_s, memory?))
}

fn wait_ready(server: &mut Child, port: u16) -> Result<()> {
    use std::io::{Read as _, Write as _};
    for _ in 0..3_000 {
        if let Some(status) = server.try_wait()? {
            bail!("the server ended with {status}");
        }
        if let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) {
            stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            if answer.starts_with("HTTP/1.1 200") {
                return Ok(());
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    bail!("the server did not become ready")
}

fn resident_mib(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.split_whitespace().nth(1).context("no VmRSS value")?.parse()?;
    Ok(kib / 1024.0)
}
