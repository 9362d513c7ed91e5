//! What the end-to-end tests stand on: both services, started for one test alone, and named callers of their rpcs.
//!
//! A test begins with `let app = Pair::start().await;` and drives the pair through the generated clients only; it
//! knows no use case, no store and no table. Whatever is not as a test needs it panics, so no function here returns an
//! error: a test that cannot set itself up has failed.

#![expect(clippy::missing_panics_doc, reason = "everything here panics on whatever a test does not expect")]

mod addresses;
mod answer;
mod call;
mod caller;
mod certificates;
mod client_programs;
mod cluster;
mod collector;
mod contract;
mod data;
mod discretion;
mod endpoints;
mod engine;
mod eventually;
mod frames;
mod home;
mod http;
mod pair;
mod people;
mod process;
mod processes;
mod scrape;
mod services;
mod settings;
mod target;

pub use answer::{Failure, Reply};
pub use call::Call;
pub use caller::Caller;
pub use certificates::{Authority, Issued};
pub use client_programs::{client_program, refused_sql, sql};
pub use cluster::{Cluster, Pooler};
pub use collector::{Collector, Span};
pub use contract::{AUTH, IDENTITY, USERS};
pub use data::Data;
pub use database::testing::server_address;
pub use endpoints::{Endpoints, patient};
pub use engine::{Engine, rounds};
pub use eventually::eventually;
pub use frames::{Frames, HALF_A_HELLO, PREFACE, Sent, connect_and_write, next_sent};
pub use http::get;
pub use pair::{Pair, sign_up};
pub use people::{PASSWORD, Person};
pub use process::{Process, limit_open_files, need_open_files};
pub use processes::{Binaries, Operator, Processes, Service, Way};
pub use scrape::Scrape;
pub use settings::{Settings, same_at};
pub use target::{ByKey, by_id, by_name};
pub use test_kit::{Canaries, Commits, Cut, Mode, Passed, Proxy, shapes};
