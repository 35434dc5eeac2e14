//! What the user sees: results on stdout, everything else on stderr; errors with cause, remedy and code.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::OnceLock;

use lorekeep_types::{Error, ErrorCode};

use crate::args::When;
use crate::client::ApiError;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Ok,
    /// Nothing was found, or no evidence.
    NothingFound,
    /// Some files failed.
    PartlyFailed,
    /// A check failed.
    Failed,
    /// The configuration is wrong.
    Configuration,
    /// A service cannot be reached.
    Unreachable,
    /// A budget does not allow it.
    BudgetReached,
    /// The arguments are wrong.
    Usage,
    /// The user interrupted.
    Interrupted,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NothingFound => 3,
            Exit::PartlyFailed => 4,
            Exit::Configuration => 5,
            Exit::Unreachable => 6,
            Exit::BudgetReached => 7,
            Exit::Interrupted => 130,
        })
    }
}

static COLOR: OnceLock<bool> = OnceLock::new();

/// Decides once whether stdout is coloured: the flag, then `NO_COLOR`, `CLICOLOR_FORCE`, then the terminal.
pub fn apply_color(when: When) {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let colored = match when {
        When::Always => true,
        When::Never => false,
        When::Auto if set("NO_COLOR") => false,
        When::Auto if set("CLICOLOR_FORCE") => true,
        When::Auto => std::io::stdout().is_terminal(),
    };
    COLOR.get_or_init(|| colored);
}

/// A style of text on a terminal.
#[derive(Clone, Copy, Debug)]
pub enum Style {
    /// For what matters.
    Bold,
    /// For what accompanies.
    Dim,
    /// For what went well.
    Good,
    /// For what needs attention.
    Warn,
    /// For what failed.
    Bad,
}

/// `text` in a style, where colour is on.
pub fn styled(style: Style, text: &str) -> String {
    if !COLOR.get().copied().unwrap_or_default() {
        return text.to_owned();
    }
    let code = match style {
        Style::Bold => "1",
        Style::Dim => "2",
        Style::Good => "32",
        Style::Warn => "33",
        Style::Bad => "31",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// One line of result on stdout. A closed pipe ends the output quietly.
pub fn line(text: &str) {
    write_out(text.as_bytes());
    write_out(b"\n");
}

/// Raw result on stdout, without a line end.
pub fn write_out(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    // A reader that closed the pipe (`| head`) has what it wanted.
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// One line of note on stderr.
pub fn note(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "{text}");
}

/// A JSON value on one line of stdout.
pub fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    line(&serde_json::to_string(value)?);
    Ok(())
}

/// Prints an error and tells its exit code.
pub fn report(error: &anyhow::Error, verbose: bool) -> ExitCode {
    let typed = error.chain().find_map(|cause| cause.downcast_ref::<Error>());
    let api = error.chain().find_map(|cause| cause.downcast_ref::<ApiError>());
    note(&format!("{} {error}", styled(Style::Bad, "error:")));
    let known = typed.map(Error::message).or_else(|| api.map(|api| api.message.as_str()));
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if verbose || known.is_none_or(|message| message == cause || typed.is_none()) {
            note(&format!("  cause: {cause}"));
        }
    }
    let hint = typed.and_then(Error::remedy).or_else(|| api.and_then(|api| api.hint.as_deref()));
    if let Some(hint) = hint {
        note(&format!("  fix:   {hint}"));
    }
    let code = typed.map(|error| error.code().name()).or_else(|| api.map(|api| api.code.as_str()));
    if let Some(code) = code {
        note(&format!("  code:  {code}   (lorekeep help {code})"));
    }
    exit_of(error).into()
}

fn exit_of(error: &anyhow::Error) -> Exit {
    for cause in error.chain() {
        if let Some(error) = cause.downcast_ref::<Error>() {
            return exit_of_code(error.code());
        }
        if let Some(api) = cause.downcast_ref::<ApiError>() {
            return api.known_code().map_or(Exit::Failed, exit_of_code);
        }
        if cause.downcast_ref::<reqwest::Error>().is_some_and(|error| error.is_connect() || error.is_timeout()) {
            return Exit::Unreachable;
        }
        if cause.downcast_ref::<ConfigurationError>().is_some() {
            return Exit::Configuration;
        }
    }
    Exit::Failed
}

fn exit_of_code(code: ErrorCode) -> Exit {
    match code {
        ErrorCode::InvalidRequest => Exit::Usage,
        ErrorCode::NotFound => Exit::NothingFound,
        ErrorCode::Configuration => Exit::Configuration,
        ErrorCode::Upstream | ErrorCode::UpstreamUnavailable | ErrorCode::Timeout | ErrorCode::Busy => {
            Exit::Unreachable
        }
        ErrorCode::BudgetExceeded | ErrorCode::BudgetWait => Exit::BudgetReached,
        ErrorCode::Cancelled => Exit::Interrupted,
        _ => Exit::Failed,
    }
}

/// Marks an error as one of configuration, for the exit code.
#[derive(Debug)]
pub struct ConfigurationError;

impl std::fmt::Display for ConfigurationError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("see `lorekeep config show --origin`")
    }
}

impl std::error::Error for ConfigurationError {}

/// Asks a yes-or-no question on the terminal; `false` without one.
pub fn confirm(question: &str) -> bool {
    if !std::io::stdin().is_terminal() {
        return false;
    }
    let mut err = std::io::stderr().lock();
    let _ = write!(err, "{question} [y/N] ").and_then(|()| err.flush());
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

/// Rows as left-aligned columns two spaces apart; the first row is the header. Numbers align right.
pub fn table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    for (index, row) in rows.iter().enumerate() {
        let mut text = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            let number = index > 0 && !cell.is_empty() && cell.chars().all(|c| c.is_ascii_digit() || c == '.');
            let (before, after) = if number { (padding.as_str(), "") } else { ("", padding.as_str()) };
            text.push_str(&format!("{before}{cell}{after}  "));
        }
        let text = text.trim_end();
        line(&if index == 0 { styled(Style::Dim, text) } else { text.to_owned() });
    }
}

/// `1 order`, `2 orders`.
pub fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// At most `most` characters of `text` on one line, with `…` where it was cut.
pub fn excerpt(text: &str, most: usize) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.chars().count() <= most {
        return flat;
    }
    let cut: String = flat.chars().take(most).collect();
    let end = cut.rfind(' ').filter(|end| *end > cut.len() / 2).unwrap_or(cut.len());
    format!("{}…", cut.get(..end).unwrap_or(&cut))
}
