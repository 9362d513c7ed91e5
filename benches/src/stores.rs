//! What the stores on PostgreSQL cost as their tables grow, as ratios taken in one run: fills databases of several
//! sizes and prints a table. Knows nothing of gRPC: the use cases are called here, over a real store and otherwise
//! fakes.
//!
//! Each figure is a median; the things that are compared take turns, so that a machine that others use as well slows
//! all of them down alike.

mod auth;
mod authenticate;
mod lists;
mod log_in;
mod population;
mod sampling;

use clap::Args;

/// How much there is to be measured.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Users in each of the databases that lists are read from; the first is what the others are compared with.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 100_000, 1_000_000])]
    users: Vec<u32>,
    /// Expired sessions that log-in is slowed down by, if it is.
    #[arg(long, default_value_t = 10_000_000)]
    dead_sessions: u32,
    /// How often each thing is measured.
    #[arg(long, default_value_t = 201)]
    rounds: u32,
    /// Only these: lists, authenticate, log-in.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// Measures and prints.
pub(crate) async fn run(arguments: &Arguments) {
    let wanted = |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == name);
    if wanted("lists") {
        lists::run(&arguments.users, arguments.rounds).await;
    }
    if wanted("authenticate") {
        authenticate::run(arguments.rounds).await;
    }
    if wanted("log-in") {
        log_in::run(arguments.dead_sessions, arguments.rounds).await;
    }
}
