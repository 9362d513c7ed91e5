//! Where a caller comes from: the other end of the connection, or whom a proxy that is trusted says it calls for.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use tonic::metadata::MetadataMap;

/// The address of the caller behind the connection from `peer`.
///
/// Every proxy appends to `x-forwarded-for` whom it was called by, so the last entries are those of the nearest ones: they
/// are believed from the end, as far as a trusted proxy wrote them. What stands further in front anybody may have made up.
pub(super) fn client_address(
    peer: Option<IpAddr>,
    metadata: &MetadataMap,
    trusted_proxies: &[IpNet],
) -> Option<IpAddr> {
    let trusted = |address: &IpAddr| trusted_proxies.iter().any(|network| network.contains(address));
    let mut address = peer?.to_canonical();
    // Bytes, because what the caller made up may be no text, and what the proxy appended to it still counts.
    let forwarded: Vec<_> = metadata
        .get_all("x-forwarded-for")
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_encoded_bytes()))
        .collect();
    let entries = forwarded.iter().rev().flat_map(|value| value.rsplit(','));
    for entry in entries {
        if !trusted(&address) {
            break;
        }
        // A name that is no address is as far as it can be followed: the proxy that wrote it is who is known.
        let Some(before) = parse(entry.trim()) else { break };
        address = before;
    }
    Some(address)
}

/// Some proxies add the port, some put IPv6 addresses into brackets.
fn parse(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|entry| entry.strip_suffix(']'));
    let entry = bare.unwrap_or(entry);
    let address = entry.parse().or_else(|_| entry.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;
    use test_kit::hostile;

    use super::*;

    fn found(peer: &str, forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        let mut headers = HeaderMap::new();
        for value in forwarded {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append("x-forwarded-for", value);
        }
        let metadata = MetadataMap::from_headers(headers);
        client_address(Some(peer.parse().unwrap()), &metadata, &trusted).unwrap().to_string()
    }

    #[test]
    fn a_stranger_is_who_it_is_whatever_it_says() {
        assert_eq!(found("192.0.2.1", &["198.51.100.9"]), "192.0.2.1");
        assert_eq!(found("::ffff:192.0.2.1", &[]), "192.0.2.1");
    }

    #[test]
    fn trusted_proxies_are_believed_from_the_last_on() {
        for (forwarded, expected) in [
            (&["192.0.2.1"][..], "192.0.2.1"),
            (&["198.51.100.9, 192.0.2.1"], "192.0.2.1"),
            (&["é, 192.0.2.1"], "192.0.2.1"),
            (&["198.51.100.9, 192.0.2.1, 10.1.1.1"], "192.0.2.1"),
            (&["198.51.100.9", "192.0.2.1", "10.1.1.1"], "192.0.2.1"),
            (&["198.51.100.9, 192.0.2.1:4711"], "192.0.2.1"),
            (&["[2001:db9::7]:4711,2001:db8::1"], "2001:db9::7"),
            (&["[2001:db9::7], 10.1.1.1"], "2001:db9::7"),
            (&["10.2.2.2"], "10.2.2.2"),
            (&[], "10.0.0.1"),
            (&["192.0.2.1, unknown"], "10.0.0.1"),
            (&["192.0.2.1, unknown, 10.1.1.1"], "10.1.1.1"),
            (&["192.0.2.1, "], "10.0.0.1"),
        ] {
            assert_eq!(found("10.0.0.1", forwarded), expected, "{forwarded:?}");
        }
        assert_eq!(found("::ffff:10.0.0.1", &["192.0.2.1"]), "192.0.2.1");
    }

    #[test]
    fn who_has_no_address_has_none() {
        assert_eq!(client_address(None, &MetadataMap::new(), &[]), None);
    }
    proptest! {
        #![proptest_config(hostile::cases())]

        #[test]
        fn nobody_is_believed_but_a_trusted_proxy(
            (trusts_peer, values) in (any::<bool>(), vec(prop_oneof![
                hostile::damaged(b"198.51.100.9, [2001:db9::7]:4711, 10.1.1.1".to_vec()),
                vec(select(vec!["192.0.2.1", "10.2.2.2", "2001:db8::1", "unknown", "", "é"]), 0..5)
                    .prop_map(|entries| entries.join(",").into_bytes()),
                vec(any::<u8>(), 0..30),
            ], 0..4))
        ) {
            let trusted = ["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
            let mut headers = HeaderMap::new();
            for value in values.iter().filter_map(|value| HeaderValue::from_bytes(value).ok()) {
                headers.append("x-forwarded-for", value);
            }
            let peer: IpAddr = if trusts_peer { "10.0.0.1" } else { "192.0.2.77" }.parse().unwrap();
            let all: Vec<_> = headers.values().flat_map(|value| {
                let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
                text.split(',').filter_map(|entry| parse(entry.trim())).collect::<Vec<_>>()
            }).collect();
            let found = client_address(Some(peer), &MetadataMap::from_headers(headers), &trusted).unwrap();
            prop_assert!(found == peer || trusts_peer && all.contains(&found), "{}", found);
        }
    }
}
