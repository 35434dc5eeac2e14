//! Starting the binary on a scratch folder and speaking to it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

/// A scratch folder with a data folder inside.
pub struct Place {
    folder: TempDir,
}

impl Place {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Writes a file below the scratch folder.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The binary with this place as its whole world.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lorekeep"));
        command
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .arg("--data")
            .arg(self.data())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    /// Runs a command that must succeed and prints JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        let last = text.lines().last().unwrap_or_default();
        serde_json::from_str(last)
            .unwrap_or_else(|_| panic!("{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Starts a server on a free port and waits until it is ready.
    pub fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    pub fn serve_with(&self, more: &[&str]) -> Server {
        let mut child = self
            .command()
            .args(["serve", "--port", "0"])
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = loop {
            let line = lines.next().expect("the server ended before it was ready").unwrap();
            if let Some(at) = line.find("http://127.0.0.1:") {
                break line[at..].split_whitespace().next().unwrap().to_owned();
            }
        };
        let said = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&said);
        // Keeps the pipe from filling up.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| log.lock().unwrap().push(line)));
        Server { child, url, said }
    }
}

/// A running server. Dropping it kills it.
pub struct Server {
    child: Child,
    pub url: String,
    said: Arc<Mutex<Vec<String>>>,
}

impl Server {
    #[cfg(feature = "local-models")]
    pub fn new(child: Child, url: String) -> Self {
        Self { child, url, said: Arc::default() }
    }

    /// Its log so far, one JSON object per line.
    pub fn log(&self) -> Vec<Value> {
        let said = self.said.lock().unwrap();
        said.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and whether it ended well.
    pub fn stop(mut self) -> bool {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().success()
    }

    pub fn client(&self) -> reqwest::Client {
        // Another test of this process may have installed it already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder().timeout(Duration::from_secs(60)).build().unwrap()
    }

    pub fn api(&self) -> Api {
        Api { base: self.url.clone(), client: self.client() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client of the native API.
#[derive(Clone)]
pub struct Api {
    base: String,
    client: reqwest::Client,
}

impl Api {
    /// The server's address.
    pub fn url(&self) -> &str {
        &self.base
    }

    pub async fn get(&self, path: &str) -> reqwest::Result<Value> {
        self.client.get(format!("{}{path}", self.base)).send().await?.json().await
    }

    pub async fn post(&self, path: &str, body: &Value) -> reqwest::Result<Value> {
        self.client.post(format!("{}{path}", self.base)).json(body).send().await?.json().await
    }

    pub async fn delete(&self, path: &str) -> reqwest::Result<u16> {
        Ok(self.client.delete(format!("{}{path}", self.base)).send().await?.status().as_u16())
    }

    /// The whole answer of a request whose body streams.
    pub async fn drain(&self, path: &str) -> reqwest::Result<String> {
        self.client.post(format!("{}{path}", self.base)).json(&json!({})).send().await?.text().await
    }

    /// Adds a text and returns once it is accepted.
    pub async fn add(&self, name: &str, text: &str) -> reqwest::Result<Value> {
        self.post("/v1/documents", &json!({ "documents": [{ "name": name, "text": text }] })).await
    }

    /// Waits until no job is open.
    pub async fn idle(&self) -> reqwest::Result<()> {
        loop {
            let jobs = self.get("/v1/jobs?limit=1000").await?;
            let open = jobs["jobs"].as_array().unwrap().iter().any(|job| job["counts"]["open"] != 0);
            if !open {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
