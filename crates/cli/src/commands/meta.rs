//! Commands about the program itself: `openapi completions man explain version`.

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use lorekeep_types::ErrorCode;
use serde_json::json;

use crate::args::Arguments;
use crate::output::{self, Exit};

/// Arguments of `openapi`.
#[derive(Args, Debug)]
pub struct Openapi {}

/// Arguments of `completions`.
#[derive(Args, Debug)]
pub struct Completions {
    /// The shell
    pub shell: Shell,
}

/// Arguments of `man`.
#[derive(Args, Debug)]
pub struct Man {
    /// A command; the whole program when none is named
    pub command: Option<String>,
}

/// Arguments of `explain`.
#[derive(Args, Debug)]
pub struct Explain {
    /// An error code, such as E-NOT-FOUND; all of them when none is named
    pub code: Option<String>,
}

/// Arguments of `version`.
#[derive(Args, Debug)]
pub struct Version {}

/// Prints the OpenAPI document.
pub fn openapi(_args: &Openapi) -> Result<Exit> {
    output::line(&serde_json::to_string_pretty(&lorekeep_server::openapi())?);
    Ok(Exit::Ok)
}

/// Prints a completion script.
pub fn completions(args: &Completions) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "lorekeep", &mut script);
    output::write_out(&script);
    Ok(Exit::Ok)
}

/// Prints a manual page (roff).
pub fn man(args: &Man) -> Result<Exit> {
    let mut command = Arguments::command();
    command.build();
    if let Some(name) = &args.command {
        let found = command.find_subcommand(name).cloned();
        command = found.ok_or_else(|| lorekeep_types::Error::not_found("command", name))?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    output::write_out(&page);
    Ok(Exit::Ok)
}

/// Prints what a code means.
pub fn explain(args: &Explain) -> Result<Exit> {
    let wanted = args.code.as_deref().map(str::to_uppercase);
    let codes = ErrorCode::ALL.into_iter().filter(|code| wanted.as_deref().is_none_or(|name| name == code.name()));
    let mut shown = 0;
    for code in codes {
        let retry = if code.is_retryable() { "; the same request may succeed later" } else { "" };
        output::line(&format!("{:<22} {} (HTTP {}{retry})", code.name(), code.meaning(), code.http_status()));
        shown += 1;
    }
    Ok(if shown == 0 { Exit::NothingFound } else { Exit::Ok })
}

/// Prints the version.
pub fn version(_args: &Version, as_json: bool) -> Result<Exit> {
    let version = env!("CARGO_PKG_VERSION");
    if as_json {
        output::json(&json!({ "name": "lorekeep", "version": version, "api": "v1" }))?;
    } else {
        output::line(&format!("lorekeep {version}"));
    }
    Ok(Exit::Ok)
}
