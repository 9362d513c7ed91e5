//! Requests that come in pieces, or not to their end.

use std::time::Duration;

use futures::future::join_all;
use grpc_kit::layer::{ERROR_REASON_DEADLINE_EXCEEDED, ERROR_REASON_REQUEST_TOO_LARGE};
use grpc_kit::{Ended, MAX_REQUEST_BYTES};
use h2::SendStream;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request, Response};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tonic::codegen::Bytes;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::peer::{frame, framed};
use crate::probe::{self, CHECK, Running, WATCH};

const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

/// What a request has to come in.
const TIME: Duration = Duration::from_secs(10);

/// For what takes next to nothing.
const SOON: Duration = Duration::from_secs(5);

struct Caller(SendRequest<Bytes>);

impl Caller {
    async fn connect(running: &Running) -> Self {
        let stream = TcpStream::connect(running.address).await.expect("a server");
        stream.set_nodelay(true).expect("an open socket");
        let (sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        tokio::spawn(connection);
        Self(sender)
    }

    /// Begins a call.
    async fn begin(&mut self, path: &str) -> (ResponseFuture, SendStream<Bytes>) {
        let mut sender = self.0.clone().ready().await.expect("it takes calls");
        let request = Request::post(format!("http://probe{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("grpc-timeout", "30S")
            .body(())
            .expect("a request");
        sender.send_request(request, false).expect("it takes calls")
    }

    /// Begins a call, sends this and no end.
    async fn half(&mut self, path: &str, half: &Bytes) -> (ResponseFuture, SendStream<Bytes>) {
        let (answer, mut body) = self.begin(path).await;
        body.send_data(half.clone(), false).expect("it takes data");
        (answer, body)
    }
}

/// The status in the headers, or else in the trailers.
async fn status(answer: ResponseFuture) -> Status {
    let (head, mut body) = answer.await.expect("an answer").into_parts();
    if let Some(status) = Status::from_header_map(&head.headers) {
        return status;
    }
    while let Some(data) = body.data().await {
        drop(data.expect("not cut"));
    }
    let trailers = body.trailers().await.expect("not cut").expect("trailers");
    Status::from_header_map(&trailers).expect("a status")
}

#[tokio::test]
async fn a_request_that_does_not_come_whole_is_waited_for_ten_seconds_whatever_the_call_may_take() {
    let running = probe::start().await;
    let mut caller = Caller::connect(&running).await;
    let begun = Instant::now();
    let mut calls = Vec::new();
    for path in [CHECK, WATCH, "/tandem.probe.v1.ProbeService/None"] {
        // Nothing of it; a part; all of it, and not the end.
        for half in [Bytes::new(), framed("abc").slice(..7), framed("abc")] {
            calls.push(caller.half(path, &half).await);
        }
    }
    let (mut answers, bodies): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
    let of_none = answers.split_off(6);
    let answers = timeout(TIME + SOON, join_all(answers.into_iter().map(status))).await;
    for status in answers.expect("all of them end") {
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
        let info = status.get_details_error_info().expect("ErrorInfo");
        assert_eq!(info.reason, ERROR_REASON_DEADLINE_EXCEEDED);
    }
    for status in join_all(of_none.into_iter().map(status)).await {
        assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
    }
    let took = begun.elapsed();
    assert!(took >= TIME && took < TIME + SOON, "{took:?}");
    drop(bodies);
}

#[tokio::test]
async fn a_stream_from_the_client_may_be_silent_between_messages_and_not_within_one() {
    let running = probe::start().await;
    let mut caller = Caller::connect(&running).await;
    let (between, mut still_open) = caller.begin(REFLECTION).await;
    let between = tokio::spawn(status(between));
    let begun = Instant::now();
    let (within, body) = caller.half(REFLECTION, &frame(b"abc").slice(..6)).await;
    let ended = timeout(TIME + SOON, status(within)).await.expect("it ends");
    let took = begun.elapsed();
    assert!(took >= TIME, "{took:?}: {ended:?}");
    assert!(!between.is_finished());
    still_open.send_data(Bytes::new(), true).expect("it takes the end");
    assert_eq!(between.await.expect("no panic").code(), Code::Ok);
    drop(body);
}

/// Sends this in pieces of some size, each of them by itself, and ends as told.
async fn sent_in_pieces(caller: &mut Caller, message: &Bytes, size: usize, end: End) -> Status {
    let (answer, mut body) = caller.begin(CHECK).await;
    let pieces: Vec<_> = message.chunks(size).map(|piece| message.slice_ref(piece)).collect();
    let last = pieces.len() - 1;
    for (at, piece) in pieces.into_iter().enumerate() {
        // What was sent before has gone.
        tokio::task::yield_now().await;
        body.send_data(piece, at == last && end == End::WithTheLast).expect("it takes data");
    }
    match end {
        End::WithTheLast => {}
        End::ByItself => body.send_data(Bytes::new(), true).expect("it takes the end"),
        End::Trailers => body.send_trailers(HeaderMap::new()).expect("it takes trailers"),
    }
    timeout(SOON, status(answer)).await.expect("it is answered")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    WithTheLast,
    ByItself,
    Trailers,
}

#[tokio::test]
async fn a_request_may_come_in_any_pieces_and_end_in_any_way() {
    let running = probe::start().await;
    let mut caller = Caller::connect(&running).await;
    // Its field has a tag, and a length of three bytes.
    let largest = framed(&"x".repeat(MAX_REQUEST_BYTES - 4));
    assert_eq!(largest.len(), MAX_REQUEST_BYTES + 5);
    for end in [End::WithTheLast, End::ByItself, End::Trailers] {
        for (message, size) in
            [(&framed("abc"), 1), (&framed("abc"), 7), (&framed("abc"), 100), (&largest, 5000)]
        {
            let status = sent_in_pieces(&mut caller, message, size, end).await;
            assert_eq!(status.code(), Code::Ok, "in pieces of {size}: {status:?}");
        }
    }
    let too_large = framed(&"x".repeat(MAX_REQUEST_BYTES - 3));
    let refused = sent_in_pieces(&mut caller, &too_large, 5000, End::ByItself).await;
    assert_eq!(refused.code(), Code::ResourceExhausted);
    let info = refused.get_details_error_info().expect("ErrorInfo");
    assert_eq!(info.reason, ERROR_REASON_REQUEST_TOO_LARGE);
}

#[tokio::test]
async fn where_more_is_held_than_may_be_the_oldest_give_way() {
    let running = probe::start().await;
    let half = frame(&vec![7; 64_000]).slice(..63_000);
    let mut calls = Vec::new();
    for _ in 0..3 {
        let mut caller = Caller::connect(&running).await;
        for _ in 0..200 {
            calls.push(caller.half(WATCH, &half).await);
        }
    }
    let (mut answers, bodies): (Vec<_>, Vec<_>) = calls.into_iter().unzip();
    let first: Vec<ResponseFuture> = answers.drain(..10).collect();
    let first = timeout(SOON, join_all(first.into_iter().map(status))).await.expect("sooner than in 10 s");
    assert!(first.iter().all(|status| status.code() == Code::DeadlineExceeded), "{first:?}");
    let last = answers.pop().expect("one");
    assert!(timeout(Duration::from_millis(100), last).await.is_err(), "who came last is still waited for");
    // One that comes whole is answered whatever the others do.
    let mut caller = Caller::connect(&running).await;
    let (answer, mut body) = caller.begin(CHECK).await;
    body.send_data(framed(""), true).expect("it takes data");
    let Response { .. } = timeout(SOON, answer).await.expect("at once").expect("an answer");
    drop(bodies);
}

#[tokio::test]
async fn a_stream_whose_request_has_not_come_does_not_hold_a_drain_up() {
    let running = probe::start().await;
    let mut caller = Caller::connect(&running).await;
    let (ours, body) = caller.begin(WATCH).await;
    let (health, part) = caller.half("/grpc.health.v1.Health/Watch", &framed("abc").slice(..3)).await;
    // They have come when a call that was made after them is answered.
    let (answer, mut whole) = caller.begin(CHECK).await;
    whole.send_data(framed(""), true).expect("it takes data");
    assert_eq!(status(answer).await.code(), Code::Ok);
    running.trigger.request();
    for answer in [ours, health] {
        assert_eq!(timeout(SOON, status(answer)).await.expect("soon").code(), Code::Unavailable);
    }
    drop((body, part));
    let ended = timeout(SOON, running.ended).await.expect("it ends").expect("it does not panic");
    assert_eq!(ended, Ended::Drained);
}
