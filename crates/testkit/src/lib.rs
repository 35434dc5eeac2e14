//! Fixture builders and reference implementations; for tests only.
//!
//! [`fuzz`] grows inputs until something breaks.
//! [`upstream`] is a scripted HTTP server for whatever calls models.
//! [`MemoryIndex`] is a plain, exact [`lorekeep_types::Snapshot`]: the reference that the store's views are
//! compared with, and a corpus for tests of the engine that need no store.

pub mod fuzz;
mod lexicon;
mod memory_index;
pub mod upstream;

pub use lexicon::Lexicon;
pub use memory_index::{MemoryDocument, MemoryIndex};
