//! The engine as its callers see it, over a store in memory and scripted ports.
#![allow(
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod bad_input;
mod cancel;
mod documents;
mod jobs;
mod ports;
mod workspaces;
