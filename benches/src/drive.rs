//! The load driver: makes real gRPC calls over several connections and tells how they ended and how long they took.
//! Knows how to make a call, and neither who serves it nor what its cost is compared with.
//!
//! A *closed loop* is a number of callers each of whom makes the next call when the last one is answered: it finds out
//! how much a server can do, and its latencies begin at the send. An *open loop* is calls at a fixed rate whether or
//! not the earlier ones were answered, which is how strangers behave: its latencies begin when the call **was meant to
//! be sent**, so that neither a server that answers late nor a driver that sends late makes the later calls look better
//! than they were.
//!
//! The driver has one thread, because one core is what it gets.

mod call;
mod closed_loop;
mod command;
mod connection;
mod ending;
mod open_loop;
mod tally;
mod window;

pub(crate) use call::Call;
pub(crate) use closed_loop::closed_loop;
pub(crate) use command::{Arguments, run};
pub(crate) use connection::{Connection, Target};
pub(crate) use open_loop::open_loop;
pub(crate) use tally::{Tally, as_f64};
pub(crate) use window::Window;
