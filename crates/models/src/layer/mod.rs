//! Layers between a caller and a provider. Each knows one thing: how many calls may run ([`limit`]), whether a model
//! is worth calling ([`breaker`]), whether its key is refused
//! ([`credential`]), when to call again ([`retry`]), what a call took and may cost ([`meter`]), and whom
//! to ask instead ([`fallback`]), and what was asked before ([`kept`]). [`guard`] puts them in order for one model; [`chat`],
//! [`embed`], [`rerank`] and [`audio`] are the models behind it.

pub mod audio;
pub mod breaker;
pub mod chat;
pub mod credential;
pub mod embed;
pub mod fallback;
mod fan;
mod flight;
pub mod guard;
pub mod kept;
pub mod limit;
pub mod meter;
pub mod rerank;
pub mod retry;
