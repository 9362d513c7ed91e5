//! When calls are made, and which of them count.

use std::time::{Duration, Instant};

/// Calls are made from its beginning to its end; what was before `from` is to warm up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) begin: Instant,
    pub(crate) from: Instant,
    pub(crate) end: Instant,
}

impl Window {
    /// One that begins now.
    pub(crate) fn new(warm_up: Duration, measured: Duration) -> Self {
        let begin = Instant::now();
        Self { begin, from: begin + warm_up, end: begin + warm_up + measured }
    }

    /// The same a little later.
    pub(crate) fn shifted(self, by: Duration) -> Self {
        Self { begin: self.begin + by, from: self.from + by, end: self.end + by }
    }

    /// Whether something that happened then counts.
    pub(crate) fn covers(&self, time: Instant) -> bool {
        self.from <= time && time < self.end
    }

    /// How long is measured.
    pub(crate) fn seconds(&self) -> f64 {
        (self.end - self.from).as_secs_f64()
    }

    /// Waits until something counts.
    pub(crate) async fn opens(&self) {
        tokio::time::sleep_until(self.from.into()).await;
    }

    /// Waits until nothing counts any more.
    pub(crate) async fn closes(&self) {
        tokio::time::sleep_until(self.end.into()).await;
    }
}
