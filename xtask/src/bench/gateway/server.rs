//! The server that is measured: configured for the stub, bound to its core, started, killed and asked for its books.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::super::wait_ready;
use super::wire::get;

/// Price of a token, as in the configuration below.
pub const INPUT_NANO: u64 = 250;
/// The same of an answer.
pub const OUTPUT_NANO: u64 = 2_000;

/// A folder with a configuration.
pub struct Place {
    folder: PathBuf,
    port: u16,
    /// What its server logs.
    log: &'static str,
}

/// A running server. Dropping it kills it.
pub struct Server {
    child: Child,
    pub port: u16,
}

impl Place {
    /// A folder below `work` whose server calls the stub at `stub` and may spend so many nano-USD a day.
    pub fn new(work: &Path, name: &str, stub: u16, limit_nano: u64) -> Result<Self> {
        let folder = work.join(name);
        std::fs::create_dir_all(&folder)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let limit = format!("{}.{:09}", limit_nano / 1_000_000_000, limit_nano % 1_000_000_000);
        let text = format!(
            "[server]\nmax_concurrent_requests = 1024\n[models]\nconcurrent = 256\n\
             [llm]\nbase_url = \"http://127.0.0.1:{stub}/v1\"\nmodel = \"stub\"\n\
             [prices.stub]\ninput_per_mtok = 0.25\noutput_per_mtok = 2\n\
             [budgets.day]\nlimit_usd = {limit}\n"
        );
        std::fs::write(folder.join("lorekeep.toml"), text).context("cannot write the configuration")?;
        Ok(Self { folder, port, log: "error" })
    }

    /// The same, whose server logs what servers log by default: two lines per call.
    pub fn logging(self) -> Self {
        Self { log: "warn,lorekeep=info", ..self }
    }

    /// Starts the server of the same build as this program, on the first core.
    pub fn start(&self) -> Result<Server> {
        self.start_build(&std::env::current_exe()?.with_file_name("lorekeep"))
    }

    /// Starts the server of another build.
    pub fn start_build(&self, binary: &Path) -> Result<Server> {
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(binary).arg("--data").arg(self.folder.join("data"));
        command.args(["serve", "--port", &self.port.to_string()]).current_dir(&self.folder);
        command.env("RUST_LOG", self.log).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().context("cannot start the server")?;
        let mut server = Server { child, port: self.port };
        wait_ready(&mut server.child, self.port)?;
        Ok(server)
    }
}

impl Server {
    /// SIGKILL, and waits until it is gone.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Processor time that all its threads took so far, in ns.
    pub fn processor_ns(&self) -> Result<u64> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id()))?;
        let mut ns = 0;
        for thread in threads {
            // The first number of three; a thread may have ended meanwhile.
            let text = std::fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
            ns += text.split(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or_default();
        }
        Ok(ns)
    }

    /// What a path answers, as JSON.
    pub fn json(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&get(self.port, path)?)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It was started here; that it has gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Keeps the first core from halting, for as long as it lives, and gives way to everything else.
pub struct Awake(Child);

impl Awake {
    pub fn start() -> Result<Self> {
        let mut command = Command::new("taskset");
        command.args(["-c", "0", "chrt", "--idle", "0", "sh", "-c", "while :; do :; done"]);
        Ok(Self(command.stdin(Stdio::null()).spawn().context("cannot keep the core awake")?))
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        // It was started here and never ends by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
