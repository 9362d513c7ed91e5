//! From the start of the process to its first answer.

use std::time::Instant;

use super::figures::{Figure, Section, Unit};
use super::home::Home;
use super::{Bench, Engine};
use crate::drive::{Call, Connection};

/// In each round, on each engine.
const STARTS: usize = 10;

/// What the starts of both services take on one engine, once for each round.
pub(crate) async fn run(bench: &Bench, home: &Home, engine: Engine) -> [Figure; 2] {
    let auth = home.auth().await;
    let token = home.token(&auth).await;
    auth.process.end().await;
    let (mut of_auth, mut of_users) = (Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        bench.progress(&format!("start on {engine}"), round);
        of_auth.push(auth_starts(home, &token).await);
        of_users.push(users_starts(home, &token).await);
    }
    let figure = |method: &str, medians| {
        let what = format!("start to the first OK of `{method}`, on {engine}");
        Figure::median(what, Unit::Millis, medians).at_most(50.0)
    };
    [figure("GetCurrentSession", of_auth), figure("GetCurrentUser", of_users)]
}

async fn auth_starts(home: &Home, token: &str) -> f64 {
    let call = Call::get_current_session(token);
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let begin = Instant::now();
        let auth = home.auth().await;
        let connection = auth.connection().await;
        while !call.make(&connection).await.is_ok() {}
        times.push(begin.elapsed().as_secs_f64() * 1e3);
        auth.process.end().await;
    }
    super::figures::median(&times)
}

/// Beside an auth-service that is there already, and after one start in which it could hear of the account.
async fn users_starts(home: &Home, token: &str) -> f64 {
    let auth = home.auth().await;
    let call = Call::get_current_user(token);
    let mut times = Vec::new();
    for _ in 0..=STARTS {
        let begin = Instant::now();
        let users = home.users(&auth).await;
        let connection = Connection::open(users.addresses[0]).await.expect("it listens");
        while !call.make(&connection).await.is_ok() {}
        times.push(begin.elapsed().as_secs_f64() * 1e3);
        users.end().await;
    }
    auth.process.end().await;
    super::figures::median(&times[1..])
}

/// The table.
pub(crate) fn section(figures: Vec<Figure>) -> Section {
    let note = format!(
        "On a migrated database. Each round is the median of {STARTS} starts; `taskset`, which starts the program, is \
         in it, and so are the connection and the call."
    );
    Section { title: "Start", figures, notes: vec![note] }
}
