//! One connection, from its acceptance to its end.

use std::{
    future::pending,
    io,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use credentials::{PeerNames, TlsListener};
use futures::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use http::Request;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{sleep, timeout},
};
use tonic::{
    body::Body,
    service::Routes,
    transport::server::{Connected as _, TcpConnectInfo},
};

use super::{
    ServerSettings, gathering::Gathering, in_flight::CountedBody, places::Place, preface, untaken::Streams,
};
use crate::{Shutdown, layer::CallService};

/// How long a peer that was told to go may stay without a call: enough for calls that crossed the GOAWAY on
/// their way, and for the last answer to be read.
const LINGER: Duration = Duration::from_secs(1);

/// How long a peer whose place somebody else has may go on with a call that it began nevertheless: as long as a unary call may
/// take. Without an end to it whoever opens a stream, or takes no answer, keeps its connection beside the others' places.
const DISMISSAL: Duration = Duration::from_secs(30);

/// What a peer may send on a connection that nobody has read yet, in bytes: four of the largest requests, where hyper would take
/// 1 MiB of each of thousands.
const WINDOW: u32 = 256 * 1024;

/// What is known of the other end, which every call on the connection carries with it.
#[derive(Clone)]
struct Peer {
    address: SocketAddr,
    /// Where `tonic::Request::remote_addr` looks for it.
    info: TcpConnectInfo,
    /// By the certificate of its own, where it was asked for one.
    names: Option<Arc<PeerNames>>,
    /// It was told to go and had the time for it: what its certificate proves has to be proved again.
    retired: Arc<AtomicBool>,
}

/// What serves it.
pub(super) struct Server {
    pub(super) tls: Option<TlsListener>,
    pub(super) service: CallService<Routes>,
    pub(super) settings: ServerSettings,
    pub(super) shutdown: Shutdown,
    pub(super) place: Place,
    pub(super) streams: Streams,
}

/// Serves one connection until its peer, its age, somebody else who needs its place or the shutdown ends it.
pub(super) async fn run(stream: TcpStream, address: SocketAddr, server: Server) {
    let mut peer = Peer { address, info: stream.connect_info(), names: None, retired: Arc::default() };
    let Some(tls) = &server.tls else {
        let (reader, writer) = stream.into_split();
        return converse(reader, writer, peer, server).await;
    };
    let greeted = tokio::select! {
        greeted = timeout(server.settings.handshake_timeout, Box::pin(tls.greet(stream))) => greeted,
        // Its first call may be on the way, behind what it says yet of TLS.
        () = async { server.shutdown.requested().await; sleep(LINGER).await } => return,
        () = server.place.given_away() => return,
    };
    match greeted.map_err(io::Error::from).flatten() {
        Ok((stream, names)) => {
            peer.names = Some(Arc::new(names));
            let (reader, writer) = tokio::io::split(stream);
            Box::pin(converse(reader, writer, peer, server)).await;
        }
        Err(error) => tracing::debug!(peer = %address, %error, "no TLS connection"),
    }
}

