//! The `users-service` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    users_service::cli::main()
}
