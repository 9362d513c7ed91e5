//! The tests that need more than one module: what every store must do, on every engine and the fake.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use overheard as _;

mod lost_commits;
mod over_postgres;
mod plans;
mod replicas;
mod round_trips;
mod store_contract;
