//! Calls whose request is begun and not ended, on every stream of many connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use e2e::Service;
use futures::future::join_all;
use http::{HeaderMap, Request};
use hyper::body::Bytes;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::{Code, Status};

use super::witness::Target;

const CONNECTIONS: u32 = 15;

/// How long after one comes the next. All at once they would show only how fast two programs on one machine move bytes.
const BETWEEN: Duration = Duration::from_millis(500);

/// As many as a connection may have.
const CALLS: usize = 200;

/// What is sent of a message: its prefix, which says that it is as large as a message may be, and nearly all of it.
const SENT: usize = 64_000;

/// What is sent of a call that holds nothing but its metadata: as many fields as it may have.
const FIELDS: usize = 430;

/// A request has 10 s, and the last is begun 7 s after the first; the rest is for the machine.
const PATIENCE: Duration = Duration::from_secs(30);

for_each_service!(half_a_message_to_the_health_service, metadata_and_no_message);

async fn half_a_message_to_the_health_service(service: Service) {
    withstood(service, "half messages to Watch", &half_a_message("/grpc.health.v1.Health/Watch")).await;
}

async fn metadata_and_no_message(service: Service) {
    let mut begun = half_a_message("/grpc.health.v1.Health/Watch");
    begun.sent = Bytes::new();
    begun.fields = FIELDS;
    withstood(service, "metadata and no message", &begun).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_message_to_log_in() {
    let log_in = half_a_message("/tandem.auth.v1.AuthService/LogIn");
    Box::pin(withstood(Service::Auth, "half messages to LogIn", &log_in)).await;
}

/// What is sent of a call.
struct Begun {
    path: &'static str,
    /// How many further fields its metadata has.
    fields: usize,
    sent: Bytes,
}

fn half_a_message(path: &'static str) -> Begun {
    let mut sent = vec![7; SENT];
    sent[..5].copy_from_slice(&[0, 0, 1, 0, 0]);
    Begun { path, fields: 0, sent: sent.into() }
}

/// Every call is told that its request did not come in time, soon or late.
async fn withstood(service: Service, name: &str, begun: &Begun) {
    let target = Target::start(service).await;
    let heard = target.withstands(name, attack(target.public(), begun)).await;
    println!("{name}: {heard:?}");
    assert_eq!(heard.keys().copied().collect::<Vec<_>>(), ["DeadlineExceeded"], "{name}: {heard:?}");
    assert_eq!(heard["DeadlineExceeded"], CONNECTIONS as usize * CALLS, "{name}: {heard:?}");
}

/// How often what was heard, by the name of the code.
async fn attack(address: SocketAddr, begun: &Begun) -> BTreeMap<&'static str, usize> {
    let end = Instant::now() + PATIENCE;
    let attackers = (0..CONNECTIONS).map(async |number| {
        sleep(BETWEEN * number).await;
        one_connection(address, begun, end).await
    });
    let mut heard = BTreeMap::new();
    for code in join_all(attackers).await.into_iter().flatten() {
        *heard.entry(code).or_default() += 1;
    }
    heard
}

async fn one_connection(address: SocketAddr, begun: &Begun, end: Instant) -> Vec<&'static str> {
    let stream = TcpStream::connect(address).await.expect("it accepts connections");
    let (mut sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { connection.await.err().map_or("Closed", |_| "Cut") });
    for _ in 0..CALLS {
        sender = sender.ready().await.expect("it takes calls");
        let mut request = Request::post(format!("http://tandem{}", begun.path))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("grpc-timeout", "30S");
        for number in 0..begun.fields {
            request = request.header(format!("f{number}"), "");
        }
        let request = request.body(()).expect("a request");
        let (answer, mut body) = sender.send_request(request, false).expect("it takes calls");
        if !begun.sent.is_empty() {
            body.send_data(begun.sent.clone(), false).expect("it takes data");
        }
        tasks.spawn(async move {
            let heard = timeout_at(end, answer).await;
            // Given up only now.
            drop(body);
            match heard {
                Ok(Ok(answer)) => code(answer.headers()),
                Ok(Err(_)) => "Reset",
                Err(_) => "Nothing",
            }
        });
    }
    let mut heard = Vec::new();
    while heard.len() < CALLS
        && let Some(code) = tasks.join_next().await
    {
        heard.push(code.expect("no panic"));
    }
    heard
}

fn code(headers: &HeaderMap) -> &'static str {
    match Status::from_header_map(headers).map(|status| status.code()) {
        Some(Code::DeadlineExceeded) => "DeadlineExceeded",
        Some(_) => "AnotherCode",
        None => "NoCode",
    }
}
