//! One connection, from its acceptance to its end.

use std::{net::SocketAddr, pin::pin, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{net::TcpStream, time::sleep};
use tonic::{
    body::Body,
    service::Routes,
    transport::server::{Connected as _, TcpConnectInfo},
};

use super::{
    ServerSettings,
    in_flight::{CountedBody, InFlight},
    preface,
};
use crate::{Shutdown, layer::CallService};

/// How long a peer that was told to go may stay without a call: enough for calls that crossed the GOAWAY on
/// their way, and for the last answer to be read.
const LINGER: Duration = Duration::from_secs(1);

/// Serves one connection until its peer, its age or the shutdown ends it.
pub(super) async fn run(
    stream: TcpStream,
    peer: SocketAddr,
    service: CallService<Routes>,
    settings: ServerSettings,
    shutdown: Shutdown,
) {
    let info = stream.connect_info();
    let io = tokio::select! {
        greeted = preface::expect(stream, settings.preface_timeout) => match greeted {
            Ok(io) => TokioIo::new(io),
            Err(error) => return tracing::debug!(%peer, %error, "not a connection"),
        },
        () = shutdown.requested() => return,
    };

    let in_flight = InFlight::default();
    let handle = service_fn(|request| answer(&service, request, info.clone(), &in_flight));
    let mut connection = pin!(builder(&settings).serve_connection(io, handle));
    let aged = tokio::select! {
        ended = connection.as_mut() => return log(peer, ended),
        () = sleep(jittered(settings.max_connection_age)) => true,
        () = shutdown.requested() => false,
    };
    connection.as_mut().graceful_shutdown();
    if aged {
        tokio::select! {
            ended = connection.as_mut() => return log(peer, ended),
            () = shutdown.requested() => {}
        }
    }
    tokio::select! {
        ended = connection => log(peer, ended),
        // Never acknowledged the GOAWAY, and has nothing to lose.
        () = in_flight.quiet_for(LINGER) => {}
    }
}

fn builder(settings: &ServerSettings) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.max_concurrent_streams)
        .max_pending_accept_reset_streams(settings.max_pending_accept_reset_streams)
        .max_local_error_reset_streams(settings.max_local_error_reset_streams)
        .max_header_list_size(settings.max_header_list_size)
        .keep_alive_interval(settings.keepalive_interval)
        .keep_alive_timeout(settings.keepalive_timeout);
    builder
}

/// The answer to a call, which begins to be handled at once.
fn answer(
    service: &CallService<Routes>,
    request: Request<Incoming>,
    info: TcpConnectInfo,
    in_flight: &InFlight,
) -> impl Future<Output = Result<http::Response<CountedBody<Body>>, std::convert::Infallible>> + use<> {
    let counted = in_flight.count();
    let mut request = request.map(Body::new);
    // Where `tonic::Request::remote_addr` looks for it.
    request.extensions_mut().insert(info);
    let answered = service.handle(request);
    async move { Ok(answered.await.map(|body| CountedBody::new(body, counted))) }
}

/// A tenth more or less, at random.
fn jittered(age: Duration) -> Duration {
    age.mul_f64(rand::random_range(0.9..=1.1))
}

fn log(peer: SocketAddr, ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended");
    }
}
