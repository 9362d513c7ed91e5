//! What a client sees of one call.

use grpc_kit::health::pb::HealthListResponse;
use grpc_kit::{MAX_REQUEST_BYTES, layer};
use prost::Message as _;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    peer::{Answer, Peer, frame, framed},
    probe::{self, CHECK, DOMAIN, WATCH},
};

async fn peer() -> (Peer, probe::Running) {
    let running = probe::start().await;
    (Peer::connect(running.address).await, running)
}

/// The answer is an error with this code and reason, of our domain, and names the call.
fn assert_refused(answer: &Answer, code: Code, reason: &str) {
    assert_eq!(answer.status.code(), code, "{:?}", answer.status);
    let info = answer.status.get_details_error_info().expect("ErrorInfo");
    assert_eq!((info.domain.as_str(), info.reason.as_str()), (DOMAIN, reason));
    assert_eq!(named(&answer.status), answer.request_id());
}

fn named(status: &Status) -> String {
    status.get_details_request_info().expect("RequestInfo").request_id
}

#[tokio::test]
async fn a_call_is_answered() {
    let (mut peer, _running) = peer().await;
    let answer = peer.ask(CHECK, "", &[]).await;
    assert_eq!(answer.status.code(), Code::Ok);
    assert!(!answer.trailers_only);
    assert_eq!(answer.body, frame(&[8, 1]));
}

#[tokio::test]
async fn a_valid_request_id_is_echoed_and_reaches_the_handler() {
    let (mut peer, _running) = peer().await;
    let answer = peer.ask(CHECK, "who am i", &[("x-request-id", "r-1")]).await;
    assert_refused(&answer, Code::NotFound, "ERROR_REASON_PROBE");
    assert_eq!((answer.request_id(), answer.status.message()), ("r-1", "r-1"));
    assert!(answer.trailers_only);
    let answer = peer.ask(CHECK, "", &[("x-request-id", "r-2")]).await;
    assert_eq!(answer.request_id(), "r-2");
}

#[tokio::test]
async fn an_unfit_request_id_is_replaced() {
    let (mut peer, _running) = peer().await;
    for metadata in [&[("x-request-id", "a b")][..], &[("x-request-id", "a"), ("x-request-id", "b")], &[]] {
        let answer = peer.ask(CHECK, "who am i", metadata).await;
        assert_eq!(answer.request_id().len(), 36, "a UUID: {}", answer.request_id());
        assert_eq!(answer.status.message(), answer.request_id());
    }
}

#[tokio::test]
async fn a_passed_deadline_is_answered_with_details_however_short_it_is() {
    let (mut peer, _running) = peer().await;
    for timeout in ["1m", "1n", "0S"] {
        let answer = peer.ask(CHECK, "hang", &[("grpc-timeout", timeout)]).await;
        assert_refused(&answer, Code::DeadlineExceeded, layer::ERROR_REASON_DEADLINE_EXCEEDED);
        assert!(answer.trailers_only);
    }
}

#[tokio::test]
async fn a_call_has_ten_seconds_unless_it_asks_and_thirty_at_most() {
    let (mut peer, _running) = peer().await;
    let mut seconds = async |metadata: &[(&str, &str)]| {
        let answer = peer.ask(CHECK, "how long", metadata).await;
        answer.status.message().to_owned()
    };
    assert_eq!(seconds(&[]).await, "10");
    assert_eq!(seconds(&[("grpc-timeout", "3S")]).await, "3");
    assert_eq!(seconds(&[("grpc-timeout", "1H")]).await, "30");
    assert_eq!(seconds(&[("grpc-timeout", "soon")]).await, "10");
}

#[tokio::test]
async fn a_panic_is_answered_and_the_connection_lives_on() {
    let (mut peer, _running) = peer().await;
    let answer = peer.ask(CHECK, "panic", &[]).await;
    assert_refused(&answer, Code::Internal, layer::ERROR_REASON_INTERNAL);
    assert!(!answer.status.message().contains("asked to"), "the cause is not sent");
    assert_eq!(peer.ask(CHECK, "", &[]).await.status.code(), Code::Ok);
}

#[tokio::test]
async fn a_panic_in_a_stream_ends_it_with_a_status() {
    let (mut peer, _running) = peer().await;
    let answer = peer.ask(WATCH, "panic", &[]).await;
    assert_refused(&answer, Code::Internal, layer::ERROR_REASON_INTERNAL);
    assert!(!answer.trailers_only);
    assert_eq!(answer.body, frame(&[8, 1]), "what came before the panic was sent");
    assert_eq!(peer.ask(CHECK, "", &[]).await.status.code(), Code::Ok);
}

