//! Accepts connections, serves gRPC on them, and drains them without cutting a call.
//!
//! Over hyper itself rather than `tonic::transport::Server`, whose timeout sits outside of every layer and
//! answers CANCELLED, whose age limit cuts calls, and whose drain waits for peers that never speak.
//!
//! What comes before the drain is the caller's: telling health checks, waiting until load balancers noticed.

mod connection;
mod gathering;
mod in_flight;
mod owed;
mod places;
mod preface;
mod untaken;

use std::{net::SocketAddr, pin::pin, time::Duration};

use credentials::{ServerTls, TlsListener, UnfitPem};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};
use tonic::service::Routes;
use tower::Layer as _;

use crate::{
    CallLayer, Shutdown,
    crowd::Crowd,
    door::Door,
    held::{self, Held},
};
use places::Places;
use untaken::Streams;

pub(crate) use places::make_room;

/// So many connections may be ending while others have their places already.
const ON_THEIR_WAY_OUT: usize = 64;

/// What so many connections took is given back when they have gone: some 5 MiB.
const WORTH_GIVING_BACK: usize = 256;

/// What a listener allows its peers. The defaults are what every listener of Tandem has.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Calls at a time on one connection: 200.
    pub max_concurrent_streams: u32,
    /// Calls on one connection that the peer gave up before this end got to them: as many as there may be at a time,
    /// 200, since all may run out of time together. hyper's own bound of 20 cuts connections of honest proxies.
    pub max_pending_accept_reset_streams: usize,
    /// Streams that a peer makes this end reset before its connection is closed: 1024. Without a bound, a
    /// client can have work begun and thrown away at the cost of a few bytes each.
    pub max_local_error_reset_streams: usize,
    /// Metadata of one call, in bytes as HTTP/2 counts them: 16 KiB.
    pub max_header_list_size: u32,
    /// How long a connection is silent before the peer is asked whether it is there: 60 s.
    pub keepalive_interval: Duration,
    /// How long the peer has to answer that: 20 s.
    pub keepalive_timeout: Duration,
    /// Connections at a time on one listener: 10,000, or what the process may open. Whoever comes when there are as many takes
    /// the place of the one that has been without a call for longest; where all have calls it is closed at once.
    pub max_connections: usize,
    /// Of these, connections on which the peer has not said yet that it speaks HTTP/2, and over TLS if need be: 4,000. Of them
    /// the oldest gives way. So many that nobody has to who is quick: all clients may come at once, after a restart.
    pub max_unestablished_connections: usize,
    /// How long the TLS handshake may take, where there is TLS: 5 s.
    pub handshake_timeout: Duration,
    /// How long a new connection has to say that it speaks HTTP/2: 5 s.
    pub preface_timeout: Duration,
    /// When a connection is asked to go elsewhere, so that load spreads to new replicas: 5 min, give or take
    /// a tenth so that connections do not all go at once. Calls on it are not cut.
    pub max_connection_age: Duration,
    /// How long a shutdown waits for calls before it cuts them: 20 s.
    pub drain: Duration,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 200,
            max_pending_accept_reset_streams: 200,
            max_local_error_reset_streams: 1024,
            max_header_list_size: 16 * 1024,
            keepalive_interval: Duration::from_mins(1),
            keepalive_timeout: Duration::from_secs(20),
            max_connections: 10_000,
            max_unestablished_connections: 4_000,
            handshake_timeout: Duration::from_secs(5),
            preface_timeout: Duration::from_secs(5),
            max_connection_age: Duration::from_mins(5),
            drain: Duration::from_secs(20),
        }
    }
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every connection ended by itself, or was idle.
    Drained,
    /// The drain took too long.
    Cut {
        /// How many connections still had calls.
        connections: usize,
    },
}

/// Where a server listens, and with which certificate; without one, in plaintext.
#[derive(Debug)]
pub struct Socket {
    /// Where.
    pub listener: TcpListener,
    /// The certificate.
    pub tls: Option<TlsListener>,
}

