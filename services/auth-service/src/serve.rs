//! Serving: the listeners, what they serve, and the work in the background.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use auth_core::commands::{PurgeExpired, Purged};
use auth_core::ports::Ports;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use grpc_kit::process::{Drain, Ending, GrpcListener, Neighbour, OpsListener, serve_all};
use grpc_kit::{Shutdown, Socket};
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::time::sleep;
use tonic::service::Routes;

use crate::engine::ServedStore;
use crate::workload::Workloads;
use crate::{
    Allowance, AuthService, Listeners, OnEngine, Service, StartError, Tokens, Workload, grpc, measurements,
    on_engine,
};

/// How often expired rows are deleted.
const PURGE_INTERVAL: Duration = Duration::from_mins(1);

impl AuthService {
    /// Serves until the shutdown is requested, then drains.
    pub async fn serve(
        &self,
        listeners: Listeners,
        metrics: Option<PrometheusHandle>,
        shutdown: Shutdown,
    ) -> Result<(), StartError> {
        self.serve_until(listeners, metrics, shutdown, None).await
    }

    /// The same beside somebody in this process who calls the internal listener, which therefore goes on until that one has ended:
    /// for the all-in-one.
    pub async fn serve_beside(
        &self,
        neighbour: Neighbour,
        listeners: Listeners,
        metrics: Option<PrometheusHandle>,
        shutdown: Shutdown,
    ) -> Result<(), StartError> {
        self.serve_until(listeners, metrics, shutdown, Some(neighbour)).await
    }

    async fn serve_until(
        &self,
        listeners: Listeners,
        metrics: Option<PrometheusHandle>,
        shutdown: Shutdown,
        neighbour: Option<Neighbour>,
    ) -> Result<(), StartError> {
        on_engine!(&self.0, service => {
            let ending = service.serve(listeners, metrics, shutdown, neighbour).await?;
            ending.wait_for("the store", service.store.close()).await;
            Ok(())
        })
    }

    /// Serves the internal listener alone, in plaintext, to whoever has this token and to nobody else: for the all-in-one, which
    /// makes its super admin before anybody can sign up.
    pub async fn serve_internal(
        &self,
        listener: TcpListener,
        token: SecretString,
        shutdown: Shutdown,
    ) -> Result<(), StartError> {
        on_engine!(&self.0, service => service.serve_internal(listener, token, shutdown).await)
    }

    /// What the internal listener serves, without the layers around it: for measuring what these cost.
    pub async fn bare_internal(&self) -> Result<Routes, StartError> {
        on_engine!(&self.0, service => Ok(service.internal(&service.config.workloads).await?.routes))
    }
}

impl<S: ServedStore> Service<S> {
    async fn serve(
        &self,
        listeners: Listeners,
        metrics: Option<PrometheusHandle>,
        shutdown: Shutdown,
        neighbour: Option<Neighbour>,
    ) -> Result<Ending, StartError> {
        measurements::announce();
        let public = grpc::public(self.use_cases.clone(), self.config.server.reflection)?;
        let ops = OpsListener { socket: listeners.ops, metrics, extra: self.jwks_page() };
        let server = &self.config.server;
        let public_socket = Socket::open(listeners.public, server.tls.clone()).await?;
        let internal_socket = Socket::open(listeners.internal, server.internal_tls.clone()).await?;
        let internal =
            GrpcListener { neighbour, ..on(internal_socket, self.internal(&self.config.workloads).await?) };
        let grpc = vec![on(public_socket, public), internal];
        let purge = tokio::spawn(purge(self.use_cases.clone(), shutdown.clone()));
        let measuring = tokio::spawn(measurements::run(self.store.clone(), shutdown.clone()));
        let ending = serve_all(grpc, Some(ops), self.config.server.ends(), self.probe(), shutdown).await;
        ending.wait_for_task("the purge", purge).await;
        ending.wait_for_task("the measurements", measuring).await;
        Ok(ending)
    }

    async fn serve_internal(
        &self,
        listener: TcpListener,
        token: SecretString,
        shutdown: Shutdown,
    ) -> Result<(), StartError> {
        let only_one = Workload {
            name: "the start".to_owned(),
            tokens: Some(Tokens::fixed(token)),
            san: None,
            allowance: Allowance::Full,
        };
        let grpc = vec![on(listener.into(), self.internal(&[only_one]).await?)];
        // Nobody else has heard of it who would have to be told first.
        let ends = Drain { lame_duck: Duration::ZERO, ..self.config.server.ends() };
        // The process goes on, and so does its store.
        let _ = serve_all(grpc, None, ends, self.probe(), shutdown).await;
        Ok(())
    }

    async fn internal(&self, workloads: &[Workload]) -> Result<grpc::Served, StartError> {
        let workloads = Workloads::follow(workloads).await?;
        Ok(grpc::internal(self.use_cases.clone(), workloads)?)
    }

    fn probe(&self) -> impl Fn() -> futures::future::BoxFuture<'static, Result<(), String>> + Send + 'static {
        let store = self.store.clone();
        move || {
            let store = store.clone();
            Box::pin(async move { store.probe().await.map_err(|error| error.to_string()) })
        }
    }

    fn jwks_page(&self) -> Router {
        let jwks = self.jwks.clone();
        let page = get(move || ready(([(CONTENT_TYPE, "application/jwk-set+json")], jwks.clone())));
        Router::new().route("/.well-known/jwks.json", page)
    }
}

fn on(socket: Socket, served: grpc::Served) -> GrpcListener {
    GrpcListener {
        socket,
        routes: served.routes,
        layer: served.layer,
        health: served.health,
        neighbour: None,
    }
}

/// A batch at a time, so that neither a log-in nor the end of the process waits for more than one.
async fn purge<P: Ports>(use_cases: grpc::UseCases<P>, shutdown: Shutdown) {
    let mut pause = PURGE_INTERVAL;
    loop {
        tokio::select! {
            () = shutdown.requested() => return,
            () = sleep(pause) => {}
        }
        let commands = Arc::clone(&use_cases.commands);
        pause = match grpc_kit::call::unit_of_work(async move { PurgeExpired.execute(&commands).await }).await
        {
            Ok(Purged { rows, more }) => {
                tracing::debug!(rows, "expired rows were purged");
                if more { Duration::ZERO } else { PURGE_INTERVAL }
            }
            Err(error) => {
                tracing::warn!(%error, "expired rows could not be purged");
                PURGE_INTERVAL
            }
        };
    }
}
