//! W3C trace context, read so that it can be logged and passed on. Whether a call is sampled, and what a span
//! is, is telemetry's business.

use http::HeaderMap;

/// `traceparent` of the one length that version 00 has: `00-<32 hex>-<16 hex>-<2 hex>`.
const LENGTH: usize = 55;
/// Where the trace id is in a `traceparent`.
const TRACE_ID: std::ops::Range<usize> = 3..35;
/// What the standard asks everyone to pass on at least, and all that is passed on here.
const MAX_TRACESTATE: usize = 512;

/// The caller's `traceparent`, and `tracestate` if there is one; nothing when the former is malformed.
pub(super) fn read(headers: &HeaderMap) -> Option<(String, Option<String>)> {
    let mut values = headers.get_all("traceparent").iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let traceparent = value.to_str().ok().filter(|value| well_formed(value))?;
    Some((traceparent.to_owned(), tracestate(headers)))
}

/// The trace that a well-formed `traceparent` belongs to.
pub(super) fn trace_id(traceparent: &str) -> Option<&str> {
    traceparent.get(TRACE_ID)
}

fn well_formed(value: &str) -> bool {
    let parts: Vec<&str> = value.split('-').collect();
    let hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    value.len() == LENGTH
        && parts.iter().map(|part| part.len()).eq([2, 32, 16, 2])
        && parts.iter().all(|part| hex(part))
        && parts[0] != "ff"
        && !zero(parts[1])
        && !zero(parts[2])
}

/// Repeated values are one list (RFC 9110, section 5.3).
fn tracestate(headers: &HeaderMap) -> Option<String> {
    let values: Option<Vec<&str>> =
        headers.get_all("tracestate").iter().map(|value| value.to_str().ok()).collect();
    let joined = values?.join(",");
    (1..=MAX_TRACESTATE).contains(&joined.len()).then_some(joined)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use test_kit::hostile;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(parent: &str, states: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.append("traceparent", parent.parse().expect("a header value"));
        for state in states {
            headers.append("tracestate", state.parse().expect("a header value"));
        }
        headers
    }

    #[test]
    fn a_well_formed_context_is_read_as_it_is() {
        let (parent, state) = read(&headers(GOOD, &["a=1", "b=2"])).expect("a context");
        assert_eq!((parent.as_str(), state.as_deref()), (GOOD, Some("a=1,b=2")));
        assert_eq!(trace_id(&parent), Some("0af7651916cd43dd8448eb211c80319c"));
    }

    #[test]
    fn a_malformed_context_is_none() {
        for parent in [
            "",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            assert_eq!(read(&headers(parent, &["a=1"])), None, "{parent}");
        }
    }
    proptest! {
        #![proptest_config(hostile::cases())]

        #[test]
        fn a_context_that_is_read_is_one_for_everybody(
            parent in prop_oneof![hostile::damaged(GOOD.as_bytes().to_vec()), vec(any::<u8>(), 0..60)],
            states in vec(prop_oneof![hostile::damaged(b"a=1,b=2".to_vec()), vec(any::<u8>(), 0..600)], 0..3),
        ) {
            let mut headers = HeaderMap::new();
            let value = |bytes: &Vec<u8>| http::HeaderValue::from_bytes(bytes).ok();
            headers.extend(value(&parent).map(|value| (http::HeaderName::from_static("traceparent"), value)));
            for state in states.iter().filter_map(value) {
                headers.append("tracestate", state);
            }
            if let Some((parent, state)) = read(&headers) {
                prop_assert_eq!(parent.len(), LENGTH);
                let id = trace_id(&parent).expect("its place");
                let id = opentelemetry::trace::TraceId::from_hex(id).expect("hexadecimal digits");
                prop_assert!(id != opentelemetry::trace::TraceId::INVALID);
                prop_assert!(state.is_none_or(|state| state.len() <= MAX_TRACESTATE));
            }
        }
    }
}
