//! A way to a server that may fall silent, as when a host is gone without a word: whoever is connected hears nothing, not
//! even that nobody is there.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{server, url};

/// Where to connect to instead of the server.
#[derive(Debug)]
pub struct Line {
    port: u16,
    state: watch::Sender<State>,
    asked: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// How often it has fallen silent.
    times: u32,
    /// Whether nobody is there for those who come, either.
    is_dark: bool,
}

impl Line {
    /// One to the server that `DATABASE_URL` names. Ends with the runtime.
    pub async fn open() -> Self {
        let server = server(None);
        let server = (server.get_host().to_owned(), server.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let line = Self { port, state: watch::Sender::default(), asked: Arc::default() };
        let (state, asked) = (line.state.subscribe(), Arc::clone(&line.asked));
        tokio::spawn(async move {
            loop {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "what is relayed is not delayed by Nagle in a test"
                )]
                let Ok((client, _)) = listener.accept().await else { return };
                tokio::spawn(relayed(client, server.clone(), state.clone(), Arc::clone(&asked)));
            }
        });
        line
    }

    /// The server's URL by this line.
    #[must_use]
    pub fn url(&self) -> String {
        url(&self.through(server(None)))
    }

    /// A database of the server by this line.
    #[must_use]
    pub fn through(&self, database: PgConnectOptions) -> PgConnectOptions {
        database.host("127.0.0.1").port(self.port)
    }

    /// Nobody answers those any more who are connected; whoever connects from here on is.
    pub fn fall_silent(&self) {
        self.state.send_modify(|state| state.times += 1);
    }

    /// Nobody answers any more, whoever is connected or connects, until somebody is there again: for those who connect then.
    pub fn go_dark(&self) {
        self.state.send_modify(|state| *state = State { times: state.times + 1, is_dark: true });
    }

    /// Somebody is there again.
    pub fn light_up(&self) {
        self.state.send_modify(|state| state.is_dark = false);
    }

    /// How often the server was asked something so far.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn relayed(
    client: TcpStream,
    server: (String, u16),
    mut state: watch::Receiver<State>,
    asked: Arc<AtomicUsize>,
) {
    let State { times, is_dark } = *state.borrow_and_update();
    let (mut from_client, mut to_client) = client.into_split();
    // They stay open, whatever becomes of the server.
    if is_dark {
        return pending().await;
    }
    let (mut from_server, mut to_server) = TcpStream::connect(server).await.expect("the server").into_split();
    tokio::select! {
        () = relay(&mut from_client, &mut to_server, Some(&asked)) => return,
        () = relay(&mut from_server, &mut to_client, None) => return,
        _ = state.wait_for(|state| state.times > times) => {}
    }
    // The server hears that its client has gone when there is one again: what it held for it, a new one would not.
    drop(state.wait_for(|state| !state.is_dark).await);
    drop((from_server, to_server));
    pending::<()>().await;
}

/// Passes on what comes, and counts how often something does.
async fn relay(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    count: Option<&AtomicUsize>,
) {
    let mut bytes = [0; 8192];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        if let Some(count) = count {
            count.fetch_add(1, Ordering::SeqCst);
        }
        if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}
