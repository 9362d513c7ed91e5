//! Times of things that take turns.

use std::time::{Duration, Instant};

/// How long something takes, once.
pub(crate) async fn once(work: impl Future<Output = ()>) -> Duration {
    let began = Instant::now();
    work.await;
    began.elapsed()
}

/// What was measured of one thing.
#[derive(Default)]
pub(crate) struct Sample(Vec<Duration>);

impl Sample {
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The middle one.
    pub(crate) fn median(&self) -> Duration {
        self.quantile(50)
    }

    /// The one that so many in a hundred are not longer than.
    pub(crate) fn quantile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted.get((sorted.len().saturating_sub(1)) * percent / 100).copied().unwrap_or_default()
    }
}

/// How many times as long as the other.
pub(crate) fn ratio(time: Duration, other: Duration) -> f64 {
    time.as_secs_f64() / other.as_secs_f64()
}

/// In microseconds.
pub(crate) fn micros(time: Duration) -> u128 {
    time.as_micros()
}
