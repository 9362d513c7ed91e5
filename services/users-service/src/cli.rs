//! The commands of `users-service`.

mod administration;
mod help;
mod password;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use clock::SystemClock;
use configuration::{Effective, Layers, Problems};
use database::DatabaseSettings;
use grpc_kit::{Shutdown, block_on, readyz};

use crate::{Config, Listeners, UsersService, migrate};

/// Users, roles and their administration over gRPC.
#[derive(Parser)]
#[command(name = "users-service", version, long_about = help::ABOUT, after_long_help = help::MORE)]
struct Arguments {
    /// A TOML file with settings; environment variables win over it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves until SIGTERM or SIGINT, then drains; a second signal stops at once.
    ///
    /// Prints where it listens, one line for each listener, and logs to standard error. Refuses a schema that
    /// `migrate` has to bring up to date, unless `database.auto_migrate` is true; a newer one it serves if that
    /// one allows it. Exits with 0 when it was asked to end, and with 1 when it cannot start.
    #[command(verbatim_doc_comment)]
    Serve,
    /// Brings the database schema up to date.
    ///
    /// Needs no service to be stopped, and may be run by many at once: one does the work, the others wait.
    /// Safe to repeat. On PostgreSQL it connects to `database.direct_url`, past a pooler. Of the settings it
    /// reads those of the section `database` alone.
    #[command(verbatim_doc_comment)]
    Migrate,
    /// Looks at the settings; its --help shows every key.
    #[command(subcommand, after_long_help = help::EVERY_KEY)]
    Config(ConfigCommand),
    /// Asks the operations listener whether the service is ready; exits with 0 when it is.
    ///
    /// Asks /readyz at `server.ops_listen`, with the same settings that the service has, and waits four seconds at
    /// most. Exits with 1, and says why, when the service is not ready or does not answer. Made for probes of
    /// containers that have neither a shell nor an HTTP client.
    #[command(verbatim_doc_comment)]
    Healthcheck,
    /// Makes a super admin: always a new account. An attempt that was cut off is resumed.
    ///
    /// A name that is taken is an error: whoever signed up under it would be promoted. Refuses when there is a
    /// super admin, unless --force says that there shall be one more. Needs auth-service to be running.
    ///
    ///   users-service bootstrap-super-admin --username the.boss --password-out the.boss.password
    #[command(verbatim_doc_comment)]
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
    ///
    /// It can log in again, as a user. If it fails half-way, repeat it. Needs auth-service to be running.
    ///
    ///   users-service demote-super-admin --username the.boss
    #[command(verbatim_doc_comment)]
    DemoteSuperAdmin {
        #[command(flatten)]
        whom: Whom,
    },
    /// Sets the password of a super admin and ends its sessions.
    ///
    /// For a password that was lost, which no call can replace. Needs auth-service to be running.
    ///
    ///   users-service reset-super-admin-password --username the.boss --password-out the.boss.password
    #[command(verbatim_doc_comment)]
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
    ///
    /// Reads the files that settings name: keys, certificates, tokens; and the variables of OpenTelemetry. Says
    /// everything that is wrong at once, each with its key and where it came from, and exits with 1 then; exits
    /// with 0 when nothing is.
    #[command(verbatim_doc_comment)]
    Check,
    /// Prints the effective settings, secrets masked.
    ///
    /// As a TOML file: every key, what it is set to, and behind it where that came from (a built-in default, the
    /// file, an environment variable). Secrets and the users and passwords in URLs are shown as ********.
    #[command(verbatim_doc_comment)]
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
    /// A file with the password. Without it and --password-out, one is generated and shown on a terminal only.
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
        Command::Serve => block_on(serve(file)),
        Command::Migrate => block_on(async move { Ok(migrate(&database(file)?).await?) }),
        Command::Config(ConfigCommand::Check) => block_on(async move { check(file) }),
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
    Config::read(Layers::of_command("USERS", file)).map_err(unusable)
}

/// The settings of a process that serves, for which the variables of OpenTelemetry have to be right as well. On a runtime,
/// which whatever would send traces asks for.
fn to_serve(file: Option<&Path>) -> Result<Config, Box<dyn Error>> {
    let read = Config::read(Layers::of_command("USERS", file));
    let ((config, _), ()) = Problems::of_both(read, telemetry::check_traces()).map_err(unusable)?;
    Ok(config)
}

fn check(file: Option<&Path>) -> Result<(), Box<dyn Error>> {
    to_serve(file)?;
    println!("the settings are valid");
    Ok(())
}

/// All that a migration needs: whoever owns the tables need not be shown the service's secrets.
fn database(file: Option<&Path>) -> Result<DatabaseSettings, Box<dyn Error>> {
    Config::read_database(Layers::of_command("USERS", file)).map_err(unusable)
}

fn unusable(problems: Problems) -> Box<dyn Error> {
    format!("these settings cannot be used:\n{problems}").into()
}

async fn serve(file: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let config = to_serve(file)?;
    let _log = telemetry::init_log(&config.log, grpc_kit::call::fields)?;
    let traces = telemetry::export_traces("users-service")?;
    if let Some(traces) = &traces {
        grpc_kit::trace::record_with(traces.tracer());
    }
    let metrics = telemetry::record_metrics()?;
    let shutdown = Shutdown::on_signals()?;
    let gone = config.server.ends().gone(shutdown.clone());
    tokio::spawn(async move { telemetry::gone_by(gone.await) });
    let listeners = Listeners::bind(&config.server).await?;
    let service = tokio::select! {
        opened = UsersService::open(config, SystemClock::of_process()) => opened?,
        // Asked to end before its database has answered.
        () = shutdown.requested() => return Ok(()),
    };
    listeners.announce().map_err(|error| format!("standard output cannot be written: {error}"))?;
    service.serve(listeners, Some(metrics), shutdown).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
