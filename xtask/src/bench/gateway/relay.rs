//! A relay that only copies bytes, on the server's core: the time that any process in between adds here, whatever it does.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result};

/// A running relay. Dropping it kills it.
pub struct Relay {
    child: Child,
    pub port: u16,
}

impl Relay {
    /// Starts one on the first core, to the stub at `upstream`.
    pub fn start(upstream: u16) -> Result<Self> {
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(std::env::current_exe()?).args(["bench", "gateway-relay", &upstream.to_string()]);
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start the relay")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("the relay has no output")?).read_line(&mut line)?;
        let port = line.trim().parse().context("the relay did not tell its port")?;
        Ok(Self { child, port })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It was started here; that it has gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Relays until it is killed; prints its port first.
pub fn serve(upstream: u16) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    for client in listener.incoming() {
        let (client, server) = (client?, TcpStream::connect(("127.0.0.1", upstream))?);
        for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
            to.set_nodelay(true)?;
            thread::spawn(move || copy(from, to));
        }
    }
    Ok(())
}

/// Until one of the two ends.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut held = [0; 16_384];
    while let Ok(count @ 1..) = from.read(&mut held) {
        if held.get(..count).is_none_or(|bytes| to.write_all(bytes).is_err()) {
            return;
        }
    }
    // The other side has gone already when this fails.
    let _ = to.shutdown(std::net::Shutdown::Write);
}
