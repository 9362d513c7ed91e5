//! What stands between the socket and the use case: the same call to auth-service as it is shipped, and to its services on a
//! server of tonic's with nothing around them.

use super::cost_per_call::{CALLERS, measure};
use super::figures::{Figure, Section, Unit};
use super::home::{Home, connections};
use super::{Bench, Engine};
use crate::drive::Call;

/// Measures on one engine.
pub(crate) async fn run(bench: &Bench, home: &Home, engine: Engine) -> Section {
    let auth = home.auth().await;
    let token = home.token(&auth).await;
    let call = Call::authenticate(&home.workload_token, &token);
    let whole = connections(auth.internal, CALLERS).await;
    // A file of SQLite serves one process at a time, so they take turns.
    let (mut ratios, mut throughputs, mut with, mut without) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    drop(whole);
    auth.process.end().await;
    for round in 0..bench.rounds {
        bench.progress("layers", round);
        let bare = home.bare_auth(bench).await;
        let target = connections(bare.addresses[0], CALLERS).await;
        let off = measure(bench, &target, &call, bare.id()).await;
        drop(target);
        bare.end().await;
        let auth = home.auth().await;
        let target = connections(auth.internal, CALLERS).await;
        let on = measure(bench, &target, &call, auth.process.id()).await;
        drop(target);
        auth.process.end().await;
        ratios.push(on.per_core / off.per_core);
        throughputs.push(on.throughput / off.throughput);
        with.push(1e6 / on.per_core);
        without.push(1e6 / off.per_core);
    }
    let figures = vec![
        Figure::median("calls per second of a core, with to without", Unit::Ratio, ratios).at_least(0.9),
        Figure::median("calls a second, with to without", Unit::Ratio, throughputs),
        Figure::median("CPU time of a call, with", Unit::Micros, with),
        Figure::median("CPU time of a call, without", Unit::Micros, without),
    ];
    let note = "With: the program as it is shipped, logging a line for each call. Without: the same services on \
                tonic's server, without limits, deadlines, request ids, log and metrics.";
    Section { title: title(engine), figures, notes: vec![note.to_owned()] }
}

const fn title(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "What is around `Authenticate`, on SQLite",
        Engine::Postgres => "What is around `Authenticate`, on PostgreSQL",
    }
}
