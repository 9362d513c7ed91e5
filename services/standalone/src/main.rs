//! `tandem`: both services in one process, on their real listeners, with the real port between them, over SQLite.
//!
//! For getting to know Tandem, for development and for small installations. It is only an assembly: everything that it
//! does, `auth-service` and `users-service` do as processes of their own.

mod data_dir;
mod first_run;
mod run;
mod welcome;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Authentication and user administration over gRPC: auth-service and users-service in one process.
///
/// The first start makes databases, keys and a super admin in the data directory; later ones find them again. Settings
/// of the services are taken from environment variables named `AUTH__SECTION__KEY` and `USERS__SECTION__KEY`; the
/// settings of the log are auth-service's. `TANDEM_SUPER_ADMIN_PASSWORD` gives the super admin a password instead of a
/// generated one.
#[derive(Parser)]
#[command(name = "tandem", version)]
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
