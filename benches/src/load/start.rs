//! From the start of the process to its first answer.

use std::time::Instant;

use super::figures::{Figure, Section, Unit};
use super::home::Home;
use super::{Bench, Engine};
use crate::drive::Call;

/// In each round, on each engine.
const STARTS: usize = 10;

/// What a start takes on one engine, once for each round.
pub(crate) async fn run(bench: &Bench, home: &Home, engine: Engine) -> Figure {
    let auth = home.auth().await;
    let call = Call::get_current_session(&home.token(&auth).await);
    auth.process.end().await;
    let mut medians = Vec::new();
    for round in 0..bench.rounds {
        bench.progress(&format!("start on {engine}"), round);
        let mut times = Vec::new();
        for _ in 0..STARTS {
            let begin = Instant::now();
            let auth = home.auth().await;
            let connection = auth.connection().await;
            while !call.make(&connection).await.is_ok() {}
            times.push(begin.elapsed().as_secs_f64() * 1e3);
            auth.process.end().await;
        }
        medians.push(super::figures::median(&times));
    }
    let what = format!("start to the first OK of `GetCurrentSession`, on {engine}");
    Figure::median(what, Unit::Millis, medians).at_most(50.0)
}

/// The table.
pub(crate) fn section(figures: Vec<Figure>) -> Section {
    let note = format!(
        "On a migrated database. Each round is the median of {STARTS} starts; `taskset`, which starts the program, is \
         in it, and so are the connection and the call."
    );
    Section { title: "Start of auth-service", figures, notes: vec![note] }
}
