//! `benches drive`: the driver by itself, against whatever serves.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{Call, Target, Window, closed_loop, open_loop};

/// Of the call to a server that looks at nothing.
const ANY_TOKEN: &str = "whatever";

/// Which calls are made, and how.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Where the server listens that has the call: IP:PORT.
    #[arg(long)]
    target: SocketAddr,
    /// Which call.
    #[arg(long)]
    call: CallName,
    /// Closed loop: as many callers, each of whom waits for the answer, and after a refusal for as long as it says.
    #[arg(long, required_unless_present = "rate", conflicts_with = "rate")]
    callers: Option<usize>,
    /// Open loop: as many calls a second, whoever is waiting.
    #[arg(long)]
    rate: Option<f64>,
    /// For how long answers are counted.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// For how long calls are made before.
    #[arg(long, default_value_t = 1.0)]
    warm_up: f64,
    /// Connections, which calls take in turn. A server takes 200 calls at a time over one.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Whom log-in is for; of several each caller is one.
    #[arg(long, value_delimiter = ',')]
    username: Vec<String>,
    /// A file with their password.
    #[arg(long)]
    password_file: Option<PathBuf>,
    /// A file with the user's token, for everything but log-in.
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// A file with the workload's token, for authenticate.
    #[arg(long)]
    workload_token_file: Option<PathBuf>,
}

/// The calls, by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CallName {
    /// `AuthService.LogIn`.
    LogIn,
    /// `IdentityProviderService.Authenticate`, on the internal listener.
    Authenticate,
    /// `AuthService.GetCurrentSession`.
    GetCurrentSession,
    /// `UsersService.GetCurrentUser`.
    GetCurrentUser,
    /// `AuthService.GetCurrentSession` without a real token, for `benches echo`.
    Echo,
}

/// Makes the calls and prints what became of them.
pub(crate) async fn run(arguments: &Arguments) {
    let calls = calls(arguments);
    let target = Target::connect(arguments.target, arguments.connections).await;
    let target = target.unwrap_or_else(|error| panic!("nobody listens on {}: {error}", arguments.target));
    let seconds = Duration::from_secs_f64;
    let window = Window::new(seconds(arguments.warm_up), seconds(arguments.seconds));
    let tally = match (arguments.rate, arguments.callers) {
        (Some(rate), _) => open_loop(&target, &calls, rate, window).await,
        (None, callers) => closed_loop(&target, &calls, callers.unwrap_or(1), window).await,
    };
    print!("{tally}");
}

fn calls(arguments: &Arguments) -> Vec<Call> {
    let token = || content(arguments.token_file.as_deref(), "--token-file");
    match arguments.call {
        CallName::LogIn => {
            let password = content(arguments.password_file.as_deref(), "--password-file");
            assert!(!arguments.username.is_empty(), "--username is needed for this call");
            arguments.username.iter().map(|username| Call::log_in(username, &password)).collect()
        }
        CallName::Authenticate => {
            let workload = content(arguments.workload_token_file.as_deref(), "--workload-token-file");
            vec![Call::authenticate(&workload, &token())]
        }
        CallName::GetCurrentSession => vec![Call::get_current_session(&token())],
        CallName::GetCurrentUser => vec![Call::get_current_user(&token())],
        CallName::Echo => vec![Call::get_current_session(ANY_TOKEN)],
    }
}

/// What is in it, without the end of the line.
fn content(file: Option<&Path>, option: &str) -> String {
    let file = file.unwrap_or_else(|| panic!("{option} is needed for this call"));
    let text = std::fs::read_to_string(file);
    text.unwrap_or_else(|error| panic!("{}: {error}", file.display())).trim_end().to_owned()
}
