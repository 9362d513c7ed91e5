//! One replica of a server: its connection, and whether it is worth a call.
//!
//! A replica that cannot be connected to, or whose calls fail one after the other, is *left alone*: it gets no calls. In the
//! background it is asked for its health over new connections until it answers that it serves, and is called again over the
//! connection on which it said so. An old connection may be to a host that is gone, which TCP finds out in minutes.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Status};
use tower::{Service, service_fn};

use super::Traced;
use crate::health::pb::{HealthCheckRequest, HealthClient, ServingStatus};

/// So many calls in a row that fail with a connection there, and it is left alone.
const FAILURES: u32 = 5;

/// How long it is left alone between two questions for its health, and how long it has to answer one.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(2);

/// How a call to a replica failed that the replica did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failing {
    /// There was no connection: the next call would fare the same.
    NoConnection,
    /// The connection broke, nothing came in time, or what came was no answer: it may be about this call only.
    NoAnswer,
}

/// How a replica is reached.
#[derive(Clone)]
pub(super) enum Way {
    /// By what the endpoint says.
    Endpoint(Endpoint),
    /// At this address, within this time, whatever the endpoint's name leads to.
    Address(Endpoint, SocketAddr, Duration),
}

impl Way {
    fn channel(&self) -> Channel {
        match self {
            Self::Endpoint(endpoint) => endpoint.connect_lazy(),
            Self::Address(endpoint, address, at_most) => {
                endpoint.connect_with_connector_lazy(connector(*address, *at_most))
            }
        }
    }

    /// With a span for each call, in which the server is called what callers call it.
    fn traced(&self, channel: Channel) -> Traced<Channel> {
        let (Self::Endpoint(endpoint) | Self::Address(endpoint, ..)) = self;
        Traced::new(channel, endpoint.uri())
    }

    async fn connect(&self) -> Result<Channel, tonic::transport::Error> {
        match self {
            Self::Endpoint(endpoint) => endpoint.connect().await,
            Self::Address(endpoint, address, at_most) => {
                endpoint.connect_with_connector(connector(*address, *at_most)).await
            }
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(endpoint) => write!(f, "{}", endpoint.uri()),
            Self::Address(_, address, _) => write!(f, "{address}"),
        }
    }
}

fn connector(
    address: SocketAddr,
    at_most: Duration,
) -> impl Service<Uri, Response = TokioIo<TcpStream>, Error = io::Error, Future: Send> + Send {
    service_fn(move |_| async move {
        let stream = timeout(at_most, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        Ok(TokioIo::new(stream))
    })
}

/// One replica.
pub(super) struct Peer {
    way: Way,
    channel: Mutex<Traced<Channel>>,
    in_flight: AtomicUsize,
    /// Calls in a row that failed.
    failures: AtomicU32,
    left_alone: AtomicBool,
    /// When that began last.
    since: Mutex<Instant>,
    /// How often it came back. What is learned on a connection of before says nothing about the one after it.
    comebacks: AtomicU64,
    /// Told when it does.
    back: Arc<Notify>,
}

impl Peer {
    /// One that is connected to when it is first called.
    pub(super) fn new(way: Way, back: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            channel: Mutex::new(way.traced(way.channel())),
            way,
            in_flight: AtomicUsize::new(0),
            failures: AtomicU32::new(0),
            left_alone: AtomicBool::new(false),
            since: Mutex::new(Instant::now()),
            comebacks: AtomicU64::new(0),
            back,
        })
    }

    /// Whether it is worth a call.
    pub(super) fn is_called(&self) -> bool {
        !self.left_alone.load(Ordering::Relaxed)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn channel(&self) -> Traced<Channel> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// When it was left alone last.
    pub(super) fn left_alone_since(&self) -> Instant {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(self: &Arc<Self>, how: Failing, why: &dyn fmt::Display) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let enough = how == Failing::NoConnection || failures >= FAILURES;
        let newly = enough && !self.left_alone.swap(true, Ordering::Relaxed);
        if newly {
            *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            tracing::warn!(peer = %self.way, ?how, cause = %why, "a replica gets no calls until it answers");
            tokio::spawn(ask_until_it_serves(Arc::downgrade(self)));
        }
        newly
    }

    fn serves_again(&self, channel: Channel) {
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = self.way.traced(channel);
        self.comebacks.fetch_add(1, Ordering::Relaxed);
        self.failures.store(0, Ordering::Relaxed);
        self.left_alone.store(false, Ordering::Relaxed);
        self.back.notify_waiters();
        tracing::info!(peer = %self.way, "a replica answers again");
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("way", &format_args!("{}", self.way))
            .field("left_alone", &self.left_alone)
            .finish_non_exhaustive()
    }
}

/// Ends when it serves, or is nobody's peer any more.
async fn ask_until_it_serves(peer: Weak<Peer>) {
    let mut pause = SHORTEST_PAUSE;
    loop {
        // Not all who lost it come again at the same moment.
        sleep(pause.mul_f64(rand::random_range(0.8..=1.2))).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        let Some(way) = peer.upgrade().map(|peer| peer.way.clone()) else { return };
        let answer = timeout(PATIENCE, serving(&way)).await;
        let Some(peer) = peer.upgrade() else { return };
        match answer {
            Ok(Ok(channel)) => return peer.serves_again(channel),
            Ok(Err(why)) => tracing::debug!(peer = %way, %why, "a replica does not serve"),
            Err(_) => tracing::debug!(peer = %way, "a replica does not say how it is"),
        }
    }
}

/// A new connection to a server that says on it that it serves.
async fn serving(way: &Way) -> Result<Channel, Status> {
    let channel = way.connect().await.map_err(|error| Status::from_error(error.into()))?;
    let answer = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await;
    match answer.map(|answer| answer.into_inner().status()) {
        Ok(ServingStatus::Serving) => Ok(channel),
        Ok(other) => Err(Status::unavailable(other.as_str_name())),
        // It answers, and has nothing to say about its health.
        Err(status) if status.code() == Code::Unimplemented => Ok(channel),
        Err(status) => Err(status),
    }
}

/// A replica that is called. Counts as a call that is under way until it is dropped.
#[derive(Debug)]
pub struct Chosen {
    peer: Arc<Peer>,
    channel: Traced<Channel>,
    comebacks: u64,
}

impl Chosen {
    pub(super) fn new(peer: Arc<Peer>) -> Self {
        peer.in_flight.fetch_add(1, Ordering::Relaxed);
        Self { comebacks: peer.comebacks.load(Ordering::Relaxed), channel: peer.channel(), peer }
    }

    /// It has answered, whatever it said.
    pub fn answered(&self) {
        if self.peer.failures.load(Ordering::Relaxed) > 0 {
            self.peer.failures.store(0, Ordering::Relaxed);
        }
    }

    /// It has not. Whether this was the last straw.
    pub(super) fn not_answered(&self, how: Failing, why: &dyn fmt::Display) -> bool {
        self.comebacks == self.peer.comebacks.load(Ordering::Relaxed) && self.peer.failed(how, why)
    }
}

impl Deref for Chosen {
    type Target = Traced<Channel>;

    fn deref(&self) -> &Traced<Channel> {
        &self.channel
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.peer.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
