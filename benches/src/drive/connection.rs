//! Connections to a server.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
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
use tokio::sync::Mutex;
use tonic::body::Body;
use tower::Service;

use super::Call;
use super::ending::Ending;

/// Why there is no connection.
pub(crate) type Unreachable = Box<dyn std::error::Error + Send + Sync>;

/// One HTTP/2 connection for tonic's clients, without tonic's own channel: that sends each call through a queue to a
/// task, which costs the driver more than a cheap call costs the server. Clones are the same connection.
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

/// A server and the connections to it, which calls take in turn. Clones share them.
#[derive(Clone)]
pub(crate) struct Target {
    address: SocketAddr,
    connections: Arc<[Mutex<Connection>]>,
}

impl Target {
    /// Makes this many connections.
    pub(crate) async fn connect(address: SocketAddr, connections: usize) -> Result<Self, Unreachable> {
        let connections = (0..connections.max(1)).map(|_| Connection::open(address));
        let connections = try_join_all(connections).await?.into_iter().map(Mutex::new).collect();
        Ok(Self { address, connections })
    }

    /// The one whose turn it is: a new one in place of one that has ended, since servers end them when they come to
    /// their age.
    pub(crate) async fn connection(&self, number: usize) -> Result<Connection, Unreachable> {
        let mut connection = self.connections[number % self.connections.len()].lock().await;
        if connection.sender.is_closed() {
            *connection = Connection::open(self.address).await?;
        }
        Ok(connection.clone())
    }

    /// Makes a call over it.
    pub(crate) async fn call(&self, number: usize, call: &Call) -> Ending {
        match self.connection(number).await {
            Ok(connection) => call.make(&connection).await,
            Err(_) => Ending::plain(Ending::UNREACHABLE),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_has_ended_is_replaced() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("any port");
        let address = listener.local_addr().expect("it is bound");
        let target = Target::connect(address, 1).await.expect("it listens");
        drop(grpc_kit::listen::accept(&listener).await.expect("the first"));
        while !target.connections[0].lock().await.sender.is_closed() {
            tokio::task::yield_now().await;
        }
        let second = target.connection(7).await.expect("it listens still");
        let _stream = grpc_kit::listen::accept(&listener).await.expect("the second");
        assert!(!second.sender.is_closed());
    }
}
