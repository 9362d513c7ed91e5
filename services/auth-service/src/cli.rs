//! The commands of `auth-service`.

mod help;

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use clock::SystemClock;
use configuration::{Effective, Layers, Problems};
use database::DatabaseSettings;
use grpc_kit::{Shutdown, block_on, readyz};
use secrecy::ExposeSecret as _;

use crate::{AuthService, Config, Listeners, SigningKey, after_restore, migrate};

/// Sign-up, log-in, log-out and sessions over gRPC.
#[derive(Parser)]
#[command(name = "auth-service", version, long_about = help::ABOUT, after_long_help = help::MORE)]
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
    /// Makes keys.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// To be run after a backup was restored, before anything serves it: begins a new epoch and ends every session.
    ///
    /// Sessions that were ended since the backup would be alive again, and users-service would take accounts for
    /// newer than they are: with a new epoch it starts over by itself.
    #[command(verbatim_doc_comment)]
    AfterRestore,
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

#[derive(Subcommand)]
enum KeysCommand {
    /// Makes a new Ed25519 signing key (PKCS#8, PEM) in a file that only its owner can read.
    ///
    /// For `token.signing_key_file`. To replace a key, list the old one in `token.verification_key_files` until the
    /// tokens that it signed have expired.
    #[command(verbatim_doc_comment)]
    Generate {
        /// The file, which must not exist.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("auth-service: {error}");
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
        Command::Keys(KeysCommand::Generate { out }) => generate_key(&out),
        Command::AfterRestore => block_on(after(config(file)?.0)),
    }
}

fn config(file: Option<&Path>) -> Result<(Config, Effective), Box<dyn Error>> {
    Config::read(Layers::of_command("AUTH", file)).map_err(unusable)
}

/// The settings of a process that serves, for which the variables of OpenTelemetry have to be right as well. On a runtime,
/// which whatever would send traces asks for.
fn to_serve(file: Option<&Path>) -> Result<Config, Box<dyn Error>> {
    let read = Config::read(Layers::of_command("AUTH", file));
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
    Config::read_database(Layers::of_command("AUTH", file)).map_err(unusable)
}

fn unusable(problems: Problems) -> Box<dyn Error> {
    format!("these settings cannot be used:\n{problems}").into()
}

async fn serve(file: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let config = to_serve(file)?;
    let _log = telemetry::init_log(&config.log, grpc_kit::call::fields)?;
    let traces = telemetry::export_traces("auth-service")?;
    if let Some(traces) = &traces {
        grpc_kit::trace::record_with(traces.tracer());
    }
    let metrics = telemetry::record_metrics()?;
    let shutdown = Shutdown::on_signals()?;
    let gone = config.server.ends().gone(shutdown.clone());
    tokio::spawn(async move { telemetry::gone_by(gone.await) });
    let listeners = Listeners::bind(&config.server).await?;
    let service = tokio::select! {
        opened = AuthService::open(config, SystemClock::of_process()) => opened?,
        // Asked to end before its database has answered.
        () = shutdown.requested() => return Ok(()),
    };
    listeners.announce().map_err(|error| format!("standard output cannot be written: {error}"))?;
    service.serve(listeners, Some(metrics), shutdown).await?;
    Ok(())
}

async fn after(config: Config) -> Result<(), Box<dyn Error>> {
    let _log = telemetry::init_log(&config.log, grpc_kit::call::fields)?;
    let (epoch, ended) = after_restore(&config, SystemClock::of_process()).await?;
    println!("the database has the new epoch {epoch}; {ended} sessions were ended");
    Ok(())
}

fn generate_key(out: &Path) -> Result<(), Box<dyn Error>> {
    let key = SigningKey::generate_pem()?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(out)
        .map_err(|error| format!("{} cannot be made: {error}", out.display()))?;
    file.write_all(key.expose_secret().as_bytes())?;
    file.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests;
