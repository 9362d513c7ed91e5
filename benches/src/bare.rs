//! What auth-service is compared with to see what stands between the socket and its use cases: its internal listener on
//! tonic's server as it comes.

use std::net::{Ipv4Addr, SocketAddr};

use auth_service::{AuthService, Config};
use clock::SystemClock;
use configuration::Layers;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tracing::subscriber::NoSubscriber;

use crate::echo::incoming;

/// Serves until the process is killed, by the settings in the environment.
pub(crate) async fn serve() {
    // Else spans of libraries look for another log to be written to, which costs more than leaving them out.
    tracing::subscriber::set_global_default(NoSubscriber::default()).expect("nobody else has");
    let (config, _) =
        Config::read(Layers::new("AUTH").environment()).unwrap_or_else(|problems| panic!("{problems}"));
    let service = AuthService::open(config, SystemClock::default()).await.expect("it opens");
    let routes = service.bare_internal().await.expect("it serves");
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a free port");
    println!("auth-service listens, bare, on {}", listener.local_addr().expect("it is bound"));
    Server::builder().add_routes(routes).serve_with_incoming(incoming(listener)).await.expect("serves");
}
