//! Providers: models that are called over HTTP.
//!
//! A provider is a *wire*: pure functions between requests and bytes ([`wire::ChatWire`], one file per provider).
//! [`chat::HttpChat`] carries any wire: it sends, watches the clock, turns statuses into faults, and puts pieces
//! together. [`http`] owns the client and its limits, [`frames`] cuts a body into events.

pub mod auth;
pub mod chat;
pub mod frames;
pub mod http;
pub mod openai;
pub mod usage;
pub mod wire;
