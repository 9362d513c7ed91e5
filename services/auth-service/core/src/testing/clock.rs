use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use identity::Timestamp;

/// A clock that stands still until a test moves it. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct FakeClock {
    time: Arc<Mutex<Timestamp>>,
    is_hurried: Arc<AtomicBool>,
}

impl Default for FakeClock {
    fn default() -> Self {
        let time = Arc::new(Mutex::new(DateTime::UNIX_EPOCH + TimeDelta::days(20_000)));
        Self { time, is_hurried: Arc::default() }
    }
}

impl FakeClock {
    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        *self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on nobody has the time to wait.
    pub fn hurry(&self) {
        self.is_hurried.store(true, Ordering::Relaxed);
    }

    /// Moves the clock.
    pub fn advance(&self, delta: TimeDelta) {
        *self.time.lock().unwrap_or_else(PoisonError::into_inner) += delta;
    }
}

impl crate::ports::Clock for FakeClock {
    fn now(&self) -> Timestamp {
        self.now()
    }

    /// Moves the clock instead.
    async fn sleep(&self, duration: Duration) -> bool {
        if self.is_hurried.load(Ordering::Relaxed) {
            return false;
        }
        self.advance(TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX));
        true
    }
}
