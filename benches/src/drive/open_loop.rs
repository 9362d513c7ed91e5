//! Calls at a fixed rate, whoever is waiting.

use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinSet;

use super::tally::{Tally, as_f64};
use super::{Call, Target, Window};

/// Makes the calls in turn, so many a second, and waits for all the answers. Counts every call that was meant to be
/// sent within the window, and its latency from then on.
pub(crate) async fn open_loop(target: &Target, calls: &[Call], rate: f64, window: Window) -> Tally {
    let mut due = times(rate, window);
    let mut under_way = JoinSet::new();
    let mut number = 0;
    while let Some(intended) = due.recv().await {
        let target = target.clone();
        let call = calls[number % calls.len()].clone();
        under_way.spawn(async move {
            let ending = target.call(number, &call).await;
            (intended, intended.elapsed(), ending)
        });
        number += 1;
    }
    let mut tally = Tally::new(window.seconds());
    while let Some(call) = under_way.join_next().await {
        let (intended, latency, ending) = call.expect("a caller does not fail");
        if window.covers(intended) {
            tally.add(ending, latency);
        }
    }
    tally
}

/// When the calls are to be sent, each time at that time. The runtime's own clock goes by milliseconds, which is as
/// long as a call takes; that of a thread does not.
fn times(rate: f64, window: Window) -> UnboundedReceiver<Instant> {
    let (sender, receiver) = unbounded_channel();
    thread::spawn(move || {
        for number in 0.. {
            let due = window.begin + Duration::from_secs_f64(as_f64(number) / rate);
            if due >= window.end {
                return;
            }
            while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
                thread::park_timeout(left);
            }
            if sender.send(due).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn times_come_when_they_are_due() {
        let window = Window::new(Duration::from_millis(10), Duration::from_millis(40));
        let mut due = times(1000.0, window);
        let mut seen = 0;
        while let Some(time) = due.recv().await {
            assert!(time <= Instant::now(), "none comes before its time");
            assert_eq!(time, window.begin + Duration::from_millis(seen));
            seen += 1;
        }
        assert_eq!(seen, 50);
    }
}
