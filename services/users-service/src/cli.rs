//! The commands of `users-service`.

mod administration;
mod password;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use clock::SystemClock;
use configuration::{Effective, Layers};
use grpc_kit::{Shutdown, readyz};

use crate::{Config, Listeners, UsersService, migrate};

/// Users, roles and their administration over gRPC.
///
/// Settings come from built-in defaults, then the file given with --config (TOML), then environment variables named
/// `USERS__SECTION__KEY`, such as `USERS__SERVER__LISTEN=127.0.0.1:50053`. `config print` shows what they amount to.
#[derive(Parser)]
#[command(name = "users-service", version)]
struct Arguments {
    /// A TOML file with settings.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves until SIGTERM or SIGINT, then drains; a second signal stops at once.
    Serve,
    /// Brings the database schema up to date.
    Migrate,
    /// Looks at the settings.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Asks the operations listener whether the service is ready; exits with 0 when it is.
    Healthcheck,
    /// Makes a super admin: always a new account. An attempt that was cut off is resumed.
    BootstrapSuperAdmin {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        password: PasswordPlace,
        /// Makes one although there is one.
        #[arg(long)]
        force: bool,
    },
    /// Makes a super admin a user and ends its sessions; the last active one stays.
    DemoteSuperAdmin {
        #[command(flatten)]
        whom: Whom,
    },
    /// Sets the password of a super admin and ends its sessions.
    ResetSuperAdminPassword {
        #[command(flatten)]
        whom: Whom,
        #[command(flatten)]
        password: PasswordPlace,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Checks every setting without touching the database.
    Check,
    /// Prints the effective settings, secrets masked.
    Print,
}

/// Whom a command is about.
#[derive(Args)]
struct Whom {
    /// The username.
    #[arg(long, value_name = "NAME")]
    username: String,
}

/// Where the password comes from, or goes to. With neither it is generated and shown, on a terminal only.
#[derive(Args)]
struct PasswordPlace {
    /// A file with the password.
    #[arg(long, value_name = "FILE", conflicts_with = "password_out")]
    password_file: Option<PathBuf>,
    /// A file to be made, with mode 0600, for a generated password.
    #[arg(long, value_name = "FILE")]
    password_out: Option<PathBuf>,
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("users-service: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let file = arguments.config.as_deref();
    match arguments.command {
        Command::Serve => block_on(serve(config(file)?.0)),
        Command::Migrate => block_on(async move { Ok(migrate(&config(file)?.0).await?) }),
        Command::Config(ConfigCommand::Check) => config(file).map(|_| println!("the settings are valid")),
        Command::Config(ConfigCommand::Print) => config(file).map(|(_, effective)| print!("{effective}")),
        Command::Healthcheck => readyz::ask(config(file)?.0.server.ops_listen).map_err(Into::into),
        Command::BootstrapSuperAdmin { whom, password, force } => {
            block_on(administration::bootstrap(config(file)?.0, whom, password, force))
        }
        Command::DemoteSuperAdmin { whom } => block_on(administration::demote(config(file)?.0, whom)),
        Command::ResetSuperAdminPassword { whom, password } => {
            block_on(administration::reset_password(config(file)?.0, whom, password))
        }
    }
}

fn config(file: Option<&Path>) -> Result<(Config, Effective), Box<dyn Error>> {
    let mut layers = Layers::new("USERS");
    if let Some(file) = file {
        layers = layers.file(file);
    }
    let read = Config::read(layers.environment());
    read.map_err(|problems| format!("these settings cannot be used:\n{problems}").into())
}

fn block_on(work: impl Future<Output = Result<(), Box<dyn Error>>>) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // Dropped, it would wait for threads that look names up or read files for as long as that takes.
    runtime.shutdown_background();
    done
}

async fn serve(config: Config) -> Result<(), Box<dyn Error>> {
    let _log = telemetry::init_log(&config.log)?;
    let metrics = telemetry::record_metrics()?;
    let shutdown = Shutdown::on_signals()?;
    let listeners = Listeners::bind(&config.server).await?;
    let service = tokio::select! {
        opened = UsersService::open(config, SystemClock::default()) => opened?,
        // Asked to end before its database has answered.
        () = shutdown.requested() => return Ok(()),
    };
    listeners.announce()?;
    service.serve(listeners, Some(metrics), shutdown).await?;
    Ok(())
}
