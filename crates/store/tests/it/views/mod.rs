//! The views against a reference that is built anew from what the truth says, after whatever happened to them.

mod corpus;
mod damage;
mod follow;
mod graph;
mod serve;
