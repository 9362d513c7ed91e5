//! A place between the store and PostgreSQL, where messages are counted and connections are cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// When the next commit's connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Cut {
    Never,
    Before,
    During,
    After,
}

/// A place to connect to instead of the server's.
pub(crate) struct Relay {
    pub(crate) port: u16,
    next: Arc<AtomicU8>,
    asked: Arc<AtomicUsize>,
}

impl Relay {
    pub(crate) async fn to(host: String, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own_port = listener.local_addr().unwrap().port();
        let relay = Self { port: own_port, next: Arc::default(), asked: Arc::default() };
        let (next, asked) = (Arc::clone(&relay.next), Arc::clone(&relay.asked));
        tokio::spawn(async move {
            while let Ok((client, _)) = grpc_kit::listen::accept(&listener).await {
                let server = TcpStream::connect((host.as_str(), port)).await.unwrap();
                tokio::spawn(relayed(client, server, Arc::clone(&next), Arc::clone(&asked)));
            }
        });
        relay
    }

    pub(crate) fn cut(&self, cut: Cut) {
        self.next.store(cut as u8, Ordering::SeqCst);
    }

    /// How often the server was asked something so far: the store waits for the answer each time.
    pub(crate) fn round_trips(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A commit is a message of its own. Both connections end with this.
async fn relayed(
    mut client: TcpStream,
    mut server: TcpStream,
    next: Arc<AtomicU8>,
    round_trips: Arc<AtomicUsize>,
) {
    let (mut asked, mut answered) = ([0; 8192], [0; 8192]);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let message = &asked[..length];
                // Not what asks whether the connection is still good: how often that comes depends on the time.
                if message[0] != b'S' {
                    round_trips.fetch_add(1, Ordering::SeqCst);
                }
                let is_commit = message == b"Q\0\0\0\x0bCOMMIT\0";
                let cut = if is_commit { next.swap(Cut::Never as u8, Ordering::SeqCst) } else { Cut::Never as u8 };
                if cut == Cut::Before as u8 {
                    return;
                }
                if server.write_all(message).await.is_err() || cut == Cut::During as u8 {
                    return;
                }
                if cut == Cut::After as u8 {
                    let _ = server.read(&mut answered).await;
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
