//! A host that takes no notice of who connects to it: whoever does waits, as where the packets are lost.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// On loopback a connection comes about at once or not at all.
const AT_ONCE: Duration = Duration::from_millis(200);

/// A listener that accepts nobody, and those who have taken all the places in line. Linux takes no notice of whoever comes then.
pub(super) struct Backlog {
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl Backlog {
    pub(super) async fn full(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("an option");
        socket.bind(address).expect("nobody listens there");
        let listener = socket.listen(1).expect("nobody listens there");
        let mut waiting = Vec::new();
        while let Ok(connected) = timeout(AT_ONCE, TcpStream::connect(address)).await {
            waiting.push(connected.expect("a place in line"));
            assert!(waiting.len() < 10, "there is no end to the places");
        }
        Self { _listener: listener, _waiting: waiting }
    }
}
