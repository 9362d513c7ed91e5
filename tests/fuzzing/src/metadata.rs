//! The metadata of a call: what a handler is told of it is so, whatever was sent.
//!
//! An input is headers, one on each line. A call with them goes through the layer that all calls go through, to a service that
//! looks at what has become of it.

use std::net::IpAddr;
use std::str::FromStr as _;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use futures::FutureExt as _;
use grpc_kit::metadata::{Bearer, bearer};
use grpc_kit::{Call, CallLayer, call};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use ipnet::IpNet;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::Target;

pub(crate) const TARGET: Target = Target {
    name: "metadata",
    run,
    seeds,
    words: &[
        "\ngrpc-timeout: ",
        "\ntraceparent: ",
        "\ntracestate: ",
        "\nauthorization: ",
        "\nx-request-id: ",
        "\nx-forwarded-for: ",
        "Bearer ",
        "bearer  ",
        "99999999H",
        "0n",
        "00000001S",
        "00-",
        "ff-",
        "-01",
        "10.0.0.1",
        "::1",
        "[2001:db8::1]:80",
        "192.0.2.1:80",
        ",",
        "\t",
        "é",
    ],
    defect: "deadlines.as_long_as_asked",
};

const LONGEST: Duration = Duration::from_secs(30);

static LAYER: LazyLock<CallLayer> = LazyLock::new(|| {
    let layer = CallLayer::new("auth.tandem");
    layer.serving(&[api::descriptors::AUTH], &["tandem.auth.v1.AuthService"]).expect("good descriptors")
});
static TRUSTED: LazyLock<[IpNet; 2]> =
    LazyLock::new(|| ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().expect("a network")));

/// What a service is told of a call.
type Seen = (Call, HeaderMap, Instant);

fn run(input: &[u8]) {
    let sent = headers(input);
    let (seen, answered) = crate::calls::block_on(called_with(sent.clone()));
    let (call, received, now) = seen;
    timeout(&sent, &received, call.deadline.expect("a call that is no stream has an end") - now);
    name(&sent, &call.request_id, &answered);
    trace(&sent, &call);
    caller(&sent);
    address(&sent);
}

/// Lines that are no header are left out, as HTTP/2 does not let them in.
fn headers(input: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    headers
}

async fn called_with(headers: HeaderMap) -> (Seen, HeaderMap) {
    let seen: Arc<Mutex<Option<Seen>>> = Arc::default();
    let looks = {
        let seen = Arc::clone(&seen);
        service_fn(move |request: Request<Body>| {
            let call = call::current().expect("a call");
            *seen.lock().expect("nobody panics here") =
                Some((call, request.into_parts().0.headers, Instant::now()));
            let answer =
                Response::builder().header("grpc-status", "0").body(Body::empty()).expect("an answer");
            async move { Ok(answer) }.boxed()
        })
    };
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = api::Rpc::AuthGetCurrentSession.path().parse().expect("a path");
    *request.headers_mut() = headers;
    let answer = LAYER.layer(looks).oneshot(request).await.expect("an answer");
    let seen = seen.lock().expect("nobody panics here").take().expect("the call came to the service");
    (seen, answer.into_parts().0.headers)
}

/// The values of a header.
fn values<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
}

/// A call ends when its caller asks, and within thirty seconds at any rate.
fn timeout(sent: &HeaderMap, received: &HeaderMap, left: Duration) {
    assert!(left <= LONGEST, "{left:?} for a call");
    assert!(received.get("grpc-timeout").is_none(), "somebody further in could enforce it otherwise");
    let asked = match values(sent, "grpc-timeout")[..] {
        [value] => asked(value),
        _ => None,
    };
    assert_eq!(left, asked.unwrap_or(Duration::from_secs(10)).min(LONGEST), "asked for {asked:?}");
}

/// One to eight digits and a unit, as the protocol of gRPC has it.
fn asked(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    let nanoseconds = match unit {
        b'n' => 1,
        b'u' => 1_000,
        b'm' => 1_000_000,
        b'S' => return Some(Duration::from_secs(number)),
        b'M' => return Some(Duration::from_secs(number * 60)),
        b'H' => return Some(Duration::from_secs(number * 3600)),
        _ => return None,
    };
    Some(Duration::from_nanos(number * nanoseconds))
}

