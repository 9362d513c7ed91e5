//! What a listener allows its peers. What takes a minute by default is tried with short times; which ones are served is
//! asserted beside `grpc_kit::process`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::join_all;
use grpc_kit::ServerSettings;
use http::StatusCode;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tonic::Code;

use crate::aged::Authority;
use crate::peer::{Peer, framed};
use crate::probe::{self, CHECK, CLIENT, Running};

/// Far longer than anything here takes, far shorter than a build that hangs.
const SOON: Duration = Duration::from_secs(10);

/// What every connection begins with: that it is HTTP/2, and no settings.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A peer that connects and says as much as this.
async fn says(running: &Running, words: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(running.address).await.expect("a server");
    stream.write_all(words).await.expect("written");
    stream
}

/// Reads until the server closes the connection. A reset is as good as an end.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.expect("it is closed");
}

async fn is_answered(peer: &mut Peer) -> bool {
    peer.ask(CHECK, "", &[]).await.status.code() == Code::Ok
}

#[tokio::test]
async fn two_hundred_calls_of_a_connection_are_handled_at_a_time_and_the_next_when_one_has_ended() {
    let running = probe::start().await;
    let peer = Peer::connect(running.address).await;
    let call = async |what: &str| {
        let mut peer = peer.clone();
        peer.ask(CHECK, what, &[("grpc-timeout", "3S")]).await.status.code()
    };
    let handled = || running.handled.load(Ordering::Relaxed);
    let first = join_all((0..200).map(|_| call("hang")));
    let more = join_all((0..50).map(|_| call("")));
    let watching = async {
        while handled() < 200 {
            tokio::task::yield_now().await;
        }
    };
    let mut calls = Box::pin(async { tokio::join!(first, more) });
    tokio::select! {
        _ = calls.as_mut() => panic!("200 of them hang"),
        () = watching => {}
    }
    // Answered over another connection meanwhile, and so after anything that this one may have let through.
    assert!(is_answered(&mut Peer::connect(running.address).await).await);
    assert_eq!(handled(), 201);
    let (first, more) = calls.await;
    assert!(first.into_iter().all(|code| code == Code::DeadlineExceeded));
    assert!(more.into_iter().all(|code| [Code::Ok, Code::DeadlineExceeded].contains(&code)));
    assert_eq!(handled(), 251);
}

