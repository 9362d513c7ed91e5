//! Both cores, without anything that does I/O, in a simulated world: one thread, virtual time, and every chance from a seed.
//!
//! A run has one or two processes of each service over in-memory stores that commit or roll back, a network between them
//! that loses, doubles, delays and reorders, clocks that are apart and jump, and some clients and operators who call whatever
//! there is. A process can die before every call of a port: what is between two of them is in its memory alone, a fail
//! point included, so these are all places to die at. What was committed stays, a commit that was under way is made
//! later or never, and the process is started again. What the clients were told is held against what they are told later
//! and, at the end, against what is in both databases ([`Check`]).
//!
//! Whatever happens comes from the seed, so a run that breaks an invariant can be had again, with the story of every step:
//! `cargo run --package simulation -- SEED`. Nothing here knows SQL, protobuf, HTTP/2 or a thread; that real stores and
//! real sockets behave so is for the store contract and the end-to-end tests to show. The in-memory stores have one
//! writer at a time: what several have at once on PostgreSQL is not seen here.
//!
//! # Why no simulator that exists
//!
//! - `turmoil` simulates hosts and their TCP connections. The cores have no sockets, they have ports; each of its hosts runs
//!   what it runs in the order of tokio's queue, so it varies when messages come, but not which of two units of work
//!   that can both go on does; and a host can be crashed between two rounds of the whole simulation, not at a step.
//! - `madsim` has such a scheduler, and a process can be killed at any moment. It takes the place of tokio in the whole
//!   graph of dependencies by a `--cfg` of the compiler: a second build of everything, of forks that follow the originals at a
//!   distance.
//! - `shuttle` and `loom` explore interleavings of threads and locks; there is no time and no death in them.
//! - tokio's own runtime with a paused clock has virtual time, but a queue for a scheduler, and its seed
//!   (`tokio_unstable`) decides `select!` alone.
//!
//! What is needed is a set of futures of which the dice choose the next one, and timers: a file (`scheduler.rs`), since nothing
//! of the cores asks for a runtime. The locks of the in-memory stores are tokio's, which work on any executor, are fair, and
//! know no chance.

#[cfg(test)]
use overheard as _;

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
mod summary;
mod users;
mod weather;
mod workload;

pub use counts::Counts;
pub use model::{Check, Violation};
pub use run::{Report, run};
pub use summary::{Summary, run_all};
