//! Graphs made by a model: what the program itself spends on them beside LightRAG, how much of the time is waiting for the
//! model, and what taking documents away costs.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::wire::{Wire, get, post};
use super::{binary, peer, wait_ready, write};

/// Sizes of the corpus, and passages in one document of each.
const SIZES: [(&str, usize); 2] = [("S", 1), ("M", 10)];

/// What the model takes for every answer where waiting is measured, and how many passages are read at once.
const LATENCY_MS: u64 = 200;
const IN_FLIGHT: u64 = 16;

/// Documents that are taken away from the larger corpus.
const DELETED: usize = 85;

/// Texts of one request.
const UPLOAD: usize = 100;

/// Measures what the comparison with the peer (`targets`) does not, and writes both.
pub fn measure(bench: &Path, targets: &Value) -> Result<()> {
    let work = peer::ready(bench)?;
    let folder = std::env::temp_dir().join(format!("lorekeep-bench-{}", std::process::id()));
    let mut waiting = Vec::new();
    let mut deleting = Value::Null;
    for (size, per_document) in SIZES {
        let own = Own::start(&work, &folder.join(size))?;
        own.upload(&texts(&work, size, per_document)?)?;
        waiting.push(own.waiting(size)?);
        if size == "M" {
            deleting = own.deleting()?;
        }
    }
    std::fs::remove_dir_all(&folder)?;
    let cells = |target: &str| -> Value {
        let cell = |size: &str| targets[target]["index"][size][0].clone();
        json!({ "S": without_curve(cell("S")), "M": without_curve(cell("M")) })
    };
    let (theirs, ours) = (cells("lightrag"), cells("lorekeep"));
    let page = page(&theirs, &ours, &waiting, &deleting)?;
    write("model", &json!({ "lightrag": theirs, "lorekeep": ours, "waiting": waiting, "deleting": deleting }), &page)
}

fn without_curve(mut cell: Value) -> Value {
    if let Some(fields) = cell.as_object_mut() {
        fields.remove("curve");
    }
    cell
}

/// The documents of a size as the comparison makes them.
fn texts(work: &Path, size: &str, per_document: usize) -> Result<Vec<String>> {
    let path = work.join(format!("corpus/{size}.json"));
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let passages: Vec<Value> = serde_json::from_str(&text)?;
    let text = |passage: &Value| -> Result<String> {
        let field = |name: &str| passage[name].as_str().context("a passage without title or text");
        Ok(format!("{}\n{}", field("title")?, field("text")?))
    };
    passages
        .chunks(per_document)
        .map(|group| Ok(group.iter().map(text).collect::<Result<Vec<_>>>()?.join("\n\n")))
        .collect()
}

/// A stub that answers late, and a server that uses it.
struct Own {
    stub: Child,
    stub_port: u16,
    server: Child,
    port: u16,
}

