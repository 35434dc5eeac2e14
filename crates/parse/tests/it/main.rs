//! The parser as callers see it: every format whole, damaged and hostile.
#![allow(
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod fixtures;
mod fuzz;
mod hostile;
mod invariants;
mod mail;
mod never_panics;
mod office;
mod pdf;
mod pdf_builder;
mod refusals;
mod text_formats;
