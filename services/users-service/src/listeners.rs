//! The service's sockets.

use std::io;

use grpc_kit::listen::{BindError, bind};
use tokio::net::TcpListener;

use crate::ServerConfig;

/// The sockets, bound before anything is served, so that an address in use is found at once.
#[derive(Debug)]
pub struct Listeners {
    /// For `UsersService`.
    pub public: TcpListener,
    /// For probes and metrics.
    pub ops: TcpListener,
}

impl Listeners {
    /// Binds the configured addresses.
    pub
