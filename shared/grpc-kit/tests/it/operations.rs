//! What operators see.

use std::{net::SocketAddr, time::Duration};

use grpc_kit::{
    Shutdown, Trigger,
    ops::{self, Ops, Readiness},
};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};

use crate::{
    peer::Peer,
    probe::{self, CHECK, WATCH},
};

// On one thread, so that the recorder of this thread sees everything.
#[tokio::test(flavor = "current_thread")]
async fn calls_are_counted_under_names_that_clients_cannot_invent() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let running = probe::start().await;
    let families = recorder.handle().render().lines().count();
    let mut peer = Peer::connect(running.address).await;
    peer.ask(CHECK, "", &[]).await;
    peer.ask(CHECK, "panic", &[]).await;
    for path in ["/tandem.probe.v1.ProbeService/A", "/tandem.probe.v1.ProbeService/B", "/x/y"] {
        peer.ask(path, "", &[]).await;
    }
    let page = recorder.handle().render();
    let probe = r#"grpc_type="unary",grpc_service="tandem.probe.v1.ProbeService",grpc_method="Check""#;
    let unknown = r#"grpc_type="unary",grpc_service="unknown",grpc_method="unknown""#;
    for line in [
        format!("grpc_server_started_total{{{probe}}} 2"),
        format!("grpc_server_msg_received_total{{{probe}}} 2"),
        format!("grpc_server_msg_sent_total{{{probe}}} 1"),
        format!("grpc_server_handled_total{{{probe},grpc_code=\"OK\"}} 1"),
        format!("grpc_server_handled_total{{{probe},grpc_code=\"Internal\"}} 1"),
        format!("grpc_server_handling_seconds_count{{{probe}}} 2"),
        format!("grpc_server_started_total{{{unknown}}} 3"),
        format!("grpc_server_handled_total{{{unknown},grpc_code=\"Unimplemented\"}} 3"),
    ] {
        assert!(page.contains(&line), "no {line} in\n{page}");
    }
    // A summary of three quantiles has begun for each method that was called; nothing else is there that was not before.
    assert!(page.lines().count() <= families + 20, "{families} lines at first, then\n{page}");
}

#[tokio::test(flavor = "current_thread")]
async fn every_method_and_code_is_there_before_the_first_call() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let _running = probe::start().await;
    let page = recorder.handle().render();
    for (grpc_type, service, method) in [
        ("unary", "tandem.probe.v1.ProbeService", "Check"),
        ("server_stream", "tandem.probe.v1.ProbeService", "Watch"),
        ("unary", "grpc.health.v1.Health", "Check"),
        ("bidi_stream", "grpc.reflection.v1.ServerReflection", "ServerReflectionInfo"),
        ("unary", "unknown", "unknown"),
    ] {
        let labels = format!("grpc_type=\"{grpc_type}\",grpc_service=\"{service}\",grpc_method=\"{method}\"");
        for family in ["started", "msg_received", "msg_sent"] {
            let line = format!("grpc_server_{family}_total{{{labels}}} 0");
            assert!(page.contains(&line), "no {line} in\n{page}");
        }
        let codes = page.matches(&format!("grpc_server_handled_total{{{labels},grpc_code=")).count();
        assert_eq!(codes, 17, "{labels}");
    }
    assert!(!page.contains("v1alpha"), "it is served, but was not named");
}

#[tokio::test(flavor = "current_thread")]
async fn the_messages_of_streams_are_counted_one_by_one() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let running = probe::start().await;
    let mut peer = Peer::connect(running.address).await;
    peer.ask(WATCH, "refuse", &[]).await;
    let page = recorder.handle().render();
    let watch =
        r#"grpc_type="server_stream",grpc_service="tandem.probe.v1.ProbeService",grpc_method="Watch""#;
    for line in [
        format!("grpc_server_msg_received_total{{{watch}}} 1"),
        format!("grpc_server_msg_sent_total{{{watch}}} 1"),
        format!("grpc_server_handled_total{{{watch},grpc_code=\"FailedPrecondition\"}} 1"),
    ] {
        assert!(page.contains(&line), "no {line} in\n{page}");
    }
}

/// More than any socket takes in of an answer that is not read.
const LONG: usize = 32 << 20;

/// An operations listener, with a page that is long.
struct Listening {
    address: SocketAddr,
    readiness: watch::Sender<Readiness>,
    trigger: Trigger,
    served: JoinHandle<()>,
}

async fn listening() -> Listening {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let (readiness, receiver) = watch::channel(Readiness::Starting);
    let extra = axum::Router::new().route("/long", axum::routing::get(async || "x".repeat(LONG)));
    let ops = Ops { readiness: receiver, metrics: None, extra };
    let (trigger, shutdown) = Shutdown::new();
    let served = tokio::spawn(ops::serve(listener, ops, shutdown));
    Listening { address, readiness, trigger, served }
}

/// A peer that is being sent the long page, and does not read it.
async fn reads_nothing(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a server");
    stream.write_all(b"GET /long HTTP/1.1\r\nhost: ops\r\n\r\n").await.expect("a request");
    stream.readable().await.expect("an answer that has begun");
    stream
}

/// How much of the page still comes until the connection is closed, in good order or not.
async fn rest_of(mut stream: TcpStream) -> usize {
    let mut rest = Vec::new();
    let _ = timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await.expect("it is closed");
    rest.len()
}

#[tokio::test]
async fn peers_that_read_nothing_do_not_take_the_places_of_those_who_do() {
    let Listening { address, trigger: _trigger, .. } = listening().await;
    let mut peers = Vec::new();
    for _ in 0..64 {
        peers.push(reads_nothing(address).await);
    }
    for _ in 0..3 {
        assert!(got(address, "/livez").await.starts_with("HTTP/1.1 200"));
    }
    // The oldest has gone for it, and the latest has not.
    assert!(rest_of(peers.remove(0)).await < LONG);
    let mut latest = peers.pop().expect("there are many");
    let mut page = vec![0; LONG];
    latest.read_exact(&mut page).await.expect("it is served");
}

#[tokio::test]
async fn a_peer_that_takes_no_answer_is_closed_after_a_while() {
    let Listening { address, trigger: _trigger, .. } = listening().await;
    let peer = reads_nothing(address).await;
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(32)).await;
    tokio::time::resume();
    assert!(rest_of(peer).await < LONG);
}

#[tokio::test]
async fn the_operations_listener_answers_and_ends_with_an_idle_peer() {
    let Listening { address, readiness, trigger, served } = listening().await;
    assert!(got(address, "/readyz").await.starts_with("HTTP/1.1 503"));
    readiness.send_replace(Readiness::Ready);
    assert!(got(address, "/readyz").await.starts_with("HTTP/1.1 200"));

    let idle = TcpStream::connect(address).await.expect("a server");
    trigger.request();
    timeout(Duration::from_secs(10), served).await.expect("it ends").expect("it does not panic");
    drop(idle);
}

pub(crate) async fn got(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a server");
    let request = format!("GET {path} HTTP/1.1\r\nhost: ops\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}
