//! The providers against scripted servers.

#![allow(unreachable_pub, clippy::disallowed_methods, clippy::unwrap_used, clippy::panic, reason = "tests")]

mod conformance;
mod openai;
