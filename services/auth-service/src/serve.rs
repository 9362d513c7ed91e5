//! Serving: the listeners, what they serve, and the work in the background.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use auth_core::commands::PurgeExpired;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use grpc_kit::Shutdown;
use grpc_kit::process::{Drain, GrpcListener, OpsListener, serve_all};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::time::sleep;

use crate::workload::Workloads;
use crate::{AuthService, Listeners, StartError, grpc};

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
        let public = grpc::public(self.use_cases.clone(), self.config.server.reflection)?;
        let ops = OpsListener { socket: listeners.ops, metrics, extra: self.jwks_page() };
        let grpc = vec![on(listeners.public, public), on(listeners.internal, self.internal())];
        let purge = tokio::spawn(purge(self.use_cases.clone(), shutdown.clone()));
        serve_all(grpc, Some(ops), self.drain(), self.probe(), shutdown).await;
        // Ended by the same shutdown; a panic in it was reported when it happened.
        let _ = purge.await;
        self.store.close().await;
        Ok(())
    }

    /// Serves the internal listener alone: for the all-in-one, which makes its super admin before anybody can sign up.
    pub async fn serve_internal(&self, listener: TcpListener, shutdown: Shutdown) {
        serve_all(vec![on(listener, self.internal())], None, self.drain(), self.probe(), shutdown).await;
    }

    fn internal(&self) -> grpc::Served {
        grpc::internal(self.use_cases.clone(), Workloads::new(&self.config.workloads))
    }

    fn drain(&self) -> Drain {
        Drain { lame_duck: self.config.server.lame_duck, drain: self.config.server.drain }
    }

    fn probe(&self) -> impl Fn() -> futures::future::BoxFuture<'static, Result<(), String>> + Send + 'static {
        let store = self.store.clone();
        move || {
            let store = store.clone();
            Box::pin(async move { store.ping().await.map_err(|error| error.to_string()) })
        }
    }

    fn jwks_page(&self) -> Router {
        let jwks = self.jwks.clone();
        let page = get(move || ready(([(CONTENT_TYPE, "application/jwk-set+json")], jwks.clone())));
        Router::new().route("/.well-known/jwks.json", page)
    }
}

fn on(socket: TcpListener, served: grpc::Served) -> GrpcListener {
    GrpcListener { socket, routes: served.routes, layer: served.layer, health: served.health }
}

async fn purge<P: auth_core::ports::Ports>(use_cases: grpc::UseCases<P>, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.requested() => return,
            () = sleep(PURGE_INTERVAL) => {}
        }
        let commands = Arc::clone(&use_cases.commands);
        match grpc_kit::call::unit_of_work(async move { PurgeExpired.execute(&commands).await }).await {
            Ok(0) => {}
            Ok(purged) => tracing::debug!(purged, "expired rows were purged"),
            Err(error) => tracing::warn!(%error, "expired rows could not be purged"),
        }
    }
}
