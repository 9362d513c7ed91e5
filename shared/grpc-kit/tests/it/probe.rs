//! The server under test: one service that misbehaves on demand, health and reflection.
//!
//! The service borrows health's messages, under a name of our own; what it does is the `service` field.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use credentials::{PeerNames, ServerTls};
use futures::{FutureExt as _, StreamExt as _, future::BoxFuture, stream, stream::BoxStream};
use grpc_kit::{
    CallLayer, Ended, Fault, MAX_REQUEST_BYTES, ServerSettings, Shutdown, Socket, Trigger, call,
    health::{self, HealthHandle},
    reflection, serve,
};
use http::{Request, Response};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle, time::Instant};
use tonic::{Code, Status, body::Body, server::NamedService, service::Routes};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_server::{Health, HealthServer},
};
use tower::Service;

pub(crate) const CHECK: &str = "/tandem.probe.v1.ProbeService/Check";
pub(crate) const WATCH: &str = "/tandem.probe.v1.ProbeService/Watch";
/// Whom certificates are for.
pub(crate) const CLIENT: &str = "client.probe.test";
pub(crate) const DOMAIN: &str = "probe.tandem";

/// A running server.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) health: HealthHandle,
    pub(crate) trigger: Trigger,
    pub(crate) ended: JoinHandle<Ended>,
    /// Notified by each call that hangs, once it does.
    pub(crate) hanging: Arc<Notify>,
    /// How many checks have come to the handler.
    pub(crate) handled: Arc<AtomicUsize>,
    /// How many of them by somebody whose certificate said a name.
    pub(crate) by_name: Arc<AtomicUsize>,
}

pub(crate) async fn start() -> Running {
    start_with(ServerSettings { drain: Duration::from_secs(5), ..ServerSettings::default() }).await
}

pub(crate) async fn start_with(settings: ServerSettings) -> Running {
    start_over(None, settings).await
}

pub(crate) async fn start_over(tls: Option<ServerTls>, settings: ServerSettings) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let socket = Socket::open(listener, tls).await.expect("a certificate");
    let (health, health_service) = health::service(&[ProbeServer::NAME]);
    let (v1, v1alpha) = reflection::services(&[], &[ProbeServer::NAME]).expect("descriptors that decode");
    let hanging = Arc::new(Notify::new());
    let handled = Arc::new(AtomicUsize::new(0));
    let by_name = Arc::<AtomicUsize>::default();
    let probe =
        Probe { hanging: Arc::clone(&hanging), handled: Arc::clone(&handled), by_name: Arc::clone(&by_name) };
    let probe = ProbeServer(HealthServer::new(probe).max_decoding_message_size(MAX_REQUEST_BYTES));
    let routes = Routes::new(probe).add_service(health_service).add_service(v1).add_service(v1alpha);
    let layer = CallLayer::new(DOMAIN)
        .serving(&[&descriptors()], &[ProbeServer::NAME, health::SERVICE, reflection::SERVICES[0]])
        .expect("descriptors that decode");
    let (trigger, shutdown) = Shutdown::new();
    let ended = tokio::spawn(serve(socket, routes, layer, settings, shutdown));
    Running { address, health, trigger, ended, hanging, handled, by_name }
}

/// Health's, under the names of the service here.
fn descriptors() -> Vec<u8> {
    let mut set = FileDescriptorSet::decode(tonic_health::pb::FILE_DESCRIPTOR_SET).expect("descriptors");
    for file in &mut set.file {
        file.package = Some("tandem.probe.v1".to_owned());
        file.service.iter_mut().for_each(|service| service.name = Some("ProbeService".to_owned()));
    }
    set.encode_to_vec()
}

struct Probe {
    hanging: Arc<Notify>,
    handled: Arc<AtomicUsize>,
    by_name: Arc<AtomicUsize>,
}

#[tonic::async_trait]
impl Health for Probe {
    async fn check(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        self.handled.fetch_add(1, Ordering::Relaxed);
        let names = request.extensions().get::<Arc<PeerNames>>();
        if names.is_some_and(|names| names.contains(CLIENT)) {
            self.by_name.fetch_add(1, Ordering::Relaxed);
        }
        match request.get_ref().service.as_str() {
            "panic" => panic!("asked to"),
            "hang" => {
                self.hanging.notify_one();
                std::future::pending().await
            }
            "how long" => {
                let left = call::deadline().expect("a unary call has one") - Instant::now();
                let seconds = left.as_secs_f64().round().to_string();
                Err(Fault::new(Code::NotFound, DOMAIN, "ERROR_REASON_PROBE", seconds).into())
            }
            "who am i" => {
                let call = call::current().expect("a handler has a call");
                assert_eq!(call.peer, request.remote_addr());
                assert!(call.deadline.is_some());
                Err(Fault::new(Code::NotFound, DOMAIN, "ERROR_REASON_PROBE", call.request_id).into())
            }
            _ => Ok(tonic::Response::new(HealthCheckResponse { status: 1 })),
        }
    }

    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn watch(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<Self::WatchStream>, Status> {
        let first = stream::iter([Ok(HealthCheckResponse { status: 1 })]);
        let rest = match request.into_inner().service.as_str() {
            // Yields first: tonic sends messages that are ready together in one piece.
            "panic" => stream::once(tokio::task::yield_now().map(|()| panic!("asked to"))).boxed(),
            "refuse" => {
                let fault = Fault::new(Code::FailedPrecondition, DOMAIN, "ERROR_REASON_PROBE", "no more");
                stream::iter([Err(fault.into())]).boxed()
            }
            _ => stream::pending().boxed(),
        };
        Ok(tonic::Response::new(first.chain(rest).boxed()))
    }
}

/// [`Probe`] under a name of our own.
#[derive(Clone)]
struct ProbeServer(HealthServer<Probe>);

impl NamedService for ProbeServer {
    const NAME: &'static str = "tandem.probe.v1.ProbeService";
}

impl Service<Request<Body>> for ProbeServer {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let path = request.uri().path().replace(Self::NAME, "grpc.health.v1.Health");
        *request.uri_mut() = path.parse().expect("a path");
        self.0.call(request).boxed()
    }
}
