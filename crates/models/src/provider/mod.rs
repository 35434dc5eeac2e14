//! Providers: models that are called over HTTP.
//!
//! A provider is a *wire*: pure functions between requests and bytes ([`wire::ChatWire`], one file per provider).
//! [`chat::HttpChat`] carries any wire: it sends, watches the clock, turns statuses into faults, and puts pieces
//! together. [`http`] owns the client and its limits, [`frames`] cuts a body into events.
//! [`embed::HttpEmbed`] and [`rerank::HttpRerank`] do the same for their wires, [`audio`] speaks OpenAI's alone;
//! [`caller`] is what all of them share.

pub mod anthropic;
pub mod audio;
pub mod auth;
pub mod caller;
pub mod chat;
pub mod embed;
pub mod frames;
pub mod gemini;
pub mod generate;
pub mod http;
pub mod iam;
pub mod ollama;
pub mod openai;
pub mod perplexity;
pub mod rerank;
pub mod tools;
pub mod turns;
pub mod usage;
pub mod watsonx;
pub mod wire;
