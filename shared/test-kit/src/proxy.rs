//! The way to a server, which a test can break as networks and hosts do, while connections are open and for new ones.
//!
//! Knows TCP, and as much of PostgreSQL's protocol as it takes to see a client commit.

mod commits;
mod connection;
mod conversation;
mod counts;
mod flow;

use std::fmt::Display;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use self::commits::{Commits, Cut};
pub use self::counts::Passed;

use self::commits::Cutter;
use self::connection::Connection;
use self::counts::Counts;
use crate::Reserved;

/// What becomes of connections, of those that are open as of those that are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everything goes through.
    #[default]
    Pass,
    /// Nobody listens, and every connection is closed: the process is gone.
    Refuse,
    /// Connections stay and are made, and nothing comes through. What was sent meanwhile comes through when that is over, as
    /// after a network that was in pieces; [`Proxy::abandon`] makes of it a host that is gone.
    BlackHole,
    /// Every connection is reset, new ones as soon as they are made.
    Reset,
    /// Everything takes its time, each time another one between these two. What comes meanwhile waits behind it.
    Delay {
        /// No less.
        least: Duration,
        /// No more.
        most: Duration,
    },
    /// So many bytes a second come through, each way on each connection.
    Rate(u64),
    /// Whoever says something is answered at once, with what is no answer, and the server hears nothing. Connections are reset
    /// when that is over.
    Garbage,
    /// The server hears everything and does it; what it answers is lost. Connections that lost something are reset when that is
    /// over.
    SwallowReplies,
    /// Clients hear that the server says nothing more, and the server hears them still. Connections are closed when that is
    /// over.
    HalfClose,
}

/// A way to a server, with a port of its own. Gone with the value, as are its connections.
#[derive(Debug)]
pub struct Proxy {
    stands_at: Reserved,
    shared: Arc<Shared>,
    state: watch::Sender<State>,
    applied: watch::Receiver<u64>,
}

/// What all connections have in common.
#[derive(Debug, Default)]
struct Shared {
    leads_to: Mutex<Option<String>>,
    seed: AtomicU64,
    counts: Counts,
    cutter: Cutter,
}

/// How it is with the connections.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    mode: Mode,
    changes: u64,
    /// How often whoever was connected was abandoned.
    abandoned: u64,
    /// How often whoever was connected was cut off.
    severed: u64,
}

impl Proxy {
    /// One that leads nowhere yet, and closes every connection.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    pub async fn new() -> Self {
        let stands_at = Reserved::new();
        let listener = TcpListener::bind(stands_at.address()).await.expect("its own address");
        let (state, states) = watch::channel(State::default());
        let (done, applied) = watch::channel(0);
        let shared = Arc::default();
        tokio::spawn(stand(listener, Arc::clone(&shared), states, done));
        Self { stands_at, shared, state, applied }
    }

    /// One to a server: `127.0.0.1:5432`.
    pub async fn to(server: impl Display) -> Self {
        let proxy = Self::new().await;
        proxy.leads_to(server);
        proxy
    }

    /// Where it begins.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.stands_at.address()
    }

    /// Where connections end that are made from now on.
    pub fn leads_to(&self, server: impl Display) {
        *self.shared.leads_to.lock().unwrap_or_else(PoisonError::into_inner) = Some(server.to_string());
    }

    /// What chance does on connections that are made from now on: the same seed, the same delays.
    pub fn seed(&self, seed: u64) {
        self.shared.seed.store(seed, Ordering::Relaxed);
    }

    /// Changes what becomes of connections. What is on its way at that moment may still come through.
    ///
    /// # Panics
    ///
    /// If its runtime is gone.
    pub async fn set(&self, mode: Mode) {
        self.change(|state| state.mode = mode).await;
    }

    /// What becomes of connections now.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.state.borrow().mode
    }

    /// Whoever is connected never hears anything again, not even that nobody is there; the server hears that they are gone.
    /// Connections that are made from here on are new ones.
    pub async fn abandon(&self) {
        self.change(|state| state.abandoned += 1).await;
    }

    /// Resets every connection of now, on both sides.
    pub async fn sever(&self) {
        self.change(|state| state.severed += 1).await;
    }

    /// Cuts connections to PostgreSQL at a commit, these commits. A commit has to be a message and a round trip of its own, as
    /// sqlx's are, and the connection not encrypted.
    pub fn cut_commits(&self, cut: Cut, commits: Commits) {
        self.shared.cutter.set(cut, commits);
    }

    /// What went through so far.
    #[must_use]
    pub fn passed(&self) -> Passed {
        self.shared.counts.passed()
    }

    async fn change(&self, change: impl FnOnce(&mut State)) {
        let mut number = 0;
        self.state.send_modify(|state| {
            change(state);
            state.changes += 1;
            number = state.changes;
        });
        let mut applied = self.applied.clone();
        applied.wait_for(|applied| *applied >= number).await.expect("its runtime goes on");
    }
}

async fn stand(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut state: watch::Receiver<State>,
    applied: watch::Sender<u64>,
) {
    let address = listener.local_addr().expect("an address");
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        let now = *state.borrow_and_update();
        if now.mode == Mode::Refuse {
            listener = None;
            connections.shutdown().await;
        } else if listener.is_none() {
            listener = Some(TcpListener::bind(address).await.expect("its own address"));
        }
        applied.send_replace(now.changes);
        tokio::select! {
            changed = state.changed() => if changed.is_err() { return },
            client = next(listener.as_ref()) => {
                number += 1;
                let connection = Connection::new(client, number, Arc::clone(&shared), state.clone());
                connections.spawn(connection.carry());
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn next(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else { return pending().await };
    #[expect(
        clippy::disallowed_methods,
        reason = "TCP_NODELAY is set here, and grpc_kit is no business of this kit"
    )]
    let (client, _) = listener.accept().await.expect("a connection");
    // It may be gone already.
    let _ = client.set_nodelay(true);
    client
}

#[cfg(test)]
mod tests;
