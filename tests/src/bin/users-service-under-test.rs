//! users-service as tests start it: with fail points, never in a release build.

use std::process::ExitCode;

fn main() -> ExitCode {
    users_service::cli::main()
}
