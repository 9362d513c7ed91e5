//! Serving: the listeners, what they serve, and the work in the background.

use axum::Router;
use grpc_kit::process::{Drain, GrpcListener, OpsListener, serve_all};
use grpc_kit::{PageTokens, Shutdown};
use metrics_exporter_prometheus::PrometheusHandle;
use users_core::domain::LeaseOwner;
use users_core::ports::Store as _;
use users_core::queries;

use crate::projector::Projector;
use crate::{Listeners, StartError, UsersService, grpc, sweeper};

/// The lease's owner on SQLite: the serving lock makes this the only process there is, so a lease that one left behind
/// when it died is ours, and the feed is followed at once.
const ONLY_PROCESS: LeaseOwner = LeaseOwner(*b"the only process");

impl UsersService {
    /// Serves until the shutdown is requested, then drains.
    ///
    /// It is ready when its store answers, whether auth-service does or not: a caller is then told of an outage, which
    /// taking this service away as well would not mend.
    pub async fn serve(
        &self,
        listeners: Listeners,
        metrics: Option<PrometheusHandle>,
        shutdown: Shutdown,
    ) -> Result<(), StartError> {
        let parts = self.parts.clone();
        let served = grpc::public(
            grpc::Users {
                commands: parts.commands.clone(),
                queries: queries::Context { reader: parts.store.reader().clone() },
                page_tokens: PageTokens::new(parts.store.page_token_key().await?),
            },
            self.config.server.reflection,
        )?;
        let grpc = GrpcListener {
            socket: listeners.public,
            routes: served.routes,
            layer: served.layer,
            health: served.health,
        };
        let ops = OpsListener { socket: listeners.ops, metrics, extra: Router::new() };
        let drain = Drain { lame_duck: self.config.server.lame_duck, drain: self.config.server.drain };

        let projector = Projector::new(parts.commands.clone(), parts.provider, ONLY_PROCESS);
        let projecting = tokio::spawn(projector.run(shutdown.clone()));
        let sweeping = tokio::spawn(sweeper::run(parts.commands, shutdown.clone()));
        let store = parts.store.clone();
        let probe = move || {
            let store = store.clone();
            async move { store.probe().await.map_err(|error| error.to_string()) }
        };
        serve_all(vec![grpc], Some(ops), drain, probe, shutdown).await;
        // Ended by the same shutdown; a panic in them was reported when it happened.
        let _ = projecting.await;
        let _ = sweeping.await;
        parts.store.close().await;
        Ok(())
    }
}
