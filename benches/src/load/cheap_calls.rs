//! Calls that hash nothing, while others hash.

use std::time::Duration;

use super::Bench;
use super::figures::{Figure, Section, Unit};
use super::home::{Auth, Home, connections};
use super::process::Process;
use crate::drive::{Call, Tally, Target, Window, as_f64, closed_loop, open_loop};

/// Of each of the three, in a second.
const RATE: f64 = 70.0;
const WARM_UP: Duration = Duration::from_secs(1);
/// Callers who log in without pause.
const CROWD: usize = 16;
/// How many times as many log-ins as can be hashed.
const STORM: f64 = 20.0;

const NAMES: [&str; 3] = ["`Authenticate`", "`GetCurrentSession`", "`GetCurrentUser`"];
const CONDITIONS: [&str; 2] = ["16 callers log in", "a storm of log-ins"];

/// The calls, each over connections of its own.
struct Probes([(Target, Call); 3]);

impl Probes {
    async fn new(home: &Home, auth: &Auth, users: &Process) -> Self {
        let token = home.token(auth).await;
        let calls = [
            (auth.internal, Call::authenticate(&home.workload_token, &token)),
            (auth.public, Call::get_current_session(&token)),
            (users.addresses[0], Call::get_current_user(&token)),
        ];
        let [one, two, three] = calls.map(async |(address, call)| (connections(address, 2 * 16).await, call));
        Self([one.await, two.await, three.await])
    }

    /// All of them at their rates, none at the same time as another.
    async fn run(&self, window: Window) -> [Tally; 3] {
        let apart = Duration::from_secs_f64(1.0 / RATE / 3.0);
        let one = |number: usize, later: u32| {
            let (target, call) = &self.0[number];
            open_loop(target, std::slice::from_ref(call), RATE, window.shifted(apart * later))
        };
        let (one, two, three) = tokio::join!(one(0, 0), one(1, 1), one(2, 2));
        [one, two, three]
    }
}

/// Of one call, what each round gave.
#[derive(Default)]
struct Rounds {
    alone: Vec<f64>,
    p99: [Vec<f64>; 2],
    ratios: [Vec<f64>; 2],
    shares: [Vec<f64>; 2],
    calls: [usize; 2],
    successes: [usize; 2],
}

/// Measures.
pub(crate) async fn run(bench: &Bench, home: &Home) -> Section {
    let auth = home.auth().await;
    let users = home.users(&auth).await;
    let probes = Probes::new(home, &auth, &users).await;
    let log_ins = home.log_ins();
    // By CPU time: what can be hashed is the core's, whoever else has some of it now.
    let storm_rate = STORM * bench.argon2_rate(2.0).await.a_cpu_second;
    let mut rounds: [Rounds; 3] = Default::default();
    let mut notes = vec![String::new()];
    for round in 0..bench.rounds {
        bench.progress("cheap calls", round);
        let window = || Window::new(WARM_UP, bench.window * 2);
        let alone = probes.run(window()).await;
        let here = window();
        let target = auth.target(CROWD).await;
        let (crowded, _) = tokio::join!(probes.run(here), closed_loop(&target, &log_ins, CROWD, here));
        let here = window();
        // Each may have as many under way as a connection takes.
        let target = auth.target(16 * 32).await;
        let (stormy, storm) = tokio::join!(probes.run(here), open_loop(&target, &log_ins, storm_rate, here));
        notes[0] = format!(
            "The storm of the last round: {storm_rate:.0} log-ins a second; of them {:.1} succeeded and {:.0} were refused, half of these \
             within {:.1} ms, 99 % within {:.1} ms, all within {:.1} ms, {} of {} with RetryInfo.",
            storm.goodput(),
            as_f64(storm.refusals()) / window().seconds(),
            storm.refusal_latencies().millis(0.5),
            storm.refusal_latencies().millis(0.99),
            storm.refusal_latencies().millis(1.0),
            storm.refusals_with_retry_info(),
            storm.refusals(),
        );
        for (label, count) in storm.unexpected() {
            notes.push(format!("In round {} of the storm {count} log-ins ended {label}.", round + 1));
        }
        for (number, alone) in alone.iter().enumerate() {
            rounds[number].add(alone, [&crowded[number], &stormy[number]]);
        }
    }
    users.end().await;
    auth.process.end().await;
    let figures = NAMES.into_iter().zip(rounds).flat_map(|(name, rounds)| rounds.figures(name)).collect();
    Section { title: "Cheap calls beside log-ins", figures, notes }
}

impl Rounds {
    fn add(&mut self, alone: &Tally, conditions: [&Tally; 2]) {
        let p99_alone = alone.latencies().millis(0.99);
        self.alone.push(p99_alone);
        for (condition, tally) in conditions.into_iter().enumerate() {
            let p99 = tally.latencies().millis(0.99);
            self.p99[condition].push(p99);
            self.ratios[condition].push(p99 / p99_alone);
            self.shares[condition].push(as_f64(tally.successes()) / as_f64(tally.total()));
            self.calls[condition] += tally.total();
            self.successes[condition] += tally.successes();
        }
    }

    fn figures(self, name: &str) -> Vec<Figure> {
        let mut figures = vec![Figure::median(format!("{name} alone, p99"), Unit::Millis, self.alone)];
        let conditions = self.p99.into_iter().zip(self.ratios).zip(self.shares);
        for (number, ((p99, ratios), shares)) in conditions.enumerate() {
            let condition = CONDITIONS[number];
            let share = as_f64(self.successes[number]) / as_f64(self.calls[number]);
            figures.extend([
                Figure::median(format!("{name}, {condition}, p99"), Unit::Millis, p99),
                Figure::median("the same to alone", Unit::Ratio, ratios).at_most(3.0),
                Figure::of("OK, of all", Unit::Share, share, shares).at_least(0.999),
            ]);
        }
        figures
    }
}
