//! Log-ins against the least that they can cost, which is their hashes.

use std::time::Duration;

use super::Bench;
use super::figures::{Figure, Section, Unit};
use super::home::Home;
use crate::drive::{Tally, Window, as_f64, closed_loop};
use crate::usage::CpuTime;

const CALLERS: [usize; 3] = [16, 64, 256];
const WARM_UP: Duration = Duration::from_secs(1);
/// For how many seconds Argon2id is measured alone.
const ALONE: f64 = 3.0;

/// What each round gave.
#[derive(Default)]
struct Rounds {
    raw: Vec<f64>,
    log_ins: [Vec<f64>; 3],
    ratios: [Vec<f64>; 3],
    cpu_ratios: [Vec<f64>; 3],
    kept: Vec<f64>,
    kept_of_ratios: Vec<f64>,
    refusals_a_second: Vec<f64>,
    slowest_refusal: Vec<f64>,
    usual_refusal: Vec<f64>,
    refused: usize,
    refused_with_retry_info: usize,
    unexpected: usize,
    unexpected_labels: Vec<String>,
}

/// Measures.
pub(crate) async fn run(bench: &Bench, home: &Home) -> Section {
    let auth = home.auth().await;
    let calls = home.log_ins();
    let mut rounds = Rounds::default();
    for round in 0..bench.rounds {
        bench.progress("log-ins", round);
        let (mut goodputs, mut ratios) = ([0.0; 3], [0.0; 3]);
        let mut together = Tally::default();
        let mut before = bench.argon2_rate(ALONE).await;
        for (level, callers) in CALLERS.into_iter().enumerate() {
            let target = auth.target(callers).await;
            // Long enough for those who were refused to come again.
            let length = if callers > 64 { bench.window * 6 } else { bench.window };
            let window = Window::new(WARM_UP, length);
            let used = CpuTime::within(window, auth.process.id());
            let (tally, used) = tokio::join!(closed_loop(&target, &calls, callers, window), used);
            let after = bench.argon2_rate(ALONE).await;
            let raw = before.mean(after);
            before = after;
            goodputs[level] = tally.goodput();
            rounds.raw.push(raw.a_second);
            rounds.log_ins[level].push(tally.goodput());
            ratios[level] = tally.goodput() / raw.a_second;
            rounds.ratios[level].push(ratios[level]);
            rounds.cpu_ratios[level].push(tally.goodput() / used.of_a_core() / raw.a_cpu_second);
            if callers > 64 {
                rounds.refusals_a_second.push(as_f64(tally.refusals()) / window.seconds());
            }
            together.merge(tally);
        }
        let to_the_most = |of: [f64; 3]| of[2] / of.into_iter().fold(0.0, f64::max);
        rounds.kept.push(to_the_most(goodputs));
        rounds.kept_of_ratios.push(to_the_most(ratios));
        rounds.slowest_refusal.push(together.refusal_latencies().millis(1.0));
        rounds.usual_refusal.push(together.refusal_latencies().millis(0.5));
        rounds.refused += together.refusals();
        rounds.refused_with_retry_info += together.refusals_with_retry_info();
        for (label, count) in together.unexpected() {
            rounds.unexpected += count;
            rounds.unexpected_labels.push(format!("{count} ended {label}"));
        }
    }
    auth.process.end().await;
    rounds.section()
}

impl Rounds {
    fn section(self) -> Section {
        let mut figures = vec![Figure::median("Argon2id alone", Unit::PerSecond, self.raw)];
        let levels = CALLERS.into_iter().zip(self.log_ins).zip(self.ratios).zip(self.cpu_ratios);
        for (((callers, log_ins), ratios), cpu_ratios) in levels {
            figures.extend([
                Figure::median(format!("log-ins, {callers} callers"), Unit::PerSecond, log_ins),
                Figure::median("the same to Argon2id alone", Unit::Ratio, ratios).at_least(0.90),
                Figure::median("by the CPU time of both", Unit::Ratio, cpu_ratios),
            ]);
        }
        let told = as_f64(self.refused_with_retry_info) / as_f64(self.refused);
        figures.extend([
            // Levels are a minute apart, in which the machine itself can become slower by a third.
            Figure::median("goodput with 256 callers, to the most", Unit::Ratio, self.kept).at_least(0.95),
            Figure::median("the same of the ratios to Argon2id alone", Unit::Ratio, self.kept_of_ratios)
                .at_least(0.95),
            Figure::median("refusals beside that", Unit::PerSecond, self.refusals_a_second),
            Figure::median("a refusal (`HASHER_BUSY`), median", Unit::Millis, self.usual_refusal),
            Figure::median("the slowest refusal of a round", Unit::Millis, self.slowest_refusal)
                .at_most(50.0),
            Figure::of("refusals that carry RetryInfo", Unit::Share, told, Vec::new()).at_least(1.0),
            Figure::of("log-ins that ended otherwise", Unit::Count, as_f64(self.unexpected), Vec::new())
                .at_most(0.0),
        ]);
        let mut notes = vec![format!(
            "By CPU time: log-ins per second that auth-service spent on the core, to hashes per second that Argon2id \
             spent there. Where nothing else runs on the core, the two ratios differ by the time in which the core had \
             nothing to do. {} refusals: who is refused waits for as long as RetryInfo says and tries again, as \
             the contract asks.",
            self.refused
        )];
        notes.extend(self.unexpected_labels);
        Section { title: "Log-ins", figures, notes }
    }
}
