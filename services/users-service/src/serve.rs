//! Serving: the listeners, what they serve, and the work in the background.

use axum::Router;
use fail_point::mutant;
use grpc_kit::process::{GrpcListener, OpsListener, serve_all};
use grpc_kit::{PageTokens, Shutdown, Socket};
use metrics_exporter_prometheus::PrometheusHandle;
use users_core::domain::LeaseOwner;
use users_core::queries;

use crate::engine::OnEngine;
use crate::measurements::{self, FeedPosition};
use crate::projector::Projector;
use crate::{Config, Listeners, Parts, ServedStore, StartError, UsersService, grpc, ids, sweeper};

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
        let open = Open { listeners, metrics, shutdown };
        match &self.opened {
            OnEngine::Sqlite(parts) => open.serve(parts.clone(), &self.config, ONLY_PROCESS).await,
            OnEngine::Postgres(parts) => open.serve(parts.clone(), &self.config, ids::lease_owner()).await,
        }
    }
}

/// What a process that serves has open beside its store.
struct Open {
    listeners: Listeners,
    metrics: Option<PrometheusHandle>,
    shutdown: Shutdown,
}

impl Open {
    async fn serve<S: ServedStore>(
        self,
        parts: Parts<S>,
        config: &Config,
        owner: LeaseOwner,
    ) -> Result<(), StartError> {
        let Self { listeners, metrics, shutdown } = self;
        measurements::announce();
        let served = grpc::public(
            grpc::Users {
                commands: parts.commands.clone(),
                queries: queries::Context::new(parts.store.reader().clone()),
                page_tokens: PageTokens::new(page_token_key(&parts.store).await?),
            },
            config.server.reflection,
        )?;
        let grpc = GrpcListener {
            socket: Socket::open(listeners.public, config.server.tls.clone()).await?,
            routes: served.routes,
            layer: served.layer,
            health: served.health,
            neighbour: None,
        };
        let ops = OpsListener { socket: listeners.ops, metrics, extra: Router::new() };

        let position = FeedPosition::default();
        let projector = Projector::new(parts.commands.clone(), parts.provider, owner, position.clone());
        let measuring = measurements::run(parts.store.clone(), position, shutdown.clone());
        let measuring = tokio::spawn(measuring);
        let projecting = tokio::spawn(projector.run(shutdown.clone()));
        let sweeping = tokio::spawn(sweeper::run(parts.commands, shutdown.clone()));
        let store = parts.store.clone();
        let probe = move || {
            let store = store.clone();
            async move { store.probe().await.map_err(|error| error.to_string()) }
        };
        let ending = serve_all(vec![grpc], Some(ops), config.server.ends(), probe, shutdown).await;
        ending.wait_for_task("the projector", projecting).await;
        ending.wait_for_task("the sweeper", sweeping).await;
        ending.wait_for_task("the measurements", measuring).await;
        ending.wait_for("the store", parts.store.close()).await;
        // A defect: it does not end as if all were well.
        if mutant("serve.ends_badly") {
            std::process::abort();
        }
        Ok(())
    }
}

async fn page_token_key<S: ServedStore>(store: &S) -> Result<[u8; 32], StartError> {
    let mut key = store.page_token_key().await?;
    // A defect: each process has a key of its own.
    if mutant("page_tokens.of_each_process") {
        key[..4].copy_from_slice(&std::process::id().to_be_bytes());
    }
    Ok(key)
}
