//! Where the pair listens, and the connections to it.

use std::net::SocketAddr;

use api::users::GetCurrentUserRequest;
use api::users::users_service_client::UsersServiceClient;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tonic::Code;
use tonic::body::Body;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::{Service, service_fn};

use crate::{Service as Of, eventually};

/// A connection to each listener. Clones share them; after a restart they connect again by themselves.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// `AuthService`.
    pub auth: Channel,
    /// `IdentityProviderService`.
    pub internal: Channel,
    /// `UsersService`.
    pub users: Channel,
}

impl Endpoints {
    /// Connects when first needed, over TLS if it is told how.
    #[must_use]
    pub fn new(
        auth: SocketAddr,
        internal: SocketAddr,
        users: SocketAddr,
        tls: Option<ClientTlsConfig>,
    ) -> Self {
        let [auth, internal, users] = [auth, internal, users].map(|address| channel(address, tls.clone()));
        Self { auth, internal, users }
    }

    /// Those of one service.
    #[must_use]
    pub fn of(&self, service: Of) -> Vec<&Channel> {
        match service {
            Of::Auth => vec![&self.auth, &self.internal],
            Of::Users => vec![&self.users],
        }
    }

    /// Waits until auth-service wants calls, over the very connections that they will take.
    pub async fn auth_serves(&self) {
        serves(&self.auth, "auth-service").await;
        serves(&self.internal, "auth-service's internal listener").await;
    }

    /// Waits until users-service wants calls.
    pub async fn users_serve(&self) {
        serves(&self.users, "users-service").await;
    }

    /// Waits until users-service gets answers of auth-service: that a token is none, say.
    pub async fn users_reach_auth(&self) {
        eventually("users-service to reach auth-service", async || {
            let mut request = tonic::Request::new(GetCurrentUserRequest::default());
            let nobodys = "Bearer nobodys".parse().expect("a metadata value");
            request.metadata_mut().insert("authorization", nobodys);
            let answer = UsersServiceClient::new(self.users.clone()).get_current_user(request).await;
            answer.is_err_and(|status| status.code() == Code::Unauthenticated).then_some(())
        })
        .await;
    }
}

fn channel(address: SocketAddr, tls: Option<ClientTlsConfig>) -> Channel {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let endpoint =
        Endpoint::from_shared(format!("{scheme}://{address}")).expect("an address").tcp_nodelay(true);
    let endpoint = match tls {
        Some(tls) => endpoint.tls_config(tls).expect("certificates"),
        None => endpoint,
    };
    endpoint.connect_lazy()
}

/// A connection that leaves deadlines to the server: tonic's own would end a call itself that runs out of time.
pub async fn patient(
    address: SocketAddr,
) -> impl Service<Request<Body>, Response = Response<Incoming>, Error = hyper::Error, Future: Send> + Clone {
    let stream = TcpStream::connect(address).await.expect("a server");
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    service_fn(move |request| {
        let mut sender = sender.clone();
        async move { sender.send_request(request).await }
    })
}

async fn serves(channel: &Channel, what: &str) {
    eventually(what, async || {
        let answer = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.ok()?;
        (answer.get_ref().status() == ServingStatus::Serving).then_some(())
    })
    .await;
}
