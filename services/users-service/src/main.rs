//! The process `users-service`; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode { ExitCode::SUCCESS }
