//! Binding a socket that a setting names, and taking connections from it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{key} = {address} cannot be listened on: {cause}")]
pub struct BindError {
    key: &'static str,
    address: SocketAddr,
    #[source]
    cause: io::Error,
}

/// How many connections may wait to be accepted, if the system lets so many. The standard library's 128 are fewer than come at
/// once when all clients of a replica that has gone connect to the others; who finds no room tries again only after a second.
const BACKLOG: u32 = 4096;

/// Binds an address; an error names the setting that it comes from.
#[expect(clippy::unused_async, reason = "it needs the runtime that only async code is sure to have")]
pub async fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    listen(address).map_err(|cause| BindError { key, address, cause })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections of a process that has ended may linger on the address for a minute.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The next connection, which sends what is written to it at once (`TCP_NODELAY`): an answer must not wait for the peer's
/// acknowledgement of the one before. The only way to a connection, by `clippy.toml`.
#[expect(clippy::disallowed_methods, reason = "this is where the option is set that others would forget")]
pub async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept().await?;
    // Of a connection that is gone already; whoever reads from it will hear of that.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "TCP_NODELAY cannot be set");
    }
    Ok((stream, peer))
}

/// Where a listener is reached from this machine: who listens on every address is asked on loopback.
#[must_use]
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Whether two listeners would be in each other's way. Where port 0 is asked for, the system gives each another.
#[must_use]
pub fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere =
        one.is_ipv4() == other.is_ipv4() && (one.ip().is_unspecified() || other.ip().is_unspecified());
    one.port() != 0 && one.port() == other.port() && (one.ip() == other.ip() || everywhere)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::future::join_all;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn an_address_in_use_is_named_with_its_setting() {
        let first = bind("server.listen", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let refused = bind("server.listen", first.local_addr().unwrap()).await.unwrap_err().to_string();
        assert!(refused.starts_with("server.listen = 127.0.0.1:"), "{refused}");
    }

    #[tokio::test]
    async fn a_crowd_that_comes_at_once_waits_in_line() {
        let listener = bind("server.listen", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let crowd = (0..500).map(|_| TcpStream::connect(address));
        // Nobody accepts: whoever found no room would wait for a second and more.
        let crowd =
            timeout(Duration::from_millis(900), join_all(crowd)).await.expect("there is room for all");
        assert!(crowd.into_iter().all(|peer| peer.is_ok()));
    }

    #[tokio::test]
    async fn what_is_accepted_sends_at_once() {
        let listener = bind("server.listen", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = accept(&listener).await.unwrap();
        assert!(accepted.nodelay().unwrap());
    }

    #[test]
    fn listeners_collide_on_one_port_of_one_address() {
        for (one, other, expected) in [
            ("127.0.0.1:1", "127.0.0.1:1", true),
            ("127.0.0.1:1", "0.0.0.0:1", true),
            ("[::]:1", "[::1]:1", true),
            ("127.0.0.1:1", "127.0.0.1:2", false),
            ("127.0.0.1:1", "127.0.0.2:1", false),
            ("127.0.0.1:1", "[::1]:1", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(collide(one, other), expected, "{one} {other}");
            assert_eq!(collide(other, one), expected, "{one} {other}");
        }
    }

    #[test]
    fn every_address_is_reached_on_loopback() {
        for (listens, reached) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.1:1", "10.0.0.1:1")]
        {
            assert_eq!(reachable(listens.parse().unwrap()), reached.parse().unwrap());
        }
    }
}
