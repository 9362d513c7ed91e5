//! Finds out whether the services keep their promises while everything around them fails: many clients, faults, a history of
//! all calls, and a checker that holds it against the invariants.
//!
//! A round begins with nothing stored. Clients of every kind call the real processes while a seeded schedule kills them,
//! stops their databases and cuts their lines; then everything is mended, what is stored is read, and the checker looks for
//! what cannot be. To show that it would find something, the services are also run with deliberate defects.

#![expect(clippy::missing_panics_doc, reason = "everything here panics on whatever a run does not expect")]

#[cfg(test)]
use overheard as _;

pub mod busy;
pub mod checker;
pub mod command;
pub mod driver;
pub mod heard;
pub mod history;
pub mod mutants;
pub mod nemesis;
pub mod rest;
pub mod round;
pub mod site;
pub mod table;
pub mod vault;
pub mod workload;
pub mod world;
