//! How long a unary call may take, and how long a request may take to come.

use std::time::Duration;

use fail_point::mutant;
use http::{HeaderMap, HeaderName};
use tokio::time::Instant;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// For callers that name none.
const DEFAULT: Duration = Duration::from_secs(10);
/// No call here is worth more; a forgotten one must not hold its resources.
const LONGEST: Duration = Duration::from_secs(30);
/// For a request to come whole: it is sent in one go.
const REQUEST: Duration = Duration::from_secs(10);

/// When a request must have come that is waited for since then; none when its call is over by then.
pub(super) fn of_request(begins: Instant, call_ends: Option<Instant>) -> Option<Instant> {
    let until = begins + REQUEST;
    call_ends.is_none_or(|end| end > until).then_some(until)
}

/// When a unary call with this timeout, if it named one, has run out of time.
pub(super) fn of_unary_call(begins: Instant, timeout: Option<Duration>) -> Instant {
    // A defect: a caller may hold what a call holds for as long as it likes.
    let longest = if mutant("deadlines.as_long_as_asked") { Duration::from_hours(24) } else { LONGEST };
    begins + timeout.unwrap_or(DEFAULT).min(longest)
}

/// Takes the timeout out of the metadata, so that nothing further in enforces it a second time with another
/// answer. One that is malformed or repeated counts as none.
pub(super) fn take_timeout(headers: &mut HeaderMap) -> Option<Duration> {
    let mut values = headers.get_all(GRPC_TIMEOUT).iter();
    let first = values.next()?;
    let timeout = if values.next().is_none() { parse(first.as_bytes()) } else { None };
    headers.remove(GRPC_TIMEOUT);
    timeout
}

/// The timeout in the metadata of a call, if it can be understood.
pub(crate) fn requested(headers: &HeaderMap) -> Option<Duration> {
    headers.get(GRPC_TIMEOUT).and_then(|value| parse(value.as_bytes()))
}

/// `TimeoutValue TimeoutUnit` of the gRPC over HTTP/2 protocol: 1 to 8 digits and a unit.
fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_hours(amount)),
        b'M' => Some(Duration::from_mins(amount)),
        b'S' => Some(Duration::from_secs(amount)),
        b'm' => Some(Duration::from_millis(amount)),
        b'u' => Some(Duration::from_micros(amount)),
        b'n' => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use test_kit::hostile;

    use super::*;

    #[test]
    fn every_unit_of_the_protocol_is_understood() {
        assert_eq!(parse(b"1H"), Some(Duration::from_hours(1)));
        assert_eq!(parse(b"2M"), Some(Duration::from_mins(2)));
        assert_eq!(parse(b"3S"), Some(Duration::from_secs(3)));
        assert_eq!(parse(b"4m"), Some(Duration::from_millis(4)));
        assert_eq!(parse(b"5u"), Some(Duration::from_micros(5)));
        assert_eq!(parse(b"6n"), Some(Duration::from_nanos(6)));
        assert_eq!(parse(b"99999999H"), Some(Duration::from_hours(99_999_999)));
    }

    #[test]
    fn a_malformed_timeout_is_none() {
        for value in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", " 1S", "123456789S", "1 S"] {
            assert_eq!(parse(value.as_bytes()), None, "{value:?}");
        }
    }

    #[test]
    fn a_repeated_timeout_is_none_and_all_are_removed() {
        let mut headers = HeaderMap::new();
        headers.append(GRPC_TIMEOUT, "1S".parse().expect("a header value"));
        headers.append(GRPC_TIMEOUT, "2S".parse().expect("a header value"));
        assert_eq!(take_timeout(&mut headers), None);
        assert!(headers.is_empty());
    }

    #[test]
    fn a_call_has_ten_seconds_unless_it_asks_and_thirty_at_most() {
        let begins = Instant::now();
        let seconds = |timeout: Option<u64>| {
            (of_unary_call(begins, timeout.map(Duration::from_secs)) - begins).as_secs()
        };
        assert_eq!([seconds(None), seconds(Some(1)), seconds(Some(3600))], [10, 1, 30]);
    }
    proptest! {
        #![proptest_config(hostile::cases())]

        #[test]
        fn whatever_timeout_is_asked_for_a_call_ends_within_thirty_seconds(
            value in prop_oneof![
                hostile::damaged(b"99999999H".to_vec()),
                hostile::damaged(b"100m".to_vec()),
                vec(any::<u8>(), 0..12),
            ]
        ) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = http::HeaderValue::from_bytes(&value) {
                headers.append(GRPC_TIMEOUT, value);
            }
            let timeout = take_timeout(&mut headers);
            prop_assert!(headers.is_empty());
            let begins = Instant::now();
            prop_assert!(of_unary_call(begins, timeout) <= begins + LONGEST);
            // By the protocol: at least one and at most eight digits, and a unit.
            let is_one = (2..=9).contains(&value.len())
                && value[..value.len() - 1].iter().all(u8::is_ascii_digit)
                && b"HMSmun".contains(&value[value.len() - 1]);
            prop_assert_eq!(timeout.is_some(), is_one);
        }
    }
}
