//! The command line: one variant per command; each command's own arguments live in its file.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::commands;

/// Reads your documents, builds a knowledge graph over them, and answers with citations.
#[derive(Debug, Parser)]
#[command(name = "lorekeep", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 ok · 1 failed · 2 usage · 3 nothing found · 4 partly failed · \
5 configuration · 6 service unreachable · 7 budget reached · 130 interrupted")]
pub struct Arguments {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Workspace to work in
    #[arg(short, long, global = true, value_name = "NAME", env = "LOREKEEP_WORKSPACE")]
    pub workspace: Option<String>,
    /// Data folder
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Configuration file, read after the usual ones
    #[arg(long, global = true, value_name = "FILE", env = "LOREKEEP_CONFIG")]
    pub config: Option<PathBuf>,
    /// Talk to a server instead of opening the data folder
    #[arg(long, global = true, value_name = "URL", env = "LOREKEEP_SERVER")]
    pub server: Option<String>,
    /// Print one JSON object (streams: one per line)
    #[arg(long, global = true)]
    pub json: bool,
    /// No progress and no notes
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// More detail; twice for the chain of causes
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// When to colour
    #[arg(long, global = true, value_enum, default_value_t = When::Auto)]
    pub color: When,
    /// Never ask; fail instead
    #[arg(long, global = true)]
    pub no_input: bool,
    /// Answer yes to every question
    #[arg(long, global = true)]
    pub yes: bool,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Index PATHS (or the bundled samples), serve, and open the browser
    Start(commands::start::Start),
    /// Serve the API and the page
    Serve(commands::serve::Serve),
    /// Index files, folders, web addresses or standard input
    Add(commands::add::Add),
    /// Ask a question and get a cited answer
    Ask(commands::ask::Ask),
    /// Find passages, without an answer
    Search(commands::search::Search),
    /// Ask in a terminal conversation
    Chat(commands::chat::Chat),
    /// List, show and remove documents
    #[command(subcommand)]
    Docs(commands::docs::Docs),
    /// List, follow and cancel jobs
    #[command(subcommand)]
    Jobs(commands::jobs::Jobs),
    /// Look into the knowledge graph
    #[command(subcommand)]
    Graph(commands::graph::Graph),
    /// List, create, copy, choose and remove workspaces
    #[command(subcommand)]
    Workspace(commands::workspace::Workspace),
    /// Rebuild the indexes while the old ones serve
    Reindex(commands::reindex::Reindex),
    /// Write a workspace to one file
    Export(commands::archive::Export),
    /// Make a workspace from an exported file
    Import(commands::archive::Import),
    /// Choose, try and list the models that write
    #[command(subcommand)]
    Model(commands::model::Model),
    /// Show and forget what is kept of model calls
    #[command(subcommand)]
    Cache(commands::cache::Cache),
    /// Show what models were used for and what that cost
    Usage(commands::usage::Usage),
    /// Measure retrieval and quoting on a BEIR-style folder
    Eval(commands::eval::Eval),
    /// Show, check and change the configuration
    #[command(subcommand)]
    Config(commands::config::Config),
    /// Check everything and suggest fixes
    Doctor(commands::doctor::Doctor),
    /// Print the OpenAPI document
    Openapi(commands::meta::Openapi),
    /// Print a completion script
    Completions(commands::meta::Completions),
    /// Print the manual page
    Man(commands::meta::Man),
    /// Explain an error code
    Explain(commands::meta::Explain),
    /// Print the version
    Version(commands::meta::Version),
}