#[tokio::test]
async fn an_error_at_the_end_of_a_stream_names_the_call_too() {
    let (mut peer, _running) = peer().await;
    let answer = peer.ask(WATCH, "refuse", &[("x-request-id", "r-1")]).await;
    assert_refused(&answer, Code::FailedPrecondition, "ERROR_REASON_PROBE");
}

#[tokio::test]
async fn an_unknown_method_or_service_is_called_so() {
    let (mut peer, _running) = peer().await;
    for path in
        ["/tandem.probe.v1.ProbeService/Nope", "/tandem.nowhere.v1.X/Y", "/x", "/grpc.health.v1.Health/Nope"]
    {
        let answer = peer.ask(path, "", &[]).await;
        assert_refused(&answer, Code::Unimplemented, layer::ERROR_REASON_UNKNOWN_METHOD);
        assert!(!answer.status.message().is_empty());
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_is_refused_as_such() {
    let (mut peer, _running) = peer().await;
    let answer = peer.ask(CHECK, &"x".repeat(MAX_REQUEST_BYTES), &[]).await;
    assert_refused(&answer, Code::ResourceExhausted, layer::ERROR_REASON_REQUEST_TOO_LARGE);
}

#[tokio::test]
async fn a_body_that_does_not_decode_is_the_callers_fault() {
    let (mut peer, _running) = peer().await;
    let whole = framed("a name");
    for body in [
        frame(&[0xff, 0xff]),                // not protobuf
        frame(&[10, 1, 0xff]),               // a string that is not UTF-8
        whole.slice(..7),                    // cut in the message
        whole.slice(..0),                    // no message at all
        [&[7], &whole[1..]].concat().into(), // a flag that does not exist
    ] {
        let answer = peer.send(CHECK, body, &[]).await;
        assert_refused(&answer, Code::InvalidArgument, layer::ERROR_REASON_MALFORMED_REQUEST);
    }
}

#[tokio::test]
async fn a_compressed_request_is_refused_with_the_code_that_makes_clients_try_again() {
    let (mut peer, _running) = peer().await;
    let answer = peer.ask(CHECK, "", &[("grpc-encoding", "gzip")]).await;
    assert_refused(&answer, Code::Unimplemented, layer::ERROR_REASON_MALFORMED_REQUEST);
    assert_eq!(answer.headers["grpc-accept-encoding"], "identity");
}

#[tokio::test]
async fn what_no_service_has_seen_is_refused_in_the_same_terms_on_the_paths_of_health() {
    let (mut peer, _running) = peer().await;
    let health = "/grpc.health.v1.Health/Check";
    let answer = peer.ask(health, &"x".repeat(MAX_REQUEST_BYTES), &[]).await;
    assert_refused(&answer, Code::ResourceExhausted, layer::ERROR_REASON_REQUEST_TOO_LARGE);
    let answer = peer.send(health, frame(&[0xff, 0xff]), &[]).await;
    assert_refused(&answer, Code::InvalidArgument, layer::ERROR_REASON_MALFORMED_REQUEST);
    let answer = peer.ask(health, "", &[("grpc-encoding", "gzip")]).await;
    assert_refused(&answer, Code::Unimplemented, layer::ERROR_REASON_MALFORMED_REQUEST);
}

#[tokio::test]
async fn health_answers_in_its_own_terms() {
    let (mut peer, running) = peer().await;
    running.health.set_serving(true);
    let answer = peer.ask("/grpc.health.v1.Health/Check", "", &[]).await;
    assert_eq!((answer.status.code(), answer.body), (Code::Ok, frame(&[8, 1])));
    let answer = peer.ask("/grpc.health.v1.Health/List", "", &[]).await;
    let listed = HealthListResponse::decode(&answer.body[5..]).expect("a list").statuses;
    let mut listed: Vec<_> = listed.iter().map(|(service, is)| (service.as_str(), is.status)).collect();
    listed.sort_unstable();
    assert_eq!(listed, [("", 1), ("tandem.probe.v1.ProbeService", 1)]);
    let answer = peer.ask("/grpc.health.v1.Health/Check", "x.Y", &[]).await;
    assert_eq!(answer.status.code(), Code::NotFound);
    assert!(answer.status.get_details_error_info().is_none());
    assert_eq!(named(&answer.status), answer.request_id());
}
