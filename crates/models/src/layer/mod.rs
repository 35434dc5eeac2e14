//! Layers between a caller and a provider. Each knows one thing: how many calls may run ([`limit`]), whether a model
//! is worth calling ([`breaker`]), when to call again ([`retry`]), what a call took and may cost ([`meter`]), and whom
//! to ask instead ([`fallback`]), and what was asked before ([`kept`]). [`guard`] puts them in order for one model.

pub mod breaker;
pub mod fallback;
mod flight;
pub mod guard;
pub mod kept;
pub mod limit;
pub mod meter;
pub mod retry;
