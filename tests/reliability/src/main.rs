//! Runs rounds and prints what came of them. Exit code 1: something was broken, a deliberate defect was not found, or a round
//! did too little to show anything. 2: what was asked for is not there.

use std::process::ExitCode;

use clap::Parser as _;
use reliability::command::Arguments;

#[tokio::main]
async fn main() -> ExitCode {
    reliability::command::run(Arguments::parse()).await
}
