//! One file per command: its arguments and what it does.

pub mod add;
pub mod archive;
pub mod ask;
pub mod cache;
pub mod chat;
pub mod communities;
pub mod config;
pub mod docs;
pub mod doctor;
pub mod eval;
pub mod fetch;
pub mod graph;
pub mod jobs;
pub mod meta;
pub mod model;
pub mod model_serve;
pub mod reindex;
pub mod search;
pub mod serve;
pub mod start;
pub mod usage;
pub mod workspace;

mod graph_build;
mod progress;
mod read;
pub mod scan;
mod walk;
mod watch;

use anyhow::Result;

use crate::app::App;
use crate::args::{Arguments, Command};
use crate::output::Exit;

/// Runs the command.
pub async fn run(arguments: Arguments) -> Result<Exit> {
    let Arguments { global, command } = arguments;
    let app = |flags| App::new(global.clone(), flags);
    match command {
        Command::Start(args) => start::run(&app(args.serve.flags())?, &args).await,
        Command::Serve(args) => serve::run(&app(args.flags())?).await,
        Command::Add(args) => add::run(&app(vec![])?, &args).await,
        Command::Ask(args) => ask::run(&app(vec![])?, &args).await,
        Command::Search(args) => search::run(&app(vec![])?, &args).await,
        Command::Chat(args) => chat::run(&app(vec![])?, &args).await,
        Command::Docs(args) => docs::run(&app(vec![])?, &args).await,
        Command::Jobs(args) => jobs::run(&app(vec![])?, &args).await,
        Command::Graph(args) => graph::run(&app(vec![])?, &args).await,
        Command::Workspace(args) => workspace::run(&app(vec![])?, &args).await,
        Command::Reindex(args) => reindex::run(&app(vec![])?, &args).await,
        Command::Export(args) => archive::export(&app(vec![])?, &args).await,
        Command::Import(args) => archive::import(&app(vec![])?, &args).await,
        Command::Model(args) => model::run(&app(vec![])?, &args).await,
        Command::Cache(args) => cache::run(&app(vec![])?, &args).await,
        Command::Usage(args) => usage::run(&app(vec![])?, &args).await,
        Command::Eval(args) => eval::run(&app(vec![])?, &args).await,
        Command::Config(args) => config::run(&global, &args),
        Command::Doctor(args) => doctor::run(&app(vec![])?, &args).await,
        Command::Openapi(args) => meta::openapi(&args),
        Command::Completions(args) => meta::completions(&args),
        Command::Man(args) => meta::man(&args),
        Command::Explain(args) => meta::explain(&args),
        Command::Version(args) => meta::version(&args, global.json),
    }
}