impl Drop for Own {
    fn drop(&mut self) {
        // Both were started here; that one has gone already is as good.
        for child in [&mut self.server, &mut self.stub] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Own {
    fn start(work: &Path, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let free = || -> Result<u16> { Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port()) };
        let (stub_port, port) = (free()?, free()?);
        let mut stub = Command::new(work.join("stub_llm/target/release/stub_llm"));
        stub.args(["--port", &stub_port.to_string(), "--latency-ms", &LATENCY_MS.to_string()]);
        let stub = stub.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("cannot start the stub model")?;
        let mut server = Command::new(binary());
        server.arg("--data").arg(folder).args(["serve", "--port", &port.to_string()]).current_dir(folder);
        server.env("RUST_LOG", "warn").env("LOREKEEP_LLM__BASE_URL", format!("http://127.0.0.1:{stub_port}/v1"));
        server.env("LOREKEEP_LLM__MODEL", "stub").env("LOREKEEP_INGEST__CHUNKING", "fixed");
        server.env("LOREKEEP_GRAPH__PARALLEL", IN_FLIGHT.to_string());
        let server = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("cannot start the server")?;
        let mut own = Self { stub, stub_port, server, port };
        wait_ready(&mut own.server, port)?;
        Ok(own)
    }

    fn json(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&get(self.port, path)?)?)
    }

    /// Sends a body; what is answered has to be a success.
    fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let request = post(path, "", &body.to_string());
        let request = [method.as_bytes(), request.strip_prefix(b"POST").unwrap_or_default()].concat();
        let (status, answer) = Wire::connect(self.port)?.ask(&request)?;
        let text = String::from_utf8(answer)?;
        if !(200..300).contains(&status) {
            bail!("{method} {path} was answered {status}: {text}");
        }
        Ok(serde_json::from_str(&text)?)
    }

    fn settle(&self) -> Result<()> {
        while self.json("/health")?["pipeline_busy"] == true {
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn upload(&self, texts: &[String]) -> Result<()> {
        for (number, group) in texts.chunks(UPLOAD).enumerate() {
            let names: Vec<String> = (0..group.len()).map(|at| format!("{}.txt", number * UPLOAD + at)).collect();
            self.send("POST", "/documents/texts", &json!({ "texts": group, "file_sources": names }))?;
        }
        self.settle()
    }

    /// Has the model make the graph of all documents; how long that took, and how much of it at least one call waited.
    fn waiting(&self, size: &str) -> Result<Value> {
        let began = Instant::now();
        self.build()?;
        let wall = began.elapsed().as_secs_f64();
        let history = self.json("/v1/usage/export")?;
        let calls = history["call_history"].as_array().context("no history of calls")?;
        let mut spans: Vec<(f64, f64)> = Vec::with_capacity(calls.len());
        for call in calls {
            let start = of_day(call["at"].as_str().unwrap_or_default()).context("a call without its time")?;
            spans.push((start, start + call["total_ms"].as_f64().unwrap_or_default() / 1e3));
        }
        let least = calls.len() as f64 * LATENCY_MS as f64 / 1e3 / IN_FLIGHT as f64;
        Ok(json!({
            "size": size, "calls": calls.len(), "wall_s": wall, "waiting_s": covered(spans), "least_s": least,
        }))
    }

    fn build(&self) -> Result<()> {
        self.send("POST", "/v1/graph/build", &json!({}))?;
        self.settle()
    }

    /// Takes documents away, and has the model look whether something is left to do.
    fn deleting(&self) -> Result<Value> {
        let page = self.json("/v1/documents?limit=1000")?;
        let documents = page["documents"].as_array().context("no documents")?;
        let ids: Vec<&Value> = documents.iter().map(|document| &document["id"]).take(DELETED).collect();
        let calls = || -> Result<u64> {
            let stats: Value = serde_json::from_str(&get(self.stub_port, "/stats")?)?;
            stats["chat"].as_u64().context("the stub tells no calls")
        };
        let (before, began) = (calls()?, Instant::now());
        self.send("DELETE", "/documents/delete_document", &json!({ "doc_ids": ids }))?;
        self.settle()?;
        let seconds = began.elapsed().as_secs_f64();
        let at_once = calls()? - before;
        self.build()?;
        Ok(json!({
            "documents": documents.len(), "deleted": ids.len(), "seconds": seconds, "calls": at_once,
            "calls_of_the_next_build": calls()? - before - at_once,
        }))
    }
}

/// Seconds since midnight of an RFC 3339 time.
fn of_day(time: &str) -> Option<f64> {
    let clock = time.split_once('T')?.1.trim_end_matches('Z');
    let mut parts = clock.split(':').map(|part| part.parse::<f64>().ok());
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    Some(hours * 3_600.0 + minutes * 60.0 + seconds)
}

/// The time that at least one of these spans covers.
fn covered(mut spans: Vec<(f64, f64)>) -> f64 {
    spans.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (mut sum, mut end) = (0.0, f64::MIN);
    for (from, to) in spans {
        sum += (to - from.max(end)).max(0.0);
        end = end.max(to);
    }
    sum
}

fn page(theirs: &Value, ours: &Value, waiting: &[Value], deleting: &Value) -> Result<String> {
    let of = |cell: &Value, key: &str| cell[key].as_f64().unwrap_or_default();
    let mut page = String::from(
        "# Graphs made by a model, beside LightRAG server 1.5.7\n\n`cargo xtask bench answers`: both index the same documents, \
         cut into the same windows (1,200 tokens, 100 shared), read each twice with the same stub model, which answers at \
         once, and in turns on the same machine. Lorekeep joins to the model's graph what its own rules find, embeds by itself \
         (the peer has the stub embed), and asks which names are the same, which the stub does not understand.\n\n\
         | corpus | | LightRAG | Lorekeep | ratio | goal |\n|---|---|---|---|---|---|\n",
    );
    for (size, _) in SIZES {
        let (peer, own) = (&theirs[size], &ours[size]);
        let (peer_ms, own_ms) = (of(peer, "cpu_ms_per_passage"), of(own, "cpu_ms_per_passage"));
        writeln!(
            page,
            "| {size} | CPU ms a passage | {peer_ms:.1} | {own_ms:.2} | 1/{:.0} | ≤ 1/40 |",
            peer_ms / own_ms
        )?;
        let (peer_s, own_s) = (of(peer, "wall_s"), of(own, "wall_s"));
        writeln!(page, "| {size} | seconds | {peer_s:.0} | {own_s:.1} | 1/{:.0} | |", peer_s / own_s)?;
        for (key, goal) in
            [("chat", if size == "M" { "≤ 632" } else { "" }), ("extract", ""), ("glean", ""), ("summary", "")]
        {
            let (peer, own) = (of(&peer["calls"], key), of(&own["calls"], key));
            let what = if key == "chat" { "model calls" } else { key };
            writeln!(page, "| {size} | {what} | {peer:.0} | {own:.0} | | {goal} |")?;
        }
        writeln!(page, "| {size} | entities | {:.0} | {:.0} | | |", of(peer, "labels"), of(own, "labels"))?;
    }
    write!(
        page,
        "\n## Waiting\n\nEvery answer takes {LATENCY_MS} ms, {IN_FLIGHT} passages are read at once; the graph of documents that \
         can be searched already is made. Goal: ≥ 95 % of the time is waiting for the model.\n\n\
         | corpus | calls | seconds | with a call under way | calls × latency ÷ in flight |\n|---|---|---|---|---|\n"
    )?;
    for cell in waiting {
        let wall = of(cell, "wall_s");
        let share = |key: &str| format!("{:.2} s, {:.1} %", of(cell, key), 100.0 * of(cell, key) / wall);
        writeln!(
            page,
            "| {} | {} | {wall:.2} | {} | {} |",
            cell["size"].as_str().unwrap_or_default(),
            cell["calls"],
            share("waiting_s"),
            share("least_s")
        )?;
    }
    write!(
        page,
        "\n## Deleting\n\n{} of {} documents of M are taken away in one request: {:.2} s, {} model calls (goal: one rebuild, and \
         at most 1/20 of the calls of one rebuild for each document). The next `graph build` asks the model {} times.\n",
        deleting["deleted"],
        deleting["documents"],
        of(deleting, "seconds"),
        deleting["calls"],
        deleting["calls_of_the_next_build"],
    )?;
    Ok(page)
}
