//! Connections to a server.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use api::auth::auth_service_client::AuthServiceClient;
use api::identity::identity_provider_service_client::IdentityProviderServiceClient;
use api::users::users_service_client::UsersServiceClient;
use futures::future::try_join_all;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::body::Body;
use tower::Service;

/// Why there is no connection.
pub(crate) type Unreachable = Box<dyn std::error::Error + Send + Sync>;

/// One HTTP/2 connection for tonic's clients, without tonic's own channel: that sends each call through a queue to a task,
/// which costs the driver more than a cheap call costs the server. Clones are the same connection.
#[derive(Clone)]
pub(crate) struct Connection {
    sender: SendRequest<Body>,
    origin: Uri,
}

impl Connection {
    /// Connects.
    pub(crate) async fn open(address: SocketAddr) -> Result<Self, Unreachable> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        // How it ends, the calls that it had hear.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, origin: format!("http://{address}").parse()? })
    }

    /// A client of `AuthService`.
    pub(crate) fn auth(&self) -> AuthServiceClient<Self> {
        AuthServiceClient::with_origin(self.clone(), self.origin.clone())
    }

    /// A client of `IdentityProviderService`.
    pub(crate) fn identity(&self) -> IdentityProviderServiceClient<Self> {
        IdentityProviderServiceClient::with_origin(self.clone(), self.origin.clone())
    }

    /// A client of `UsersService`.
    pub(crate) fn users(&self) -> UsersServiceClient<Self> {
        UsersServiceClient::with_origin(self.clone(), self.origin.clone())
    }
}

impl Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
    }
}

/// A server and the connections to it, which calls take in turn.
pub(crate) struct Target {
    connections: Vec<Connection>,
}

impl Target {
    /// Makes this many connections.
    pub(crate) async fn connect(address: SocketAddr, connections: usize) -> Result<Self, Unreachable> {
        let connections = (0..connections.max(1)).map(|_| Connection::open(address));
        Ok(Self { connections: try_join_all(connections).await? })
    }

    /// Whose turn it is.
    pub(crate) fn connection(&self, number: usize) -> &Connection {
        &self.connections[number % self.connections.len()]
    }
}