#[tokio::test]
async fn metadata_of_more_than_sixteen_kibibytes_is_refused_and_the_connection_lives_on() {
    let running = probe::start().await;
    let mut peer = Peer::connect(running.address).await;
    let much = "x".repeat(15 * 1024);
    assert_eq!(peer.ask(CHECK, "", &[("x-much", &much)]).await.status.code(), Code::Ok);
    let too_much = "x".repeat(16 * 1024);
    let refused = peer.open(CHECK, framed(""), &[("x-much", &too_much)]).await;
    assert_eq!(refused.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert!(is_answered(&mut peer).await);
}

#[tokio::test]
async fn a_peer_that_is_silent_is_asked_whether_it_is_there_and_closed_when_it_does_not_say_so() {
    /// Whoever answers on the same thread as the server has to do so in time, whatever else the machine does.
    const TIME_TO_ANSWER: Duration = Duration::from_secs(3);
    let keepalive_interval = Duration::from_millis(300);
    let settings =
        ServerSettings { keepalive_interval, keepalive_timeout: TIME_TO_ANSWER, ..ServerSettings::default() };
    let running = probe::start_with(settings).await;
    let mut alive = Peer::connect(running.address).await;
    assert!(is_answered(&mut alive).await);
    let begun = Instant::now();
    closed(&mut says(&running, GREETING).await).await;
    assert!(begun.elapsed() >= keepalive_interval + TIME_TO_ANSWER, "{:?}", begun.elapsed());
    assert!(is_answered(&mut alive).await, "who answers may be silent for as long as it likes");
}

#[tokio::test]
async fn whoever_has_not_said_what_it_speaks_in_time_is_closed() {
    let settings =
        ServerSettings { preface_timeout: Duration::from_millis(300), ..ServerSettings::default() };
    let running = probe::start_with(settings).await;
    let begun = Instant::now();
    let mut slow = says(&running, &GREETING[..10]).await;
    let mut silent = says(&running, b"").await;
    closed(&mut slow).await;
    closed(&mut silent).await;
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn whoever_does_not_come_to_the_end_of_its_handshake_in_time_is_closed() {
    /// Enough for whoever does come to it.
    const LIMIT: Duration = Duration::from_secs(2);
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    let tls = Some(authority.server("server.probe.test", folder.path()));
    // Whatever else ends a connection is far away.
    let far = Duration::from_hours(1);
    let settings = ServerSettings {
        handshake_timeout: LIMIT,
        preface_timeout: far,
        keepalive_interval: far,
        max_connection_age: far,
        ..ServerSettings::default()
    };
    let running = probe::start_over(tls, settings).await;
    let begun = Instant::now();
    let mut half = says(&running, &[0x16, 3, 1, 1, 0, 1]).await;
    let mut silent = says(&running, b"").await;
    closed(&mut half).await;
    closed(&mut silent).await;
    assert!(begun.elapsed() >= LIMIT, "{:?}", begun.elapsed());
    let name = ServerName::try_from("server.probe.test").expect("a name");
    let stream = TcpStream::connect(running.address).await.expect("a server");
    let mut peer = Peer::over(authority.client(CLIENT).connect(name, stream).await.expect("TLS")).await;
    assert!(is_answered(&mut peer).await, "who is in time is served");
}

/// All clients may have come together, after a restart of theirs or ours.
#[tokio::test]
async fn connections_that_came_together_do_not_all_have_to_go_together() {
    let age = Duration::from_secs(1);
    let running =
        probe::start_with(ServerSettings { max_connection_age: age, ..ServerSettings::default() }).await;
    let ages = join_all((0..20).map(async |_| {
        let begun = Instant::now();
        let peer = Peer::connect(running.address).await;
        timeout(SOON, peer.dismissed()).await.expect("it comes to its age");
        begun.elapsed()
    }));
    let ages = ages.await;
    let (first, last) = (ages.iter().min().expect("one"), ages.iter().max().expect("one"));
    assert!(*first >= age.mul_f64(0.9), "{ages:?}");
    // They have a fifth of a second to spread over.
    assert!(*last >= *first + Duration::from_millis(50), "{ages:?}");
}

#[tokio::test]
async fn a_newcomer_takes_the_place_of_the_connection_that_has_been_without_a_call_for_longest() {
    let running = probe::start_with(ServerSettings { max_connections: 3, ..ServerSettings::default() }).await;
    let (mut first, mut second) =
        (Peer::connect(running.address).await, Peer::connect(running.address).await);
    let mut busy = Peer::connect(running.address).await;
    let mut hanging = Box::pin(busy.ask(CHECK, "hang", &[("grpc-timeout", "2S")]));
    tokio::select! {
        answer = hanging.as_mut() => panic!("it should hang: {:?}", answer.status),
        () = running.hanging.notified() => {}
    }
    assert!(is_answered(&mut second).await && is_answered(&mut first).await);
    let mut newcomer = Peer::connect(running.address).await;
    assert!(is_answered(&mut newcomer).await);
    timeout(SOON, second.dismissed()).await.expect("its place was needed");
    assert!(is_answered(&mut first).await && is_answered(&mut newcomer).await);
    assert_eq!(hanging.await.status.code(), Code::DeadlineExceeded, "it had a call");
}

#[tokio::test]
async fn a_newcomer_is_closed_at_once_where_all_others_have_calls() {
    let running = probe::start_with(ServerSettings { max_connections: 1, ..ServerSettings::default() }).await;
    let mut busy = Peer::connect(running.address).await;
    let mut hanging = Box::pin(busy.ask(CHECK, "hang", &[("grpc-timeout", "1S")]));
    tokio::select! {
        answer = hanging.as_mut() => panic!("it should hang: {:?}", answer.status),
        () = running.hanging.notified() => {}
    }
    closed(&mut says(&running, b"").await).await;
    assert!(hanging.as_mut().now_or_never().is_none(), "the call goes on");
    assert_eq!(hanging.await.status.code(), Code::DeadlineExceeded);
    assert!(is_answered(&mut busy).await);
}

#[tokio::test]
async fn a_flood_of_peers_that_say_nothing_costs_nobody_else_the_connection() {
    let settings =
        ServerSettings { max_connections: 20, max_unestablished_connections: 5, ..ServerSettings::default() };
    let running = probe::start_with(settings).await;
    let mut peers = Vec::new();
    for _ in 0..10 {
        peers.push(Peer::connect(running.address).await);
        assert!(is_answered(peers.last_mut().expect("one")).await);
    }
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(says(&running, &GREETING[..5]).await);
    }
    assert!(is_answered(&mut Peer::connect(running.address).await).await, "there is a way in");
    for peer in &mut peers {
        assert!(is_answered(peer).await);
    }
    for stream in &mut silent[..90] {
        closed(stream).await;
    }
}
