//! What Tandem costs, measured. Nothing is asserted here: everything prints tables, of ratios wherever that is
//! possible, because absolute times are the machine's.
//!
//!     tests/postgres run cargo run --release --package benches    the stores, as their tables grow
//!     benches/run                                                 both services under load, over gRPC
//!
//! The first is the commands' default and calls the stores themselves ([`stores`]). The second starts the real programs
//! and is made of [`drive`], a load driver that is a command by itself, of [`load`], the measurements made with it, and
//! of three things to compare with: [`argon2_rate`], [`bare`] and [`echo`].

#[cfg(test)]
use overheard as _;

mod argon2_rate;
mod bare;
mod drive;
mod echo;
mod load;
mod passwords;
mod stores;
mod usage;

use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// What Tandem costs. Without a command: what the stores on PostgreSQL cost as their tables grow.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    stores: stores::Arguments,
}

#[derive(Subcommand)]
enum Command {
    /// Measures both services under load. `benches/run` builds what this needs and starts it as it should be.
    Load(load::Arguments),
    /// Makes calls and prints how they ended, how many there were a second and how long they took.
    Drive(drive::Arguments),
    /// Serves constant answers to `Authenticate` and `GetCurrentSession`: the least that a gRPC server can cost.
    Echo(echo::Arguments),
    /// Serves the internal listener of auth-service, by the same settings, on a server of tonic's own: no layer, no log, no
    /// metrics.
    Bare,
    /// Prints how many passwords a second one thread hashes that does nothing else.
    Argon2Rate(argon2_rate::Arguments),
    /// Prints how long it takes to look whether a password may be set.
    Passwords,
}

fn main() {
    let arguments = Arguments::parse();
    match arguments.command {
        None => one_thread().block_on(stores::run(&arguments.stores)),
        Some(Command::Load(load)) => one_thread().block_on(until_interrupted(load::run(&load))),
        Some(Command::Drive(drive)) => one_thread().block_on(drive::run(&drive)),
        // As the services have it: a thread for each core that the process may use.
        Some(Command::Echo(echo)) => {
            Builder::new_multi_thread().enable_all().build().expect("a runtime").block_on(echo::serve(&echo));
        }
        Some(Command::Bare) => {
            Builder::new_multi_thread().enable_all().build().expect("a runtime").block_on(bare::serve());
        }
        Some(Command::Argon2Rate(rate)) => argon2_rate::run(&rate),
        Some(Command::Passwords) => passwords::run(),
    }
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Whatever the work has started goes with it, which a signal's own way to end a process does not do.
async fn until_interrupted(work: impl Future<Output = ()>) {
    let mut terminated = signal(SignalKind::terminate()).expect("signals can be waited for");
    let mut interrupted = signal(SignalKind::interrupt()).expect("signals can be waited for");
    tokio::select! {
        () = work => {}
        _ = terminated.recv() => panic!("terminated"),
        _ = interrupted.recv() => panic!("interrupted"),
    }
}
