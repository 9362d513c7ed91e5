//! The life of a whole process as probers see it, over sockets.

use std::{net::SocketAddr, time::Duration};

use grpc_kit::{
    CallLayer, Shutdown, Socket, Trigger, health,
    process::{Drain, GrpcListener, Neighbour, OpsListener, serve_all},
};
use prost::Message as _;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::timeout};
use tonic::{Code, service::Routes};
use tonic_health::pb::HealthCheckResponse;

use crate::{operations::got, peer::Peer};

const NAME: &str = "tandem.probe.v1.ProbeService";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

const NOT_SERVING: i32 = 2;
const SERVING: i32 = 1;

/// One that serves nothing but its health.
struct Process {
    grpc: SocketAddr,
    ops: SocketAddr,
    /// What the probe finds missing; it finds nothing at all before it is told.
    missing: watch::Sender<Option<Result<(), String>>>,
    trigger: Trigger,
    served: JoinHandle<()>,
}

impl Process {
    async fn start(drain: Drain) -> Self {
        Self::start_beside(drain, None).await
    }

    async fn start_beside(drain: Drain, neighbour: Option<Neighbour>) -> Self {
        let [grpc, ops] = [TcpListener::bind("127.0.0.1:0").await, TcpListener::bind("127.0.0.1:0").await]
            .map(|bound| bound.expect("a free port"));
        let addresses = [&grpc, &ops].map(|listener| listener.local_addr().expect("an address"));
        let (health, service) = health::service(&[NAME]);
        let listener = GrpcListener {
            socket: Socket::open(grpc, None).await.expect("plaintext"),
            routes: Routes::new(service),
            layer: CallLayer::new("probe.tandem").serving(&[], &[health::SERVICE]).expect("descriptors"),
            health,
            neighbour,
        };
        let ops = OpsListener { socket: ops, metrics: None, extra: axum::Router::new() };
        let (missing, found) = watch::channel(None);
        let probe = move || {
            let mut found = found.clone();
            async move {
                let found = found.wait_for(Option::is_some).await.expect("the test goes on").clone();
                found.expect("it was waited for")
            }
        };
        let (trigger, shutdown) = Shutdown::new();
        let served = tokio::spawn(async move {
            let _ = serve_all(vec![listener], Some(ops), drain, probe, shutdown).await;
        });
        let [grpc, ops] = addresses;
        Self { grpc, ops, missing, trigger, served }
    }

    /// What anybody hears who asks now: the health of all and of the service, and the codes of `/readyz` and `/livez`.
    async fn seen(&self) -> ([i32; 2], [String; 2]) {
        let mut peer = Peer::connect(self.grpc).await;
        let mut healths = [0; 2];
        for (health, name) in healths.iter_mut().zip(["", NAME]) {
            let answer = peer.ask(HEALTH, name, &[]).await;
            assert_eq!(answer.status.code(), Code::Ok, "{:?}", answer.status);
            *health = HealthCheckResponse::decode(&answer.body[5..]).expect("a message").status;
        }
        let code = async |path| got(self.ops, path).await.split(' ').nth(1).expect("a code").to_owned();
        (healths, [code("/readyz").await, code("/livez").await])
    }

    async fn is_seen(&self, health: i32, readyz: &str) {
        let told = ([health; 2], [readyz.to_owned(), "200".to_owned()]);
        let comes = async {
            while self.seen().await != told {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let seen = timeout(Duration::from_secs(10), comes).await;
        assert!(seen.is_ok(), "{told:?} is never seen, but {:?}", self.seen().await);
    }
}

#[tokio::test]
async fn health_is_not_serving_before_anything_was_found_out_follows_what_is_and_says_so_until_the_end() {
    let drain = Drain { lame_duck: Duration::from_secs(5), drain: Duration::from_secs(5) };
    let process = Process::start(drain).await;
    // It has listened all the time, and nobody has said yet what there is.
    let at_first = process.seen().await;
    assert_eq!(at_first, ([NOT_SERVING; 2], ["503".to_owned(), "200".to_owned()]));

    process.missing.send_replace(Some(Ok(())));
    process.is_seen(SERVING, "200").await;
    process.missing.send_replace(Some(Err("the store is away".to_owned())));
    process.is_seen(NOT_SERVING, "503").await;
    process.missing.send_replace(Some(Ok(())));
    process.is_seen(SERVING, "200").await;

    process.trigger.request();
    // It still takes connections and answers, and says that it wants no more of them.
    process.is_seen(NOT_SERVING, "503").await;
    assert!(!process.served.is_finished(), "that was the lame duck time");
    timeout(Duration::from_secs(20), process.served).await.expect("it ends").expect("it does not panic");
}

#[tokio::test]
async fn a_listener_that_a_neighbour_calls_serves_until_that_one_has_ended() {
    let drain = Drain { lame_duck: Duration::ZERO, drain: Duration::from_secs(20) };
    let (neighbour, ended) = Shutdown::new();
    let process = Process::start_beside(drain, Some(Neighbour { drain, ended })).await;
    process.missing.send_replace(Some(Ok(())));
    process.is_seen(SERVING, "200").await;

    process.trigger.request();
    // The process wants no more calls, and the neighbour's are taken, over new connections too.
    process.is_seen(SERVING, "503").await;
    assert!(!process.served.is_finished(), "the neighbour has not ended");
    neighbour.request();
    timeout(Duration::from_secs(10), process.served).await.expect("it ends").expect("it does not panic");
}
