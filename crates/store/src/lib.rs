//! The truth (SQLite) and its derived views (text, vector, graph).
//!
//! - [`truth`]: one SQLite file per workspace; everything else can be lost and rebuilt from it.
//! - [`view`]: what queries read; follows the truth's change log and publishes immutable snapshots.
//! - [`ledger`]: the model calls of all workspaces and their budgets, in a file of its own.
//! - [`cache`]: results of model calls, in a file that may be lost.
//! - [`folder`]: the data folder, its lock and layout.
//! - [`store`] and [`workspace`]: the ports of `lorekeep-types` over these.

mod cache;
mod error;
mod folder;
mod format;
mod ledger;
mod store;
mod truth;
mod view;
mod workspace;

pub use cache::{CacheLimits, MemoryCache, SqliteCache};
pub use folder::{Holder, holder};
pub use ledger::SqliteLedger;
pub use store::Store;
