//! placeholder

mod auth;
mod cluster;
mod counts;
mod dice;
mod effect;
mod failure;
mod model;
mod network;
mod run;
mod scheduler;
mod users;
mod weather;
mod workload;

pub use counts::Counts;
pub use model::{Invariant, Violation};
pub use run::{Report, run};