impl Socket {
    /// Reads the certificate, if there is one.
    pub async fn open(listener: TcpListener, tls: Option<ServerTls>) -> Result<Self, UnfitPem> {
        let tls = match tls {
            Some(tls) => Some(tls.open().await?),
            None => None,
        };
        Ok(Self { listener, tls })
    }
}

impl From<TcpListener> for Socket {
    fn from(listener: TcpListener) -> Self {
        Self { listener, tls: None }
    }
}

/// Serves `routes` until the shutdown is requested, then drains: no new connections, streams end with
/// UNAVAILABLE, every peer is told to go (GOAWAY), idle ones are closed, calls have `settings.drain` to end.
pub async fn serve(
    socket: impl Into<Socket>,
    routes: Routes,
    layer: CallLayer,
    settings: ServerSettings,
    shutdown: Shutdown,
) -> Ended {
    let drain = settings.drain;
    serve_until(socket, routes, layer, settings, shutdown, async move { sleep(drain).await }).await
}

/// The same, and calls have until `cut` to end, which is asked when the drain has begun.
///
/// The door is shut before anybody is told to go: whoever is told comes again at once, and would find it open. Those who came
/// just before are served, since their first calls may be on the way.
pub(crate) async fn serve_until(
    socket: impl Into<Socket>,
    routes: Routes,
    layer: CallLayer,
    settings: ServerSettings,
    shutdown: Shutdown,
    cut: impl Future<Output = ()>,
) -> Ended {
    let Socket { listener, tls } = socket.into();
    let places = Places::of_a_listener(&settings);
    let mut door = Door::new(listener);
    let (end, ends) = Shutdown::new();
    let service = layer.ending_streams_on(ends.clone()).layer(routes.prepare());
    let mut connections = JoinSet::new();
    let mut crowd = Crowd::new(WORTH_GIVING_BACK);
    let untaken = Held::at_most(held::MOST_OF_MESSAGES);
    let sockets_at_most = settings.max_connections.saturating_add(ON_THEIR_WAY_OUT);
    let admit = |connections: &mut JoinSet<()>, (stream, peer): (TcpStream, SocketAddr)| {
        let Some(place) = places.take() else {
            return tracing::debug!(%peer, "a connection was refused: all others have calls");
        };
        let server = connection::Server {
            tls: tls.clone(),
            service: service.clone(),
            settings: settings.clone(),
            shutdown: ends.clone(),
            place,
            streams: Streams::new(&untaken, Some(peer)),
        };
        connections.spawn(connection::run(stream, peer, server));
    };
    loop {
        tokio::select! {
            biased;
            () = shutdown.requested() => break,
            () = places.too_much_is_owed() => places.cut_debtors(),
            // Takes ended ones out of the set; how they ended is their own affair.
            Some(_) = connections.join_next() => crowd.leaves(connections.len()),
            // Last: there may always be somebody.
            accepted = door.accept(), if connections.len() < sockets_at_most => {
                admit(&mut connections, accepted);
                crowd.comes(connections.len());
            }
        }
    }
    while connections.len() < sockets_at_most
        && let Some(accepted) = door.already_there()
    {
        admit(&mut connections, accepted);
    }
    drop(door);
    end.request();
    drain(connections, &places, cut).await
}

async fn drain(mut connections: JoinSet<()>, places: &Places, cut: impl Future<Output = ()>) -> Ended {
    let mut cut = pin!(cut);
    loop {
        tokio::select! {
            biased;
            () = places.too_much_is_owed() => places.cut_debtors(),
            ended = connections.join_next() => if ended.is_none() {
                return Ended::Drained;
            },
            () = cut.as_mut() => break,
        }
    }
    let cut = Ended::Cut { connections: connections.len() };
    connections.shutdown().await;
    cut
}
