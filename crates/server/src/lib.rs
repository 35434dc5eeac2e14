//! HTTP: the native API, the compatible surfaces and the embedded page.
//!
//! - [`router`] joins everything into one service, [`serve`] puts it on a socket;
//! - `layers` is what every request passes through, `scope` its context, `error` the bodies of its failures;
//! - `routes` is the native API, one file per noun, with its wire types in [`dto`];
//! - `model_server` serves a model of this process to others, apart from all that;
//! - `compat` converts other products' requests and answers and holds no behaviour of its own.
//!
//! The rules live in the engine. Arguments, configuration and signals are left to the command line.

mod callers;
mod compat;
pub mod dto;
mod error;
mod extract;
mod layers;
mod model_server;
mod routes;
mod scope;
mod serve;
mod settings;
mod state;
mod streams;

pub use callers::Callers;
pub use model_server::{ModelServer, model_router};
pub use routes::{openapi, router};
pub use serve::serve;
pub use settings::ServerSettings;
pub use state::{AppState, Build, Readiness, ScanFolder};
