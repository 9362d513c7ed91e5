//! The system clock, the only place that reads it.
//!
//! Times are cut to microseconds, the precision that every store keeps. With the feature `test-hooks`, which no build without
//! debug assertions can have, a clock can be moved; clones share the offset, so a test holds one end of the clock that a service
//! runs on. The clock of a process is moved from outside: `TANDEM_CLOCK_OFFSET` names a file with a number of microseconds, which
//! is read each time.

#[cfg(test)]
use overheard as _;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};

#[cfg(all(feature = "test-hooks", not(debug_assertions)))]
compile_error!(
    "`test-hooks` is for builds with debug assertions: build what is released by itself, as with `--package auth-service`"
);

/// A point in time, in UTC.
pub type Timestamp = DateTime<Utc>;

/// The system clock plus an offset that is zero in every release build.
#[derive(Clone, Debug, Default)]
pub struct SystemClock {
    offset_micros: Arc<AtomicI64>,
    #[cfg(feature = "test-hooks")]
    file: hooks::OffsetFile,
}

impl SystemClock {
    /// The clock of this process, which the tests of a test build may move from outside.
    #[must_use]
    pub fn of_process() -> Self {
        Self {
            #[cfg(feature = "test-hooks")]
            file: hooks::OffsetFile::of_environment(),
            offset_micros: Arc::default(),
        }
    }

    /// The time now, cut to whole microseconds.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "this is the clock that everybody else is told to ask")]
        let now = Utc::now() + TimeDelta::microseconds(self.offset_micros());
        now.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(now)
    }

    /// How far it is moved, in microseconds: for a store whose times come from another clock. Zero in every release build.
    #[must_use]
    pub fn offset_micros(&self) -> i64 {
        let offset = self.offset_micros.load(Ordering::Relaxed);
        #[cfg(feature = "test-hooks")]
        let offset = offset.saturating_add(self.file.micros());
        offset
    }

    /// Moves the clock, and every clone of it, by `delta`.
    #[cfg(feature = "test-hooks")]
    pub fn advance(&self, delta: TimeDelta) {
        let micros = delta.num_microseconds().unwrap_or(i64::MAX);
        self.offset_micros.fetch_add(micros, Ordering::Relaxed);
    }
}

#[cfg(feature = "test-hooks")]
mod hooks {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    /// Says how far the clock is moved, if there is one. Whoever changes it puts another file in its place, so that it is
    /// never seen half written.
    #[derive(Clone, Debug, Default)]
    pub(super) struct OffsetFile(Option<Arc<Path>>);

    impl OffsetFile {
        #[expect(clippy::disallowed_methods, reason = "a switch of test builds, not configuration")]
        pub(super) fn of_environment() -> Self {
            Self(std::env::var("TANDEM_CLOCK_OFFSET").ok().map(|file| PathBuf::from(file).into()))
        }

        #[cfg(test)]
        pub(super) fn at(file: &Path) -> Self {
            Self(Some(file.into()))
        }

        pub(super) fn micros(&self) -> i64 {
            let Some(file) = &self.0 else { return 0 };
            let content = fs::read_to_string(file).expect("the file of TANDEM_CLOCK_OFFSET");
            content.trim().parse().expect("TANDEM_CLOCK_OFFSET names a file with a number of microseconds")
        }
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

    #[cfg(feature = "test-hooks")]
    #[test]
    fn a_clock_goes_by_the_offset_that_its_file_has_at_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("offset");
        std::fs::write(&file, "-7200000000\n").unwrap();
        let clock = SystemClock { file: hooks::OffsetFile::at(&file), ..SystemClock::default() };
        let real = SystemClock::default();
        assert!(clock.now() - real.now() <= TimeDelta::hours(-2));
        std::fs::write(&file, "3600000000").unwrap();
        clock.advance(TimeDelta::hours(1));
        assert_eq!(clock.offset_micros(), 7_200_000_000, "both count");
        assert!(real.now() - clock.now() <= TimeDelta::hours(-2));
    }
}
