//! The router in-process, over a store in memory: every route, its errors and its limits.
#![allow(
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod answers;
mod bad_input;
mod budgets;
mod documents;
mod graph;
mod jobs;
mod lightrag;
mod model_server;
mod page;
mod server;
mod support;
mod usage;
mod web;
mod workspaces;
mod written;
