//! auth-service as tests start it: with fail points and cheap hashes, never in a release build.

use std::process::ExitCode;

fn main() -> ExitCode {
    auth_service::cli::main()
}
