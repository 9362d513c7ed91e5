//! Runs rounds and prints what came of them. Exit code 1: something was broken, a deliberate defect was not found, or a round
//! did too little to show anything. 2: what was asked for is not there. 128 and the signal's number: it was ended by one, which
//! it says; then everything that it has started ends with it.

use std::io;
use std::process::ExitCode;

use clap::Parser as _;
use reliability::command::Arguments;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tokio::select! {
        code = reliability::command::run(arguments) => code,
        ended = ended() => match ended {
            Ok((name, number)) => {
                eprintln!("ended by {name}, before it was done");
                ExitCode::from(128 + number)
            }
            Err(error) => {
                eprintln!("signals cannot be waited for: {error}");
                ExitCode::FAILURE
            }
        },
    }
}

/// Waits until somebody asks it to end.
async fn ended() -> io::Result<(&'static str, u8)> {
    let [mut hang_up, mut interrupt, mut terminate] =
        [signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    Ok(tokio::select! {
        _ = hang_up.recv() => ("SIGHUP", 1),
        _ = interrupt.recv() => ("SIGINT", 2),
        _ = terminate.recv() => ("SIGTERM", 15),
    })
}
