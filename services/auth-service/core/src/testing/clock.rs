use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use identity::Timestamp;

/// A clock that stands still until a test moves it. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct FakeClock(Arc<Mutex<Timestamp>>);

impl Default for FakeClock {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(DateTime::UNIX_EPOCH + TimeDelta::days(20_000))))
    }
}

impl FakeClock {
    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the clock.
    pub fn advance(&self, delta: TimeDelta) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += delta;
    }
}

impl crate::ports::Clock for FakeClock {
    fn now(&self) -> Timestamp {
        self.now()
    }

    /// Moves the clock instead.
    async fn sleep(&self, duration: Duration) -> bool {
        self.advance(TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX));
        true
    }
}
