//! The name of a call: the caller's own, where it is fit to be echoed and logged.

use std::time::SystemTime;

use http::HeaderMap;
use uuid::Builder;

use super::X_REQUEST_ID;

/// Longer ones would fill the logs of everyone on the way.
const MAX_LENGTH: usize = 64;

/// The one valid `x-request-id`, else a new `UUIDv7`.
pub(super) fn of(headers: &HeaderMap) -> String {
    let mut values = headers.get_all(X_REQUEST_ID).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => valid(value.as_bytes()).map_or_else(new, str::to_owned),
        _ => new(),
    }
}

fn valid(value: &[u8]) -> Option<&str> {
    let fits = (1..=MAX_LENGTH).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic);
    fits.then(|| std::str::from_utf8(value).ok())?
}

/// Random bits from this thread's generator: one of the system's own for each call is a system call for each.
#[expect(clippy::disallowed_methods, reason = "names a call in logs; no rule of the domain depends on it")]
fn new() -> String {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let millis = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
    Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use uuid::Uuid;

    fn of_values(values: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(X_REQUEST_ID, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
        }
        of(&headers)
    }

    #[test]
    fn up_to_64_visible_characters_are_kept() {
        for value in ["a", "!~", &"x".repeat(64)] {
            assert_eq!(of_values(&[value]), value);
        }
    }

    #[test]
    fn anything_else_is_replaced() {
        let too_long = "x".repeat(65);
        let cases: [&[&str]; 6] = [&[], &[""], &["a b"], &["é"], &[&too_long], &["a", "a"]];
        for values in cases {
            let made: Uuid = of_values(values).parse().expect("a UUID");
            assert_eq!(made.get_version_num(), 7);
        }
    }
}
