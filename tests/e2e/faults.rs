//! The real binaries under one fault after the other: nobody is let in, an outage is called one and never a denial, what was
//! acknowledged is there afterwards, and everything goes on without a restart.
//!
//! What other modules have is not here: `outage` and `crashes`, `postgres::{ending, kills, silence, stops, stuck}`.

mod clocks;
mod commits;
mod connections;
mod database;
mod disk;
mod frozen;
mod lost_answers;
mod witness;
