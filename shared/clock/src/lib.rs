//! The system clock, the only place that reads it.
//!
//! Times are cut to microseconds, the precision that every store keeps. With the feature `test-hooks` a clock can be
//! moved; clones share the offset, so a test holds one end of the clock that a service runs on.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};

/// A point in time, in UTC.
pub type Timestamp = DateTime<Utc>;

/// The system clock plus an offset that is zero in every release build.
#[derive(Clone, Debug, Default)]
pub struct SystemClock {
    offset_micros: Arc<AtomicI64>,
}

impl SystemClock {
    /// The time now, cut to whole microseconds.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is told to ask")]
        let now = Utc::now() + TimeDelta::microseconds(self.offset_micros.load(Ordering::Relaxed));
        now.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(now)
    }

    /// How far it is moved, in microseconds: for a store whose times come from another clock. Zero in every release build.
    #[must_use]
    pub fn offset_micros(&self) -> i64 {
        self.offset_micros.load(Ordering::Relaxed)
    }

    /// Moves the clock, and every clone of it, by `delta`.
    #[cfg(feature = "test-hooks")]
    pub fn advance(&self, delta: TimeDelta) {
        let micros = delta.num_microseconds().unwrap_or(i64::MAX);
        self.offset_micros.fetch_add(micros, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_cut_to_microseconds() {
        assert_eq!(SystemClock::default().now().timestamp_subsec_nanos() % 1000, 0);
    }

    #[cfg(feature = "test-hooks")]
    #[test]
    fn a_clone_is_moved_with_its_original() {
        let clock = SystemClock::default();
        let other = clock.clone();
        let before = other.now();
        clock.advance(TimeDelta::hours(2));
        assert!(other.now() - before >= TimeDelta::hours(2));
    }
}
