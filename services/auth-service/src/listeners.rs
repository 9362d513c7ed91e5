//! The service's sockets.

use std::io::{self, Write as _, stdout};

use grpc_kit::listen::{BindError, bind};
use tokio::net::TcpListener;

use crate::ServerConfig;

/// The sockets, bound before anything is served, so that an address in use is found at once.
#[derive(Debug)]
pub struct Listeners {
    /// For `AuthService`.
    pub public: TcpListener,
    /// For `IdentityProviderService`.
    pub internal: TcpListener,
    /// For probes and metrics.
    pub ops: TcpListener,
}

impl Listeners {
    /// Binds the configured addresses.
    pub async fn bind(config: &ServerConfig) -> Result<Self, BindError> {
        Ok(Self {
            public: bind("server.listen", config.listen).await?,
            internal: bind("server.internal_listen", config.internal_listen).await?,
            ops: bind("server.ops_listen", config.ops_listen).await?,
        })
    }

    /// Prints the addresses, which are other than configured where port 0 was asked for.
    pub fn announce(&self) -> io::Result<()> {
        let mut out = stdout().lock();
        writeln!(out, "auth-service listens on {}", self.public.local_addr()?)?;
        writeln!(out, "auth-service internal listens on {}", self.internal.local_addr()?)?;
        writeln!(out, "auth-service operations listens on {}", self.ops.local_addr()?)?;
        out.flush()
    }
}
