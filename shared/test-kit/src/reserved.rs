//! An address that stays somebody's own while nobody listens on it.
//!
//! A port that the system chose (`:0`) is anybody's again once its listener has closed: the next connection out of this
//! machine may be given it, and a service that is started again finds it taken. So this one is from below the range that
//! the system chooses from, and two tests never hold the same, because a UDP socket keeps the number from the others.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;

use rand::Rng as _;

/// Linux chooses from 32768 on, others from further up; `tests/postgres` starts its servers between 20000 and 32000.
const NEVER_CHOSEN: Range<u16> = 10_000..20_000;

/// One on loopback, until it is dropped.
#[derive(Debug)]
pub struct Reserved {
    address: SocketAddr,
    _number: UdpSocket,
}

impl Reserved {
    /// A free one.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[must_use]
    pub fn new() -> Self {
        let mut random = rand::rng();
        std::iter::repeat_with(|| random.random_range(NEVER_CHOSEN))
            .take(NEVER_CHOSEN.len())
            .find_map(|port| Self::at(SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
            .expect("a free port")
    }

    fn at(address: SocketAddr) -> Option<Self> {
        let number = UdpSocket::bind(address).ok()?;
        TcpListener::bind(address).ok()?;
        Some(Self { address, _number: number })
    }

    /// Where to listen, and where to connect to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Default for Reserved {
    fn default() -> Self {
        Self::new()
    }
}
