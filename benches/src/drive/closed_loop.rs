//! Callers that wait for their answers.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::ending::Ending;
use super::tally::Tally;
use super::{Call, Target, Window};

/// Until somebody tries again who got no connection.
const UNREACHABLE: Duration = Duration::from_millis(100);

/// This many callers, each with its own of the calls and one of the connections, call as fast as they are answered. Who
/// is told when to come again waits for that long, as the contract asks. Counts whatever is answered within the window.
pub(crate) async fn closed_loop(target: &Target, calls: &[Call], callers: usize, window: Window) -> Tally {
    let mut under_way = JoinSet::new();
    for number in 0..callers {
        let target = target.clone();
        let call = calls[number % calls.len()].clone();
        under_way.spawn(async move {
            let mut tally = Tally::new(window.seconds());
            while Instant::now() < window.end {
                let sent = Instant::now();
                let ending = target.call(number, &call).await;
                let answered = Instant::now();
                let unreachable = (ending.label == Ending::UNREACHABLE).then_some(UNREACHABLE);
                let wait = ending.retry_after.or(unreachable);
                if window.covers(answered) {
                    tally.add(ending, answered - sent);
                }
                if let Some(wait) = wait {
                    sleep(wait.min(left(window))).await;
                }
            }
            tally
        });
    }
    let mut sum = Tally::new(window.seconds());
    while let Some(tally) = under_way.join_next().await {
        sum.merge(tally.expect("a caller does not fail"));
    }
    sum
}

fn left(window: Window) -> Duration {
    window.end.saturating_duration_since(Instant::now())
}
