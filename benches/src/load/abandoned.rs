//! Log-ins whose callers have gone.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Bench;
use super::figures::{Figure, Section, Unit};
use super::home::Home;
use crate::drive::{Window, as_f64, closed_loop};
use crate::usage::CpuTime;

/// How many log-ins.
const LOG_INS: usize = 500;
/// As many at a time that the driver has sent them all long before it gives up on them.
const AT_ONCE: usize = 50;
/// How long their callers wait.
const PATIENCE: Duration = Duration::from_millis(5);
/// How long the server is watched afterwards.
const AFTERWARDS: Duration = Duration::from_secs(2);
/// About nothing: a hash that had begun is finished, and 500 calls have to be put away.
const LEFT: f64 = 5.0;

/// Measures.
pub(crate) async fn run(bench: &Bench, home: &Home) -> Section {
    let auth = home.auth().await;
    let calls = home.log_ins();
    let server = auth.process.id();
    let (mut arrived, mut whole, mut left, mut next) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut answered = 0;
    for round in 0..bench.rounds {
        bench.progress("abandoned log-ins", round);
        let target = auth.target(AT_ONCE).await;
        let window = Window::new(Duration::ZERO, Duration::from_secs(1));
        let before = CpuTime::of(server);
        let one_by_one = closed_loop(&target, &calls, 1, window).await;
        let one = CpuTime::of(server).since(&before).cpu.as_secs_f64() / as_f64(one_by_one.successes());
        let alone = one_by_one.latencies().millis(0.5);

        let idle = used_in(server, AFTERWARDS).await;
        let known = auth.log_ins_that_arrived().await;
        let begin = CpuTime::of(server);
        for wave in 0..LOG_INS / AT_ONCE {
            let mut under_way = JoinSet::new();
            for number in 0..AT_ONCE {
                let target = target.clone();
                let call = calls[(wave * AT_ONCE + number) % calls.len()].clone();
                under_way.spawn(async move { timeout(PATIENCE, target.call(number, &call)).await.is_ok() });
            }
            let ends = under_way.join_all().await;
            answered += ends.into_iter().filter(|in_time| *in_time).count();
        }
        let gone = CpuTime::of(server);
        sleep(AFTERWARDS).await;
        let end = CpuTime::of(server);
        arrived.push(auth.log_ins_that_arrived().await - known);
        whole.push(end.since(&begin).cpu.as_secs_f64() / one);
        left.push((end.since(&gone).cpu.as_secs_f64() - idle) / one);

        // As long as alone, if nobody is before it.
        let window = Window::new(Duration::ZERO, Duration::from_millis(500));
        next.push(closed_loop(&target, &calls, 1, window).await.latencies().millis(0.5) / alone);
    }
    auth.process.end().await;
    let figures = vec![
        Figure::median("log-ins that reached the server", Unit::Count, arrived),
        Figure::median("CPU time in the 2 s after they were gone, in log-ins", Unit::FineCount, left)
            .at_most(LEFT),
        Figure::median("CPU time from the first one on, in log-ins", Unit::FineCount, whole),
        Figure::median("a log-in afterwards, to one before", Unit::Ratio, next),
    ];
    let note = format!(
        "{LOG_INS} log-ins, {AT_ONCE} at a time, each given up after {} ms; {answered} in all rounds were answered in \
         that time. A log-in's CPU time is that of log-ins one by one.",
        PATIENCE.as_millis()
    );
    Section { title: "Log-ins that are abandoned", figures, notes: vec![note] }
}

/// Seconds on a core in so long a time without calls.
async fn used_in(server: u32, time: Duration) -> f64 {
    let before = CpuTime::of(server);
    sleep(time).await;
    CpuTime::of(server).since(&before).cpu.as_secs_f64()
}
