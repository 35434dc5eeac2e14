//! Configuration in two stages: as written (defaults, files, environment, flags, each value with its
//! origin) and as resolved (typed, validated, immutable). [`keys`] holds the one table of keys,
//! [`aliases`] the names that other programs give to some.

pub mod aliases;
pub mod keys;
mod layers;
mod models;
mod resolve;

pub use layers::{Layers, Sources, user_config_path};
pub use resolve::Config;
