//! What a cheap call costs the server's core, against a server that does nothing.

use std::time::Duration;

use api::auth::GetCurrentSessionRequest;
use api::identity::AuthenticateRequest;
use tonic::Request;

use super::figures::{Figure, Section, Unit};
use super::home::{Auth, Home, connections};
use super::process::{Process, pinned};
use super::{Bench, Engine};
use crate::drive::{Call, Target, Window, closed_loop};
use crate::echo::hexadecimal;
use crate::usage::CpuTime;

/// Enough that there always is a call that waits for the server.
pub(super) const CALLERS: usize = 64;
const WARM_UP: Duration = Duration::from_millis(500);
const NAMES: [&str; 2] = ["`Authenticate`", "`GetCurrentSession`"];

/// What a server did for a call.
pub(super) struct Served {
    /// Calls for each second on a core.
    pub(super) per_core: f64,
    /// Calls a second.
    pub(super) throughput: f64,
    /// How much of its core it used.
    busy: f64,
}

#[derive(Default)]
struct Rounds {
    ratios: Vec<f64>,
    subject: Side,
    echo: Side,
}

#[derive(Default)]
struct Side {
    micros: Vec<f64>,
    throughput: Vec<f64>,
    busy: Vec<f64>,
}

/// Measures on one engine.
pub(crate) async fn run(bench: &Bench, home: &Home, engine: Engine) -> Section {
    let auth = home.auth().await;
    let token = home.token(&auth).await;
    let echo = start_echo(bench, home, &auth, &token).await;
    let calls = [Call::authenticate(&home.workload_token, &token), Call::get_current_session(&token)];
    let subjects = [connections(auth.internal, CALLERS).await, auth.target(CALLERS).await];
    let echoes = connections(echo.addresses[0], CALLERS).await;
    let mut rounds: [Rounds; 2] = Default::default();
    for round in 0..bench.rounds {
        bench.progress("cost of a call", round);
        for (number, call) in calls.iter().enumerate() {
            let echo = measure(bench, &echoes, call, echo.id()).await;
            let subject = measure(bench, &subjects[number], call, auth.process.id()).await;
            rounds[number].ratios.push(subject.per_core / echo.per_core);
            rounds[number].echo.add(&echo);
            rounds[number].subject.add(&subject);
        }
    }
    auth.process.end().await;
    echo.end().await;
    let figures = NAMES.into_iter().zip(rounds).flat_map(|(name, rounds)| rounds.figures(name)).collect();
    let note = "The ratio is that of calls per second of the server's CPU time. Where the server did not use its core \
                all the time, the driver's core was the bottleneck: then calls a second say little about the server, \
                and the CPU time of a call what it costs.";
    let title = match engine {
        Engine::Sqlite => "The cost of a cheap call, on SQLite",
        Engine::Postgres => "The cost of a cheap call, on PostgreSQL",
    };
    Section { title, figures, notes: vec![note.to_owned()] }
}

/// Answers what auth-service answers.
pub(super) async fn start_echo(bench: &Bench, home: &Home, auth: &Auth, token: &str) -> Process {
    let bearer = |token: &str| format!("Bearer {token}").parse().expect("a token");
    let mut request = Request::new(GetCurrentSessionRequest::default());
    request.metadata_mut().insert("authorization", bearer(token));
    let session = auth.connection().await.auth().get_current_session(request).await.expect("a session");
    let mut request =
        Request::new(AuthenticateRequest { access_token: token.to_owned(), skip_renewal: false });
    request.metadata_mut().insert("authorization", bearer(&home.workload_token));
    let internal = crate::drive::Connection::open(auth.internal).await.expect("it listens");
    let principal = internal.identity().authenticate(request).await.expect("an outcome");
    let mut command = pinned(&bench.cores, &bench.this_program);
    command.arg("echo");
    command.args(["--authenticate", &hexadecimal(principal.get_ref())]);
    command.args(["--get-current-session", &hexadecimal(session.get_ref())]);
    Process::start(command, 1, &home.log("echo")).await
}

/// A closed loop of one call.
pub(super) async fn measure(bench: &Bench, target: &Target, call: &Call, server: u32) -> Served {
    let window = Window::new(WARM_UP, bench.window / 2);
    let used = CpuTime::within(window, server);
    let (tally, used) = tokio::join!(closed_loop(target, std::slice::from_ref(call), CALLERS, window), used);
    let (successes, total) = (tally.successes(), tally.total());
    assert!(successes == total, "of {total} calls only {successes} were OK:\n{tally}");
    let busy = used.of_a_core();
    Served { per_core: tally.goodput() / busy, throughput: tally.goodput(), busy }
}

impl Side {
    fn add(&mut self, served: &Served) {
        self.micros.push(1e6 / served.per_core);
        self.throughput.push(served.throughput);
        self.busy.push(served.busy);
    }

    fn figures(self, name: &str) -> [Figure; 3] {
        [
            Figure::median(format!("{name}: CPU time of a call"), Unit::Micros, self.micros),
            Figure::median(format!("{name}: calls a second"), Unit::PerSecond, self.throughput),
            Figure::median(format!("{name}: of the core's time"), Unit::Share, self.busy),
        ]
    }
}

impl Rounds {
    fn figures(self, name: &str) -> Vec<Figure> {
        let ratio = format!("{name}, calls per second of a core, to the echo server's");
        let mut figures = vec![Figure::median(ratio, Unit::Ratio, self.ratios)];
        figures.extend(self.subject.figures(name));
        figures.extend(self.echo.figures(&format!("{name} of the echo server")));
        figures
    }
}
