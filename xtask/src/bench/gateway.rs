//! What the gateway adds to a call: the same load on a stub upstream directly and through Lorekeep with every layer on,
//! in turns on separate cores, and the ledger's sums against the stub's own.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{binary, wait_ready, write};
use crate::run::{output, run};

/// Turns of each side.
const ROUNDS: usize = 5;
/// Seconds of each turn.
const SECONDS: &str = "5";
/// Callers at once.
const CALLERS: [u32; 3] = [1, 4, 16];

/// Builds the stub and the load generator of the shared benchmark, and measures.
pub fn measure(bench: &Path) -> Result<()> {
    let work = std::env::temp_dir().join(format!("lorekeep-gateway-{}", std::process::id()));
    std::fs::create_dir_all(&work)?;
    let tools = Tools::build(bench)?;
    let outcome = turns(&tools, &work);
    std::fs::remove_dir_all(&work)?;
    let (rows, ledger) = outcome?;
    write("gateway", &json!({ "calls": rows, "ledger": ledger }), &page(&rows, &ledger)?)
}

struct Tools {
    stub: PathBuf,
    load: PathBuf,
}

impl Tools {
    /// Built beside the other things of the benchmark; the shared folder stays as it is.
    fn build(bench: &Path) -> Result<Self> {
        let folder = std::env::temp_dir().join("lorekeep-stub");
        if !folder.exists() {
            run(
                &std::env::temp_dir(),
                "cp",
                &["-r", &bench.join("stub_llm").display().to_string(), &folder.display().to_string()],
            )?;
        }
        let target = folder.join("target");
        run(&folder, "cargo", &["build", "--release", "--target-dir", &target.display().to_string()])?;
        Ok(Self { stub: target.join("release/stub_llm"), load: target.join("release/loadgen") })
    }
}

/// A program that is ended with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It was started here; that it has gone already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn turns(tools: &Tools, work: &Path) -> Result<(Vec<Value>, Value)> {
    let (stub_port, port) = (free_port()?, free_port()?);
    let mut stub = Command::new(&tools.stub);
    stub.args(["--port", &stub_port.to_string(), "--cpu", "1"]).stderr(Stdio::null());
    let mut stub = Running(stub.spawn().context("cannot start the stub")?);
    wait_at(&mut stub.0, stub_port, "/health")?;
    configure(work, stub_port)?;
    let mut server = Command::new("taskset");
    server.args(["-c", "0"]).arg(binary()).arg("--data").arg(work.join("data")).args([
        "serve",
        "--port",
        &port.to_string(),
    ]);
    server.current_dir(work).env("RUST_LOG", "error").stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = Running(server.spawn().context("cannot start the server")?);
    wait_ready(&mut server.0, port)?;
    let direct = Side::new(work, "direct", stub_port, "/v1/chat/completions", &direct_body())?;
    let through = Side::new(work, "through", port, "/v1/ask", &ask_body())?;
    let mut rows = Vec::new();
    for callers in CALLERS {
        let mut figures: [Vec<Value>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            for (side, figures) in [&direct, &through].into_iter().zip(&mut figures) {
                figures.push(side.load(tools, callers)?);
            }
        }
        let row = row(callers, &figures[0], &figures[1]);
        println!("{row}");
        rows.push(row);
    }
    // The stub counts the direct calls too; only those through Lorekeep are compared.
    request(stub_port, "POST", "/reset")?;
    let before = recorded(port)?;
    through.load(tools, 8)?;
    let (after, stats) = (recorded(port)?, serde_json::from_str::<Value>(&get(stub_port, "/stats")?)?);
    let stub = ["prompt_tokens", "completion_tokens"].map(|key| stats[key].as_u64().unwrap_or_default());
    let ledger = [after[0] - before[0], after[1] - before[1]];
    let outcome = json!({ "calls": stats["chat"], "stub": stub, "ledger": ledger, "equal": stub == ledger });
    Ok((rows, outcome))
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn configure(work: &Path, stub: u16) -> Result<()> {
    let text = format!(
        "[llm]\nbase_url = \"http://127.0.0.1:{stub}/v1\"\nmodel = \"stub\"\nmax_cost_per_day_usd = 1000000\n\
         [models]\nconcurrent = 64\n[prices.stub]\ninput_per_mtok = 0.25\noutput_per_mtok = 2\n"
    );
    std::fs::write(work.join("lorekeep.toml"), text).context("cannot write the configuration")
}

fn direct_body() -> Value {
    json!({ "model": "stub", "messages": [{ "role": "user", "content": QUESTION }], "max_tokens": 100 })
}

