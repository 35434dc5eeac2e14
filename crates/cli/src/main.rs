//! The `lorekeep` command: reads arguments, runs one command, and turns its outcome into an exit code.

#![expect(unreachable_pub, reason = "in a binary `pub` marks what a module offers to the others")]

mod app;
mod args;
mod client;
mod commands;
mod config;
mod live;
mod output;
mod ports;
mod prompts;
mod wire;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::args::Arguments;

/// With the allocator of the C library a call of a model costs the processor a tenth more. Without huge pages (the feature
/// `no_thp`), which would hold half as much memory again after indexing.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Some(arguments) = parsed() else {
        return output::Exit::Ok.into();
    };
    output::apply_color(arguments.global.color);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return output::report(&anyhow::Error::new(error).context("cannot start the runtime"), false),
    };
    let verbose = arguments.global.verbose > 1;
    let outcome = runtime.block_on(commands::run(arguments));
    // Threads that wait for input or a slow disk must not hold the process back once the work is done.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => output::report(&error, verbose),
    }
}

/// The arguments; `None` after short help was shown because there were none.
fn parsed() -> Option<Arguments> {
    let words: Vec<_> = std::env::args_os().collect();
    // `lorekeep help E-CODE` explains a code; clap's own `help` knows commands only.
    let code =
        words.windows(2).position(|pair| pair.first().is_some_and(|word| word == "help") && is_code(pair.get(1)));
    if let Some(at) = code {
        let mut words = words;
        words.splice(at..=at, [OsString::from("explain")]);
        return Some(Arguments::parse_from(words));
    }
    if words.len() > 1 {
        return Some(Arguments::parse());
    }
    output::line(&Arguments::command().render_help().ansi().to_string());
    output::line("Try: lorekeep start ~/papers");
    None
}

fn is_code(word: Option<&OsString>) -> bool {
    word.is_some_and(|word| word.to_string_lossy().starts_with("E-"))
}
