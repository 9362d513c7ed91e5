//! Both services under load: the real programs, as processes on the server's cores, driven over gRPC from the others.
//!
//! Each measurement is a module. What is compared takes turns in each of a number of rounds, the ratio is that of the
//! round, and the median of the rounds is what counts. Nothing is asserted: a limit that is not met is said to be so.
//! What is printed is the part of docs/performance.md that has the figures.

mod abandoned;
mod cheap_calls;
mod cost_per_call;
mod enumeration;
mod figures;
mod home;
mod instructions;
mod layers;
mod log_ins;
mod machine;
mod memory;
mod process;
mod profile;
mod start;

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::argon2_rate::Rate;
use figures::Section;
use home::Home;
use process::pinned;

/// The crowd of the largest measurement.
const PEOPLE: usize = 256;

/// What is measured, and for how long.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Only these.
    #[arg(long, value_delimiter = ',')]
    only: Vec<Measurement>,
    /// How often everything is measured that is compared.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// How long a measurement of log-ins counts; the others are in proportion.
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// The cores of the servers, as `taskset` has it. The driver and PostgreSQL should run on others.
    #[arg(long, default_value = "0")]
    server_cores: String,
    /// What the services keep their data in where it is not the point.
    #[arg(long, default_value = "postgres")]
    engine: Engine,
    /// Where auth-service and users-service are; the default is beside this program.
    #[arg(long)]
    programs: Option<PathBuf>,
    /// A superuser's URL of a server of PostgreSQL, from `tests/postgres run`. Without it there is only SQLite.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measurement {
    /// Log-ins a second against the rate of their hashes; refusals.
    LogIns,
    /// The latency of cheap calls while others log in.
    CheapCalls,
    /// The CPU time of cheap calls against a server that does nothing.
    CostPerCall,
    /// The CPU time of `Authenticate` with everything that is around it, and without.
    Layers,
    /// The instructions of the same, counted by valgrind. Only when it is asked for.
    Instructions,
    /// Where the CPU time of cheap calls goes, by perf. Only when it is asked for.
    Profile,
    /// The memory of auth-service.
    Memory,
    /// The time from its start to its first answer.
    Start,
    /// The work that abandoned log-ins leave behind.
    Abandoned,
    /// Whether log-in tells who exists.
    Enumeration,
}

/// Where data is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// Files.
    Sqlite,
    /// A server.
    Postgres,
}

impl Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// What every measurement is told.
pub(crate) struct Bench {
    /// How often.
    pub(crate) rounds: u32,
    /// For how long.
    pub(crate) window: Duration,
    /// The servers' cores.
    pub(crate) cores: String,
    /// How many hashes a server makes at a time: by default as many as it has cores.
    pub(crate) permits: usize,
    /// Where the programs are.
    pub(crate) programs: PathBuf,
    /// Where this one is.
    pub(crate) this_program: PathBuf,
}

impl Bench {
    /// How many passwords are hashed on the servers' cores by something that does nothing else.
    pub(crate) async fn argon2_rate(&self, seconds: f64) -> Rate {
        let mut command = pinned(&self.cores, &self.this_program);
        command.args(["argon2-rate", "--seconds", &seconds.to_string()]);
        let output = command.output().await.expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        said.parse().unwrap_or_else(|_| panic!("no rate: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// Says how far it is.
    pub(crate) fn progress(&self, what: &str, round: u32) {
        eprintln!("{what}: round {} of {}", round + 1, self.rounds);
    }
}

/// Measures and prints.
pub(crate) async fn run(arguments: &Arguments) {
    let this_program = std::env::current_exe().expect("it was started from somewhere");
    let beside = || this_program.parent().map(Path::to_owned).expect("in a folder");
    let bench = Bench {
        rounds: arguments.rounds.max(1),
        window: Duration::from_secs_f64(arguments.seconds),
        cores: arguments.server_cores.clone(),
        permits: cores(&arguments.server_cores).await,
        programs: arguments.programs.clone().unwrap_or_else(beside),
        this_program: this_program.clone(),
    };
    let has_postgres = arguments.database_url.is_some();
    let engine = if has_postgres { arguments.engine } else { Engine::Sqlite };
    let home = Home::new(&bench, engine, PEOPLE).await;
    machine::describe(&bench, &home, engine).await;
    let other = match engine {
        Engine::Sqlite if has_postgres => Some(Engine::Postgres),
        Engine::Sqlite => None,
        Engine::Postgres => Some(Engine::Sqlite),
    };
    for measurement in Measurement::value_variants() {
        let is_wanted = if arguments.only.is_empty() {
            // What needs a tool beside the services.
            !matches!(measurement, Measurement::Instructions | Measurement::Profile)
        } else {
            arguments.only.contains(measurement)
        };
        if !is_wanted {
            continue;
        }
        match measurement {
            Measurement::LogIns => print(&log_ins::run(&bench, &home).await),
            Measurement::CheapCalls => print(&cheap_calls::run(&bench, &home).await),
            Measurement::CostPerCall => {
                print(&cost_per_call::run(&bench, &home, engine).await);
                if let Some(other) = other {
                    let home = Home::new(&bench, other, 0).await;
                    print(&cost_per_call::run(&bench, &home, other).await);
                }
            }
            Measurement::Layers => {
                print(&layers::run(&bench, &home, engine).await);
                if let Some(other) = other {
                    let home = Home::new(&bench, other, 0).await;
                    print(&layers::run(&bench, &home, other).await);
                }
            }
            Measurement::Instructions => {
                let home = Home::new(&bench, Engine::Sqlite, 0).await;
                print(&instructions::run(&bench, &home).await);
            }
            Measurement::Profile => {
                print(&profile::run(&bench, &home, engine).await);
                if let Some(other) = other {
                    let home = Home::new(&bench, other, 0).await;
                    print(&profile::run(&bench, &home, other).await);
                }
            }
            Measurement::Memory => print(&memory::run(&bench, &home).await),
            Measurement::Start => {
                let mut figures = Vec::from(start::run(&bench, &home, engine).await);
                if let Some(other) = other {
                    let home = Home::new(&bench, other, 0).await;
                    figures.extend(start::run(&bench, &home, other).await);
                }
                print(&start::section(figures));
            }
            Measurement::Abandoned => print(&abandoned::run(&bench, &home).await),
            Measurement::Enumeration => print(&enumeration::run(&bench, &home).await),
        }
    }
}

/// How many there are in a list of `taskset`'s.
async fn cores(list: &str) -> usize {
    let output =
        pinned(list, Path::new("nproc")).output().await.expect("taskset is in the package util-linux");
    let count = String::from_utf8_lossy(&output.stdout).trim().parse();
    count.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

fn print(section: &Section) {
    print!("{section}");
}
