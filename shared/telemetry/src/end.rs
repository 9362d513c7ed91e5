//! When the process has to be gone. What waits at the end, until spans are sent or lines are written, has what is left until then
//! and no more, whatever it would have had otherwise.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

static GONE: OnceLock<Instant> = OnceLock::new();

/// What is kept of the last second for the end of the process itself.
const EXIT: Duration = Duration::from_millis(300);

/// And for the log, which is written last.
const LOG: Duration = Duration::from_millis(100);

/// Whatever has been used up before, so long there is for whoever answers at once.
const AT_LEAST: Duration = Duration::from_millis(50);

/// When calls have ended nobody waits any longer until a line is written: all are together, at the end.
const LINES: Duration = Duration::from_secs(1);

/// Says when the process has to be gone, as soon as it is asked to end. What is said first counts.
pub fn gone_by(end: Instant) {
    let _ = GONE.set(end);
}

/// How long one line may be waited for.
pub(crate) fn for_a_line(at_most: Duration) -> Duration {
    GONE.get().map_or(at_most, |gone| left_of(*gone, LINES).min(at_most))
}

/// How long all lines may be waited for, at the end.
pub(crate) fn for_the_log(at_most: Duration) -> Duration {
    GONE.get().map_or(at_most, |gone| left_of(*gone, EXIT).max(AT_LEAST).min(at_most))
}

/// How long spans may be waited for, at the end.
pub(crate) fn for_spans(at_most: Duration) -> Duration {
    GONE.get().map_or(at_most, |gone| left_of(*gone, EXIT + LOG).max(AT_LEAST).min(at_most))
}

fn left_of(gone: Instant, kept: Duration) -> Duration {
    gone.saturating_duration_since(Instant::now()).saturating_sub(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_waits_at_the_end_has_what_is_left_of_it() {
        let usual = Duration::from_secs(1);
        assert_eq!([for_a_line(usual), for_the_log(usual), for_spans(usual)], [usual; 3], "it goes on");
        let end = Instant::now() + Duration::from_hours(1);
        gone_by(end);
        gone_by(end + Duration::from_hours(1));
        let longer = Duration::from_hours(2);
        let [line, log, spans] = [for_a_line(longer), for_the_log(longer), for_spans(longer)];
        assert!(line < spans && spans < log && log < Duration::from_hours(1), "{line:?}, {spans:?}, {log:?}");
        assert_eq!(
            left_of(Instant::now() + EXIT, LINES),
            Duration::ZERO,
            "nothing is left but for the end itself"
        );
        assert_eq!(for_the_log(Duration::from_millis(1)), Duration::from_millis(1), "and no more than usual");
    }
}