/// Once there is a connection to speak HTTP/2 on.
async fn converse<R, W>(reader: R, writer: W, peer: Peer, server: Server)
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let address = peer.address;
    let Server { service, settings, shutdown, place, streams, .. } = server;
    let in_flight = place.calls();
    let writer = Gathering::new(writer, in_flight.clone());
    let io = tokio::select! {
        greeted = preface::expect(reader, writer, settings.preface_timeout) => match greeted {
            Ok(io) => TokioIo::new(io),
            Err(error) => return tracing::debug!(peer = %address, %error, "not a connection"),
        },
        // Its first call may be on the way.
        () = async { shutdown.requested().await; sleep(LINGER).await } => return,
        () = place.given_away() => return,
    };
    place.is_known();

    let handle = service_fn(|request| answer(&service, request, peer.clone(), &place));
    let mut connection = pin!(builder(&settings, streams).serve_connection(io, handle));
    let interruption = async {
        tokio::select! {
            () = sleep(jittered(settings.max_connection_age)) => None,
            () = shutdown.requested() => Some(LINGER),
            () = place.given_away() => Some(Duration::ZERO),
        }
    };
    let mut linger = tokio::select! {
        // First: a peer that never stops sending has used up what this task may do at a time before the connection is left.
        biased;
        linger = by_itself(interruption) => linger,
        ended = connection.as_mut() => return log(address, ended),
    };
    connection.as_mut().graceful_shutdown();
    if linger.is_none() {
        let retires = async {
            sleep(LINGER).await;
            // A peer that pays no heed to the GOAWAY can go on making calls.
            peer.retired.store(true, Ordering::Relaxed);
            tokio::select! {
                () = shutdown.requested() => LINGER,
                () = place.given_away() => Duration::ZERO,
            }
        };
        linger = tokio::select! {
            biased;
            linger = by_itself(retires) => Some(linger),
            ended = connection.as_mut() => return log(address, ended),
        };
    }
    let linger = linger.unwrap_or(LINGER);
    if place.is_cut() {
        return tracing::warn!(peer = %address, "a connection is cut: its peer does not take what it has asked for");
    }
    let patience = async {
        if linger.is_zero() {
            sleep(DISMISSAL).await;
        } else {
            pending::<()>().await;
        }
    };
    // The GOAWAY is sent in any case.
    if let Some(ended) = connection.as_mut().now_or_never() {
        return log(address, ended);
    }
    tokio::select! {
        biased;
        // Never acknowledged the GOAWAY, and has nothing to lose but what was said last.
        () = in_flight.quiet_for(linger) => drop(connection.as_mut().now_or_never()),
        () = patience => {}
        () = place.until_cut() => {}
        ended = connection.as_mut() => log(address, ended),
    }
}

/// The same, but looked at only when itself was woken: a connection is woken by each of its calls.
async fn by_itself<F: Future>(future: F) -> F::Output {
    // Boxed, because such a collection has room for one more than is in it.
    let mut alone: FuturesUnordered<_> = [Box::pin(future)].into_iter().collect();
    match alone.next().await {
        Some(output) => output,
        None => pending().await,
    }
}

