//! The engine as its callers see it, over a store in memory and scripted ports.
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
mod cancel;
mod communities;
mod documents;
mod embedder;
mod graph_build;
mod graph_resolve;
mod jobs;
mod kept_answers;
mod poison;
mod ports;
mod scripted;
mod vectors;
mod workspaces;
