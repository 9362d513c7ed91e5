//! Binding a socket that a setting names.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::TcpListener;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{key} = {address} cannot be listened on: {cause}")]
pub struct BindError {
    key: &'static str,
    address: SocketAddr,
    #[source]
    cause: io::Error,
}

/// Binds an address; an error names the setting that it comes from.
pub async fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|cause| BindError { key, address, cause })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_in_use_is_named_with_its_setting() {
        let first = bind("server.listen", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let refused = bind("server.listen", first.local_addr().unwrap()).await.unwrap_err().to_string();
        assert!(refused.starts_with("server.listen = 127.0.0.1:"), "{refused}");
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
