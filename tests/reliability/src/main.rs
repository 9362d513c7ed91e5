//! Runs rounds and prints what came of them. Exit code 1: something was broken, or a deliberate defect was not found.

use std::process::ExitCode;

use clap::Parser as _;
use reliability::command::Arguments;

#[tokio::main]
async fn main() -> ExitCode {
    reliability::command::run(Arguments::parse()).await
}
