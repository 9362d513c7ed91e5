//! `tandem`: both services in one process, on their real listeners, with the real port between them, over SQLite.
//!
//! For getting to know Tandem, for development and for small installations. It is only an assembly: everything that it
//! does, `auth-service` and `users-service` do as processes of their own.

#[cfg(test)]
use overheard as _;

mod data_dir;
mod first_run;
mod help;
mod run;
mod welcome;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Authentication and user administration over gRPC: auth-service and users-service in one process.
#[derive(Parser)]
#[command(name = "tandem", version, long_about = help::ABOUT, after_long_help = help::MORE)]
struct Arguments {
    /// Where databases, keys and secrets are kept; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "./tandem-data")]
    data_dir: PathBuf,
}

fn main() -> ExitCode {
    let Arguments { data_dir } = Arguments::parse();
    match run::run(&data_dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tandem: {error}");
            ExitCode::FAILURE
        }
    }
}
