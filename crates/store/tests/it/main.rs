//! The store as its callers see it: through the ports of `lorekeep-types`, over real files and in memory.
#![allow(
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod anew;
mod archive;
mod cache;
mod concurrency;
mod documents;
mod format;
mod full;
mod fuzz;
mod graph;
mod graph_edit;
mod graph_jobs;
mod jobs;
mod ledger;
mod ledger_journal;
mod ledger_model;
mod lock;
mod resolve;
mod support;
mod views;
mod workspaces;
