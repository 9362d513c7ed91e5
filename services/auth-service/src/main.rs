//! The `auth-service` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    auth_service::cli::main()
}
