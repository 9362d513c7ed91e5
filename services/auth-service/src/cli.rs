//! The commands of `auth-service`.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use clock::SystemClock;
use configuration::{Effective, Layers};
use grpc_kit::{Shutdown, readyz};
use secrecy::ExposeSecret as _;

use crate::{AuthService, Config, Listeners, SigningKey, after_restore, migrate};

/// Sign-up, log-in, log-out and sessions over gRPC.
///
/// Settings come from built-in defaults, then the file given with --config (TOML), then environment variables named
/// `AUTH__SECTION__KEY`, such as `AUTH__SERVER__LISTEN=127.0.0.1:50051`. `config print` shows what they amount to.
#[derive(Parser)]
#[command(name = "auth-service", version)]
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
    /// Makes keys.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// To be run after a backup was restored, before anything serves it: begins a new epoch and ends every session.
    AfterRestore,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Checks every setting without touching the database.
    Check,
    /// Prints the effective settings, secrets masked.
    Print,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Makes a new Ed25519 signing key (PKCS#8, PEM) in a file that only its owner can read.
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
        Command::Serve => block_on(serve(config(file)?.0)),
        Command::Migrate => block_on(async move { Ok(migrate(&config(file)?.0).await?) }),
        Command::Config(ConfigCommand::Check) => config(file).map(|_| println!("the settings are valid")),
        Command::Config(ConfigCommand::Print) => config(file).map(|(_, effective)| print!("{effective}")),
        Command::Healthcheck => readyz::ask(config(file)?.0.server.ops_listen).map_err(Into::into),
        Command::Keys(KeysCommand::Generate { out }) => generate_key(&out),
        Command::AfterRestore => block_on(after(config(file)?.0)),
    }
}

fn config(file: Option<&Path>) -> Result<(Config, Effective), Box<dyn Error>> {
    let mut layers = Layers::new("AUTH");
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
        opened = AuthService::open(config, SystemClock::default()) => opened?,
        // Asked to end before its database has answered.
        () = shutdown.requested() => return Ok(()),
    };
    listeners.announce()?;
    service.serve(listeners, Some(metrics), shutdown).await?;
    Ok(())
}

async fn after(config: Config) -> Result<(), Box<dyn Error>> {
    let (epoch, ended) = after_restore(&config, SystemClock::default()).await?;
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