fn builder(settings: &ServerSettings, streams: Streams) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .initial_connection_window_size(WINDOW)
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
    peer: Peer,
    place: &Place,
) -> impl Future<Output = Result<http::Response<CountedBody<Body>>, std::convert::Infallible>> + use<> {
    let counted = place.calls().count();
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(peer.info);
    if let Some(names) = peer.names
        && !peer.retired.load(Ordering::Relaxed)
    {
        request.extensions_mut().insert(names);
    }
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

#[cfg(test)]
mod tests {
    use std::{
        pin::Pin,
        sync::atomic::AtomicUsize,
        task::{Context, Poll, ready},
    };

    use futures::future::join_all;
    use hyper_util::rt::TokioExecutor;
    use tokio::{io::ReadBuf, net::TcpListener, task::coop::consume_budget};
    use tower::Layer as _;

    use super::*;
    use crate::{
        CallLayer,
        held::{Held, MOST_OF_MESSAGES},
        server::places::Places,
    };

    /// Far longer than anything here takes.
    const SOON: Duration = Duration::from_secs(10);

    /// What comes from a peer that never stops sending: acknowledgements of pings that nobody sent, which nobody answers. As from a
    /// socket, a task gets so much of it at a time.
    struct Flood(Vec<u8>);

    impl Flood {
        fn begin() -> Self {
            let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
            Self([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &settings].concat())
        }
    }

    impl AsyncRead for Flood {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            ready!(pin!(consume_budget()).poll(cx));
            if self.0.is_empty() {
                self.0 = [&[0, 0, 8, 6, 1, 0, 0, 0, 0][..], &[0; 8]].concat();
            }
            let length = self.0.len().min(into.remaining());
            into.put_slice(&self.0[..length]);
            self.0.drain(..length);
            Poll::Ready(Ok(()))
        }
    }

    /// Who is served, and by what: it knows of no method.
    async fn somebody(shutdown: Shutdown) -> (Peer, Server) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let info = TcpStream::connect(address).await.expect("it listens").connect_info();
        let settings = ServerSettings::default();
        let place = Places::new(&settings).take().expect("a place");
        let service = CallLayer::new("probe.tandem").layer(Routes::default());
        let peer = Peer { address, info, names: None, retired: Arc::default() };
        let streams = Streams::new(&Held::at_most(MOST_OF_MESSAGES), None);
        (peer, Server { tls: None, service, settings, shutdown, place, streams })
    }

    #[tokio::test]
    async fn a_peer_that_never_stops_sending_does_not_hold_up_the_end() {
        let (trigger, shutdown) = Shutdown::new();
        let (peer, server) = somebody(shutdown).await;
        let conversation = converse(Flood::begin(), tokio::io::sink(), peer, server);
        let asked = async {
            sleep(Duration::from_millis(50)).await;
            trigger.request();
        };
        let ended = timeout(SOON, async { tokio::join!(conversation, asked) }).await;
        ended.expect("it ends");
    }

    /// Counts how often something is written.
    struct Counting<W>(W, Arc<AtomicUsize>);

    impl<W: AsyncWrite + Unpin> AsyncWrite for Counting<W> {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let written = ready!(Pin::new(&mut self.0).poll_write(cx, bytes));
            self.1.fetch_add(1, Ordering::Relaxed);
            Poll::Ready(written)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    #[tokio::test]
    async fn answers_that_are_ready_together_are_written_together() {
        const CALLS: usize = 32;
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (reader, writer) = tokio::io::split(far);
        let written = Arc::new(AtomicUsize::new(0));
        let (_trigger, shutdown) = Shutdown::new();
        let (peer, server) = somebody(shutdown).await;
        tokio::spawn(converse(reader, Counting(writer, Arc::clone(&written)), peer, server));
        let (client, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(near))
                .await
                .expect("a connection");
        tokio::spawn(connection);
        let call = || {
            let mut client = client.clone();
            async move {
                let request = Request::post("http://probe.tandem/probe.Service/Nothing");
                let answer = client.send_request(request.body(Body::empty()).expect("a request")).await;
                assert_eq!(answer.expect("an answer").headers()["grpc-status"], "12");
            }
        };
        // What the connection says of itself comes with the first.
        call().await;
        let since = |before| written.load(Ordering::Relaxed) - before;
        let before = since(0);
        for _ in 0..CALLS {
            call().await;
        }
        let (alone, before) = (since(before), since(0));
        join_all((0..CALLS).map(|_| call())).await;
        let together = since(before);
        assert!(alone >= CALLS, "{alone} writes for {CALLS} calls one after the other");
        assert!(together <= CALLS / 4, "{together} writes for {CALLS} calls at a time");
    }

    #[test]
    fn connections_come_to_their_age_within_a_tenth_of_it_and_not_together() {
        let age = ServerSettings::default().max_connection_age;
        let ages: Vec<_> = (0..1_000).map(|_| jittered(age)).collect();
        let (least, most) = (age.mul_f64(0.9), age.mul_f64(1.1));
        let fifth = age / 5 / 5;
        assert!(ages.iter().all(|jittered| (least..=most).contains(jittered)), "{ages:?}");
        // In each fifth of what there is, of whose thousand one would expect two hundred.
        for number in 0..5 {
            let begin = least + fifth * number;
            let end = begin + fifth;
            let those = ages.iter().filter(|jittered| (begin..end).contains(*jittered)).count();
            assert!(those > 100, "{those} between {begin:?} and {end:?}");
        }
    }
}