/// Mode `bypass`: the question alone goes to the model, so that the gateway is measured and not retrieval.
fn ask_body() -> Value {
    json!({ "question": QUESTION, "mode": "bypass", "max_tokens": 100 })
}

const QUESTION: &str = "Who was the first director of the observatory, and when was it founded?";

/// One side of the comparison.
struct Side {
    url: String,
    bodies: PathBuf,
}

impl Side {
    fn new(work: &Path, name: &str, port: u16, path: &str, body: &Value) -> Result<Self> {
        let bodies = work.join(format!("{name}.jsonl"));
        std::fs::write(&bodies, format!("{body}\n"))?;
        Ok(Self { url: format!("http://127.0.0.1:{port}{path}"), bodies })
    }

    fn load(&self, tools: &Tools, callers: u32) -> Result<Value> {
        let (load, bodies) = (tools.load.display().to_string(), self.bodies.display().to_string());
        let callers = callers.to_string();
        let arguments = ["--url", &self.url, "--bodies", &bodies, "-c", &callers, "--seconds", SECONDS, "--cpu", "1"];
        let printed = output(&std::env::temp_dir(), &load, &arguments)?;
        let figures: Value =
            serde_json::from_str(&printed).context("the load generator printed something else than JSON")?;
        if figures["status"].as_object().is_none_or(|all| all.keys().any(|status| status != "200")) {
            bail!("{} was not always answered 200: {figures}", self.url);
        }
        Ok(figures)
    }
}

/// Medians over the rounds.
fn row(callers: u32, direct: &[Value], through: &[Value]) -> Value {
    let median = |figures: &[Value], key: &str| {
        let mut values: Vec<f64> = figures.iter().filter_map(|round| round[key].as_f64()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    let added = |key: &str| median(through, key) - median(direct, key);
    json!({
        "callers": callers,
        "direct_per_s": median(direct, "rps"), "through_per_s": median(through, "rps"),
        "direct_p50_ms": median(direct, "p50_ms"), "through_p50_ms": median(through, "p50_ms"),
        "direct_p99_ms": median(direct, "p99_ms"), "through_p99_ms": median(through, "p99_ms"),
        "added_p50_ms": added("p50_ms"), "added_p99_ms": added("p99_ms"),
    })
}

/// Tokens read and written by all calls of the ledger.
fn recorded(port: u16) -> Result<[u64; 2]> {
    let usage: Value = serde_json::from_str(&get(port, "/v1/usage")?)?;
    Ok(["prompt_tokens", "completion_tokens"].map(|key| usage["total"][key].as_u64().unwrap_or_default()))
}

fn wait_at(child: &mut Child, port: u16, path: &str) -> Result<()> {
    for _ in 0..500 {
        if let Some(status) = child.try_wait()? {
            bail!("the stub ended with {status}");
        }
        if get(port, path).is_ok() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    bail!("the stub did not become ready")
}

fn get(port: u16, path: &str) -> Result<String> {
    request(port, "GET", path)
}

/// A request without a client library: the body of the answer.
fn request(port: u16, method: &str, path: &str) -> Result<String> {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    let head = format!("{method} {path} HTTP/1.0\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    if !head.contains(" 200 ") {
        bail!("{path} was answered {}", head.lines().next().unwrap_or_default());
    }
    Ok(body.to_owned())
}

fn page(rows: &[Value], ledger: &Value) -> Result<String> {
    let mut page = format!(
        "# The gateway\n\n`cargo xtask bench gateway`: a stub model that answers at once, called directly and through `POST \
         /v1/ask` (mode `bypass`) with limit, circuit, retries, prices, a budget and the ledger on. The server has one core, \
         the stub and the load share the other; medians of {ROUNDS} turns of {SECONDS} s, closed loop.\n\n\
         | callers | direct, calls/s | through, calls/s | direct p50 / p99 ms | through p50 / p99 ms | added p50 / p99 ms |\n\
         |---|---|---|---|---|---|\n"
    );
    for row in rows {
        let number = |key: &str| row[key].as_f64().unwrap_or_default();
        writeln!(
            page,
            "| {} | {:.0} | {:.0} | {:.2} / {:.2} | {:.2} / {:.2} | {:.2} / {:.2} |",
            row["callers"],
            number("direct_per_s"),
            number("through_per_s"),
            number("direct_p50_ms"),
            number("direct_p99_ms"),
            number("through_p50_ms"),
            number("through_p99_ms"),
            number("added_p50_ms"),
            number("added_p99_ms"),
        )?;
    }
    writeln!(
        page,
        "\nAfter {} calls the tokens in the ledger {} those that the stub counted itself.",
        ledger["calls"],
        if ledger["equal"] == true { "equal" } else { "differ from" }
    )?;
    Ok(page)
}
