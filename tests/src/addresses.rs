//! Where the replicas listen, which they still do after a restart.

use std::net::SocketAddr;

use test_kit::Reserved;

/// Those of one replica of each service.
#[derive(Debug)]
pub(crate) struct Addresses {
    /// The public, the internal and the operations' listener.
    pub(crate) auth: [SocketAddr; 3],
    /// The public and the operations' listener.
    pub(crate) users: [SocketAddr; 2],
    _reserved: [Reserved; 5],
}

impl Addresses {
    pub(crate) fn new() -> Self {
        let reserved = [(); 5].map(|()| Reserved::new());
        let [public, internal, ops, users, users_ops] = reserved.each_ref().map(Reserved::address);
        Self { auth: [public, internal, ops], users: [users, users_ops], _reserved: reserved }
    }

    /// Of gRPC: public, internal, users.
    pub(crate) const fn listeners(&self) -> [SocketAddr; 3] {
        let [public, internal, _] = self.auth;
        [public, internal, self.users[0]]
    }
}
