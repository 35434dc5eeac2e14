//! The binary as users meet it: started, asked, killed, restarted.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod audio;
mod commands;
mod embedding;
mod fetching;
mod graph_build;
mod harness;
mod kill;
mod model_serve;
mod models;
mod reading;
mod samples;
mod serving;
