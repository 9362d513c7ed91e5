//! The way to a server, which a test can break as networks and hosts do.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grpc_kit::listen::accept;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use test_kit::Reserved;

/// How a bridge is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Nobody listens, and every connection is closed: the process is gone.
    Refused,
    /// Connections stay and are made, and nothing comes through: the host is gone.
    BlackHole,
    /// Whoever connects is answered with one byte a second.
    Tarpit,
    /// Whoever connects is answered at once, with what is no answer.
    Garbage,
}

/// A way to a server. It ends when it is dropped.
pub struct Bridge {
    stands_at: Reserved,
    leads_to: Arc<Mutex<Option<SocketAddr>>>,
    broken: watch::Sender<Option<Broken>>,
}

impl Bridge {
    /// One that leads nowhere yet, and closes every connection.
    pub async fn new() -> Self {
        let stands_at = Reserved::new();
        let listener = TcpListener::bind(stands_at.address()).await.expect("its own address");
        let (broken, state) = watch::channel(None);
        let leads_to = Arc::default();
        tokio::spawn(stand(listener, Arc::clone(&leads_to), state));
        Self { stands_at, leads_to, broken }
    }

    /// Where it begins.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.stands_at.address()
    }

    /// Where it ends from now on.
    pub fn leads_to(&self, address: SocketAddr) {
        *self.leads_to.lock().expect("nobody panics with it") = Some(address);
    }

    /// Breaks it.
    pub fn breaks(&self, how: Broken) {
        self.broken.send_replace(Some(how));
    }

    /// Mends it. Connections of before are closed.
    pub fn is_mended(&self) {
        self.broken.send_replace(None);
    }
}

async fn stand(
    listener: TcpListener,
    leads_to: Arc<Mutex<Option<SocketAddr>>>,
    mut broken: watch::Receiver<Option<Broken>>,
) {
    let address = listener.local_addr().expect("an address");
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let is_refused = *broken.borrow_and_update() == Some(Broken::Refused);
        if is_refused {
            listener = None;
            connections.shutdown().await;
        } else if listener.is_none() {
            listener = Some(TcpListener::bind(address).await.expect("its own address"));
        }
        tokio::select! {
            changed = broken.changed() => if changed.is_err() { return },
            (stream, _) = next(listener.as_ref()) => {
                let target = *leads_to.lock().expect("nobody panics with it");
                connections.spawn(connection(stream, target, broken.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn next(listener: Option<&TcpListener>) -> (TcpStream, SocketAddr) {
    match listener {
        Some(listener) => accept(listener).await.expect("a connection"),
        None => pending().await,
    }
}

/// One connection, until its ends close it or the bridge is mended.
async fn connection(
    mut stream: TcpStream,
    target: Option<SocketAddr>,
    mut broken: watch::Receiver<Option<Broken>>,
) {
    // Held to the end: the server does not learn of it before.
    let mut server = None;
    if broken.borrow_and_update().is_none() {
        let Some(target) = target else { return };
        let Ok(connected) = TcpStream::connect(target).await else { return };
        let server = server.insert(connected);
        tokio::select! {
            _ = copy_bidirectional(&mut stream, server) => return,
            _ = broken.changed() => {}
        }
    }
    let now = *broken.borrow_and_update();
    let Some(how) = now else { return };
    tokio::select! {
        () = misbehave(&mut stream, how) => {}
        _ = broken.changed() => {}
    }
}

async fn misbehave(stream: &mut TcpStream, how: Broken) {
    match how {
        Broken::Refused => {}
        Broken::BlackHole => pending().await,
        Broken::Tarpit => {
            while stream.write_all(&[0]).await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        }
        Broken::Garbage => {
            let mut seen = [0; 1024];
            while stream.read(&mut seen).await.is_ok_and(|count| count > 0) {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
            }
        }
    }
}
