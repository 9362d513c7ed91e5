//! What stands between the socket and the use case, in instructions: they do not depend on who else uses the machine.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::Bench;
use super::figures::{Figure, Section, Unit};
use super::home::{Home, connections};
use super::process::Process;
use crate::drive::{Call, Target, Window, as_f64, closed_loop};

/// Few, so that the calls that are under way at the end, which are not counted, are few as well.
const CALLERS: usize = 8;
/// Until all code has run and all memory is there.
const WARM_UP: Duration = Duration::from_secs(4);
const MEASURED: Duration = Duration::from_secs(12);

/// Measures on the engine of this home, which is SQLite: nobody else then runs what is not counted.
pub(crate) async fn run(bench: &Bench, home: &Home) -> Section {
    let auth = home.auth().await;
    let call = Call::authenticate(&home.workload_token, &home.token(&auth).await);
    auth.process.end().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (mut ratios, mut with, mut without) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..bench.rounds {
        bench.progress("instructions", round);
        let counts = folder.path().join(format!("without-{round}"));
        let bare = home.counted_bare_auth(bench, &counts).await;
        let off = instructions_of_a_call(bare, 0, &call, &counts).await;
        let counts = folder.path().join(format!("with-{round}"));
        let auth = home.counted_auth(&counts).await;
        let on = instructions_of_a_call(auth, 1, &call, &counts).await;
        ratios.push(off / on);
        with.push(on);
        without.push(off);
    }
    let figures = vec![
        Figure::median("without to with", Unit::Ratio, ratios).at_least(0.9),
        Figure::median("with", Unit::Count, with),
        Figure::median("without", Unit::Count, without),
    ];
    let note = "Counted by `valgrind --tool=callgrind` in the server's process, divided by the calls. With: the program \
                as it is shipped, logging a line for each call. Without: the same services on tonic's server, without \
                limits, deadlines, request ids, log and metrics. What the kernel does is not in it.";
    Section {
        title: "Instructions of an `Authenticate`, on SQLite, with what is around it and without",
        figures,
        notes: vec![note.to_owned()],
    }
}

/// The server has said where it listens; one of these is asked.
async fn instructions_of_a_call(server: Process, listener: usize, call: &Call, counts: &Path) -> f64 {
    let target = connections(server.addresses[listener], CALLERS).await;
    calls(&target, call, WARM_UP).await;
    server.zero_counts().await;
    let made = calls(&target, call, MEASURED).await;
    server.dump_counts().await;
    drop(target);
    server.end().await;
    as_f64(counted_in(&format!("{}.1", counts.display()))) / as_f64(made)
}

/// All of them are OK.
async fn calls(target: &Target, call: &Call, length: Duration) -> usize {
    let window = Window::new(Duration::ZERO, length);
    let tally = closed_loop(target, std::slice::from_ref(call), CALLERS, window).await;
    assert!(tally.successes() == tally.total(), "not all are OK:\n{tally}");
    tally.total()
}

/// The sum of a file of callgrind's.
fn counted_in(path: &str) -> usize {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    totals.unwrap_or_else(|| panic!("{path} has no sum"))
}