/// A call has one name of visible characters, the caller's where it is fit.
fn name(sent: &HeaderMap, name: &str, answered: &HeaderMap) {
    let is_fit = |name: &[u8]| (1..=64).contains(&name.len()) && name.iter().all(u8::is_ascii_graphic);
    assert!(is_fit(name.as_bytes()), "{name:?}");
    assert_eq!(values(answered, "x-request-id"), [name.as_bytes()]);
    if let [value] = values(sent, "x-request-id")[..] {
        assert!(!is_fit(value) || value == name.as_bytes(), "{name:?} and not {value:?}");
    }
}

/// What is passed on of a trace is what was received, and such that everybody can read it.
fn trace(sent: &HeaderMap, call: &Call) {
    let Some(parent) = &call.traceparent else {
        assert_eq!(call.tracestate, None);
        return;
    };
    assert_eq!(values(sent, "traceparent"), [parent.as_bytes()]);
    let parts: Vec<&str> = parent.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    assert_eq!(lengths, [2, 32, 16, 2], "{parent}");
    let numbers: Vec<_> = parts.iter().map(|part| u128::from_str_radix(part, 16)).collect();
    assert!(
        numbers.iter().all(Result::is_ok) && !parent.contains(|c: char| c.is_uppercase() || c == '+'),
        "{parent}"
    );
    assert!(numbers[0] != Ok(255) && numbers[1] != Ok(0) && numbers[2] != Ok(0), "{parent}");
    assert!(
        call.tracestate.as_ref().is_none_or(|state| (1..=512).contains(&state.len())),
        "{:?}",
        call.tracestate
    );
}

/// Whoever comes with a token comes with one.
fn caller(sent: &HeaderMap) {
    let metadata = MetadataMap::from_headers(sent.clone());
    let values = values(sent, "authorization");
    match bearer(&metadata) {
        Bearer::Absent => assert!(values.is_empty()),
        Bearer::Malformed => assert!(!values.is_empty()),
        Bearer::Token(token) => {
            let [value] = values[..] else { panic!("a token out of {} values", values.len()) };
            let (scheme, rest) = value.split_at(value.len() - token.len());
            assert_eq!(rest, token.as_bytes());
            assert_eq!(scheme.trim_ascii_end().to_ascii_lowercase(), b"bearer");
            assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()), "{token}");
        }
    }
}

/// Nobody is taken for somebody else on its own word: only proxies that are trusted say for whom they call.
fn address(sent: &HeaderMap) {
    let metadata = MetadataMap::from_headers(sent.clone());
    let found = |peer| auth_service::fuzzing::client_address(peer, &metadata, &*TRUSTED);
    let stranger = IpAddr::from([192, 0, 2, 1]);
    assert_eq!(found(stranger), Some(stranger));
    let proxy = IpAddr::from([10, 0, 0, 1]);
    let client = found(proxy).expect("an address");
    let entries = values(sent, "x-forwarded-for");
    let said =
        entries.iter().flat_map(|value| value.split(|byte| *byte == b',')).any(|entry| says(entry, client));
    assert!(client == proxy || said, "{client}, which nobody said");
}

/// Whether an entry, with or without brackets and a port, is this address.
fn says(entry: &[u8], address: IpAddr) -> bool {
    let entry = String::from_utf8_lossy(entry);
    let entry = entry.trim();
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    let before_port = entry.rsplit_once(':').map_or(entry, |(address, _)| address);
    [entry, bare, before_port, before_port.trim_start_matches('[').trim_end_matches(']')]
        .iter()
        .any(|text| IpAddr::from_str(text).is_ok_and(|found| found.to_canonical() == address))
}

fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "authorization: Bearer abc.def\ngrpc-timeout: 100m\nx-request-id: r-1\n",
        "grpc-timeout: 1S\ngrpc-timeout: 2S\nauthorization: Bearer a\nauthorization: Bearer a",
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\ntracestate: a=1,b=2\ntracestate: c=3",
        "x-forwarded-for: 192.0.2.1, 198.51.100.9:80, [2001:db8::1]:80, 10.1.1.1\nx-request-id: a b",
        "grpc-timeout: 99999999H\nauthorization: basic abc",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}
