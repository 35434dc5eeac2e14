//! Answers quoted from the documents, without any model.
//!
//! `question` reads the question, `candidates` cuts passages into sentences, `vocabulary` compares their words with
//! the question once, `bridge` links sentences over shared names, `features` weighs them and [`choose`] decides.

mod bridge;
mod candidates;
mod features;
mod question;
mod quote;
mod vocabulary;

pub use quote::{BridgeQuote, Quote, Quotes, choose, says_one_of};
