//! Times as the engines keep them: microseconds since 1970 in a 64-bit integer.
//!
//! Microseconds because PostgreSQL has no finer ones; an integer because SQLite has no times at all and
//! texts of different precision do not sort.

use chrono::{DateTime, Utc};

/// A stored number of microseconds that lies outside of the years that a [`DateTime`] can express.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} microseconds since 1970 is not a time")]
pub struct OutOfRange(pub i64);

/// Microseconds since 1970, cut, not rounded. Every [`DateTime`] fits.
#[must_use]
pub fn to_micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}

/// The time so many microseconds after 1970.
pub fn from_micros(micros: i64) -> Result<DateTime<Utc>, OutOfRange> {
    DateTime::from_timestamp_micros(micros).ok_or(OutOfRange(micros))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::{OutOfRange, from_micros, to_micros};

    #[test]
    fn microseconds_survive_the_way_there_and_back() {
        for micros in [0, 1, -1, 1_795_000_000_123_456, -62_135_596_800_000_000] {
            assert_eq!(from_micros(micros).map(to_micros), Ok(micros));
        }
    }

    #[test]
    fn every_time_fits() {
        for time in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            let back = from_micros(to_micros(time)).expect("in range");
            assert!((time - back).abs() < TimeDelta::microseconds(1));
        }
    }

    #[test]
    fn finer_times_are_cut() {
        let time = DateTime::from_timestamp(1, 999_999_999).expect("in range");
        assert_eq!(to_micros(time), 1_999_999);
    }

    #[test]
    fn a_number_that_is_no_time_is_an_error() {
        assert_eq!(from_micros(i64::MAX), Err(OutOfRange(i64::MAX)));
        assert_eq!(from_micros(i64::MIN), Err(OutOfRange(i64::MIN)));
    }
}
