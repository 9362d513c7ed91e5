//! How a server and its connections end.

use std::time::Duration;

use grpc_kit::{Ended, ServerSettings, layer};
use http_body_util::BodyExt as _;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    aged::Authority,
    peer::{Answer, Peer, framed},
    probe::{self, CHECK, CLIENT, Running, WATCH},
};

/// Far longer than anything here takes, far shorter than a build that hangs.
const SOON: Duration = Duration::from_secs(10);

async fn ended(running: Running) -> Ended {
    timeout(SOON, running.ended).await.expect("it ends").expect("it does not panic")
}

/// Drives a call until it hangs in its handler.
async fn under_way(running: &Running, call: impl Future<Output = Answer>) {
    tokio::select! {
        answer = call => panic!("it should hang: {:?}", answer.status),
        () = running.hanging.notified() => {}
    }
}

/// What the rest of an open answer ends with.
async fn end_of(answer: http::Response<hyper::body::Incoming>) -> Status {
    let rest = timeout(SOON, answer.into_body().collect()).await.expect("it ends").expect("not cut");
    Status::from_header_map(rest.trailers().expect("trailers")).expect("a status")
}

#[tokio::test]
async fn peers_that_never_speak_and_streams_that_never_end_do_not_hold_a_drain_up() {
    let running = probe::start().await;
    let silent = TcpStream::connect(running.address).await.expect("a server");
    let mut greeted = TcpStream::connect(running.address).await.expect("a server");
    greeted.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("a greeting");
    let idle = Peer::connect(running.address).await;
    let mut busy = Peer::connect(running.address).await;
    let health = busy.open("/grpc.health.v1.Health/Watch", framed(""), &[]).await;
    let unknown = busy.open("/grpc.health.v1.Health/Watch", framed("x.Y"), &[]).await;
    let ours = busy.open(WATCH, framed(""), &[]).await;
    running.health.shutdown();
    running.trigger.request();
    for answer in [health, unknown, ours] {
        let end = end_of(answer).await;
        assert_eq!(end.code(), Code::Unavailable);
        let reason = end.get_details_error_info().map(|info| info.reason);
        assert_eq!(reason.as_deref(), Some(layer::ERROR_REASON_DRAINING));
    }
    assert_eq!(ended(running).await, Ended::Drained);
    drop((silent, greeted, idle));
}

#[tokio::test]
async fn whoever_came_just_before_a_drain_is_served() {
    for _ in 0..20 {
        let running = probe::start().await;
        // One that is accepted, and one that still waits to be, which have not said yet what they speak.
        let first = TcpStream::connect(running.address).await.expect("a server");
        let mut before = Peer::connect(running.address).await;
        assert_eq!(before.ask(CHECK, "", &[]).await.status.code(), Code::Ok);
        let second = TcpStream::connect(running.address).await.expect("a server");
        running.trigger.request();
        before.dismissed().await;
        for stream in [first, second] {
            let mut peer = Peer::on(stream).await;
            assert_eq!(peer.ask(CHECK, "", &[]).await.status.code(), Code::Ok);
        }
        let late = TcpStream::connect(running.address).await;
        assert!(late.is_err(), "who was told to go finds the door shut");
        assert_eq!(ended(running).await, Ended::Drained);
    }
}

#[tokio::test]
async fn whoever_came_over_tls_just_before_a_drain_is_served() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    let connector = authority.client(CLIENT);
    let greeted = async |stream| {
        let name = ServerName::try_from("server.probe.test").expect("a name");
        Peer::over(connector.connect(name, stream).await.expect("TLS")).await
    };
    for _ in 0..20 {
        let tls = Some(authority.server("server.probe.test", folder.path()));
        let settings = ServerSettings { drain: Duration::from_secs(5), ..ServerSettings::default() };
        let running = probe::start_over(tls, settings).await;
        // One that is accepted, and one that still waits to be, which have not said hello yet.
        let first = TcpStream::connect(running.address).await.expect("a server");
        let mut before = greeted(TcpStream::connect(running.address).await.expect("a server")).await;
        assert_eq!(before.ask(CHECK, "", &[]).await.status.code(), Code::Ok);
        let second = TcpStream::connect(running.address).await.expect("a server");
        running.trigger.request();
        before.dismissed().await;
        for stream in [first, second] {
            let mut peer = greeted(stream).await;
            assert_eq!(peer.ask(CHECK, "", &[]).await.status.code(), Code::Ok);
        }
        assert_eq!(ended(running).await, Ended::Drained);
    }
}

#[tokio::test]
async fn handshakes_that_are_half_done_do_not_hold_a_drain_up() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    let tls = Some(authority.server("server.probe.test", folder.path()));
    let settings = ServerSettings { drain: Duration::from_secs(30), ..ServerSettings::default() };
    let running = probe::start_over(tls, settings).await;
    let mut half = TcpStream::connect(running.address).await.expect("a server");
    // A record of a handshake, of which only the beginning comes.
    half.write_all(&[0x16, 3, 1, 1, 0, 1]).await.expect("a beginning");
    running.trigger.request();
    assert_eq!(timeout(Duration::from_secs(3), ended(running)).await.expect("soon"), Ended::Drained);
}

#[tokio::test]
async fn a_drain_waits_for_calls_and_then_cuts_them() {
    let settings = ServerSettings { drain: Duration::from_millis(100), ..ServerSettings::default() };
    let running = probe::start_with(settings).await;
    let mut peer = Peer::connect(running.address).await;
    let mut hanging = Box::pin(peer.ask(CHECK, "hang", &[("grpc-timeout", "30S")]));
    under_way(&running, hanging.as_mut()).await;
    running.trigger.request();
    assert_eq!(ended(running).await, Ended::Cut { connections: 1 });
}

#[tokio::test]
async fn a_call_under_way_is_answered_during_the_drain() {
    let running = probe::start().await;
    let mut peer = Peer::connect(running.address).await;
    let mut slow = Box::pin(peer.ask(CHECK, "hang", &[("grpc-timeout", "1500m")]));
    under_way(&running, slow.as_mut()).await;
    running.trigger.request();
    assert_eq!(slow.await.status.code(), Code::DeadlineExceeded);
    assert_eq!(ended(running).await, Ended::Drained);
}

#[tokio::test]
async fn an_aged_connection_is_told_to_go_and_its_calls_are_not_cut() {
    let settings =
        ServerSettings { max_connection_age: Duration::from_millis(300), ..ServerSettings::default() };
    let running = probe::start_with(settings).await;
    let mut peer = Peer::connect(running.address).await;
    let answer = peer.ask(CHECK, "hang", &[("grpc-timeout", "1500m")]).await;
    assert_eq!(answer.status.code(), Code::DeadlineExceeded, "answered, long after its connection aged");
    timeout(SOON, peer.dismissed()).await.expect("the connection ends once its calls have");
}

#[tokio::test]
async fn whoever_does_not_speak_http2_is_closed() {
    let settings = ServerSettings { preface_timeout: Duration::from_millis(50), ..ServerSettings::default() };
    let running = probe::start_with(settings).await;
    let mut silent = TcpStream::connect(running.address).await.expect("a server");
    let mut chatty = TcpStream::connect(running.address).await.expect("a server");
    chatty.write_all(b"GET / HTTP/1.1\r\nHost: probe\r\n\r\n").await.expect("a request");
    for stream in [&mut silent, &mut chatty] {
        let mut rest = Vec::new();
        // A reset is as good as an end.
        let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.expect("it is closed");
        assert!(rest.is_empty());
    }
}
