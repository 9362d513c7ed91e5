//! Where the replicas listen, which they still do after a restart unless they are moved.

use std::net::SocketAddr;

use test_kit::Reserved;

use crate::Service;

/// Those of one replica of each service.
#[derive(Debug)]
pub(crate) struct Addresses {
    /// The public, the internal and the operations' listener.
    pub(crate) auth: [SocketAddr; 3],
    /// The public and the operations' listener.
    pub(crate) users: [SocketAddr; 2],
    /// Those of before as well: nobody else is found there.
    reserved: Vec<Reserved>,
}

impl Addresses {
    pub(crate) fn new() -> Self {
        let mut reserved = Vec::new();
        let (auth, users) = (reserve(&mut reserved), reserve(&mut reserved));
        Self { auth, users, reserved }
    }

    /// Gives a service others.
    pub(crate) fn renew(&mut self, service: Service) {
        match service {
            Service::Auth => self.auth = reserve(&mut self.reserved),
            Service::Users => self.users = reserve(&mut self.reserved),
        }
    }

    /// Of gRPC: public, internal, users.
    pub(crate) const fn listeners(&self) -> [SocketAddr; 3] {
        let [public, internal, _] = self.auth;
        [public, internal, self.users[0]]
    }
}

fn reserve<const COUNT: usize>(reserved: &mut Vec<Reserved>) -> [SocketAddr; COUNT] {
    let new = [(); COUNT].map(|()| Reserved::new());
    let addresses = new.each_ref().map(Reserved::address);
    reserved.extend(new);
    addresses
}
